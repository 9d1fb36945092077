"""How every picture of a report is drawn: as SVG text that is the same for the same figures."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager

import matplotlib
from matplotlib.figure import Figure


def picture_style() -> AbstractContextManager[None]:
    # Text stays text: smaller, searchable, and in the reader's font. A fixed salt keeps the ids byte-stable.
    return matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gratefulgpt", "font.size": 9})


def rendered(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None}, facecolor="white")
    text = out.getvalue()
    return text[text.index("<svg") :]
