"""The wall clock may jump; what a rollout counts in seconds must not. Pure.

Records hold Unix seconds, which people and other programs understand. Beside them stands the clock that they were
written by: of which machine's boot, and how far its wall clock stood ahead of the clock that counts since that boot.
Whoever reads them later (the next tick, a command, the next controller) sees from the two by how much the wall clock
was put meanwhile, and puts the records by as much: then every age in them is as long as it really was.
"""

from __future__ import annotations

from dataclasses import replace

from ops.rollout.decided import Decided, Entry
from ops.rollout.record import Clock, Rollout, TierRecord

JUMP_SECONDS_MIN = 1.0
"""Less is let pass: a clock that is slewed drifts by up to 0.5 ms in a second, and no wait of a rollout is so short."""


def on_clock(so_far: Decided, now: float, clock: Clock | None) -> Decided:
    """The records as ``clock`` would have written them, with a line in the journal if they had to be changed.

    On another machine, or after a reboot, nothing says how long it has been since the records were written: then it
    counts as no time at all, so that nothing is over too early.
    """
    if clock is None:
        return so_far
    written = so_far.tier.clock
    if written is not None and written.boot == clock.boot:
        seconds = clock.ahead_seconds - written.ahead_seconds
        if abs(seconds) < JUMP_SECONDS_MIN:
            return so_far
        return _put(so_far, clock, _shifted_tier(so_far.tier, seconds), seconds, _jumped(seconds))
    newest = _newest(so_far.rollout)
    if written is None and newest <= now:  # written before clocks were kept, and nothing speaks against them
        newest = 0.0
    return _put(so_far, clock, so_far.tier, now - newest if newest else 0.0, _ANOTHER)


def _put(so_far: Decided, clock: Clock, tier: TierRecord, seconds: float, words: str) -> Decided:
    rollout, entries = so_far.rollout, so_far.entries
    if abs(seconds) >= JUMP_SECONDS_MIN and (rollout or tier.retained):
        entries = (*entries, Entry("clock", words, payload={"seconds": round(seconds, 3)}))
    rollout = _shifted(rollout, seconds) if rollout else None
    return replace(so_far, tier=replace(tier, clock=clock), rollout=rollout, entries=entries)


def _newest(rollout: Rollout | None) -> float:
    """The latest instant recorded; 0 where there is none."""
    return max(rollout.state_since, rollout.step_since, rollout.looked_at) if rollout else 0.0


def _shifted(rollout: Rollout, seconds: float) -> Rollout:
    """Instants that were never set stay so. When it was created is for people and is left as it was written."""

    def put(at: float) -> float:
        return at + seconds if at else at

    return replace(
        rollout,
        state_since=put(rollout.state_since),
        step_since=put(rollout.step_since),
        looked_at=put(rollout.looked_at),
        blind_since=None if rollout.blind_since is None else rollout.blind_since + seconds,
        transcripts_at=None if rollout.transcripts_at is None else rollout.transcripts_at + seconds,
        quality={name: replace(found, at=found.at + seconds) for name, found in rollout.quality.items()},
    )


def _shifted_tier(tier: TierRecord, seconds: float) -> TierRecord:
    retained = tier.retained
    return replace(tier, retained=replace(retained, until=retained.until + seconds)) if retained else tier


def _jumped(seconds: float) -> str:
    way = "ahead" if seconds > 0 else "back"
    return f"the clock was put {way} by {abs(seconds):.0f} s; what is counted in seconds goes on as it was"


_ANOTHER = "what is recorded was written by another machine's clock; the time since then is not counted"
