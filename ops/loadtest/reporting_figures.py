"""From a run and its assessment to the document of its report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import ceil

from ops.loadtest.calls import LATE, OK, TOKENS, failures
from ops.loadtest.judging import Assessment, PhaseJudged
from ops.loadtest.recording import Measure, Recorder, percentile
from ops.loadtest.reporting_document import (
    PERCENTS,
    SCHEMA,
    Answer,
    CellReport,
    Document,
    Figures,
    Finding,
    FoundReport,
    GeneratorReport,
    Moment,
    PhaseReport,
    Pulse,
    ServerPulse,
    ServerReport,
    ServerSeen,
    TargetJudged,
)
from ops.loadtest.run import Generator, Health, Run, Window
from ops.loadtest.tallies import Tally, classes, tally
from ops.spec.compiling import spec_digest
from ops.spec.model import Spec
from ops.verdict import Verdict

PULSES_MAX = 600
"""Of one generator, or of one process of the gateway."""
MOMENT_PERCENTS = (50.0, 95.0, 99.0)
MOMENT_MEASURES = (Measure.LATENCY, Measure.FIRST_TOKEN, Measure.TIME_PER_TOKEN, Measure.SEND_LAG)


def document(run: Run, spec: Spec, assessment: Assessment) -> Document:
    plan = run.plan
    return Document(
        schema=SCHEMA,
        service=spec.service,
        spec_digest=spec_digest(spec),
        suite=run.suite,
        scale=run.scale,
        verdict=_answer(assessment.verdict),
        started_unix_seconds=run.started_unix_seconds,
        ended_unix_seconds=run.ended_unix_seconds,
        interrupted=run.interrupted,
        lost=run.lost,
        arrivals=plan.process.value if plan.rates else "users",
        rates=plan.rates,
        phases=plan.phases,
        kinds=plan.kinds,
        judged=tuple(_phase(run, one) for one in assessment.phases),
        invalid=tuple(one.text for one in assessment.invalid),
        found=tuple(
            FoundReport(one.name, one.value, one.promised, one.verdict.outcome, one.text) for one in assessment.found
        ),
        figures=tuple(_figures(run)),
        moments=tuple(map(_moment, run.windows)),
        generators=tuple(map(_generator, run.generators)),
        server=_server(run),
        cells=tuple(
            CellReport(*key, recorded.counts, {name: one.decode() for name, one in recorded.histograms.items()})
            for key, recorded in run.cells.items()
        ),
    )


def _answer(verdict: Verdict) -> Answer:
    return Answer(verdict.outcome, tuple(Finding(one.text, one.values) for one in verdict.evidence))


def _phase(run: Run, judged: PhaseJudged) -> PhaseReport:
    targets = tuple(
        TargetJudged(
            one.phase, one.task_class, one.target, one.seconds, one.misses.requests, one.misses.misses, one.allowed,
            one.verdict.outcome, one.verdict.evidence[0].text,
        )
        for one in judged.targets
    )  # fmt: skip
    seconds = run.plan.phases[judged.number].seconds
    invalid = tuple(one.text for one in judged.invalid)
    return PhaseReport(judged.number, judged.name, seconds, judged.counts, judged.outcome, invalid, targets)


# --- Figures ----------------------------------------------------------------------------------------------------


def _figures(run: Run) -> Iterator[Figures]:
    for number, phase in enumerate(run.plan.phases):
        for task_class in classes(run.plan.kinds):
            seen = tally(run.plan.kinds, run.cells, task_class, {number})
            counts = seen.everything.counts
            yield Figures(
                phase=phase.name,
                task_class=task_class,
                requests=seen.intended,
                answered=counts[OK],
                late=counts[LATE],
                failed=failures(counts),
                requests_per_second=seen.intended / phase.seconds,
                in_time_per_second=(counts[OK] - counts[LATE]) / phase.seconds,
                tokens_per_second=counts[TOKENS] / phase.seconds,
                percentiles={
                    measure: _percentiles(seen, measure) for measure in Measure if seen.histogram(measure).count
                },
            )


def _percentiles(seen: Tally, measure: Measure) -> dict[str, float | None]:
    if measure in (Measure.SEND_LAG, Measure.TOKEN_INTERVAL):  # not one of each request's, so failures have no rank
        histogram = seen.histogram(measure)
        return {f"{percent:g}": histogram.percentile(percent) for percent in PERCENTS}
    return {f"{percent:g}": seen.percentile(measure, percent) for percent in PERCENTS}


def _moment(window: Window) -> Moment:
    seen = Recorder()
    seen.merge(window.recorded)
    failed = sum(failures(seen.counts).values())
    percentiles = {
        measure: {
            f"{percent:g}": percentile(histogram, failed if measure is Measure.LATENCY else 0, percent)
            for percent in MOMENT_PERCENTS
        }
        for measure, histogram in seen.histograms.items()
        if measure in MOMENT_MEASURES
    }
    counts = seen.counts
    return Moment(
        at=window.at,
        seconds=window.seconds,
        task_class=window.task_class,
        answered=counts[OK],
        late=counts[LATE],
        failed=failed,
        tokens=counts[TOKENS],
        percentiles=percentiles,
        latencies=window.recorded.histograms.get(Measure.LATENCY, b"").decode(),
    )


# --- Health -----------------------------------------------------------------------------------------------------


def _generator(generator: Generator) -> GeneratorReport:
    thinned = _thinned(generator.health)
    return GeneratorReport(generator.name, generator.ended, generator.error, tuple(map(_pulse, thinned)))


def _thinned(reports: Sequence[Health]) -> Iterable[Sequence[Health]]:
    width = max(1, ceil(len(reports) / PULSES_MAX))
    return [reports[i : i + width] for i in range(0, len(reports), width)]


def _pulse(reports: Sequence[Health]) -> Pulse:
    return Pulse(
        reports[-1].elapsed_seconds,
        max(one.cpu_share for one in reports),
        max(one.memory_bytes for one in reports),
        max(one.in_flight for one in reports),
        max(one.waiting for one in reports),
        max(one.connections for one in reports),
    )


def _server(run: Run) -> ServerReport:
    seen = tuple(
        ServerSeen(one.measure, one.task_class, one.bounds_seconds, one.counts) for one in run.server.histograms
    )
    by_name: Mapping[str, list[ServerPulse]] = {
        name: [
            ServerPulse(one.at_unix_seconds - run.started_unix_seconds, name, one.memory_bytes, one.open_files)
            for one in group
        ]
        for name, group in groupby(
            sorted(run.server.health, key=lambda one: (one.name, one.at_unix_seconds)), lambda one: one.name
        )
    }
    pulses = [one for told in by_name.values() for one in told[:: max(1, ceil(len(told) / PULSES_MAX))]]
    return ServerReport(run.server.blind, seen, tuple(pulses))
