"""What follows from probing the canary's model: gates and reasons, beside the judge of counters. Pure.

A shown fault of a critical judgement rolls back in any state that may serve; what is not shown to be sound does not
advance. A direct rollout is not probed: there is nothing to compare with, and the way back must not wait.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

from ops.quality.model import TranscriptState
from ops.rollout.decided import Decided, Entry
from ops.rollout.observing import Observation, Probed
from ops.rollout.plan import QualityPlan, Role, Then
from ops.rollout.record import ReplicaQuality, Rollout, Strategy
from ops.rollout.replicas import ReplicaSpec
from ops.rollout.sharing import replicas_for
from ops.rollout.states import JUDGED, Event, State
from ops.verdict import Outcome, Verdict, graver

DAMAGE, LIKELIHOOD = "damage", "likelihood"
RETRY_SECONDS = 5.0
"""After a probe that was blind or saw too little."""
PERIODS_STALE = 3
"""A pass older than so many periods of probing is no evidence any more."""


def quality_of(rollout: Rollout) -> QualityPlan | None:
    """How the rollout's model is probed; None if it is not."""
    quality = rollout.plan.quality
    if quality is None or not quality.wanted or rollout.strategy is Strategy.DIRECT:
        return None
    return quality


def transcripts_needed(rollout: Rollout) -> tuple[str, ...]:
    """Names of the releases whose transcripts the rollout is judged by: its own, and stable's for the comparison."""
    quality = quality_of(rollout)
    if quality is None:
        return ()
    names = [rollout.release.name]
    if quality.likelihood.role is not Role.OFF and rollout.baseline_release:
        names.append(rollout.baseline_release.name)
    return tuple(names)


def probes_due(rollout: Rollout, seen: Observation) -> dict[str, Hashable]:
    """The canary's replicas that should be probed now, each with a key of its own for every time."""
    quality = quality_of(rollout)
    if quality is None:
        return {}
    warm = [name for name, done in seen.warmed.items() if done.ok and name in {one.name for one in rollout.canary}]
    names = dict.fromkeys((*(one.name for one in serving_replicas(rollout)), *warm))
    return {
        name: ("probe", name, rollout.quality[name].at if name in rollout.quality else None)
        for name in names
        if name in seen.urls and _due(rollout.quality.get(name), quality, seen.now)
    }


def _due(last: ReplicaQuality | None, quality: QualityPlan, now: float) -> bool:
    if last is None:
        return True
    sound = all(verdict.outcome in (Outcome.PASS, Outcome.FAIL) for _, verdict in _judged(last, quality))
    return now - last.at >= (quality.probe_every_seconds if sound else min(RETRY_SECONDS, quality.probe_every_seconds))


def awaited(so_far: Decided, seen: Observation) -> Decided | None:
    """While preparing: what follows from a transcript that is not there, or None if the rollout may go on."""
    rollout = so_far.running
    quality = quality_of(rollout)
    if quality is None or rollout.transcripts_at is not None:
        return None
    statuses = [seen.transcripts.get(name) for name in transcripts_needed(rollout)]
    own, others = statuses[0], statuses[1:]
    decisive = [own] if Role.CRITICAL in (quality.damage.role, quality.likelihood.role) else []
    decisive += others if quality.likelihood.role is Role.CRITICAL else []
    for status in decisive:
        if status and status.state is TranscriptState.FAILED:
            reason = f"the reference transcript of {status.release} could not be recorded: {status.reason}"
            return so_far.rolled_back(seen.now, reason)
    if all(status and status.state is not TranscriptState.PENDING for status in statuses):
        return so_far.changed(transcripts_at=seen.now)
    if seen.now - rollout.state_since > quality.record_seconds_max:
        reason = f"its reference transcript was not recorded within {quality.record_seconds_max:g} s"
        return so_far.rolled_back(seen.now, reason) if decisive else so_far.changed(transcripts_at=seen.now)
    return so_far


def probed(so_far: Decided, seen: Observation) -> Decided:
    """With what the probes have found since; rolled back if a critical one has shown damage or worse training."""
    rollout = so_far.running
    quality = quality_of(rollout)
    if quality is None or not seen.probes:
        return so_far
    for name, found in sorted(seen.probes.items()):
        so_far = _kept(so_far, name, found, seen.now, quality)
    if so_far.running.state not in JUDGED:
        return so_far
    for name, found in sorted(seen.probes.items()):
        for judgement, role, verdict in _by_role(ReplicaQuality(seen.now, found.damage, found.likelihood), quality):
            if role is Role.CRITICAL and verdict.outcome is Outcome.FAIL:
                return so_far.rolled_back(seen.now, f"{_SHOWN[judgement]} on {name}: {_words(verdict)}")
    return so_far


def _kept(so_far: Decided, name: str, found: Probed, now: float, quality: QualityPlan) -> Decided:
    rollout = so_far.running
    before, after = rollout.quality.get(name), ReplicaQuality(now, found.damage, found.likelihood)
    so_far = so_far.changed(quality={**rollout.quality, name: after})
    outcomes = {judgement: verdict.outcome.value for judgement, verdict in _judged(after, quality)}
    if before and {judgement: verdict.outcome.value for judgement, verdict in _judged(before, quality)} == outcomes:
        return so_far  # a line for each probe that says the same would bury the others
    verdicts = {judgement: verdict.to_json() for judgement, verdict in _judged(after, quality)}
    words = "; ".join(f"{key}: {verdict.outcome.value}, {_words(verdict)}" for key, verdict in _judged(after, quality))
    entry = Entry("quality", f"{name}: {words}", payload={"replica": name, **verdicts})
    return replace(so_far, entries=(*so_far.entries, entry))


def withheld(rollout: Rollout, replicas: tuple[ReplicaSpec, ...], now: float) -> tuple[Outcome, str] | None:
    """Why the rollout may not go on: the gravest critical judgement that is no fresh pass; None if all are."""
    quality = quality_of(rollout)
    if quality is None or Role.CRITICAL not in (quality.damage.role, quality.likelihood.role):
        return None
    for replica in replicas:
        found = rollout.quality.get(replica.name)
        if found is None:
            return Outcome.INCONCLUSIVE, f"{replica.name} has not been probed yet"
        if now - found.at > PERIODS_STALE * quality.probe_every_seconds + quality.probe_seconds_max:
            return Outcome.INVALID, f"{replica.name} was last probed {now - found.at:.0f} s ago"
        for judgement, role, verdict in _by_role(found, quality):
            if role is Role.CRITICAL and verdict.outcome is not Outcome.PASS:
                words = f"{judgement} of {replica.name} is {verdict.outcome.value}: {_words(verdict)}"
                return verdict.outcome, words
    return None


def kept_waiting(so_far: Decided, seen: Observation, replicas: tuple[ReplicaSpec, ...]) -> Decided | None:
    """While warming: what follows from a model not shown to be sound; None if the new replicas may get weight."""
    rollout = so_far.running
    reason = withheld(rollout, replicas, seen.now)
    if reason is None:
        return None
    if seen.now - rollout.state_since <= rollout.plan.prepare_seconds_max:
        return so_far
    outcome, words = reason
    then = rollout.plan.blind_then if outcome is Outcome.INVALID else rollout.plan.inconclusive_then
    words = f"not shown to be sound within {rollout.plan.prepare_seconds_max:g} s: {words}"
    if rollout.served_step is None or then is Then.ROLLBACK:
        return so_far.rolled_back(seen.now, words)
    return so_far.moved(Event.PAUSE, seen.now, words, step=rollout.served_step)


def last_findings(rollout: Rollout) -> tuple[tuple[str, Role, str, Verdict], ...]:
    """For people: by judgement the worst of what was last found on the canary's replicas. Judgement, role, replica."""
    quality = quality_of(rollout)
    if quality is None:
        return ()
    found: dict[str, tuple[str, Role, str, Verdict]] = {}
    for name, last in sorted(rollout.quality.items()):
        for judgement, role, verdict in _by_role(last, quality):
            worse = judgement not in found or graver(verdict.outcome, found[judgement][3].outcome)
            if role is not Role.OFF and worse:
                found[judgement] = (judgement, role, name, verdict)
    return tuple(found.values())


def awaits_transcript(rollout: Rollout) -> bool:
    waiting = rollout.transcripts_at is None and not rollout.serves
    return waiting and rollout.state is State.PREPARING and quality_of(rollout) is not None


def serving_replicas(rollout: Rollout) -> tuple[ReplicaSpec, ...]:
    """The canary's replicas that are probed while they serve."""
    if rollout.served_step is None or rollout.state not in JUDGED:
        return ()
    return replicas_for(rollout, rollout.served_step)[0]


def _judged(found: ReplicaQuality, quality: QualityPlan) -> Iterator[tuple[str, Verdict]]:
    for judgement, role, verdict in _by_role(found, quality):
        if role is not Role.OFF:
            yield judgement, verdict


def _by_role(found: ReplicaQuality, quality: QualityPlan) -> Iterator[tuple[str, Role, Verdict]]:
    yield DAMAGE, quality.damage.role, found.damage
    yield LIKELIHOOD, quality.likelihood.role, found.likelihood


def _words(verdict: Verdict) -> str:
    return "; ".join(item.text for item in verdict.evidence)


_SHOWN = {DAMAGE: "damaged weights", LIKELIHOOD: "a worse model"}
