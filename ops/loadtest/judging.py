"""The verdict of a load run: per phase, class and target, and what its suite looks for. Pure.

A phase counts if it is measured and offers no more than is promised; what lies beyond is explored, and reported. Where
the instrument was blind or broken there is no verdict on the service, however clear the figures look: invalid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ops.loadtest.found import Found
from ops.loadtest.health import causes
from ops.loadtest.recovering import recovered
from ops.loadtest.run import Run
from ops.loadtest.seeking import Sight, sought
from ops.loadtest.suites import PROMISED_PERCENT
from ops.loadtest.tallies import Tally, Target, classes, tally, targets_of
from ops.loadtest.verdicts import P95_SHARE, Misses, judged
from ops.spec.model import Spec
from ops.verdict import Evidence, Outcome, Verdict, combine

ALL_CLASSES = "all"


@dataclass(frozen=True)
class Judged:
    """One target of one class in one phase."""

    phase: str
    task_class: str
    target: str
    seconds: float | None
    """None for the rate of errors."""
    misses: Misses
    allowed: float
    verdict: Verdict


@dataclass(frozen=True)
class PhaseJudged:
    number: int
    name: str
    counts: bool
    """Whether the run's verdict depends on it."""
    targets: tuple[Judged, ...]
    invalid: tuple[Evidence, ...]

    @property
    def outcome(self) -> Outcome:
        if self.invalid:
            return Outcome.INVALID
        return combine(one.verdict for one in self.targets).outcome


@dataclass(frozen=True)
class Assessment:
    verdict: Verdict
    phases: tuple[PhaseJudged, ...]
    """The measured ones."""
    invalid: tuple[Evidence, ...]
    """Causes that concern the run."""
    found: tuple[Found, ...]
    """What the suite looked for."""


def assessed(run: Run, spec: Spec) -> Verdict:
    return assess(run, spec).verdict


def assess(run: Run, spec: Spec) -> Assessment:
    blind = causes(run, spec)
    phases = tuple(
        PhaseJudged(
            number, phase.name, _counts(run, number), tuple(_judged(run, spec, number)), blind.phases.get(number, ())
        )
        for number, phase in enumerate(run.plan.phases)
        if phase.measured
    )
    after = [number for number in range(len(run.plan.phases)) if _is_relief(run, number)]
    sight = Sight(run, spec, {one.number: one.outcome for one in phases})
    found = (*(recovered(run, spec.load.sought, number) for number in after), *sought(sight))
    return Assessment(_verdict(run, phases, blind.run, found), phases, blind.run, found)


def _verdict(
    run: Run, phases: tuple[PhaseJudged, ...], invalid: tuple[Evidence, ...], found: tuple[Found, ...]
) -> Verdict:
    binding = [phase for phase in phases if phase.counts]
    causes_found = (*invalid, *(one for phase in binding for one in phase.invalid))
    parts = [one.verdict for phase in binding for one in phase.targets] + [one.verdict for one in found]
    if run.interrupted:
        words = f"the run ended early ({run.interrupted}): what was measured until then cannot show that all holds"
        parts.insert(0, Verdict(Outcome.INCONCLUSIVE, (Evidence(words, {"interrupted": run.interrupted}),)))
    verdict = combine(parts)
    if causes_found:
        return Verdict(Outcome.INVALID, (*causes_found, *verdict.evidence))
    return verdict


# --- Which phases count -----------------------------------------------------------------------------------------


def _percent(run: Run, number: int) -> float:
    """The most that a phase offers, of what is promised. A recorded trace has no stages: it is what it is."""
    if number >= len(run.stages):
        return 0.0
    stage = run.stages[number]
    return max(stage.percent, stage.from_percent or 0.0) * (stage.bursts.times if stage.bursts else 1.0)


def _counts(run: Run, number: int) -> bool:
    return _percent(run, number) <= PROMISED_PERCENT and not _is_relief(run, number)


def _is_relief(run: Run, number: int) -> bool:
    """A measured phase of promised load right after too much of it: what counts is how soon the targets hold again."""
    return (
        number > 0
        and run.plan.phases[number].measured
        and _percent(run, number) <= PROMISED_PERCENT < _percent(run, number - 1)
    )


# --- Targets ----------------------------------------------------------------------------------------------------


def _judged(run: Run, spec: Spec, number: int) -> Iterator[Judged]:
    phase, kinds = run.plan.phases[number].name, run.plan.kinds
    for task_class in classes(kinds):
        seen = tally(kinds, run.cells, task_class, {number})
        streams = any(kind.stream for kind in kinds if kind.task_class == task_class)
        for target, seconds in targets_of(spec.task_classes[task_class], streams).items():
            yield _one(phase, task_class, (target, seconds), seen)
    errors = tally(kinds, run.cells, phases={number}).errors()
    allowed = spec.targets.error_rate_percent_max / 100
    verdict = judged(f"{phase}: errors", errors, allowed)
    yield Judged(phase, ALL_CLASSES, "errors", None, errors, allowed, verdict)


def _one(phase: str, task_class: str, over: tuple[Target, float], seen: Tally) -> Judged:
    target, seconds = over
    misses = seen.misses(target, seconds)
    verdict = judged(f"{phase}: {target} of {task_class} within {1000 * seconds:g} ms", misses)
    values = {"phase": phase, "task_class": task_class, "target": target.value, "seconds": seconds}
    evidence = tuple(replace(one, values={**values, **one.values}) for one in verdict.evidence)
    return Judged(phase, task_class, target.value, seconds, misses, P95_SHARE, replace(verdict, evidence=evidence))
