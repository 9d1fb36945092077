"""The bound decides exactly where the binomial distribution says, and no verdict is greener than its evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ops.loadtest.verdicts import Misses, judged, lower_bound, requests_needed, upper_bound
from ops.verdict import Outcome

SEEN = st.integers(1, 5000).flatmap(lambda requests: st.builds(Misses, st.just(requests), st.integers(0, requests)))
SHARES = st.floats(0.0005, 0.5)


@pytest.mark.parametrize(
    ("requests", "misses", "allowed", "outcome"),
    [
        (59, 0, 0.05, Outcome.PASS),
        (58, 0, 0.05, Outcome.INCONCLUSIVE),
        (1000, 38, 0.05, Outcome.PASS),
        (1000, 39, 0.05, Outcome.INCONCLUSIVE),
        (1000, 62, 0.05, Outcome.INCONCLUSIVE),
        (1000, 63, 0.05, Outcome.FAIL),
        (2995, 0, 0.001, Outcome.PASS),
        (2994, 0, 0.001, Outcome.INCONCLUSIVE),
        (0, 0, 0.05, Outcome.INCONCLUSIVE),
        (1, 1, 0.05, Outcome.INCONCLUSIVE),
        (2, 2, 0.05, Outcome.FAIL),
    ],
)
def test_the_verdict_turns_where_it_should(requests, misses, allowed, outcome):
    assert judged("x", Misses(requests, misses), allowed).outcome is outcome


@given(SEEN, SHARES)
def test_pass_and_fail_agree_with_the_binomial_test(seen, allowed):
    outcome = judged("x", seen, allowed).outcome
    # Were the true share just what is allowed: the chance to see so few misses, and so many.
    few, many = binom.cdf(seen.misses, seen.requests, allowed), binom.sf(seen.misses - 1, seen.requests, allowed)
    if abs(few - 0.05) > 1e-9 and abs(many - 0.05) > 1e-9:
        assert (outcome is Outcome.PASS) == (few <= 0.05)
        assert (outcome is Outcome.FAIL) == (many < 0.05)


@given(SEEN)
def test_the_share_seen_lies_between_the_bounds(seen):
    share = seen.misses / seen.requests
    assert lower_bound(seen) <= share + 1e-12
    assert share <= upper_bound(seen) + 1e-12


@given(SEEN, SHARES)
def test_one_more_miss_is_never_better(seen, allowed):
    order = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    worse = Misses(seen.requests, min(seen.requests, seen.misses + 1))
    assert order.index(judged("x", worse, allowed).outcome) >= order.index(judged("x", seen, allowed).outcome)


@given(SEEN, SHARES)
def test_more_requests_than_were_made_are_asked_for(seen, allowed):
    verdict = judged("x", seen, allowed)
    if verdict.outcome is Outcome.INCONCLUSIVE:
        assert verdict.evidence[0].values["requests_needed"] > seen.requests


@pytest.mark.parametrize(("requests", "misses"), [(200, 7), (200, 14), (58, 0), (400, 26)])
def test_as_many_as_are_asked_for_decide_at_the_share_seen(requests, misses):
    seen = Misses(requests, misses)
    needed = requests_needed(seen, 0.05, 0.95)
    more = Misses(2 * needed, round(2 * needed * misses / requests))
    assert judged("x", more).outcome in (Outcome.PASS, Outcome.FAIL)
