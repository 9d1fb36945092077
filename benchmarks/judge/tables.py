"""Rows as the tables of docs/judge.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.judge.rows import Row

_HEAD = (
    "| on trial | rps | margin | n | rolled back % (95 % CI) | promoted % | paused % | s to roll back "
    "| canary requests, median / p99 | bad of these | s to promote |\n|-|-:|-:|-:|-:|-:|-:|-:|-:|-:|-:|"
)


def our_table(rows: Sequence[Row]) -> str:
    lines = [_HEAD]
    for one in rows:
        interval = (
            f"{one.rolled_back_percent:.1f} ({one.rolled_back_low_percent:.1f}-{one.rolled_back_high_percent:.1f})"
        )
        requests = f"{figure(one.back_requests_median)} / {figure(one.back_requests_p99)}" if one.rolled_back else "-"
        name = one.name if one.judge == "ours" else f"{one.judge}; {one.name}"
        lines.append(
            f"| {name} | {one.requests_per_second:g} | {one.margin or '-'} | {one.rollouts:,} | {interval} "
            f"| {percent(one.promoted, one)} | {percent(one.paused, one)} | {figure(one.back_seconds_median)} "
            f"| {requests} | {figure(one.bad_served_median)} | {figure(one.promoted_seconds_median)} |"
        )
    return "\n".join(lines)


def percent(count: int, of: Row) -> str:
    return f"{100 * count / of.rollouts:.1f}"


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def peer_table(peers: dict[str, Any]) -> str:
    """Scenarios down, settings across: rolled back %, and the median seconds of it."""
    rows = [Row(**one) for one in peers.get("rows", [])]
    judges = list(dict.fromkeys(one.judge for one in rows))
    lines = [f"| on trial | {' | '.join(judges)} |", "|-|" + "-:|" * len(judges)] if rows else []
    for key in dict.fromkeys(one.scenario for one in rows):
        cells = {one.judge: one for one in rows if one.scenario == key}
        name = next(iter(cells.values())).name
        lines.append(f"| {name} | " + " | ".join(peer_cell(cells.get(judge)) for judge in judges) + " |")
    return "\n".join(lines)


def peer_cell(one: Row | None) -> str:
    if one is None:
        return "-"
    seconds = f", {figure(one.back_seconds_median)} s" if one.rolled_back else ""
    return f"{one.rolled_back_percent:.1f}{seconds}"
