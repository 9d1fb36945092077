"""Before a canary starts: margins from the service's own history, and whether the plan can see what it must see.

Reads past rollouts and the traffic, asks the pure ``ops.judge`` in a thread (some seconds), and keeps what it found of
rollouts that have ended, for those do not change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ops.judge.foretelling import Foretold, approximated, foretell, judged
from ops.judge.imagining import Traffic
from ops.judge.margins import Margin, calibrated_margins, with_margins
from ops.judge.metering import Metered, metered
from ops.judge.noise import Noise, Series
from ops.rollout.history import is_of_use, noises, series_of
from ops.rollout.plan import RolloutPlan
from ops.rollout.states import ENDED
from ops.store.database import Database
from ops.store.looks import read_told_every
from ops.store.rollouts import list_rollouts
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import BadEvent

K = TypeVar("K")
V = TypeVar("V")

BLOCKS_PER_ROLLOUT_MAX = 400
REMEMBERED_MAX = 1000
"""Of ended rollouts' series, and of margins."""


@dataclass(frozen=True)
class Calibration:
    """What the history says of a tier's margins."""

    margins: tuple[Margin, ...]
    plan: RolloutPlan
    """With these margins."""
    traffic: Traffic | None
    """On which they were found: measured now, or when the last rollout ran; None: none is known, nor any margin."""


@dataclass(frozen=True)
class Precaution:
    plan: RolloutPlan
    verdict: Verdict
    """Whether it can see what it must see: inconclusive where no traffic was seen to tell from."""
    payload: dict[str, object] = field(default_factory=dict)
    """For the journal."""

    @property
    def words(self) -> str:
        return "; ".join(item.text for item in self.verdict.evidence)


class Precautions:
    def __init__(self, database: Database):
        self._database = database
        self._series: dict[tuple[str, float], tuple[Series, ...]] = {}
        self._past_traffic: dict[str, Metered] = {}
        self._margins: dict[object, tuple[Margin, ...]] = {}

    async def calibration(self, tier: str, plan: RolloutPlan, seen: Metered) -> Calibration:
        found, past = await self._history(tier, plan)
        traffic = _traffic(plan, seen) or past
        by_event = await asyncio.to_thread(noises, found)
        if traffic is None:
            own = dict.fromkeys(by_event)
            return Calibration(calibrated_margins(plan, Traffic(1.0, ()), own), plan, None)
        margins = await self._margins_of(plan, traffic, by_event)
        return Calibration(margins, with_margins(plan, margins), traffic)

    async def precaution(self, tier: str, plan: RolloutPlan, seen: Metered) -> Precaution:
        calibration = await self.calibration(tier, plan, seen)
        verdict = await asyncio.to_thread(_verdict, calibration.plan, seen)
        payload: dict[str, object] = {
            "margins": {margin.event.value: _why(margin) for margin in calibration.margins},
            "detection": verdict.to_json(),
        }
        return Precaution(calibration.plan, verdict, payload)

    async def _history(self, tier: str, plan: RolloutPlan) -> tuple[list[Series], Traffic | None]:
        rule = plan.analysis.calibration
        if rule is None:
            return [], None
        found: list[Series] = []
        past: Traffic | None = None
        for rollout in await list_rollouts(self._database, tier, rule.rollouts_max):
            key = rollout.id, rule.block_seconds
            if rollout.state not in ENDED or not is_of_use(rollout):
                continue
            if key not in self._series:
                told = await read_told_every(self._database, rollout.id, rule.block_seconds, BLOCKS_PER_ROLLOUT_MAX)
                _bound(self._series)
                self._series[key] = series_of(rollout, told, rule.block_seconds)
                if len(told) > 1:
                    least = plan.analysis.level_history_min
                    self._past_traffic[rollout.id] = metered([one.snapshots for one in told], tier, {}, least)
            found.extend(self._series[key])
            seen = self._past_traffic.get(rollout.id)
            past = past or (seen.traffic if seen else None)
        return found, past

    async def _margins_of(
        self, plan: RolloutPlan, traffic: Traffic, by_event: dict[BadEvent, Noise | None]
    ) -> tuple[Margin, ...]:
        # The rate need not be known better than the noise: to one digit, so that what was found can be used again.
        rounded = replace(traffic, requests_per_second=float(f"{traffic.requests_per_second:.1g}"))
        key = (
            plan.spec_digest,
            plan.environment,
            rounded.requests_per_second,
            tuple(sorted(by_event.items(), key=str)),
        )
        if key not in self._margins:
            _bound(self._margins)
            self._margins[key] = await asyncio.to_thread(calibrated_margins, plan, rounded, by_event)
        return self._margins[key]


def _bound(kept: dict[K, V]) -> None:
    while len(kept) >= REMEMBERED_MAX:
        kept.pop(next(iter(kept)))


def _traffic(plan: RolloutPlan, seen: Metered) -> Traffic | None:
    """What was seen for long enough."""
    return seen.traffic if seen.seconds >= plan.analysis.detection.traffic_seconds_min else None


def _verdict(plan: RolloutPlan, seen: Metered) -> Verdict:
    traffic = _traffic(plan, seen)
    if traffic is None:
        words = (
            f"too little traffic was seen to tell what it can detect: {seen.requests} requests in {seen.seconds:.0f} s"
        )
        return Verdict(Outcome.INCONCLUSIVE, (Evidence(words),))
    return judged(plan, foretold_demands(plan, traffic))


def foretold_demands(plan: RolloutPlan, traffic: Traffic) -> Sequence[Foretold]:
    return [foretell(plan, traffic, demand, approximated()) for demand in plan.analysis.detection.demands]


def _why(margin: Margin) -> dict[str, object]:
    return {"margin": margin.calibrated, "why": margin_words(margin)}


def margin_words(margin: Margin) -> str:
    """Where the margin comes from, in a few words."""
    noise = margin.noise
    if noise is None:
        return "the spec's: no two arms of one release were seen beside each other"
    seen = f"{noise.blocks} blocks of {noise.rollouts} rollouts"
    if not margin.enough:
        return f"the spec's: {seen} are too few to go by"
    spread = f"replica noise {noise.sigma:g} ({noise.sigma_low:g} to {noise.sigma_high:g}) over {seen}"
    if margin.capped:
        return f"{spread} asks for more than harm allows: good releases will be rolled back more often than promised"
    return f"{spread}" + ("" if margin.calibrated > margin.own else ": the spec's is enough")
