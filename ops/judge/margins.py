"""The least margin at which replica noise does not roll good releases back more often than promised. Pure.

No formula: the judge's own e-processes are asked about imagined rollouts of a good release with that noise
(``ops.judge.approximating``), at one margin after the other. The margin is that of all graded events alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, floor, log

import numpy as np

from ops.judge.approximating import approximate
from ops.judge.foretelling import SEED
from ops.judge.imagining import Imagined, Traffic
from ops.judge.noise import Noise
from ops.rollout.plan import EventPlan, MarginSource, RolloutPlan
from serving.contract import GRADED, BadEvent

_ROLLOUTS = 1000
_HALVINGS = 5
"""Of the interval between the event's own margin and its cap: then it is known to a hundredth."""


@dataclass(frozen=True)
class Margin:
    event: BadEvent
    own: float
    """The spec's."""
    noise: Noise | None
    """None: no arms of one release were seen beside each other."""
    enough: bool
    """Whether the history is long enough to go by."""
    calibrated: float
    """What the noise asks for; the spec's where that is more, or where there is too little history."""
    capped: bool
    harm: float

    @property
    def source(self) -> MarginSource | None:
        """None: the spec's margin stands."""
        if not self.enough or self.noise is None or (self.calibrated <= self.own and not self.capped):
            return None
        noise = self.noise
        return MarginSource(
            self.own, noise.sigma, noise.sigma_high, noise.seconds, noise.blocks, noise.rollouts, self.capped
        )


def calibrated_margins(
    plan: RolloutPlan, traffic: Traffic, noises: Mapping[BadEvent, Noise | None]
) -> tuple[Margin, ...]:
    """Of the plan's graded events. The noise is taken at the upper end of its interval."""
    graded = (event for event in plan.analysis.events if event.event in GRADED)
    known: dict[tuple[float, ...], tuple[float, bool]] = {}
    return tuple(_margin(plan, traffic, event, noises.get(event.event), known) for event in graded)


def with_margins(plan: RolloutPlan, margins: tuple[Margin, ...]) -> RolloutPlan:
    """The plan with the larger of each event's own margin and the calibrated one, and where that came from."""
    by_event = {margin.event: margin for margin in margins}

    def changed(event: EventPlan) -> EventPlan:
        margin = by_event.get(event.event)
        if margin is None or margin.source is None:
            return event
        return replace(event, margin=margin.calibrated, margin_source=margin.source)

    events = tuple(changed(event) for event in plan.analysis.events)
    return replace(plan, analysis=replace(plan.analysis, events=events))


def _margin(
    plan: RolloutPlan,
    traffic: Traffic,
    event: EventPlan,
    noise: Noise | None,
    known: dict[tuple[float, ...], tuple[float, bool]],
) -> Margin:
    """``known``: what was found for the same noise and bounds, to which it adds."""
    rule = plan.analysis.calibration
    enough = rule is not None and noise is not None and noise.blocks >= rule.blocks_min
    if rule is None or noise is None or not enough or noise.sigma_high == 0:
        return Margin(event.event, event.margin, noise, enough, event.margin, False, event.harm)
    cap = max(event.margin, floor(100 * exp(rule.harm_part_max * log(event.harm))) / 100)
    of = noise.sigma_high, noise.seconds, event.margin, cap
    if of not in known:
        known[of] = least_margin(plan, traffic, *of)
    found, capped = known[of]
    return Margin(event.event, event.margin, noise, enough, found, capped, event.harm)


def least_margin(
    plan: RolloutPlan, traffic: Traffic, sigma: float, seconds: float, low: float, high: float
) -> tuple[float, bool]:
    """Between ``low`` and ``high``, and whether even ``high`` is too little. Rounded up to hundredths."""
    noisy = replace(traffic, replica_sigma=sigma, replica_seconds=seconds)
    most = plan.analysis.false_rollback_rate_max
    if false_rollbacks(plan, noisy, low) <= most:
        return low, False
    if false_rollbacks(plan, noisy, high) > most:
        return high, True
    bottom, top = log(low), log(high)
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        if false_rollbacks(plan, noisy, exp(middle)) <= most:
            top = middle
        else:
            bottom = middle
    return min(high, -(-round(exp(top) * 1000) // 10) / 100), False


def false_rollbacks(plan: RolloutPlan, traffic: Traffic, margin: float) -> float:
    """The part of good releases that would be rolled back, were this the margin of every graded event."""
    events = tuple(replace(event, margin=margin) if event.event in GRADED else event for event in plan.analysis.events)
    changed = replace(plan, analysis=replace(plan.analysis, events=events))
    ended = approximate(changed, traffic, Imagined(), np.random.default_rng(SEED), _ROLLOUTS)
    return sum(one.outcome == "rolled_back" for one in ended) / len(ended)
