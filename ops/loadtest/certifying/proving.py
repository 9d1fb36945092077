"""Trials one after the other, each with its verdict, and the verdict on all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ops.alerting.delays import delay
from ops.alerting.model import Group
from ops.loadtest.certifying.breaches import Breach
from ops.loadtest.certifying.judging import Figures, figures, judge
from ops.loadtest.certifying.observed import Bounds, Observed
from ops.loadtest.certifying.running import Pace, Scene, observe
from ops.spec.model import Spec
from ops.verdict import Outcome, Verdict, combine

BEFORE_SECONDS_MIN = 10.0
BEFORE_REQUESTS = 200
"""Chosen: three times what shows that a p95 target holds."""
BLIND_SECONDS_EXTRA = 10.0
"""Chosen: one question that is not answered in time."""


@dataclass(frozen=True)
class Proof:
    observed: Observed
    figures: Figures
    verdict: Verdict


async def prove(
    scene: Scene, breaches: Sequence[Breach], groups: Iterable[Group], files: Mapping[str, str], pages_only: bool
) -> tuple[Verdict, tuple[Proof, ...]]:
    """``groups`` of all alerts; ``files``: the rules that Prometheus should have. Ends with the first trial that was
    broken off, or whose breach could not be taken back. ``pages_only``: warnings may fire before the first one too."""
    every = tuple(groups)
    if unfit := await scene.watch.unfit(files):
        return Verdict(Outcome.INVALID, unfit), ()
    proofs: list[Proof] = []
    for breach in breaches:
        calm = max((one.observed.bounds.resolve_seconds for one in proofs), default=0.0)
        pace = Pace(before_seconds(scene.spec, scene.rate), calm, pages_only or bool(proofs))
        seen = await observe(scene, breach, bounds_of(breach, scene.spec, every, _timeout(scene)), pace)
        proofs.append(Proof(seen, figures(seen), judge(seen)))
        if seen.interrupted or seen.stuck:
            break
    return combine(one.verdict for one in proofs), tuple(proofs)


def before_seconds(spec: Spec, rate: float) -> float:
    """Of load before the breach: enough requests, and rules evaluated over them twice."""
    return max(BEFORE_SECONDS_MIN, BEFORE_REQUESTS / rate, 2 * spec.alerting.evaluation_seconds)


def bounds_of(breach: Breach, spec: Spec, groups: Sequence[Group], timeout_seconds: float) -> Bounds:
    """By the windows of the alert's own rule; ``timeout_seconds``: so long a request may hang after the breach."""
    found = delay(breach.alert, groups)
    return Bounds(
        fire_seconds=found.fire_seconds,
        resolve_seconds=found.resolve_seconds + timeout_seconds,
        blind_seconds=2 * spec.alerting.evaluation_seconds + BLIND_SECONDS_EXTRA,
        share=breach.share(spec),
    )


def _timeout(scene: Scene) -> float:
    return max(kind.timeout_seconds for kind in scene.plan.kinds)
