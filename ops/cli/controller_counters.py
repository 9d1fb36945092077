"""Where ``ops controller run`` reads the judge's counters: from the workers, or from Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.cli.output import CommandError
from ops.stack.options import Counters

if TYPE_CHECKING:
    from ops.rollout.counted import CounterSource
    from ops.spec.model import Spec


@dataclass(frozen=True)
class Source:
    counters: Counters
    url: str | None
    """Of Prometheus."""
    job: str
    """Its scrape job of the gateway's workers."""


@asynccontextmanager
async def counter_source(source: Source, spec: Spec) -> AsyncIterator[CounterSource | None]:
    """None where the workers are read directly. Raises CommandError if Prometheus cannot be asked at all."""
    if source.counters is Counters.DIRECT:
        yield None
        return
    if not source.url:
        raise CommandError("the stack has no Prometheus to read counters from: give --prometheus-url")
    try:
        from ops.adapters.prometheus import PrometheusCounters
    except ImportError as e:
        from ops.adapters.prometheus_server import CLIENT_MEND

        raise CommandError(f"counters from Prometheus need the package {e.name}: {CLIENT_MEND}") from e
    age_seconds_max = spec.rollout.analysis.samples_age_seconds_max
    prometheus = PrometheusCounters(source.url, job=source.job, age_seconds_max=age_seconds_max)
    try:
        yield prometheus
    finally:
        prometheus.close()
