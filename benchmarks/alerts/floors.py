"""What the figures of the rules cost: late pages, false pages and second pages, with other figures than the spec's.

By the rule engine, as everything here: quiet days with other floors of bad events, half of few requests late with the
same; and incidents that come and go with other times for which an alert is kept firing, or its group is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.alerts.incidents import Incident, Trouble
from benchmarks.alerts.quieting import QuietTask, screened
from benchmarks.alerts.replaying import CONTENDERS, SPEC_FILE, replay_all
from benchmarks.alerts.tables import quantile
from ops.adapters.spec_file import load_spec
from ops.spec.model import Spec

FLOORS = {"share": (6, 7, 8, 9, 10), "goodput": (10, 14)}
"""Of bad events in the long window of what pages, by the spec's rows."""
KEPT_SECONDS = (120, 180, 240)
RELEASE_PERCENTS = (None, 85, 70, 55)
"""Of the bound of ``share``'s row that pages, at which it ends; None: with what began it."""
INTERVALS_SECONDS = (300, 600, 900)
"""Between two messages of one group of alerts: for so long after its end a group is open, and what returns joins it."""
FIGURES = (*FLOORS, "keep_firing_seconds", "release_percent", "interval_seconds")
RATES = (1, 2, 3, 5)
QUIET_DAYS = 1440
REPLAYS = 40
RESET_MINUTES_MAX = 10
HALF_LATE = Incident("half late", 1, 60, (Trouble(0, 60, late=0.5),))
AT_THE_BOUND = Incident("30 % late", 10, 60, (Trouble(0, 60, late=0.3),))
COMES_AND_GOES = (
    Incident("all fail", 1, 60, (Trouble(0, 60, failed=1),)),
    HALF_LATE,
    replace(HALF_LATE, per_minute=2),
    AT_THE_BOUND,
    Incident("one tenant of 3 % fails", 60, 90, (Trouble(0, 90, failed=0.03),)),
)


@dataclass(frozen=True)
class Tried:
    figure: str
    value: float
    """0 is none, of a release."""
    traffic: str
    per_minute: float
    count: int
    """Days, or replays."""
    pages: float
    """A year of 360 quiet days, or an incident's, on average."""
    paged_minutes: float | None = None
    """The median; None where there is none, or nothing to page for."""
    paged_minutes_95: float | None = None
    paged_twice: int = 0
    reset_late: int = 0
    """Replays whose alerts end later than they may."""


def tried(figures: Sequence[str], seed: int, processes: int) -> Iterator[Tried]:
    spec = load_spec(SPEC_FILE)
    for figure in figures:
        for floor in FLOORS.get(figure, ()):
            other = with_floor(spec, figure, floor)
            yield from (_quiet(other, figure, floor, rate, seed) for rate in RATES)
            yield _incident(other, figure, floor, HALF_LATE, seed, processes)
        for seconds in KEPT_SECONDS if figure == "keep_firing_seconds" else ():
            other = with_objectives(spec, keep_firing_seconds=seconds)
            yield from (_incident(other, figure, seconds, one, seed, processes) for one in COMES_AND_GOES)
        for percent in RELEASE_PERCENTS if figure == "release_percent" else ():
            other = with_paging_row(spec, "share", release_percent=percent)
            yield from (_incident(other, figure, percent or 0, one, seed, processes) for one in COMES_AND_GOES)
        for seconds in INTERVALS_SECONDS if figure == "interval_seconds" else ():
            other = with_interval(spec, seconds)
            yield from (_incident(other, figure, seconds, one, seed, processes) for one in COMES_AND_GOES)


def with_interval(spec: Spec, seconds: float) -> Spec:
    """Of what pages."""
    routes = (
        route.model_copy(update={"grouping": route.grouping.model_copy(update={"interval_seconds": seconds})})
        if route.severity == "critical"
        else route
        for route in spec.alerting.routes
    )
    return spec.model_copy(update={"alerting": spec.alerting.model_copy(update={"routes": tuple(routes)})})


def with_objectives(spec: Spec, **changed: object) -> Spec:
    objectives = spec.alerting.objectives.model_copy(update=changed)
    return spec.model_copy(update={"alerting": spec.alerting.model_copy(update={"objectives": objectives})})


def with_floor(spec: Spec, name: str, floor: int, short: int | None = None) -> Spec:
    return with_paging_row(
        spec, name, bad_events_min=floor, **({} if short is None else {"short_bad_events_min": short})
    )


def with_paging_row(spec: Spec, name: str, **changed: object) -> Spec:
    """With other figures in the rows of that name that page."""
    rows = getattr(spec.alerting.objectives, name)
    paging = (row.model_copy(update=changed) if row.severity == "critical" else row for row in rows)
    return with_objectives(spec, **{name: tuple(paging)})


def _quiet(spec: Spec, figure: str, value: float, per_minute: float, seed: int) -> Tried:
    found = screened(QuietTask("ours", per_minute, QUIET_DAYS, seed + round(per_minute)), CONTENDERS["ours"], spec)
    return Tried(figure, value, "quiet", per_minute, found.days, found.pages * 360 / found.days)


def _incident(spec: Spec, figure: str, value: float, one: Incident, seed: int, processes: int) -> Tried:
    replays = replay_all([replace(one, seed=seed + i) for i in range(REPLAYS)], "ours", processes, spec)
    paged = [replay.paged_minutes for replay in replays]
    return Tried(
        figure,
        value,
        one.kind,
        one.per_minute,
        len(replays),
        sum(replay.pages for replay in replays) / len(replays),
        quantile(paged, 0.5),
        quantile(paged, 0.95),
        sum(replay.pages > 1 for replay in replays),
        sum((replay.reset_minutes or 0) > RESET_MINUTES_MAX for replay in replays),
    )
