"""The controller's own metrics in Prometheus's text format, built when somebody scrapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log10

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ops.judge.model import EventEvidence
from ops.rollout import metric_names as names
from ops.rollout.assessing import last_findings
from ops.rollout.controlling import Controller
from ops.rollout.record import Rollout
from ops.rollout.states import State
from ops.rollout.telemetry import TICK_BOUNDS_SECONDS, TierTelemetry
from ops.verdict import Outcome
from serving.contract import WEIGHT_TOTAL

CONTENT_TYPE = CONTENT_TYPE_LATEST
LOG10_MAX = 300.0
"""Evidence beyond it, an infinite e-value included, is shown as this."""
DIRECTIONS: dict[str, Callable[[EventEvidence], tuple[float, float]]] = {
    "worse": lambda found: (found.e_worse, found.e_worse_needed),
    "harmless": lambda found: (found.e_harmless, found.e_harmless_needed),
}

Samples = Sequence[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class ControllerCollector(Collector):
    """Reads one controller."""

    controller: Controller
    clock: Callable[[], float] = time.time
    """Unix seconds."""

    def collect(self) -> Iterator[Metric]:
        controller, told = self.controller, self.controller.telemetry
        leadership = controller.leadership
        yield _gauge(names.LEADER, "Whether this controller leads.", (), [((), int(leadership is not None))])
        yield _gauge(names.TERM, "The term of its lead.", (), [((), leadership.term if leadership else 0)])
        yield _gauge(names.DATABASE_UP, "Whether the database answered last.", (), [((), int(told.database_up))])
        yield _counter(names.TICKS, "Passes over all tiers.", (), [((), told.ticks)])
        failures = [((kind.value,), count) for kind, count in told.failures.items()]
        yield _counter(names.TICK_FAILURES, "Tiers of which a pass failed.", ("kind",), failures)
        yield _tick_seconds(told.tick_counts, told.tick_seconds)
        yield _gauge(names.LAST_TICK, "When the last whole pass ended.", (), [((), told.last_tick_at)])
        if leadership is not None:
            yield from self._rollouts(told.tiers)
            frozen = sum(tier.frozen for tier in told.tiers.values())
            yield _gauge(names.FREEZE, "Tiers with a change freeze.", (), [((), frozen)])
            pending = told.notifications_pending
            yield _gauge(names.NOTIFICATIONS, "Webhooks still to be called.", (), [((), pending)])

    def _rollouts(self, tiers: dict[str, TierTelemetry]) -> Iterator[Metric]:
        now = self.clock()
        active = {name: tier.rollout for name, tier in tiers.items() if tier.seen}
        states = [*State, None]
        state = [
            ((tier, of.value if of else names.NO_ROLLOUT), int(of is (rollout.state if rollout else None)))
            for tier, rollout in active.items()
            for of in states
        ]
        yield _gauge(names.STATE, "1 for the state in force.", ("tier", "state"), state)
        weights = [((tier,), _weight(rollout)) for tier, rollout in active.items()]
        yield _gauge(names.STEP_WEIGHT, "Share that the canary should serve.", ("tier",), weights)
        started = [((tier,), rollout.created_at) for tier, rollout in active.items() if rollout]
        yield _gauge(names.STARTED, "When the active rollout began.", ("tier",), started)
        blind = [((tier,), _blind(rollout, now)) for tier, rollout in active.items()]
        yield _gauge(names.BLIND, "For how long the judge has been blind.", ("tier",), blind)
        looks = [((name, answer.value), n) for name, tier in tiers.items() for answer, n in tier.looks.items()]
        yield _counter(names.LOOKS, "Looks of the judge, by its answer.", ("tier", "answer"), looks)
        ended = [((name, outcome.value), n) for name, tier in tiers.items() for outcome, n in tier.ended.items()]
        yield _counter(names.ENDED, "Rollouts that ended.", ("tier", "outcome"), ended)
        yield from _evidence(tiers)
        yield from _quality(active)


def _weight(rollout: Rollout | None) -> float:
    if rollout is None or rollout.served_step is None:
        return 0.0
    return rollout.plan.steps[rollout.served_step].weight / WEIGHT_TOTAL


def _blind(rollout: Rollout | None, now: float) -> float:
    if rollout is None or rollout.blind_since is None:
        return 0.0
    return max(0.0, now - rollout.blind_since)


def _evidence(tiers: dict[str, TierTelemetry]) -> Iterator[Metric]:
    shown: dict[tuple[str, ...], float] = {}
    needed: dict[tuple[str, ...], float] = {}
    for name, tier in tiers.items():
        for found in tier.events:
            for direction, values in DIRECTIONS.items():
                key, (value, bar) = (name, found.event.value, direction), values(found)
                shown[key], needed[key] = _log10(value), _log10(bar)
    labels = ("tier", "event", "direction")
    yield _gauge(names.EVIDENCE, "E-value of the last look.", labels, list(shown.items()))
    yield _gauge(names.EVIDENCE_NEEDED, "What it is held against.", labels, list(needed.items()))


def _log10(value: float) -> float:
    if value <= 0:
        return -LOG10_MAX
    return max(-LOG10_MAX, min(LOG10_MAX, log10(value)))


def _quality(active: dict[str, Rollout | None]) -> Iterator[Metric]:
    verdicts, probed = [], []
    for tier, rollout in active.items():
        if rollout is None:
            continue
        for judgement, _, _, verdict in last_findings(rollout):
            verdicts += [((tier, judgement, of.value), int(of is verdict.outcome)) for of in Outcome]
        if rollout.quality:
            probed.append(((tier,), min(found.at for found in rollout.quality.values())))
    yield _gauge(names.QUALITY, "1 for the gravest finding.", ("tier", "judgement", "outcome"), verdicts)
    yield _gauge(names.QUALITY_PROBED, "The oldest of the last probes.", ("tier",), probed)


def _tick_seconds(counts: Sequence[int], seconds: float) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(repr, TICK_BOUNDS_SECONDS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family = HistogramMetricFamily(names.TICK_SECONDS, "How long a pass took.", labels=())
    family.add_metric((), buckets, seconds)
    return family


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def render(controller: Controller) -> bytes:
    """The text format, the process's own metrics included."""
    registry = CollectorRegistry()
    registry.register(ControllerCollector(controller))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
