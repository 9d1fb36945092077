"""The error rates that the judge promises, measured over whole simulated rollouts with fixed seeds."""

from __future__ import annotations

from dataclasses import replace
from math import comb
from random import Random

import pytest

from ops.judge.evidence import Fallen, Profile, observe, worse_than
from ops.judge.imagining import CellTraffic, Imagined, Source, Traffic
from ops.judge.simulating import Outage, Simulated, simulate
from ops.rollout.plan import RolloutPlan
from serving.contract import Arm, BadEvent

CELLS = (
    CellTraffic("generation/p0o2", 0.4, 0.9),
    CellTraffic("completion/p0o1", 0.4, 0.4),
    CellTraffic("query/p0o0", 0.2, 0.15),
)
AA_ROLLOUTS = 2000


@pytest.fixture(scope="module")
def looked_every_2_seconds(plan: RolloutPlan) -> RolloutPlan:
    """The reference plan, its shortest times cut: they delay an answer and cannot change it."""
    return replace(plan, pace=replace(plan.pace, look_seconds=2.0, step_seconds_min=10.0, bake_seconds=10.0))


def upper_bound(hits: int, total: int) -> float:
    """Clopper and Pearson's one-sided 95 % bound."""
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        tail = sum(comb(total, i) * rate**i * (1 - rate) ** (total - i) for i in range(hits + 1))
        low, high = (rate, high) if tail > 0.05 else (low, rate)
    return high


def run(plan: RolloutPlan, release: Imagined, seed: int, rps: float = 40.0, **traffic: float) -> Simulated:
    return simulate(plan, Traffic(rps, CELLS, **traffic), release, Random(seed))


def test_at_most_one_percent_of_good_releases_are_rolled_back(looked_every_2_seconds: RolloutPlan) -> None:
    plan, traffic = looked_every_2_seconds, Traffic(40.0, CELLS, streamed_share=1.0)
    outcomes = [simulate(plan, traffic, Imagined(), Random(seed)).outcome for seed in range(AA_ROLLOUTS)]
    false = outcomes.count("rolled_back")
    print(f"{false} of {AA_ROLLOUTS} rolled back; below {upper_bound(false, AA_ROLLOUTS):.2%} with 95 % confidence")
    assert upper_bound(false, AA_ROLLOUTS) <= 0.01
    assert outcomes.count("promoted") >= 0.99 * AA_ROLLOUTS  # a judge that never answers is no judge


def test_a_canary_exactly_at_the_margin_is_rolled_back_no_more_often_than_promised(plan: RolloutPlan) -> None:
    # The hardest of the good ones, with shares and rates read from the counts, three cells and 400 looks.
    alpha, runs, false = 0.05, 400, 0
    for seed in range(runs):
        chance, profile, boundary = Random(seed), Profile(), worse_than(1.5)
        canary, reference, reference_bad = [0, 0, 0], [0, 0, 0], [0, 0, 0]
        for i in range(400):
            cell, bad = i % 3, [0, 0]
            rate = (reference_bad[cell] + 0.5) / (reference[cell] + 2)
            for _ in range(chance.randint(1, 5)):
                arm = int(chance.random() < 0.5)
                (canary if arm else reference)[cell] += 1
                bad[arm] += chance.random() < (3 / 11 if arm else 0.2)  # odds of 0.375 and 0.25
            share = canary[cell] / (canary[cell] + reference[cell])
            profile = observe(profile, boundary, Fallen(bad[1], bad[0], share, rate))
            reference_bad[cell] += bad[0]
            if profile.e_value >= 1 / alpha:
                false += 1
                break
    assert false <= alpha * runs


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
def test_clearly_bad_releases_are_rolled_back_at_the_first_step(
    looked_every_2_seconds: RolloutPlan, release: Imagined
) -> None:
    for seed in range(25):
        done = run(looked_every_2_seconds, release, seed)
        assert (done.outcome, done.step) == ("rolled_back", 0), f"seed {seed}: {done}"


def test_a_dead_release_serves_few_bad_answers(looked_every_2_seconds: RolloutPlan) -> None:
    requests = sorted(run(looked_every_2_seconds, Imagined(dead=True), seed).canary_requests for seed in range(50))
    assert requests[-1] <= 150


def test_without_traffic_nothing_is_promoted_or_rolled_back(looked_every_2_seconds: RolloutPlan) -> None:
    done = run(looked_every_2_seconds, Imagined(), 1, rps=0.001)
    assert done.outcome == "paused"


def test_a_short_telemetry_outage_costs_time_and_nothing_else(looked_every_2_seconds: RolloutPlan) -> None:
    traffic = Traffic(40.0, CELLS)
    outcomes = [
        simulate(looked_every_2_seconds, traffic, Imagined(), Random(seed), Outage(10, 50)).outcome
        for seed in range(25)
    ]
    assert outcomes == ["promoted"] * 25


def test_a_long_telemetry_outage_pauses_and_never_rolls_back_or_promotes(
    looked_every_2_seconds: RolloutPlan,
) -> None:
    traffic = Traffic(40.0, CELLS)
    for release in (Imagined(), Imagined(dead=True)):
        done = simulate(looked_every_2_seconds, traffic, release, Random(1), Outage(0, 1e9))
        assert done.outcome == "paused"


def test_a_bad_release_is_caught_once_an_outage_is_over(looked_every_2_seconds: RolloutPlan) -> None:
    done = simulate(looked_every_2_seconds, Traffic(40.0, CELLS), Imagined(dead=True), Random(1), Outage(4, 40))
    assert done.outcome == "rolled_back"
    assert 40 <= done.seconds <= 60


def test_the_same_seed_gives_the_same_rollout(looked_every_2_seconds: RolloutPlan) -> None:
    once, again = (run(looked_every_2_seconds, Imagined(slower=1.5), 7) for _ in range(2))
    assert once == again


def test_imagined_traffic_is_what_it_says() -> None:
    source = Source(Traffic(100.0, CELLS, load_sigma=0.0, failed_rate=0.02), Imagined(slower=1.5), 2.0, 0.75, Random(3))
    assigned, slow, failed = dict.fromkeys(Arm, 0), dict.fromkeys(Arm, 0), dict.fromkeys(Arm, 0)
    for _ in range(200):
        for (_, arm), counts in source.next([(Arm.CANARY, 0.5), (Arm.STABLE, 0.5)], 0.0).items():
            assigned[arm] += counts.assigned
            slow[arm] += counts.bad.get(BadEvent.SLOW, 0)
            failed[arm] += counts.bad.get(BadEvent.FAILED, 0)
    assert assigned[Arm.STABLE] == pytest.approx(20_000, rel=0.03)
    # A quarter by construction; with sigma 0.5, 1.5 times slower moves it to 1 - Phi(0.674 - ln 1.5 / 0.5) = 55 %.
    assert slow[Arm.STABLE] / assigned[Arm.STABLE] == pytest.approx(0.25, abs=0.02)
    assert slow[Arm.CANARY] / assigned[Arm.CANARY] == pytest.approx(0.55, abs=0.02)
    assert failed[Arm.CANARY] / assigned[Arm.CANARY] == pytest.approx(0.02, abs=0.005)
