"""From what was asked for to a plan that can be run, or to words that say why not."""

from __future__ import annotations

import os
import resource
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from ops.adapters.spec_file import load_spec
from ops.loadtest.asking import KEY_VARIABLE, ServiceError, ask_each, destination, request_schemas
from ops.loadtest.plan import Phase, Plan
from ops.loadtest.suites import Scale, Shape, shape, traced_rates, unknown_suite
from ops.loadtest.trace import Entry, TraceError, read_trace, sound
from ops.loadtest.traffic import Destination, NoSchema, drawn, messages
from ops.spec.faults import SpecError
from ops.spec.loadtest import Stage
from ops.spec.model import Spec

ARRIVALS = ("poisson", "constant", "users", "trace")
WAITING_MIN = 1000
DRAIN_SECONDS_EXTRA = 1.0
"""Beyond the longest time-out, after which nothing is under way."""
FILES_EXTRA = 200
"""Beside the connections: libraries, pipes, logs, the listening ports of Locust."""
WAITING_SECONDS = 30.0
"""So long a queue of requests may wait for a connection, at the highest rate, before some are dropped."""
TRACE_BYTES_MAX = 512 << 20


class CannotRun(Exception):
    """The run cannot begin as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Asked:
    """What whoever runs a suite has asked for."""

    suite: str
    url: str
    spec: Path = Path("gratefulgpt.yaml")
    scale: Scale = field(default_factory=Scale)
    seed: int = 1
    arrivals: str | None = None
    """Instead of the suite's: one of ``ARRIVALS``."""
    trace: Path | None = None
    skip_broken: bool = False


@dataclass(frozen=True)
class Prepared:
    asked: Asked
    spec: Spec
    shape: Shape
    plan: Plan

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Of the suite, in the order of the plan's phases; none where a trace is replayed."""
        return () if self.asked.arrivals == "trace" else self.shape.stages

    def phase_at(self, elapsed_seconds: float) -> Phase:
        """The last one after its end."""
        return self.plan.phases[self.stage_at(elapsed_seconds)]

    def stage_at(self, elapsed_seconds: float) -> int:
        """Number of the phase."""
        ends = list(accumulate(phase.seconds for phase in self.plan.phases))
        return min(bisect_right(ends, elapsed_seconds), len(ends) - 1)


def prepare(asked: Asked, drivers: int = 1) -> Prepared:
    """The plan of each of so many drivers. Asks the service. Raises CannotRun."""
    try:
        return prepare_by(load_spec(asked.spec), asked, drivers)
    except SpecError as e:
        raise CannotRun(str(e)) from e


def prepare_by(spec: Spec, asked: Asked, drivers: int = 1) -> Prepared:
    """The same by a spec that is read already. Raises CannotRun."""
    try:
        to = destination(asked.url, os.environ.get(KEY_VARIABLE, ""))
        found = _shape(asked, spec)
        entries = _entries(asked, spec)
        schemas = request_schemas(to)
        plan = _plan(asked, spec, found, entries, to, schemas, drivers)
        allow_files(plan.connections_max)
        ask_each(to, plan)
    except (ServiceError, NoSchema, TraceError) as e:
        raise CannotRun(str(e)) from e
    return Prepared(asked, spec, found, plan)


def _shape(asked: Asked, spec: Spec) -> Shape:
    suites = spec.load.suites
    if asked.suite not in suites:
        raise CannotRun(unknown_suite(asked.suite, suites))
    if asked.arrivals == "trace" and asked.trace is None:
        raise CannotRun("arrivals like a trace's need the trace: --trace FILE")
    return shape(asked.suite, suites[asked.suite], spec.targets, asked.scale, asked.arrivals)


def _entries(asked: Asked, spec: Spec) -> Sequence[Entry]:
    """Those of the trace; none where none is asked for."""
    if asked.trace is None:
        return ()
    name = str(asked.trace)
    try:
        if asked.trace.stat().st_size > TRACE_BYTES_MAX:
            raise CannotRun(f"{name} is larger than {TRACE_BYTES_MAX >> 20} MiB")
        text = asked.trace.read_text(encoding="utf-8")
    except OSError as e:
        raise CannotRun(f"the trace {name} cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise CannotRun(f"the trace {name} is no UTF-8 text") from e
    return sound(name, *read_trace(name, text, spec.api.tasks), asked.skip_broken)


def _plan(
    asked: Asked,
    spec: Spec,
    found: Shape,
    entries: Sequence[Entry],
    to: Destination,
    schemas: Mapping[str, Mapping[str, Any]],
    drivers: int,
) -> Plan:
    chance = Random(asked.seed)  # noqa: S311 - load, not secrets
    load = spec.load
    wishes = (
        [entry.wish for entry in chance.sample(entries, min(len(entries), load.requests_distinct))]
        if entries
        else drawn(load, load.suites[asked.suite], load.requests_distinct, chance)
    )
    kinds, requests = messages(spec, wishes, schemas, to, chance)
    replayed = asked.arrivals == "trace"
    rates = traced_rates([entry.at for entry in entries], asked.scale) if replayed else found.rates()
    phases = (Phase("trace", sum(rate.seconds for rate in rates)),) if replayed else found.phases()
    peak = max((rate for one in rates for rate in (one.start, one.end)), default=0.0)
    return Plan(
        host=to.host,
        port=to.port,
        tls=to.tls,
        kinds=kinds,
        requests=requests,
        phases=phases,
        rates=rates,
        process=found.process,
        think_seconds=load.think_seconds,
        connections_max=ceil(found.connections(load.connections_per_user) / drivers),
        connections_held=0 if replayed else found.connections_held(load.connections_per_user),
        waiting_max=max(WAITING_MIN, ceil(peak * WAITING_SECONDS)),
        drain_seconds_max=max(kind.timeout_seconds for kind in kinds) + DRAIN_SECONDS_EXTRA,
        seed=asked.seed,
    )


def allow_files(connections: int) -> None:
    """Raises this process's limit of open files, which its children inherit, as far as that may be. Raises CannotRun.
    """
    needed = connections + FILES_EXTRA
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CannotRun(
            f"{connections:,} connections need {needed:,} open files, and this machine allows {hard:,}: raise the hard "
            f"limit (`ulimit -Hn {needed}` as root, or LimitNOFILE=), use more --workers, or a smaller --scale"
        )
