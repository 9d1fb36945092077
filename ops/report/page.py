"""The page: what happened, why, and the pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ops.report.charts import evidence_chart, latency_chart, overview_chart, weights_chart
from ops.report.rollout_story import RolloutStory

_LATENCY_QUANTILES = (0.5, 0.95)


@dataclass(frozen=True)
class Chapter:
    """A rollout with what was expected of it."""

    title: str
    expected: str
    story: RolloutStory

    @property
    def as_expected(self) -> bool:
        return self.story.rollout.state.value == self.expected


def rollout_page(title: str, summary: Sequence[tuple[str, str]], chapters: Sequence[Chapter]) -> str:
    """HTML without any outside reference. ``summary`` is a table of names and values."""
    environment = Environment(
        loader=PackageLoader("ops.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = lambda at: time.strftime("%H:%M:%S", time.gmtime(at))
    return environment.get_template("rollout.html.j2").render(
        title=title,
        summary=summary,
        overview=Markup(overview_chart([chapter.story for chapter in chapters])),  # noqa: S704 - our own SVG
        chapters=[(chapter, _pictures(chapter.story)) for chapter in chapters],
    )


def _pictures(story: RolloutStory) -> list[tuple[str, Markup]]:
    pictures = [("Where new requests went", weights_chart(story))]
    if story.samples:
        for fraction in _LATENCY_QUANTILES:
            pictures.append((f"Latency by arm, p{fraction * 100:.0f}", latency_chart(story, fraction)))
    if story.looks:
        pictures += [
            ("Evidence that the release is worse", evidence_chart(story, against=True)),
            ("Evidence that it is harmless, begun anew at each step", evidence_chart(story, against=False)),
        ]
    return [(name, Markup(svg)) for name, svg in pictures]  # noqa: S704 - our own SVG, no outside text in it
