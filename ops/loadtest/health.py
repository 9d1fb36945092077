"""Whether a run's figures are the service's: each cause that makes them something else, with its mend. Pure.

Causes of one phase make that phase's evidence worthless; those of the run make all of it so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ops.loadtest.agreement import disagreements
from ops.loadtest.calls import DROPPED, INTENDED, OK, UNRECONCILED, failures
from ops.loadtest.causes import cause
from ops.loadtest.connection import Failure
from ops.loadtest.recording import Measure
from ops.loadtest.run import Generator, Health, Run, Server
from ops.loadtest.tallies import tally
from ops.spec.load_judging import Validity
from ops.spec.model import Spec
from ops.verdict import Evidence

_MS = 1000
NOT_ASKED = Server().blind
_STOPPED = f"failed.{Failure.STOPPED}"


@dataclass(frozen=True)
class Causes:
    run: tuple[Evidence, ...]
    phases: Mapping[int, tuple[Evidence, ...]]
    """By number in the plan; only those that have any."""


def causes(run: Run, spec: Spec) -> Causes:
    found = {number: tuple(_of_phase(run, number, spec.load.validity)) for number in range(len(run.plan.phases))}
    return Causes(tuple(_of_run(run, spec)), {number: some for number, some in found.items() if some})


# --- Of one phase -----------------------------------------------------------------------------------------------


def _of_phase(run: Run, number: int, bounds: Validity) -> Iterator[Evidence]:
    phase = run.plan.phases[number]
    if not phase.measured:
        return
    seen = tally(run.plan.kinds, run.cells, phases={number})
    dropped = seen.everything.counts[DROPPED]
    if dropped:
        yield cause(
            "dropped",
            f"{phase.name}: {dropped:,} arrivals were dropped: {run.plan.waiting_max:,} requests waited for one of "
            f"{run.plan.connections_max:,} connections; offer more connections, or less load",
            phase=phase.name, dropped=dropped,
        )  # fmt: skip
    lag = seen.histogram(Measure.SEND_LAG).percentile(95)
    if lag * _MS > bounds.send_lag_p95_ms_max:
        full = [one for _, one in _health(run, number) if one.connections >= run.plan.connections_max]
        waiting = max((one.waiting for one in full), default=0)
        mend = (
            f"up to {waiting:,} requests waited for one of {run.plan.connections_max:,} connections: offer more of them"
            if waiting
            else "the generator is too slow or was held up: give it more workers, or a machine of its own"
        )
        yield cause(
            "send_lag",
            f"{phase.name}: p95 of send lag was {lag * _MS:,.0f} ms, over {bounds.send_lag_p95_ms_max:g} ms; {mend}",
            phase=phase.name, send_lag_p95_ms=lag * _MS,
        )  # fmt: skip
    for generator in run.generators:
        yield from _of_generator(run, number, generator, bounds)


def _of_generator(run: Run, number: int, generator: Generator, bounds: Validity) -> Iterator[Evidence]:
    phase, limit = run.plan.phases[number].name, bounds.generator_cpu_percent_max
    reports = [one for who, one in _health(run, number) if who is generator]
    busiest = 100 * max(_cpu_shares(reports, bounds.generator_cpu_seconds), default=0.0)
    if busiest > limit:
        yield cause(
            "generator_cpu",
            f"{phase}: the generator {generator.name} used {busiest:.0f} % of its core over "
            f"{bounds.generator_cpu_seconds:g} s, over {limit:g} %: add workers (--workers)",
            phase=phase, generator=generator.name, cpu_percent=busiest,
        )  # fmt: skip
    silence = max((after.elapsed_seconds - before.elapsed_seconds for before, after in pairwise(reports)), default=0.0)
    if silence > bounds.generator_silence_seconds_max:
        yield cause(
            "generator_silent",
            f"{phase}: the generator {generator.name} stood still for {silence:.1f} s, over "
            f"{bounds.generator_silence_seconds_max:g} s: what stopped it, or starved it of CPU?",
            phase=phase, generator=generator.name, silent_seconds=silence,
        )  # fmt: skip


def _health(run: Run, number: int) -> Iterator[tuple[Generator, Health]]:
    """What drivers said of themselves within a phase."""
    ends = list(accumulate(phase.seconds for phase in run.plan.phases))
    begin, end = ends[number] - run.plan.phases[number].seconds, ends[number]
    for generator in run.generators:
        yield from ((generator, one) for one in generator.health if begin < one.elapsed_seconds <= end)


def _cpu_shares(reports: Sequence[Health], seconds: float) -> Iterator[float]:
    """Averages over ``seconds``, or over all where that is less."""
    window: deque[tuple[float, float]] = deque()
    used = lasted = 0.0
    for before, one in pairwise(reports):
        elapsed = one.elapsed_seconds - before.elapsed_seconds
        window.append((elapsed, one.cpu_share * elapsed))
        lasted, used = lasted + elapsed, used + one.cpu_share * elapsed
        while len(window) > 1 and lasted - window[0][0] >= seconds:
            first = window.popleft()
            lasted, used = lasted - first[0], used - first[1]
        if lasted >= seconds:
            yield used / lasted
    if 0 < lasted < seconds:
        yield used / lasted


# --- Of the whole run -------------------------------------------------------------------------------------------


def _of_run(run: Run, spec: Spec) -> Iterator[Evidence]:
    if not run.generators:
        yield cause("no_generator", "no generator reported anything: did any worker of Locust have users?")
    for name in run.lost:
        yield cause("worker_lost", f"a worker was lost: {name}; what it sent and measured is not known", worker=name)
    for words in run.broken:
        yield cause("run_broken", f"the suite did not get what it wants: {words}")
    for generator in run.generators:
        if not generator.ended:
            yield cause(
                "no_final_report",
                f"the generator {generator.name} ended without its final report: requests went unrecorded",
                generator=generator.name,
            )
        elif generator.error:
            yield cause(
                "generator_error",
                f"the generator {generator.name} broke: {generator.error}",
                generator=generator.name,
            )
    yield from _unrecorded(run)
    yield from _tokens(run)
    if run.server.blind:
        if run.server.blind != NOT_ASKED:
            yield cause("server_blind", f"the gateway's own histograms could not be compared: {run.server.blind}")
    else:
        yield from disagreements(run, spec)


def _unrecorded(run: Run) -> Iterator[Evidence]:
    counts = tally(run.plan.kinds, run.cells).everything.counts
    missing = counts[INTENDED] - counts[OK] - sum(failures(counts).values())
    if missing:
        yield cause(
            "unrecorded",
            f"{missing:,} of {counts[INTENDED]:,} requests were under way when measuring ended, and never recorded",
            unrecorded=missing,
        )
    if stopped := counts[_STOPPED]:
        yield cause(
            "in_flight",
            f"{stopped:,} requests were still under way {run.plan.drain_seconds_max:g} s after the last one was due "
            "and were ended by the generator: how they would have ended is not known",
            in_flight=stopped,
        )


def _tokens(run: Run) -> Iterator[Evidence]:
    streams = tally(run.plan.kinds, run.cells).streams.counts
    if unreconciled := streams[UNRECONCILED]:
        yield cause(
            "tokens",
            f"{unreconciled:,} of {streams[OK]:,} whole streams told no usage, or another number of tokens than came: "
            "figures by the token are not to be believed (is stream_options.include_usage honoured?)",
            streams=unreconciled,
        )
