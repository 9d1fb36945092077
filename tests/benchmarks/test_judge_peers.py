"""The peers are what their description says: golden figures, rules of counting, and what missing data does."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isclose, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.judge.contenders import CONTENDERS, stages
from benchmarks.judge.intervals import clopper_pearson, quantile
from benchmarks.judge.peers import argo, flagger, kayenta
from benchmarks.judge.peers.answer import Verdict
from benchmarks.judge.peers.brent import root
from benchmarks.judge.peers.mann_whitney import shift, statistic
from benchmarks.judge.running import PeerTask, peer_trials
from benchmarks.judge.scenarios import AA, SCENARIOS, Scenario
from benchmarks.judge.traffic import TUNING
from serving.contract import WEIGHT_TOTAL, Arm

CHANCE = np.random.default_rng(0)


def points(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


# --- Mann and Whitney, Brent ------------------------------------------------------------------------------------------


def test_kayentas_golden_case_is_reproduced_to_the_last_digits() -> None:
    # spinnaker#6278: seven of ten points at a hundred times the control, and the interval still begins at 0.
    found = shift(points(*[100.0] * 7, *[1.0] * 3), np.ones(10))
    assert isclose(found.low, 6.825022991538781e-5, rel_tol=1e-12)
    assert found.high == 99
    assert isclose(found.estimate, 98.99992904, abs_tol=1e-7)


def test_that_case_passes_as_it_does_there() -> None:
    metric = kayenta.compared("latency", [100.0] * 7 + [1.0] * 3, [1.0] * 10, CHANCE)
    assert kayenta.classified(metric, 1.0) is kayenta.Class.PASS


def test_the_statistic_by_hand() -> None:
    # Ranks of 3 and 4 among 1, 2, 3, 4 are 3 and 4: R = 7, d = 7 - 3 - 2 = 2; variance 4/12 * 5.
    assert isclose(statistic(points(3, 4), points(1, 2), 0.0), 1.5 / (4 / 12 * 5) ** 0.5)


def test_ties_share_their_ranks_and_lower_the_variance() -> None:
    # 1, 1 | 1, 2: three ties of rank 2: R = 4, d = 4 - 3 - 2 = -1; variance 4/12 * (5 - 24/12).
    assert isclose(statistic(points(1, 1), points(1, 2), 0.0), -0.5 / (4 / 12 * (5 - 24 / 12)) ** 0.5)


@given(st.lists(st.floats(0, 100), min_size=3, max_size=20), st.floats(-50, 50))
def test_the_estimate_of_a_shifted_copy_is_the_shift(values: list[float], by: float) -> None:
    spread = points(*values) + np.arange(len(values)) * 0.37
    found = shift(spread + by, spread)
    assert abs(found.estimate - by) <= max(np.diff(np.sort(spread)).max(), 1e-3) + 1e-3
    assert found.low <= found.estimate + 1e-3
    assert found.high >= found.estimate - 1e-3


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (-1.0, 2.0), (1.0, 100.0)])
def test_a_root_is_found_to_the_tolerance(low: float, high: float) -> None:
    assert root(lambda x: x**3 - 2, low, high, 1e-9) == pytest.approx(2 ** (1 / 3), abs=1e-8)


# --- Kayenta -------------------------------------------------------------------------------------------------------


def noisy(level: float, count: int = 20) -> list[float]:
    return [level * (1 + 0.01 * (i % 7)) for i in range(count)]


def test_a_clear_increase_is_high_and_a_decrease_passes() -> None:
    assert kayenta.classified(kayenta.compared("m", noisy(2.0), noisy(1.0), CHANCE), 1.0) is kayenta.Class.HIGH
    assert kayenta.classified(kayenta.compared("m", noisy(1.0), noisy(2.0), CHANCE), 1.0) is kayenta.Class.PASS


def test_an_increase_below_the_allowed_one_passes() -> None:
    metric = kayenta.compared("m", noisy(1.2), noisy(1.0), CHANCE)
    assert kayenta.classified(metric, 1.0) is kayenta.Class.HIGH
    assert kayenta.classified(metric, 1.25) is kayenta.Class.PASS


def test_identical_and_constant_series_pass_and_unlike_constants_do_not() -> None:
    for x, y in ((noisy(1.0), noisy(1.0)[::-1]), ([3.0] * 5, [3.0] * 9)):
        assert kayenta.classified(kayenta.compared("m", x, y, CHANCE), 1.0) is kayenta.Class.PASS
    assert kayenta.classified(kayenta.compared("m", [3.0] * 20, [1.0] * 20, CHANCE), 1.0) is kayenta.Class.HIGH


def test_nan_are_removed_and_nothing_left_is_no_data() -> None:
    assert kayenta.classified(kayenta.compared("m", [nan, *noisy(2.0)], noisy(1.0), CHANCE), 1.0) is kayenta.Class.HIGH
    assert kayenta.classified(kayenta.compared("m", [nan] * 5, noisy(1.0), CHANCE), 1.0) is kayenta.Class.NODATA


@pytest.mark.parametrize(
    ("classes", "critical", "score"),
    [
        ("pass pass pass", "", 100.0),
        ("pass high pass", "", 66.67),
        ("high pass pass", "0", 0.0),
        ("nodata pass pass", "", 100.0),
        ("nodata pass pass", "0", 0.0),
        ("nodata nodata pass", "", 0.0),
    ],
)
def test_the_score_is_the_share_that_passes_unless_a_critical_one_does_not(
    classes: str, critical: str, score: float
) -> None:
    must = [str(i) in critical for i in range(3)]
    assert kayenta.score([kayenta.Class(name) for name in classes.split()], must) == score


# --- Argo Rollouts --------------------------------------------------------------------------------------------------


def argo_answer(values: Sequence[float | None], limit: int, interval: float = 60.0) -> tuple[Verdict, float]:
    """Of a metric that measures these, one after another, against at most 1; the last is repeated."""
    left = list(values)

    def measured(start: float, end: float) -> float | None:
        assert end > start
        return left.pop(0) if len(left) > 1 else left[0]

    found = argo.analysed((argo.Metric("latency", measured, 1.0),), argo.Settings(interval, limit), 1200.0)
    return found.verdict, found.seconds


@pytest.mark.parametrize(
    ("values", "limit", "answer"),
    [
        ([0.5], 0, (Verdict.PROMOTED, 1200.0)),
        ([0.5, 2.0, 0.5], 0, (Verdict.ROLLED_BACK, 120.0)),
        ([0.5, 2.0, 0.5], 1, (Verdict.PROMOTED, 1200.0)),
        ([2.0, 0.5, 2.0, 0.5], 1, (Verdict.ROLLED_BACK, 180.0)),
        ([nan, 0.5], 0, (Verdict.ROLLED_BACK, 60.0)),
    ],
)
def test_argo_aborts_when_more_measurements_fail_than_its_limit(
    values: list[float], limit: int, answer: tuple[Verdict, float]
) -> None:
    assert argo_answer(values, limit) == answer


def test_argo_asks_again_after_an_error_and_aborts_at_the_fifth_in_a_row() -> None:
    assert argo_answer([0.5, None], 0) == (Verdict.ROLLED_BACK, 120.0 + 4 * argo.ERROR_RETRY_SECONDS)
    assert argo_answer([None, None, None, None, 0.5], 0) == (Verdict.PROMOTED, 1200.0)


def test_argos_first_failing_metric_decides() -> None:
    metrics = (argo.Metric("latency", lambda *_: 2.0, 1.0), argo.Metric("errors", lambda *_: 0.0, 1.0))
    assert argo.analysed(metrics, argo.Settings(60.0, 2), 1200.0).blamed == ("latency",)


# --- Flagger --------------------------------------------------------------------------------------------------------


def flagger_answer(values: Sequence[float | None], threshold: int) -> tuple[Verdict, float]:
    left = list(values)

    def measured(place: int, start: float, end: float) -> float | None:
        return left.pop(0) if len(left) > 1 else left[0]

    check = flagger.Check("latency", measured, 1.0)
    found = flagger.analysed([check], flagger.Settings(60.0, threshold), 10, 40)
    return found.verdict, found.seconds


@pytest.mark.parametrize(
    ("values", "threshold", "answer"),
    [
        ([0.5], 1, (Verdict.PROMOTED, 600.0)),
        ([0.5, 2.0, 0.5], 1, (Verdict.ROLLED_BACK, 180.0)),  # on the tick after
        ([0.5, 2.0, 0.5], 2, (Verdict.PROMOTED, 660.0)),  # a breach costs a tick
        ([2.0, 0.5, 0.5, 2.0, 0.5], 2, (Verdict.ROLLED_BACK, 300.0)),  # and is never forgotten
        ([None, nan, 0.5], 2, (Verdict.ROLLED_BACK, 180.0)),  # no answer and no data are breaches
    ],
)
def test_flagger_counts_breaches_over_the_whole_rollout(
    values: list[float | None], threshold: int, answer: tuple[Verdict, float]
) -> None:
    assert flagger_answer(values, threshold) == answer


def test_flagger_gives_up_waiting_where_its_ticks_end() -> None:
    check = flagger.Check("latency", lambda *_: inf, 1.0)
    assert flagger.analysed([check], flagger.Settings(60.0, 99), 10, 40).verdict is Verdict.PAUSED


# --- All of them on one recorded rollout ----------------------------------------------------------------------------


@pytest.mark.parametrize("judge", ["Argo", "Flagger", "Kayenta"])
def test_every_setting_answers_and_none_promotes_a_dead_release(judge: str) -> None:
    dead = next(scenario for scenario in SCENARIOS if scenario.key == "dead")
    found = peer_trials(PeerTask(judge, dead, TUNING, 20.0, 1))
    assert set(found) == {contender for contender in CONTENDERS if contender.judge == judge}
    assert {trial.outcome for trial in found.values()} == {"rolled_back"}
    assert all(0 < trial.canary_bad <= trial.canary_requests for trial in found.values())


def test_a_rollout_is_the_same_whenever_it_is_drawn_again() -> None:
    once, again = (peer_trials(PeerTask("Argo", AA, TUNING, 20.0, 7)) for _ in range(2))
    assert once == again
    assert once != peer_trials(PeerTask("Argo", AA, TUNING, 20.0, 8))


@pytest.mark.parametrize("judge", ["Argo", "Flagger", "Kayenta"])
@pytest.mark.parametrize("stable", [False, True])
def test_weights_of_a_stage_are_shares_of_all_requests(judge: str, stable: bool) -> None:
    for stage in stages(judge, stable):
        assert 0 < stage.canary + stage.reference_share <= 1 + 1e-9
        assert stage.reference is not Arm.CANARY
    assert round(stages(judge, stable)[-1].canary * WEIGHT_TOTAL) == WEIGHT_TOTAL // 2


def test_scenarios_are_told_apart_by_their_keys_and_the_bad_ones_name_what_may_be_blamed() -> None:
    assert len({scenario.key for scenario in SCENARIOS}) == len(SCENARIOS)
    bad: list[Scenario] = [scenario for scenario in SCENARIOS if not scenario.good]
    assert bad
    assert all(scenario.blame for scenario in bad)


# --- Intervals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 2000, 0.0, 0.001843), (5, 100, 0.01643, 0.11283), (100, 100, 0.96378, 1.0), (0, 10, 0.0, 0.30850)],
)
def test_the_exact_interval_is_clopper_and_pearsons(hits: int, total: int, low: float, high: float) -> None:
    assert clopper_pearson(hits, total) == pytest.approx((low, high), abs=1e-4)


def test_a_quantile_is_a_value_that_was_there() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0], 0.99) == 3.0
    assert quantile([float(i) for i in range(1, 101)], 0.99) == 99.0
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
