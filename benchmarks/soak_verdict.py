"""What a soak has shown: its targets, its verdict with the evidence, and its table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ops.rollout.states import State
from ops.verdict import Evidence, Outcome, Verdict, combine

SLOW = "2 times slower"
ROLLOUTS_MIN = 20
"""Of each kind: what the targets are stated for. With fewer nothing is shown."""
GOOD_LOST_MAX_SHARE = 0.05
SLOW_SERVED_MAX = 60
LATE_SHARE_MAX = 0.01


@dataclass(frozen=True)
class Case:
    number: int
    fault: str | None
    """None: the release is good."""

    @property
    def words(self) -> str:
        return self.fault or "good"


@dataclass(frozen=True)
class Ended:
    case: Case
    tier: str
    state: str
    """The rollout's last; ``paused`` and others where it came to no end by itself."""
    reason: str
    seconds: float
    served: int
    """Requests that the release served, or that failed without an answer meanwhile."""
    failed: int
    weight_percent: float | None
    """Of the step that served at the end; None where it had gone back."""


@dataclass(frozen=True)
class Lag:
    """Of the load's generators."""

    sent: int
    late: int


def judged(ended: Sequence[Ended], lag: Lag, broken: str | None = None) -> Verdict:
    """``broken``: why not all was done, if it was not."""
    good = [one for one in ended if one.case.fault is None]
    bad = [one for one in ended if one.case.fault is not None]
    lost_max = int(GOOD_LOST_MAX_SHARE * max(len(good), ROLLOUTS_MIN))
    served = [one.served for one in bad if one.case.fault == SLOW]
    whole = [Verdict(Outcome.INVALID, (Evidence(f"broken off: {broken}"),))] if broken else []
    return combine([
        *whole,
        _on_time(lag),
        _ended_so(good, State.PROMOTED, lost_max, "good"),
        _ended_so(bad, State.ROLLED_BACK, 0, "bad"),
        _slow_served(served),
    ])  # fmt: skip


def _on_time(lag: Lag) -> Verdict:
    if lag.sent and lag.late <= LATE_SHARE_MAX * lag.sent:
        return Verdict(Outcome.PASS, (Evidence(f"{lag.sent:,} requests sent, {lag.late:,} late"),))
    return Verdict(Outcome.INVALID, (Evidence(f"the generator was late with {lag.late:,} of {lag.sent:,} requests"),))


def _ended_so(ended: Sequence[Ended], state: State, others_max: int, kind: str) -> Verdict:
    so = sum(one.state == state.value for one in ended)
    words = f"{so} of {len(ended)} {kind} releases were {state.value.replace('_', ' ')}"
    evidence = (Evidence(words, {"ended_so": so, "rollouts": len(ended)}),)
    if len(ended) - so > others_max:
        return Verdict(Outcome.FAIL, evidence)
    if len(ended) < ROLLOUTS_MIN:
        few = Evidence(f"{words}; the target is stated for {ROLLOUTS_MIN}", evidence[0].values)
        return Verdict(Outcome.INCONCLUSIVE, (few,))
    return Verdict(Outcome.PASS, evidence)


def _slow_served(served: Sequence[int]) -> Verdict:
    if not served:
        return Verdict(Outcome.INCONCLUSIVE, (Evidence(f"no release was {SLOW}"),))
    middle = median(served)
    words = f"{SLOW}: {middle:,.0f} requests served in the median of {len(served)}, under {SLOW_SERVED_MAX} wanted"
    outcome = Outcome.PASS if middle < SLOW_SERVED_MAX else Outcome.FAIL
    return Verdict(outcome, (Evidence(words, {"median": middle, "rollouts": len(served)}),))


def table(ended: Sequence[Ended]) -> str:
    """By kind of release; times and requests are medians."""
    lines = ["| release | rollouts | promoted | rolled back | seconds | requests served | of them failed |"]
    lines.append("|-|-:|-:|-:|-:|-:|-:|")
    for words in dict.fromkeys(sorted((one.case.words for one in ended), key=lambda word: (word != "good", word))):
        of_it = [one for one in ended if one.case.words == words]
        states = [one.state for one in of_it]
        lines.append(
            f"| {words} | {len(of_it)} | {states.count(State.PROMOTED.value)} | "
            f"{states.count(State.ROLLED_BACK.value)} | {median(one.seconds for one in of_it):,.0f} | "
            f"{median(one.served for one in of_it):,.0f} | {median(one.failed for one in of_it):,.0f} |"
        )
    return "\n".join(lines)
