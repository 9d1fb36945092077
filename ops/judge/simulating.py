"""What the judge would say of an imagined release under imagined traffic: the traffic is drawn, the looks are real.

It measures the judge (false rollbacks, misses, time to an answer: ``benchmarks/judge.py``, ``tests/judge``), and it
answers an operator's question before a rollout: with this traffic, how long until this plan promotes a good release,
and how bad must one be to be caught? That is why it is part of the product and not of the tests. Chance is an
argument, and time is counted, never read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace as with_fields

from ops.judge.counting import Cells, Counts, Difference
from ops.judge.imagining import Imagined, Source, Traffic
from ops.judge.judging import look
from ops.judge.model import Decision, JudgeState, Situation
from ops.judge.tallying import Tally
from ops.judge.telling import Teller
from ops.rollout.plan import RolloutPlan, Then
from ops.rollout.sharing import canary_count, reference_arm
from serving.contract import WEIGHT_TOTAL, Arm, BadEvent, Levels


@dataclass(frozen=True)
class Outage:
    """Of the telemetry, in seconds since the rollout began: nothing is seen from ``start`` to ``end``."""

    start: float
    end: float


@dataclass(frozen=True)
class Simulated:
    outcome: str
    """``promoted``, ``rolled_back`` or ``paused`` (no answer in time, or blind for too long)."""
    seconds: float
    step: int
    looks: int
    canary_requests: int
    canary_bad: int
    """Of the canary's requests, those slower than the last level's cut, without an answer or with an empty one."""
    reason: str
    peak_evidence: float
    """The largest e-value against the canary, as a part of what rolls it back."""
    blamed: tuple[str, ...] = ()
    """The events that the last look's evidence names, where it rolled back."""


def simulate(
    plan: RolloutPlan,
    traffic: Traffic,
    release: Imagined,
    chance: np.random.Generator,
    outage: Outage | None = None,
    restarts: Sequence[float] = (),
    unseen: frozenset[BadEvent] = frozenset(),
) -> Simulated:
    """One rollout from its first step to its end. Preparing and warming take no time.

    ``restarts``: seconds since the rollout began at which the gateway loses all that it has counted.
    ``unseen``: graded events whose metrics are missing, on every arm and for ever.
    """
    source = Source(traffic, release, plan.pace.look_seconds, chance)
    tally = Tally(traffic, plan.analysis.level_quantiles)
    state, step, now, since, looks = JudgeState(), 0, 0.0, 0.0, 0
    blind_since: float | None = None
    requests, bad, peak = 0, 0, 0.0
    unread: Cells = {}
    teller = Teller(plan.model_name, sorted(restarts)) if restarts else None
    while True:
        for arrived in source.next(_shares(plan, step), now):
            tally.add(arrived)
        now, looks = now + plan.pace.look_seconds, looks + 1
        for (cell, arm), counts in tally.until(now).items():
            key = (cell, arm)
            if unseen:
                levels = {event: found for event, found in counts.levels.items() if event not in unseen}
                counts = with_fields(counts, levels=levels)
            unread[key] = unread[key].plus(counts) if key in unread else counts
            if arm is Arm.CANARY:
                requests, bad = requests + counts.assigned, bad + _bad(counts)
        hidden = outage is not None and outage.start <= now < outage.end
        if hidden:
            found = Difference({}, dict(state.bases), ("no counters",))
        else:
            found = teller.told(state.bases, unread, step + 1, now) if teller else Difference(unread, {}, ())
            unread = {}
        state, answer = look(state, found, _situation(plan, step, now - since, tally.levels), plan.analysis)
        if answer.events:
            peak = max(peak, answer.e_together / answer.events[0].e_worse_needed)
        blind = answer.decision is Decision.BLIND
        blind_since = (now if blind_since is None else blind_since) if blind else None
        outcome = _outcome(plan, step, answer.decision, now - since, now - blind_since if blind_since else 0.0)
        if outcome:
            reason = "; ".join(item.text for item in answer.verdict.evidence)
            back = answer.verdict.evidence if answer.decision is Decision.ROLL_BACK else ()
            blamed = tuple(str(item.values["event"]) for item in back if "event" in item.values)
            return Simulated(outcome, now, step, looks, requests, bad, reason, peak, blamed)
        if answer.decision is Decision.ADVANCE:
            step, since, unread = step + 1, now, {}
            tally.forget()


def _bad(counts: Counts) -> int:
    slowest = counts.levels.get(BadEvent.SLOW, (0,))[-1]
    return slowest + counts.bad.get(BadEvent.EMPTY, 0)


def _outcome(plan: RolloutPlan, step: int, decision: Decision, in_step: float, blind: float) -> str:
    """The rollout's end, or empty while it goes on: what ``ops.rollout.looking`` does with the answer."""
    last = step == len(plan.steps) - 1
    if decision is Decision.ROLL_BACK or (blind > plan.blind_seconds_max and plan.blind_then is Then.ROLLBACK):
        return "rolled_back"
    if decision is Decision.ADVANCE:
        return "promoted" if last else ""
    if decision is Decision.HOLD and in_step > plan.pace.step_seconds_max:
        return "paused" if plan.inconclusive_then is Then.PAUSE else "rolled_back"
    return "paused" if blind > plan.blind_seconds_max else ""


def _shares(plan: RolloutPlan, step: int) -> list[tuple[Arm, float]]:
    """The arms that are compared: what the others get changes nothing."""
    weight = plan.steps[step].weight / WEIGHT_TOTAL
    shares = [(Arm.CANARY, weight)]
    reference = reference_arm(plan.steps[step], plan.analysis.load_per_replica_ratio_max)
    if reference is not None:
        shares.append((reference, weight if reference is Arm.BASELINE else 1 - weight))
    return shares


def _situation(
    plan: RolloutPlan, step: int, seconds_in_step: float, levels: Mapping[str, Mapping[str, Levels]]
) -> Situation:
    reference = reference_arm(plan.steps[step], plan.analysis.load_per_replica_ratio_max)
    count = canary_count(plan.steps[step], plan.stable_replicas)
    return Situation(
        step=step,
        epoch=step + 1,
        reference=reference,
        canary_replicas=count,
        reference_replicas=count if reference is Arm.BASELINE else plan.stable_replicas,
        seconds_in_step=seconds_in_step,
        step_seconds_min=plan.pace.bake_seconds if step == len(plan.steps) - 1 else plan.pace.step_seconds_min,
        levels=levels,
    )
