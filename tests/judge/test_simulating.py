"""The error rates that the judge promises, measured over whole simulated rollouts with fixed seeds."""

from __future__ import annotations

from dataclasses import replace
from math import comb
from statistics import median

import numpy as np
import pytest

from ops.judge.imagining import CellTraffic, Imagined, Source, Traffic
from ops.judge.simulating import Outage, Simulated, simulate
from ops.judge.tallying import Tally
from ops.rollout.plan import RolloutPlan
from serving.contract import GRADED, OF_STREAMS, Arm, BadEvent

CELLS = (
    CellTraffic("generation/p0o2", 0.3, 0.3, 0.02, 60.0),
    CellTraffic("completion/p0o1", 0.4, 0.2, 0.02, 20.0),
    CellTraffic("completion/p2o1", 0.1, 0.5, 0.02, 20.0, long_prompt=True),
    CellTraffic("query/p0o0", 0.2, 0.1, 0.02, 8.0),
)
AA_ROLLOUTS = 200


@pytest.fixture(scope="module")
def narrow(plan: RolloutPlan) -> RolloutPlan:
    """The reference plan with hardly any margin, where the promise of 1 % has nothing else to lean on, and its shortest
    times cut: they delay an answer and cannot change it."""
    return replace(with_margin(plan, 1.02), pace=replace(plan.pace, step_seconds_min=10.0, bake_seconds=10.0))


def with_margin(plan: RolloutPlan, margin: float) -> RolloutPlan:
    events = tuple(replace(e, margin=margin) if e.event in GRADED else e for e in plan.analysis.events)
    return replace(plan, analysis=replace(plan.analysis, events=events))


def upper_bound(hits: int, total: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound."""
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        tail = sum(comb(total, i) * rate**i * (1 - rate) ** (total - i) for i in range(hits + 1))
        low, high = (rate, high) if tail > 0.05 else (low, rate)
    return high


def run(
    plan: RolloutPlan,
    release: Imagined,
    seed: int,
    rps: float = 40.0,
    outage: Outage | None = None,
    **traffic: float,
) -> Simulated:
    return simulate(plan, Traffic(rps, CELLS, **traffic), release, np.random.default_rng(seed), outage)


def test_good_releases_are_hardly_ever_rolled_back(narrow: RolloutPlan) -> None:
    outcomes = [run(narrow, Imagined(), seed).outcome for seed in range(AA_ROLLOUTS)]
    false = outcomes.count("rolled_back")
    print(f"{false} of {AA_ROLLOUTS} rolled back; below {upper_bound(false, AA_ROLLOUTS):.2%} with 95 % confidence")
    assert upper_bound(false, AA_ROLLOUTS) <= 0.015
    assert outcomes.count("promoted") >= 0.99 * AA_ROLLOUTS  # a judge that never answers is no judge


@pytest.mark.parametrize(
    "release",
    [
        Imagined(slower=2.0),
        Imagined(failed_rate=0.10),
        Imagined(empty_rate=0.5),
        Imagined(dead=True),
    ],
    ids=["twice-as-slow", "failing", "empty", "dead"],
)
def test_clearly_bad_releases_are_rolled_back_at_the_first_step(narrow: RolloutPlan, release: Imagined) -> None:
    for seed in range(15):
        done = run(narrow, release, seed)
        assert (done.outcome, done.step) == ("rolled_back", 0), f"seed {seed}: {done}"


def test_a_release_half_as_slow_again_is_found_within_a_few_hundred_requests(plan: RolloutPlan) -> None:
    # With the margin of the reference spec.
    done = [run(plan, Imagined(slower=1.5), seed) for seed in range(20)]
    assert [one.outcome for one in done] == ["rolled_back"] * 20
    assert median(one.canary_requests for one in done) <= 150
    assert max(one.canary_requests for one in done) <= 400


def test_a_release_that_is_slow_for_long_prompts_alone_is_found(narrow: RolloutPlan) -> None:
    done = [run(narrow, Imagined(long_prompts_slower=2.0), seed) for seed in range(10)]
    assert [one.outcome for one in done] == ["rolled_back"] * 10
    assert sum("(prompts p2)" in one.reason for one in done) >= 8


def test_a_release_with_a_heavier_tail_alone_is_found(narrow: RolloutPlan) -> None:
    done = [run(narrow, Imagined(tail_rate=0.2, tail_seconds=5.0), seed) for seed in range(15)]
    assert [one.outcome for one in done] == ["rolled_back"] * 15


def test_a_dead_release_serves_few_requests(narrow: RolloutPlan) -> None:
    requests = sorted(run(narrow, Imagined(dead=True), seed).canary_requests for seed in range(20))
    assert requests[-1] <= 60


def test_a_release_within_the_margin_is_promoted(plan: RolloutPlan) -> None:
    outcomes = [run(with_margin(plan, 1.3), Imagined(slower=1.1), seed).outcome for seed in range(15)]
    assert outcomes == ["promoted"] * 15


def test_without_traffic_nothing_is_promoted_or_rolled_back(narrow: RolloutPlan) -> None:
    assert run(narrow, Imagined(), 1, rps=0.001).outcome == "paused"


def test_a_short_telemetry_outage_costs_time_and_nothing_else(narrow: RolloutPlan) -> None:
    outcomes = [run(narrow, Imagined(), seed, outage=Outage(10, 50)).outcome for seed in range(15)]
    assert outcomes == ["promoted"] * 15


def test_a_long_telemetry_outage_pauses_and_never_rolls_back_or_promotes(narrow: RolloutPlan) -> None:
    for release in (Imagined(), Imagined(dead=True)):
        assert run(narrow, release, 1, outage=Outage(0, 1e9)).outcome == "paused"


def test_a_bad_release_is_caught_once_an_outage_is_over(narrow: RolloutPlan) -> None:
    done = run(narrow, Imagined(dead=True), 1, outage=Outage(4, 40))
    assert done.outcome == "rolled_back"
    assert 40 <= done.seconds <= 60


def test_counters_of_a_gateway_are_read_as_what_they_counted(narrow: RolloutPlan) -> None:
    # Through snapshots and their differences, as a restart that never comes makes it.
    traffic = Traffic(40.0, CELLS)
    for release in (Imagined(), Imagined(slower=1.5)):
        plain = simulate(narrow, traffic, release, np.random.default_rng(5))
        assert simulate(narrow, traffic, release, np.random.default_rng(5), restarts=(1e9,)) == plain


def test_a_gateway_that_restarts_costs_a_look_and_never_a_good_release(narrow: RolloutPlan) -> None:
    traffic, restarts = Traffic(40.0, CELLS), (10.0, 15.0, 40.0)
    for seed in range(10):
        good, bad = (
            simulate(narrow, traffic, release, np.random.default_rng(seed), restarts=restarts)
            for release in (Imagined(), Imagined(slower=2.0))
        )
        assert (good.outcome, bad.outcome) == ("promoted", "rolled_back")


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_without_latency_metrics_nothing_is_promoted(narrow: RolloutPlan, slower: float) -> None:
    done = simulate(narrow, Traffic(40.0, CELLS), Imagined(slower=slower), np.random.default_rng(1), unseen=GRADED)
    assert done.outcome in ("paused", "rolled_back")
    assert "slow" not in done.blamed


def test_a_canary_alike_is_not_blamed_for_a_load_that_leaps(plan: RolloutPlan) -> None:
    surge = Traffic(40.0, CELLS, surge=1.5, surge_at_seconds=60.0)
    outcomes = [simulate(plan, surge, Imagined(), np.random.default_rng(seed)).outcome for seed in range(10)]
    assert "rolled_back" not in outcomes


def test_the_same_seed_gives_the_same_rollout(narrow: RolloutPlan) -> None:
    once, again = (run(narrow, Imagined(slower=1.5), 7) for _ in range(2))
    assert once == again


# --- What is imagined ---------------------------------------------------------------------------------------------


def counted(plan: RolloutPlan, release: Imagined, looks: int = 300, **given: float) -> dict[Arm, dict[str, float]]:
    """Shares of each arm's requests over ten minutes: ``failed``, ``slow 0.75`` (past that quantile), ..."""
    traffic = Traffic(100.0, CELLS, load_sigma=0.0, **given)
    source = Source(traffic, release, 2.0, np.random.default_rng(3))
    tally = Tally(traffic, plan.analysis.level_quantiles)
    found: dict[Arm, dict[str, float]] = {arm: {} for arm in (Arm.CANARY, Arm.STABLE)}
    for i in range(looks):
        for requests in source.next([(Arm.CANARY, 0.5), (Arm.STABLE, 0.5)], 2.0 * i):
            tally.add(requests)
    for (_, arm), counts in tally.until(2.0 * looks + 60.0).items():
        into = found[arm]
        for name in ("assigned", "finished", "streamed"):
            into[name] = into.get(name, 0) + getattr(counts, name)
        for event, count in counts.bad.items():
            into[event] = into.get(event, 0) + count
        for event, levels in counts.levels.items():
            into[event] = into.get(event, 0) + sum(levels)
            for i, quantile in enumerate(plan.analysis.level_quantiles):
                into[f"{event} {quantile:g}"] = into.get(f"{event} {quantile:g}", 0) + sum(levels[i + 1 :])
    return found


def test_imagined_traffic_spreads_over_the_levels_as_their_quantiles_say(plan: RolloutPlan) -> None:
    stable = counted(plan, Imagined())[Arm.STABLE]
    assert stable["assigned"] == pytest.approx(30_000, rel=0.03)
    for event in GRADED:
        # The sum of first token and tokens is log-normal only nearly, and tokens are whole.
        for quantile in (0.5, 0.75, 0.9):
            assert stable[f"{event} {quantile:g}"] / stable[event] == pytest.approx(1 - quantile, abs=0.06)
        could = stable["streamed"] if event in OF_STREAMS else stable["assigned"]
        assert stable[event] / could == pytest.approx(1, abs=0.01)


def test_a_slower_release_passes_the_cuts_more_often(plan: RolloutPlan) -> None:
    found = counted(plan, Imagined(slower=1.5, failed_rate=0.02))
    canary, stable = found[Arm.CANARY], found[Arm.STABLE]
    for event in (BadEvent.SLOW, BadEvent.SLOW_FIRST_TOKEN, BadEvent.SLOW_TOKENS):
        assert canary[f"{event} 0.75"] / canary[event] > 1.5 * stable[f"{event} 0.75"] / stable[event]
    assert canary["output_length 0.75"] / canary["output_length"] == pytest.approx(0.25, abs=0.04)
    assert canary["failed"] / canary["assigned"] == pytest.approx(0.0205, abs=0.004)


def test_a_dead_release_never_answers_and_is_told_apart_from_one_that_fails(plan: RolloutPlan) -> None:
    canary = counted(plan, Imagined(dead=True), looks=20)[Arm.CANARY]
    assert canary["unanswered"] == pytest.approx(canary["assigned"], rel=0.01)
    assert canary["slow 0.98"] == canary["slow"] == pytest.approx(canary["assigned"])


def test_longer_answers_show_in_their_length_and_in_the_time_of_the_whole(plan: RolloutPlan) -> None:
    found = counted(plan, Imagined(longer=1.5))
    canary, stable = found[Arm.CANARY], found[Arm.STABLE]
    assert canary["output_length 0.75"] > 2 * stable["output_length 0.75"]
    assert canary["slow 0.75"] > 1.5 * stable["slow 0.75"]
    assert canary["slow_tokens 0.75"] == pytest.approx(stable["slow_tokens 0.75"], rel=0.1)
