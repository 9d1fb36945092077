"""What gateway workers say of the requests that they answered, in Prometheus's text format. Pure.

Read before and after a run, the difference is what the run did to the service by its own clock: counts and shares
that must agree with what was measured from outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import inf

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ops.loadtest.recording import Measure
from ops.loadtest.run import Server, ServerHealth, ServerHistogram
from serving.contract import METRIC_FIRST_TOKEN, METRIC_INSTANCE, METRIC_LATENCY, METRIC_TOKEN_INTERVAL

MEASURES = {
    METRIC_LATENCY: Measure.LATENCY,
    METRIC_FIRST_TOKEN: Measure.FIRST_TOKEN,
    METRIC_TOKEN_INTERVAL: Measure.TIME_PER_TOKEN,
}
_MEMORY, _FILES = "process_resident_memory_bytes", "process_open_fds"

Buckets = Mapping[float, int]
"""Cumulative counts by upper bound in seconds, infinity the last."""
Key = tuple[Measure, str]
"""Measure and task class."""


@dataclass(frozen=True)
class Scrape:
    """Of one address: one worker, or a Prometheus that has scraped several (``/federate``)."""

    address: str
    at_unix_seconds: float
    instances: tuple[str, ...] = ()
    """Another one at the same address means that a worker started anew and counts from 0."""
    histograms: Mapping[Key, Buckets] = field(default_factory=dict)
    """Tiers and arms together."""
    memory_bytes: int = 0
    open_files: int = 0
    """Connections, mostly."""
    error: str = ""
    """Why there is nothing."""


def parsed(text: str, address: str, at_unix_seconds: float) -> Scrape:
    """Raises ValueError or KeyError for what is not the text format, or no gateway's."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    named = [one for one in samples if one.name == METRIC_INSTANCE]
    if not named:
        raise ValueError(f"there is no {METRIC_INSTANCE}: is it a gateway worker's admin port?")
    return Scrape(
        address,
        at_unix_seconds,
        tuple(sorted(one.labels.get("exported_instance") or one.labels["instance"] for one in named)),
        _histograms(samples),
        int(sum(one.value for one in samples if one.name == _MEMORY)),
        int(sum(one.value for one in samples if one.name == _FILES)),
    )


def _histograms(samples: Iterable[Sample]) -> dict[Key, Buckets]:
    found: dict[Key, Counter[float]] = {}
    for sample in samples:
        measure = MEASURES.get(sample.name.removesuffix("_bucket"))
        if measure is not None and "le" in sample.labels:
            buckets = found.setdefault((measure, sample.labels["task_class"]), Counter())
            buckets[float(sample.labels["le"])] += int(sample.value)
    return {key: dict(sorted(buckets.items())) for key, buckets in found.items()}


def server(scrapes: Sequence[Scrape]) -> Server:
    """What the gateway counted between the first scrapes and the last ones, over all addresses."""
    health = tuple(
        ServerHealth(one.at_unix_seconds, one.address, one.memory_bytes, one.open_files)
        for one in sorted(scrapes, key=lambda one: one.at_unix_seconds)
        if not one.error
    )
    ordered = sorted(scrapes, key=lambda one: (one.address, one.at_unix_seconds))
    ends = [(found[0], found[-1]) for found in (list(group) for _, group in groupby(ordered, lambda one: one.address))]
    if blind := next((why for before, after in ends if (why := _blind(before, after))), "" if ends else "nobody asked"):
        return Server(health=health, blind=blind)
    grown: dict[Key, Counter[float]] = {}
    for before, after in ends:
        for key, buckets in after.histograms.items():
            earlier = before.histograms.get(key, {})
            total = grown.setdefault(key, Counter())
            for bound, count in buckets.items():
                total[bound] += count - earlier.get(bound, 0)
    histograms = tuple(_histogram(*key, buckets) for key, buckets in sorted(grown.items()))
    return Server(histograms, health, blind="")


def _blind(before: Scrape, after: Scrape) -> str:
    """Why the difference of the two would mean nothing."""
    for one in (before, after):
        if one.error:
            return f"{one.address} could not be read: {one.error}"
    if before is after:
        return f"{before.address} was read only once"
    if before.instances != after.instances:
        return f"a worker at {before.address} was started anew during the run: its counts began again"
    return ""


def _histogram(measure: Measure, task_class: str, cumulative: Mapping[float, int]) -> ServerHistogram:
    bounds = sorted(cumulative)
    counts = [cumulative[bounds[0]], *(cumulative[b] - cumulative[a] for a, b in pairwise(bounds))]
    finite = tuple(bound for bound in bounds if bound != inf)
    return ServerHistogram(measure, task_class, finite, tuple(counts))
