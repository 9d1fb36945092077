"""How soon the targets hold again after too much load. Pure."""

from __future__ import annotations

from ops.loadtest.calls import LATE, OK, failures
from ops.loadtest.found import Found, fact
from ops.loadtest.run import Run
from ops.loadtest.verdicts import P95_SHARE
from ops.spec.load_judging import Sought
from ops.verdict import Outcome


def recovered(run: Run, sought: Sought, number: int) -> Found:
    """How long after the end of too much load the share of late and failed requests stays over what a p95 target
    allows. By windows of what came in: requests that waited through the spike count in the one in which they ended."""
    phases, limit = run.plan.phases, sought.recovery_seconds_max
    begin = sum(phase.seconds for phase in phases[:number])
    end, name = begin + phases[number].seconds, phases[number].name
    width = max(sought.window_seconds, *(window.seconds for window in run.windows), 1.0)
    shares = _late_shares(run, begin, end, width)
    if not shares:
        words = f"{name}: nothing was measured after the spike"
        return fact("recovery_seconds", None, words, Outcome.INCONCLUSIVE)
    late = [at for at, share in shares.items() if share > P95_SHARE]
    seconds = min(late[-1] + width, end) - begin if late else 0.0
    if late and late[-1] == max(shares):
        outcome = Outcome.FAIL if seconds >= limit else Outcome.INCONCLUSIVE
        words = f"{name}: {seconds:g} s after the spike more than {P95_SHARE:.0%} of requests were still late or failed"
        return fact("recovery_seconds", None, words, outcome)
    words = f"{name}: the targets held again {seconds:g} s after the spike, to {width:g} s ({limit:g} s allowed)"
    return fact("recovery_seconds", seconds, words, Outcome.PASS if seconds <= limit else Outcome.FAIL)


def _late_shares(run: Run, begin: float, end: float, width: float) -> dict[float, float]:
    """By the start of each window that holds any request."""
    requests: dict[float, int] = {}
    late: dict[float, int] = {}
    for window in run.windows:
        if begin <= window.at < end:
            at = begin + (window.at - begin) // width * width
            counts = window.recorded.counts
            missed = sum(failures(counts).values())
            requests[at] = requests.get(at, 0) + counts.get(OK, 0) + missed
            late[at] = late.get(at, 0) + counts.get(LATE, 0) + missed
    return {at: late[at] / count for at, count in sorted(requests.items()) if count}
