"""Damage: does the running canary find its own release's transcript as likely, token by token, as it did at first?

The same weights on the same engine give the same log-probabilities but for the order of sums. How much that matters is
measured when the transcript is recorded. Two tolerances: a wide one for each token, which a single spoilt weight breaks
somewhere, and a narrow one for the mean, in which noise stays small and damage to everything does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite

from ops.quality.model import Noise, Reading, Scored, Transcript
from ops.rollout.plan import DamagePlan
from ops.verdict import Evidence, Outcome, Verdict


def judge_damage(own: Transcript | None, found: Reading, plan: DamagePlan) -> Verdict:
    """``own`` is the release's transcript, ``found`` what its replica makes of the same texts now."""
    if own is None:
        return _blind("the release has no reference transcript")
    if own.engine_version != found.engine_version:
        words = f"the transcript was recorded on engine {own.engine_version}, the replica runs {found.engine_version}"
        return _blind(f"{words}; record it anew")
    recorded, now_scored = (*own.answers, *own.passages), (*found.answers, *found.passages)
    if unread := _unread(recorded, now_scored):
        return _blind(unread)
    pairs = list(zip(recorded, now_scored, strict=True))
    if retokenized := [before.name for before, now in pairs if before.tokens != now.tokens]:
        words = f"its tokenizer cuts the text {retokenized[0]} otherwise than it did when it was registered"
        return Verdict(Outcome.FAIL, (Evidence(words, {"texts_cut_otherwise": len(retokenized)}),))
    changed = changes(recorded, now_scored)
    return _compared(changed, own.noise, plan) if changed else _blind("the transcript has no token to compare")


def changes(before: Iterable[Scored], after: Iterable[Scored]) -> list[float]:
    """Of each token's log-probability, in nats; both hold the same texts in the same tokens."""
    return [
        now - then
        for one, other in zip(before, after, strict=True)
        for then, now in zip(one.logprobs, other.logprobs, strict=True)
    ]


def noise_of(readings: Iterable[Sequence[float]]) -> Noise:
    """From the changes between readings of the same texts by the same sound engine."""
    # A difference that is no number is larger than any: max would overlook it, depending on the order.
    sizes = [[abs(change) if isfinite(change) else inf for change in reading] for reading in readings]
    return Noise(
        max((max(reading, default=0.0) for reading in sizes), default=0.0),
        max((sum(reading) / len(reading) for reading in sizes if reading), default=0.0),
    )


def tolerances(noise: Noise, plan: DamagePlan) -> tuple[float, float]:
    """For each token, and for the mean."""
    return (
        max(plan.token_tolerance_nats, plan.noise_factor * noise.worst_nats),
        max(plan.mean_tolerance_nats, plan.noise_factor * noise.mean_nats),
    )


def unusable(own: Transcript, plan: DamagePlan) -> str | None:
    """Why nothing could be held against the transcript, or None."""
    logprobs = [value for one in (*own.answers, *own.passages) for value in one.logprobs]
    if not logprobs:
        return "the texts give no token to compare"
    if broken := sum(not isfinite(value) for value in logprobs):
        return f"{broken} of {len(logprobs)} tokens have no finite log-probability: is the model sound?"
    needed, _ = tolerances(own.noise, plan)
    if not needed <= plan.token_tolerance_nats_max:
        return (
            f"the engine differs from itself by {own.noise.worst_nats:.3g} nats; tolerating {needed:.3g} would be more "
            f"than the {plan.token_tolerance_nats_max:g} that the spec allows"
        )
    return None


def _compared(changed: Sequence[float], noise: Noise, plan: DamagePlan) -> Verdict:
    if broken := sum(not isfinite(change) for change in changed):
        words = f"{broken} of {len(changed)} tokens of its own transcript have no finite log-probability any more"
        return Verdict(Outcome.FAIL, (Evidence(words, {"tokens": len(changed), "tokens_not_finite": broken}),))
    token_limit, mean_limit = tolerances(noise, plan)
    sizes = [abs(change) for change in changed]
    worst, mean = max(sizes), sum(sizes) / len(sizes)
    beyond = sum(size > token_limit for size in sizes)
    values: dict[str, float | int | str] = {
        "tokens": len(sizes), "tokens_beyond": beyond, "worst_nats": worst, "mean_nats": mean,
        "token_tolerance_nats": token_limit, "mean_tolerance_nats": mean_limit, "noise_nats": noise.worst_nats,
    }  # fmt: skip
    words = (
        f"of {len(sizes)} tokens of its own transcript {beyond} differ by more than {token_limit:.3g} nats; "
        f"the most by {worst:.3g}, on the average by {mean:.3g} (tolerated: {mean_limit:.3g})"
    )
    damaged = beyond or mean > mean_limit
    return Verdict(Outcome.FAIL if damaged else Outcome.PASS, (Evidence(words, values),))


def _unread(expected: Iterable[Scored], found: Iterable[Scored]) -> str | None:
    """Why the two cannot be compared, or None."""
    wanted, there = [one.name for one in expected], [one.name for one in found]
    return None if wanted == there else f"of {len(wanted)} texts of the transcript {len(there)} were scored"


def _blind(reason: str) -> Verdict:
    return Verdict(Outcome.INVALID, (Evidence(reason),))
