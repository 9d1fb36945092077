"""The incidents that are replayed: what goes wrong with which tier, when, and whether somebody should be called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

PRODUCTION, EDGE, RESEARCH = "production", "edge", "research"


@dataclass(frozen=True)
class Trouble:
    """Of one tier's requests a share fails and a share is late, from one minute to another of the incident; the
    shares rise or fall evenly from the beginning to ``to``, if that is given."""

    begin: float
    end: float
    failed: float = 0.0
    late: float = 0.0
    to: tuple[float, float] | None = None
    """Failed and late at the end."""
    tier: str = PRODUCTION


@dataclass(frozen=True)
class Incident:
    kind: str
    per_minute: float
    """Requests of each tier."""
    minutes: float
    """From its beginning to its end."""
    troubles: tuple[Trouble, ...]
    pages: bool | None = True
    """Whether somebody should be called; None where opinions differ."""
    tiers: tuple[str, ...] = (PRODUCTION, EDGE)
    workers: int = 1
    unseen: tuple[int, ...] = ()
    """Workers whose metrics cannot be scraped meanwhile."""
    restarts: tuple[float, ...] = ()
    """Minutes at which the workers start anew, counters at 0."""
    seed: int = 0
    group: str = field(default="")
    """The row of the table; the kind and the traffic if it is empty."""

    @property
    def row(self) -> str:
        return self.group or f"{self.kind}, {self.per_minute:g}/min"


def incidents(seed: int) -> list[Incident]:
    """Every incident, each with a seed of its own."""
    every = [*_outages(), *_late(), *_shapes(), *_parts(), *_telemetry(), *_services()]
    return [replace(one, seed=seed + i) for i, one in enumerate(every)]


def long_steps(seed: int) -> list[Incident]:
    """Constant shares of late requests for as long as the peers need: the steps of ``anchors/load-and-slo.md``."""
    shares = (1.0, 0.7, 0.5, 0.35)
    steps = (_steady(f"{share:.0%} late, 8 h", 60, 480, late=share) for share in shares for _ in range(3))
    return [replace(one, seed=seed + i) for i, one in enumerate(steps)]


def _times(count: int, one: Incident) -> Iterator[Incident]:
    for _ in range(count):
        yield one


def _steady(
    kind: str, rate: float, minutes: float, *, failed: float = 0, late: float = 0, pages: bool | None = True
) -> Incident:
    return Incident(kind, rate, minutes, (Trouble(0, minutes, failed, late),), pages)


def _outages() -> Iterator[Incident]:
    for rate in (5, 10, 20, 60, 1000):
        yield from _times(10, _steady("all fail", rate, 30, failed=1))
    for rate in (1, 2):
        yield from _times(6, _steady("all fail, low traffic", rate, 60, failed=1))
    for rate in (5, 60):
        hang = (Trouble(0, 0.5, late=1), Trouble(0.5, 30, failed=1))
        yield from _times(6, Incident("all hang, and time out after 30 s", rate, 30, hang))


def _late() -> Iterator[Incident]:
    for rate in (1, 5, 10, 60, 1000):
        yield from _times(8, _steady("half late", rate, 60, late=0.5))
    for share in (1.0, 0.7, 0.35):
        yield from _times(5, _steady(f"{share:.0%} late", 60, 60, late=share))


def _shapes() -> Iterator[Incident]:
    for rate in (10, 60):
        rising = (Trouble(0, 30, to=(0, 0.6)), Trouble(30, 60, late=0.6))
        ramp = Incident("late, ramp to 60 % in 30 min", rate, 60, rising)
        yield from _times(6, ramp)
    ramp = Incident("fail, ramp to 20 % in 20 min", 60, 40, (Trouble(0, 20, to=(0.2, 0)), Trouble(20, 40, failed=0.2)))
    yield from _times(6, ramp)
    for on, every, failed, late in ((2, 6, 1.0, 0.0), (4, 10, 1.0, 0.0), (5, 10, 0.0, 0.6)):
        what = "fail" if failed else "late"
        flap = tuple(Trouble(i * every, i * every + on, failed, late) for i in range(6))
        name = f"flap: {what} {on} of {every} min"
        yield from _times(6, Incident(name, 60, 5 * every + on, flap, group=name))
    for rate in (10, 60, 1000):
        tail = _steady("tail: 12 % late", rate, 180, late=0.12, pages=False)
        yield from _times(4, replace(tail, group="tail: 12 % late, 3 h"))
    blip = _steady("blip: 40 % late for 3 min", 60, 3, late=0.4, pages=False)
    yield from _times(6, blip)


def _parts() -> Iterator[Incident]:
    for rate in (60, 600):
        yield from _times(5, _steady("one replica of ten fails", rate, 60, failed=0.1))
    yield from _times(5, _steady("one replica of three is late", 60, 60, late=1 / 3))
    yield from _times(4, _steady("one replica of ten is late", 60, 90, late=0.1, pages=False))
    yield from _times(6, _steady("one tenant of 15 % fails", 60, 60, failed=0.15))
    yield from _times(4, _steady("one tenant of 3 % fails", 60, 90, failed=0.03))


def _telemetry() -> Iterator[Incident]:
    gone = Incident("all metrics missing", 60, 20, (), workers=2, unseen=(0, 1))
    yield from _times(6, gone)
    yield from _times(6, replace(gone, kind="metrics of one worker of two missing", unseen=(0,), pages=False))
    restart = Incident("restart of the gateway", 60, 5, (), workers=2, restarts=(1,), pages=False)
    yield from _times(5, restart)
    yield from _times(5, replace(restart, kind="restart in an outage", minutes=30, restarts=(8, 16), pages=True,
                                 troubles=(Trouble(0, 30, failed=1),)))  # fmt: skip


def _services() -> Iterator[Incident]:
    tiers = (PRODUCTION, EDGE, RESEARCH)
    for rate in (5, 60, 600):
        all_fail = tuple(Trouble(0, 30, failed=1, tier=tier) for tier in tiers)
        yield from _times(6, Incident("all tiers fail", rate, 30, all_fail, tiers=tiers))
    after = tuple(Trouble(2 * i, 36, failed=1, tier=tier) for i, tier in enumerate(tiers))
    yield from _times(4, Incident("tiers fail one after the other", 60, 36, after, tiers=tiers, pages=True))
