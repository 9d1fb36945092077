"""An event's e-processes in many rollouts side by side: what each request adds, and what it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops.judge.evidence import (
    Boundary,
    Fallen,
    better_than,
    gains,
    log_weights,
    mixed,
    rates_above,
    rates_below,
    worse_than,
)
from ops.judge.grading import Floats
from ops.rollout.plan import EventPlan
from serving.contract import GRADED

Ints = NDArray[np.int64]


@dataclass
class Contest:
    """The log-likelihood ratios of one event, against the canary and for it."""

    plan: EventPlan
    part: float
    """Of the requests, those that could show it."""
    worse_gain: list[tuple[Floats, Floats]]
    """By step: what a request of the canary, of the reference, on each level adds: levels x alternatives."""
    harmless_gain: list[tuple[Floats, Floats]]
    worse: Floats
    """Rollouts x alternatives."""
    harmless: Floats
    levels: int

    def add(self, here: Ints, step: int, canary: Ints, reference: Ints) -> None:
        """``here``: which rollouts. What fell on each arm: rollouts x levels."""
        for logs, gain in ((self.worse, self.worse_gain), (self.harmless, self.harmless_gain)):
            on_canary, on_reference = gain[step]
            logs[here] += canary @ on_canary + reference @ on_reference

    def e_worse(self, here: Ints) -> Floats:
        e = mixed(self.worse[here], log_weights(self.levels, self.worse.shape[1]))
        found: Floats = (e + 1) / 2  # no length of prompt says more
        return found

    def e_harmless(self, here: Ints) -> Floats:
        return mixed(self.harmless[here], log_weights(self.levels, self.harmless.shape[1]))

    def begin_step(self, here: Ints) -> None:
        self.harmless[here] = 0.0


def contest(
    plan: EventPlan, part: float, rates: tuple[float, ...], steep: float, shares: Sequence[float], rollouts: int
) -> Contest:
    """Before anything happened. ``rates``: the reference's, of passing each cut or of the yes/no event; ``shares``: the
    canary's of the requests compared, by step."""
    graded = plan.event in GRADED
    boundaries = worse_than(plan.margin, graded), better_than(plan.harm)
    worse, harmless = ([_gain_per_request(at, rates, steep, share) for share in shares] for at in boundaries)
    sizes = worse[0][0].shape[1], harmless[0][0].shape[1]
    start = np.zeros((rollouts, sizes[0])), np.zeros((rollouts, sizes[1]))
    return Contest(plan, part, worse, harmless, *start, levels=len(rates) + 1 if graded else 1)


def _gain_per_request(at: Boundary, rates: tuple[float, ...], steep: float, share: float) -> tuple[Floats, Floats]:
    """What one request on each level adds, of the canary and of the reference: levels x alternatives each."""
    levels = len(rates) + 1 if len(rates) > 1 else 1
    nothing = (0,) * levels
    one = [tuple(int(i == level) for i in range(levels)) for level in range(levels)]
    on_canary = gains(at, [Fallen(level, nothing, share, rates, steep) for level in one])
    on_reference = gains(at, [Fallen(nothing, level, share, rates, steep) for level in one])
    return on_canary, on_reference


# --- One rate against a bound -----------------------------------------------------------------------------------


def no_points(rollouts: int) -> Floats:
    """Of ``add_outcomes``, before anything happened."""
    return np.zeros((rollouts, rates_above(_column(0.5)).shape[1]))


def add_outcomes(points: Floats, here: Ints, bound: float, bad: Ints, good: Ints) -> None:
    """To the log-likelihood ratios against "at most ``bound``" of these rollouts: rollouts x alternatives."""
    rates = rates_above(_column(bound))[0]
    of_bad, of_good = np.log(rates / bound), np.log((1 - rates) / (1 - bound))
    points[here] += bad[:, None] * of_bad + good[:, None] * of_good


def e_tolerated(tolerated: float | None, relative: Floats, bad: Ints, total: Ints, compared: bool) -> Floats:
    """As ``ops.judge.weighing`` weighs a yes/no event: beside the reference, and against what is tolerated."""
    if tolerated is None:
        return relative if compared else np.full(len(total), np.inf)
    rates = rates_below(_column(tolerated))[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        of_bad = np.where(bad[:, None] > 0, bad[:, None] * np.log(rates / tolerated), 0.0)
    logs = of_bad + (total - bad)[:, None] * np.log((1 - rates) / (1 - tolerated))
    return (relative + mixed(logs, log_weights(1, len(rates)))) / 2


def _column(bound: float) -> Floats:
    return np.array([[bound]])
