"""Whether a target holds, by a one-sided binomial bound on the share of requests that miss it. Pure.

A p95 target says that at most 5 % of requests are slower. With so many requests and so many misses, the exact
(Clopper-Pearson) bounds of the true share decide: pass if it is shown to be at most 5 %, fail if shown to be more,
inconclusive in between, with the number of requests that would decide it at the share seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

# Not scipy.stats: its import takes half a second, in each command and each worker of a load run.
from scipy.special import betaincinv, ndtri

from ops.verdict import Evidence, Outcome, Verdict

CONFIDENCE = 0.95
P95_SHARE = 0.05
_ROUNDING = 1e-9
"""Of a bound: one request that misses 5 % shows at least 5 %, not more."""


@dataclass(frozen=True)
class Misses:
    """Of one target: so many requests, and so many that missed it, whatever the reason."""

    requests: int
    misses: int


def upper_bound(seen: Misses, confidence: float = CONFIDENCE) -> float:
    """The true share of misses is at most this, 0 to 1. Clopper and Pearson 1934."""
    if seen.misses >= seen.requests:
        return 1.0
    return float(betaincinv(seen.misses + 1, seen.requests - seen.misses, confidence))


def lower_bound(seen: Misses, confidence: float = CONFIDENCE) -> float:
    """The true share of misses is at least this, 0 to 1."""
    if not seen.misses:
        return 0.0
    return float(betaincinv(seen.misses, seen.requests - seen.misses + 1, 1 - confidence))


def judged(name: str, seen: Misses, allowed: float = P95_SHARE, confidence: float = CONFIDENCE) -> Verdict:
    """``name`` stands in the evidence: ``latency of query under 500 ms``."""
    if not seen.requests:
        return Verdict(Outcome.INCONCLUSIVE, (Evidence(f"{name}: no request was measured"),))
    high, low = upper_bound(seen, confidence), lower_bound(seen, confidence)
    share = seen.misses / seen.requests
    words = f"{name}: {seen.misses:,} of {seen.requests:,} requests missed it ({share:.2%}, {allowed:.2%} allowed)"
    values: dict[str, float | int | str] = {
        "requests": seen.requests, "misses": seen.misses, "allowed": allowed, "upper": high, "lower": low,
    }  # fmt: skip
    sure = f"with {confidence:.0%} confidence"
    if high <= allowed:
        return Verdict(Outcome.PASS, (Evidence(f"{words}; at most {high:.2%} {sure}", values),))
    if low > allowed * (1 + _ROUNDING):
        return Verdict(Outcome.FAIL, (Evidence(f"{words}; at least {low:.2%} {sure}", values),))
    more = requests_needed(seen, allowed, confidence)
    values["requests_needed"] = more
    words += f"; between {low:.2%} and {high:.2%}: about {more:,} requests in all would decide at this share"
    return Verdict(Outcome.INCONCLUSIVE, (Evidence(words, values),))


def requests_needed(seen: Misses, allowed: float, confidence: float = CONFIDENCE) -> int:
    """In all, at the share seen. By the normal approximation, and never fewer than a run without a miss needs."""
    share = seen.misses / seen.requests
    least = ceil(float(beta_least(allowed, confidence)))
    if share == allowed:
        return max(least, 100 * seen.requests)
    z = float(ndtri(confidence))
    wanted = ceil((z / (allowed - share)) ** 2 * max(share * (1 - share), allowed * (1 - allowed)))
    return max(least, wanted, seen.requests + 1)


def beta_least(allowed: float, confidence: float) -> float:
    """Requests without a miss that show at most ``allowed``: 59 for 5 %."""
    return log(1 - confidence) / log(1 - allowed)
