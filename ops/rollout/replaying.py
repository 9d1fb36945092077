"""A rollout's looks taken again, from what the judge was told: does the same come out? Pure.

The stored answers are not consulted, only held against what comes out. Answers ``pass`` (all alike), ``fail`` (a look
differs, or was taken of other samples than are there now) or ``invalid`` (what is needed is not there).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isclose

import msgspec

from ops.judge.model import Decision, JudgeState, Look
from ops.rollout.decided import CONTROLLER, Entry
from ops.rollout.looking import take
from ops.rollout.plan import JUDGE_VERSION
from ops.rollout.record import Rollout
from ops.rollout.recorded import RecordedLook, chained
from ops.verdict import Evidence, Outcome, Verdict

_RELATIVE_TOLERANCE = 1e-9
"""Another machine's exp and log may differ in the last bits; nothing that decides is as near as this."""
SHOWN_MAX = 5
"""Differences named one by one; the rest are counted."""
_NEEDS_ADVANCE = frozenset({"advance", "promote"})


@dataclass(frozen=True)
class Retaken:
    """A look and what came of taking it again."""

    recorded: RecordedLook
    again: Look
    differences: tuple[str, ...]
    """Each as ``where: was recorded, comes out``; empty when alike."""
    samples_as_recorded: bool
    """Whether the digest over what was told still holds."""

    @property
    def alike(self) -> bool:
        return self.samples_as_recorded and not self.differences


def replay(rollout: Rollout, looks: Sequence[RecordedLook], journal: Iterable[Entry]) -> Verdict:
    """``looks`` in order; of a running rollout those that there are."""
    if lacking := tuple(_lacking(rollout, looks)):
        return Verdict(Outcome.INVALID, tuple(Evidence(text) for text in lacking))
    retaken = tuple(retake(rollout, looks))
    found = [*_differing(retaken), *_of_the_end(rollout, looks), *_unfounded(retaken, journal)]
    if found:
        return Verdict(Outcome.FAIL, tuple(found))
    samples = sum(len(look.told.snapshots) for look in looks if look.told)
    words = f"{len(looks)} looks taken again from {samples} raw samples: every decision and figure as recorded"
    counts: dict[str, float | int | str] = {
        decision.value: sum(one.again.decision is decision for one in retaken) for decision in Decision
    }
    seen = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    return Verdict(Outcome.PASS, (Evidence(words, {"looks": len(looks), "samples": samples}), Evidence(seen, counts)))


def retake(rollout: Rollout, looks: Iterable[RecordedLook]) -> Iterator[Retaken]:
    """Raises ValueError for a look that lacks what was told."""
    state, digest = JudgeState(), ""
    for recorded in looks:
        if recorded.told is None:
            raise ValueError(f"look {recorded.number} does not say what the judge was told")
        state, again = take(state, recorded.told, rollout.plan.analysis)
        digest = chained(digest, recorded.told)
        yield Retaken(recorded, again, tuple(_differences(recorded.look, again)), digest == recorded.digest)
        digest = recorded.digest  # each look's samples answer for themselves


def _lacking(rollout: Rollout, looks: Sequence[RecordedLook]) -> Iterator[str]:
    if not looks:
        gone = f"its {rollout.looks} looks are no longer kept" if rollout.looks else "no look was taken"
        yield f"there is nothing to replay: {gone}"
        return
    if looks[0].number > 1:
        yield f"looks 1 to {looks[0].number - 1} are no longer kept: what the judge knew from them cannot be told"
    for before, after in pairwise(looks):
        if after.number != before.number + 1:
            yield f"between look {before.number} and look {after.number} some are missing"
    if looks[-1].number < rollout.looks:
        yield f"the rollout had {rollout.looks} looks, and the last that is there is number {looks[-1].number}"
    if untold := [look.number for look in looks if look.told is None]:
        yield f"{len(untold)} looks (the first: {untold[0]}) do not say what the judge was told: an older version's"
    versions = {look.told.judge_version for look in looks if look.told} | {rollout.plan.judge_version}
    if others := sorted(versions - {JUDGE_VERSION}):
        yield f"it was judged by version {' and '.join(others)} of the judge, and this is {JUDGE_VERSION}"


def _differing(retaken: Iterable[Retaken]) -> Iterator[Evidence]:
    unlike = [one for one in retaken if not one.alike]
    for one in unlike[:SHOWN_MAX]:
        number = one.recorded.number
        if not one.samples_as_recorded:
            words = f"look {number}: the samples are not those that were recorded: their digest differs"
            yield Evidence(words, {"look": number, "digest": one.recorded.digest})
        if one.differences:
            stored, came_out = one.recorded.look.decision, one.again.decision
            words = f"look {number}: {'; '.join(one.differences[:SHOWN_MAX])}"
            if (more := len(one.differences) - SHOWN_MAX) > 0:
                words += f"; and {more} more"
            yield Evidence(words, {"look": number, "recorded": stored.value, "comes_out": came_out.value})
    if len(unlike) > SHOWN_MAX:
        yield Evidence(f"and {len(unlike) - SHOWN_MAX} more looks differ", {"looks": len(unlike)})


def _of_the_end(rollout: Rollout, looks: Sequence[RecordedLook]) -> Iterator[Evidence]:
    if looks[-1].number == rollout.looks and looks[-1].digest != rollout.looks_digest:
        yield Evidence("the last look's digest is not the one in the rollout's record", {"look": rollout.looks})


def _unfounded(retaken: Iterable[Retaken], journal: Iterable[Entry]) -> Iterator[Evidence]:
    """What the controller did for the good of the release without a look that says so."""
    by_number = {one.recorded.number: one for one in retaken}
    for entry in journal:
        number = entry.payload.get("look")
        if entry.actor != CONTROLLER or not isinstance(number, int) or number not in by_number:
            continue
        one = by_number[number]
        if entry.payload.get("looks_digest") != one.recorded.digest:
            yield Evidence(f"the journal has another digest of look {number} than the look itself", {"look": number})
        if entry.event in _NEEDS_ADVANCE and one.again.decision is not Decision.ADVANCE:
            words = f"look {number} comes out as {one.again.decision.value}, and '{entry.event}' was decided on it"
            yield Evidence(words, {"look": number, "comes_out": one.again.decision.value})


def _differences(stored: Look, again: Look) -> Iterator[str]:
    yield from _unlike("", msgspec.to_builtins(stored), msgspec.to_builtins(again))


def _unlike(where: str, stored: object, again: object) -> Iterator[str]:
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in sorted(stored.keys() | again.keys()):
            yield from _unlike(f"{where}.{key}" if where else str(key), stored.get(key), again.get(key))
    elif isinstance(stored, list | tuple) and isinstance(again, list | tuple) and len(stored) == len(again):
        for i, (one, other) in enumerate(zip(stored, again, strict=True)):
            name = one.get("event", i) if isinstance(one, dict) else i
            yield from _unlike(f"{where}.{name}", one, other)
    elif not _alike(stored, again):
        yield f"{where} was recorded as {stored!r} and comes out as {again!r}"


def _alike(stored: object, again: object) -> bool:
    numbers = isinstance(stored, int | float) and isinstance(again, int | float)
    if numbers and not isinstance(stored, bool) and not isinstance(again, bool):
        return isclose(stored, again, rel_tol=_RELATIVE_TOLERANCE)  # type: ignore[arg-type]
    return stored == again
