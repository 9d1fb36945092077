"""The curves as pictures: false rollbacks against what is found, ours over the margin and peers over their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "gratefulgpt"  # the same bytes each time

from matplotlib import pyplot  # noqa: E402 - the backend comes first

_COLOURS = {"ours": "#0b6e4f", "Argo": "#c8553d", "Flagger": "#588bae", "Kayenta": "#8a6fb0"}
_LINES = {
    "aa": "A/A",
    "aa-noise-0.1": "A/A, noise 0.1",
    "aa-noise-0.2": "A/A, noise 0.2",
    "x1.2": "1.2 times",
    "x1.5": "1.5 times",
    "x2": "2 times",
}


def draw(result: Mapping[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if result.get("curve"):
        _margins(result["curve"], folder / "judge-margins.svg")
    if result.get("peers") and result.get("ours"):
        _trade_off(result, folder / "judge-peers.svg")


def _margins(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for key, name in _LINES.items():
        line = sorted((row for row in rows if row["scenario"] == key), key=lambda row: row["margin"])
        if not line:
            continue
        margins = [row["margin"] for row in line]
        style = "--" if key.startswith("aa") else "-"
        axes[0].plot(margins, [row["rolled_back_percent"] for row in line], style, marker="o", ms=3, label=name)
        found = [(row["margin"], row["back_requests_median"]) for row in line if row["rolled_back_percent"] >= 50]
        if not key.startswith("aa") and found:
            axes[1].plot(*zip(*found, strict=True), marker="o", ms=3, label=name)
    axes[0].set(xlabel="margin, times as slow", ylabel="rolled back, %", ylim=(-3, 103))
    axes[1].set(xlabel="margin, times as slow", ylabel="canary requests to rollback, median", yscale="log")
    axes[0].legend(fontsize=7)
    axes[1].legend(fontsize=7)
    _save(figure, path)


def _trade_off(result: Mapping[str, Any], path: Path) -> None:
    """Each setting of a peer on the service it was tuned on; ours on the other one (docs/judge.md)."""
    figure, axes = pyplot.subplots(figsize=(5.6, 3.8))
    for judge in ("Argo", "Flagger", "Kayenta"):
        points = [one for one in result["peers"]["curve"] if one["contender"]["judge"] == judge]
        found = [100 * one["found"] for one in points]
        axes.scatter([100 * one["false"] for one in points], found, s=14, color=_COLOURS[judge], label=judge)
    shares = _ours_found(result["curve"])
    axes.plot(
        [false for false, _ in shares], [found for _, found in shares], "s-", ms=4, color=_COLOURS["ours"],
        label="ours, margins 1.02 to 1.3",
    )  # fmt: skip
    axes.set(xlabel="good releases rolled back, %", ylabel="bad releases found, %")
    axes.legend(fontsize=7, loc="lower right")
    _save(figure, path)


def _ours_found(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    by = {(row["scenario"], row["margin"]): row["rolled_back_percent"] for row in rows}
    margins = sorted({margin for _, margin in by})
    bad = ("x1.2", "x1.5", "x2")
    return [(by["aa", m], sum(by[key, m] for key in bad) / len(bad)) for m in margins if all((k, m) in by for k in bad)]


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
