"""Whether two load runs were the same load, so that a difference between them is the service's. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ops.loadtest.reporting_document import Document
from ops.verdict import Outcome


def differences(before: Document, after: Document) -> Iterator[str]:
    """Why they cannot be compared, one line each."""
    for name, one in (("before", before), ("after", after)):
        if one.verdict.outcome is Outcome.INVALID:
            cause = next((finding.text for finding in one.verdict.evidence), "").removeprefix("invalid: ")
            yield f"the run {name} is invalid itself: {cause}"
        elif one.interrupted:
            yield f"the run {name} ended early: {one.interrupted}"
    if before.suite != after.suite:
        yield f"the suites differ: {before.suite} before, {after.suite} after"
        return
    if before.scale != after.scale:
        yield f"the scales differ: {before.scale:g} before, {after.scale:g} after (--scale)"
    elif (before.phases, before.rates, before.arrivals) != (after.phases, after.rates, after.arrivals):
        yield f"the load of {after.suite} has changed: its stages in the spec, or --arrivals, --time-scale or --trace"
    if before.kinds != after.kinds:
        yield "the mix has changed: tasks, their classes and time-outs, or what streams"
    if _targets(before) != _targets(after):
        yield "the targets have changed: what is late in one run is not in the other"


def _targets(document: Document) -> set[tuple[str, str, float | None]]:
    return {(one.task_class, one.target, one.seconds) for phase in document.judged for one in phase.targets}
