"""Worse training: does the canary find held-out passages less likely than stable does, beyond a margin?

Compared are nats per character, not per token: tokenizers differ. Each passage is its own pair, so that hard passages
are hard for both; over the differences stands a one-sided bound on the mean (Student's t).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, sqrt
from statistics import NormalDist, fmean, stdev

from ops.quality.model import Scored, Transcript
from ops.rollout.plan import LikelihoodPlan
from ops.verdict import Evidence, Outcome, Verdict

PASSAGES_COMPUTABLE_MIN = 8
"""Below this the expansion of Student's t is off by more than a percent, and no bound is drawn at all."""


def judge_likelihood(
    passages: Sequence[Scored], texts_digest: str, stable: Transcript | None, plan: LikelihoodPlan
) -> Verdict:
    """``passages`` as the canary's replica scores them, of the texts with that digest, against stable's transcript."""
    if stable is None:
        return _answer(Outcome.INVALID, "the stable release has no reference transcript to be compared with")
    if stable.texts_digest != texts_digest:
        return _answer(Outcome.INVALID, f"{stable.release} was recorded on other texts; record it anew")
    theirs = {one.name: one.per_char for one in stable.passages if isfinite(one.per_char)}
    mine = {one.name: one.per_char for one in passages}
    if broken := sum(not isfinite(value) for value in mine.values()):
        words = f"{broken} of {len(mine)} held-out passages have no finite likelihood"
        return _answer(Outcome.FAIL, words, {"passages": len(mine), "passages_not_finite": broken})
    differences = [mine[name] - theirs[name] for name in mine if name in theirs]
    wanted = max(plan.passages_min, PASSAGES_COMPUTABLE_MIN)
    if len(differences) < wanted:
        words = f"only {len(differences)} passages can be compared, {wanted} are wanted"
        return _answer(Outcome.INCONCLUSIVE, words, {"passages": len(differences), "passages_min": wanted})
    stable_mean = fmean(theirs[name] for name in mine if name in theirs)
    if -stable_mean > plan.stable_nats_per_char_max:
        words = (
            f"{stable.release} itself finds the passages no likelier than {stable_mean:.3f} nats per character: it "
            f"does not read them (at least -{plan.stable_nats_per_char_max:g}); use texts of the models' domain"
        )
        return _answer(Outcome.INVALID, words, {"stable_nats_per_char": stable_mean})
    return _compared(differences, stable_mean, plan)


def _compared(differences: Sequence[float], stable_mean: float, plan: LikelihoodPlan) -> Verdict:
    mean = fmean(differences)
    reach = t_quantile(plan.confidence, len(differences) - 1) * stdev(differences) / sqrt(len(differences))
    margin = plan.margin_share * abs(stable_mean)
    low, high = mean - reach, mean + reach
    values: dict[str, float | int | str] = {
        "passages": len(differences), "mean_nats_per_char": mean, "lower_bound": low, "upper_bound": high,
        "margin_nats_per_char": margin, "stable_nats_per_char": stable_mean, "confidence": plan.confidence,
    }  # fmt: skip
    words = (
        f"over {len(differences)} held-out passages its log-likelihood per character differs from stable's "
        f"({stable_mean:.3f} nats) by {mean:+.4f}; with {plan.confidence:.4g} confidence by at "
    )
    limit = f"the margin of {margin:.4f} ({plan.margin_share:.3g} of stable's)"
    if high < -margin:
        return _answer(Outcome.FAIL, f"{words}most {high:+.4f}, which is worse than {limit}", values)
    if low > -margin:
        return _answer(Outcome.PASS, f"{words}least {low:+.4f}, within {limit}", values)
    return _answer(Outcome.INCONCLUSIVE, f"{words}least {low:+.4f}, so that {limit} is neither kept nor broken", values)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t, by its expansion in the normal quantile (Abramowitz and Stegun, 26.7.5)."""
    z, n = NormalDist().inv_cdf(probability), float(degrees)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _answer(outcome: Outcome, words: str, values: dict[str, float | int | str] | None = None) -> Verdict:
    return Verdict(outcome, (Evidence(words, values or {}),))
