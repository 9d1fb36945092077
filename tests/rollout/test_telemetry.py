"""What a controller tells of rollouts, from rollouts that ran in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import World, release
from ops.adapters import controller_metrics
from ops.adapters.controller_metrics import LOG10_MAX
from ops.judge.model import Decision
from ops.rollout import metric_names as names
from ops.rollout.controlling import Controller, Surroundings
from ops.rollout.decided import Decided
from ops.rollout.record import ReplicaQuality
from ops.rollout.states import State
from ops.rollout.telemetry import TICK_BOUNDS_SECONDS, Telemetry, TickFailure, TierTelemetry
from ops.store.leadership import Leadership
from ops.verdict import Evidence, Outcome, Verdict

Build = Callable[..., World]
Values = dict[frozenset[tuple[str, str]], float]


@pytest.fixture
def rolled_back(world: Build) -> World:
    made = world(behaviours={"next": Behaviour(failed_rate=0.5)})
    made.begin(release("next"))
    assert made.to_the_end() is State.ROLLED_BACK
    return made


def as_if(world: World, **changes: Any) -> Decided:
    """The last rollout with its last look, as it might be decided on."""
    assert world.rollout is not None
    return Decided(world.tier, replace(world.rollout, **changes), look=world.looks[-1].look)


@pytest.fixture
def leader() -> Controller:
    nowhere: Any = None
    around = Surroundings(nowhere, "", nowhere, (), nowhere, ("production", "edge"), ())
    controller = Controller(around, "one")
    controller.leadership = Leadership(nowhere, term=7)
    controller.telemetry.lead_began(1000.0)
    return controller


def shown(controller: Controller) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(controller_metrics.render(controller).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def of(values: Values, **labels: str) -> float:
    return values[frozenset(labels.items())]


def test_each_look_and_each_end_is_counted_once(rolled_back: World) -> None:
    told = TierTelemetry()
    told.decided(as_if(rolled_back, state=State.ANALYSING), frozen=False)
    assert told.rollout is not None
    assert told.events == rolled_back.looks[-1].look.events
    told.decided(replace(as_if(rolled_back), look=None, entries=(rolled_back.journal[-1][1],)), frozen=True)
    assert told.looks == {**dict.fromkeys(Decision, 0), rolled_back.looks[-1].look.decision: 1}
    assert told.ended == {State.PROMOTED: 0, State.ROLLED_BACK: 1, State.REFUSED: 0}
    assert (told.rollout, told.events, told.frozen) == (None, (), True)
    told.decided(Decided(rolled_back.tier, None), frozen=False)
    assert told.ended[State.ROLLED_BACK] == 1


def test_a_new_lead_knows_nothing_of_rollouts_and_keeps_its_counts(rolled_back: World) -> None:
    telemetry = Telemetry(["production"])
    tier = telemetry.tiers["production"]
    tier.decided(as_if(rolled_back, state=State.ANALYSING), frozen=False)
    telemetry.lead_began(5.0)
    assert (tier.seen, tier.rollout, tier.events) == (False, None, ())
    assert sum(tier.looks.values()) == 1


def test_a_tick_is_counted_by_how_long_it_took_and_what_failed() -> None:
    telemetry = Telemetry([])
    telemetry.ticked(TICK_BOUNDS_SECONDS[0], 100.0, [])
    telemetry.ticked(60.0, 160.0, [TickFailure.REPLICAS, TickFailure.DATABASE])
    assert (telemetry.ticks, telemetry.last_tick_at, telemetry.database_up) == (2, 100.0, False)
    assert (telemetry.tick_counts[0], telemetry.tick_counts[-1], telemetry.tick_seconds) == (1, 1, 60.01)
    assert telemetry.failures == {TickFailure.DATABASE: 1, TickFailure.REPLICAS: 1, TickFailure.FENCED: 0}


def test_a_canary_is_shown_with_weight_blindness_and_evidence(leader: Controller, rolled_back: World) -> None:
    decided = as_if(rolled_back, state=State.ANALYSING, served_step=1, blind_since=0.0)
    leader.telemetry.tiers["production"].decided(decided, frozen=False)
    found = shown(leader)
    assert of(found[names.STATE], tier="production", state="analysing") == 1
    assert of(found[names.STATE], tier="production", state=names.NO_ROLLOUT) == 0
    assert ("tier", "edge") not in {label for labels in found[names.STATE] for label in labels}, "not decided on yet"
    assert of(found[names.STEP_WEIGHT], tier="production") == decided.running.plan.steps[1].weight / 10_000
    assert of(found[names.BLIND], tier="production") > 1e9, "since 1970"
    worse = of(found[names.EVIDENCE], tier="production", event="failed", direction="worse")
    assert worse > of(found[names.EVIDENCE_NEEDED], tier="production", event="failed", direction="worse")
    assert all(abs(value) <= LOG10_MAX for value in found[names.EVIDENCE].values())
    assert of(found[f"{names.LOOKS}_total"], tier="production", answer="roll_back") == 1


def test_what_the_quality_probe_found_is_shown_by_its_gravest(leader: Controller, rolled_back: World) -> None:
    sound, damaged = (Verdict(outcome, (Evidence("words"),)) for outcome in (Outcome.PASS, Outcome.FAIL))
    quality = {"one": ReplicaQuality(50.0, sound, sound), "two": ReplicaQuality(40.0, damaged, sound)}
    decided = as_if(rolled_back, state=State.ANALYSING, quality=quality)
    leader.telemetry.tiers["production"].decided(decided, frozen=False)
    found = shown(leader)
    verdicts = {dict(key)["judgement"]: dict(key)["outcome"] for key, value in found[names.QUALITY].items() if value}
    assert verdicts == {"damage": "fail", "likelihood": "pass"}
    assert of(found[names.QUALITY_PROBED], tier="production") == 40.0
