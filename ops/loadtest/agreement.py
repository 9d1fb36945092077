"""The gateway's own histograms beside ours: they saw the same requests, so they must agree. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ops.loadtest.calls import OK
from ops.loadtest.causes import cause
from ops.loadtest.recording import Measure
from ops.loadtest.run import Run, ServerHistogram
from ops.loadtest.suites import PROMISED_PERCENT
from ops.loadtest.tallies import MEASURES, Tally, Target, classes, tally, targets_of
from ops.spec.load_judging import Validity
from ops.spec.model import Spec
from ops.verdict import Evidence

_MS = 1000


def disagreements(run: Run, spec: Spec) -> Iterator[Evidence]:
    """Over the whole run, warm-up included: the gateway counts all of it."""
    for task_class in classes(run.plan.kinds):
        ours = tally(run.plan.kinds, run.cells, task_class)
        if not ours.intended:
            continue
        targets = targets_of(spec.task_classes[task_class], streams=bool(ours.streams.counts[OK]))
        yield from _counts_differ(run, task_class, ours, spec.load.validity)
        for target, seconds in targets.items():
            yield from _shares_differ(run, task_class, ours, (target, seconds), spec.load.validity)


def server_histogram(run: Run, measure: Measure, task_class: str) -> ServerHistogram | None:
    matching = (one for one in run.server.histograms if one.measure is measure and one.task_class == task_class)
    return next(matching, None)


def _counts_differ(run: Run, task_class: str, ours: Tally, bounds: Validity) -> Iterator[Evidence]:
    """What the gateway answered in whole we may have given up, so it may count more, up to what failed here."""
    theirs = server_histogram(run, Measure.LATENCY, task_class)
    counted = sum(theirs.counts) if theirs else 0
    answered = ours.everything.counts[OK]
    slack = ours.intended * bounds.server_count_percent_max / 100
    if not answered - slack <= counted <= answered + ours.failed + slack:
        yield cause(
            "server_counts",
            f"{task_class}: the gateway counted {counted:,} whole answers, and {answered:,} came here "
            f"({ours.failed:,} failed): did others send requests too, or are not all of its workers read?",
            task_class=task_class, server=counted, client=answered,
        )  # fmt: skip


def _shares_differ(
    run: Run, task_class: str, ours: Tally, over: tuple[Target, float], bounds: Validity
) -> Iterator[Evidence]:
    """Of answers alone: a failed request is in no histogram. From the sending on: the gateway knows no other start."""
    target, seconds = over
    measure = MEASURES[target]
    theirs = server_histogram(run, measure, task_class)
    seen = ours.histogram(Measure.SERVICE if target is Target.LATENCY else measure)
    if theirs is None or not sum(theirs.counts) or not seen.count:
        return
    if seconds not in theirs.bounds_seconds:
        yield cause(
            "server_bounds",
            f"{task_class}: the gateway's histogram of {target} has no bound at the target of {seconds:g} s: "
            "it does not serve this spec",
            task_class=task_class, target=target.value,
        )  # fmt: skip
        return
    late = sum(theirs.counts[theirs.bounds_seconds.index(seconds) + 1 :])
    share, our_share = 100 * late / sum(theirs.counts), 100 * seen.over(seconds) / seen.count
    if our_share > share and _overloaded(run):
        return  # requests wait for a gateway that is past its load: it cannot know, and ours is what users see
    if abs(share - our_share) > bounds.server_late_points_max:
        yield cause(
            "server_shares",
            f"{task_class}: over the target of {seconds * _MS:g} ms for {target}, the gateway counted {share:.2f} % of "
            f"answers, and {our_share:.2f} % came so late here: {_why(share, our_share)}",
            task_class=task_class, target=target.value, server_percent=share, client_percent=our_share,
        )  # fmt: skip


def _why(theirs: float, ours: float) -> str:
    if theirs > ours:
        return "one of the two clocks or counts is wrong"
    return "the time is lost between them, in the network, in a queue before the gateway, or in this generator"


def _overloaded(run: Run) -> bool:
    return any(max(stage.percent, stage.from_percent or 0) > PROMISED_PERCENT for stage in run.stages)
