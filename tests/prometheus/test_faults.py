"""Whatever Prometheus does wrong is a blindness with its reason: it never advances, and alone never rolls back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields
from structlog.testing import capture_logs

from benchmarks.rollout_world import World, release
from ops.adapters.prometheus import PrometheusCounters
from ops.adapters.spec_file import load_spec
from ops.judge.model import Decision
from ops.rollout.counted import CountersError
from ops.rollout.plan import RolloutPlan, Then
from ops.rollout.planning import rollout_plan
from ops.rollout.states import State
from serving import contract

from .fake import JOB, AnySeries, FakePrometheus, body_of, series_of

pytestmark = pytest.mark.server

SPEC = load_spec(Path(__file__).parents[2] / "gratefulgpt.yaml")
JSON = "application/json"


@pytest.fixture
def plan() -> RolloutPlan:
    """Development's pace; blind for a few looks is long enough here."""
    reference = rollout_plan(SPEC, "development", "production")
    return replace(reference, stable_replicas=2, blind_seconds_max=12.0)


@pytest.fixture
def build(fake: FakePrometheus) -> Iterator[Callable[..., World]]:
    """Worlds whose judge reads the fake Prometheus, which scrapes their workers at each tick."""
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    made: list[World] = []

    def one(plan: RolloutPlan) -> World:
        world = World(plan, source=source)
        made.append(world)
        fake.series = lambda: scraped(world)
        world.begin(release("next"))
        return world

    with capture_logs():
        yield one
    source.close()
    for world in made:
        world.close()


def scraped(world: World, at: float | None = None) -> list[AnySeries]:
    """All workers, now."""
    snapshots = [asyncio.run(gateway.counters()) for gateway in world.gateways]
    return [
        series
        for number, snapshot in enumerate(snapshots)
        for series in series_of(
            with_fields(snapshot, at_unix_seconds=world.now if at is None else at), target=f"10.0.0.{number}:1"
        )
    ]


def edited(world: World, name: str, edit: Callable[[AnySeries], None]) -> list[AnySeries]:
    series = scraped(world)
    edit(next(one for one in series if one["metric"]["__name__"] == name))
    return series


def answering(status: int, kind: str, body: bytes) -> Callable[[FakePrometheus, World], None]:
    def harm(fake: FakePrometheus, world: World) -> None:
        fake.answer = lambda: (status, kind, body)

    return harm


def keeping(series: Callable[[World], list[AnySeries]]) -> Callable[[FakePrometheus, World], None]:
    def harm(fake: FakePrometheus, world: World) -> None:
        fake.series = lambda: series(world)

    return harm


def valued(text: str) -> Callable[[FakePrometheus, World], None]:
    def edit(series: AnySeries) -> None:
        series["values"][-1][1] = text

    return keeping(lambda world: edited(world, f"{contract.METRIC_ASSIGNED}_total", edit))


def warned(fake: FakePrometheus, world: World) -> None:
    fake.answer = lambda: (200, JSON, body_of(scraped(world), warnings=["a store did not answer"]))


def frozen(fake: FakePrometheus, world: World) -> None:
    kept = scraped(world)
    fake.series = lambda: kept


def crowded(fake: FakePrometheus, world: World) -> None:
    body = body_of([{"metric": {"__name__": "x"}, "values": []}] * 50_001)
    fake.answer = lambda: (200, JSON, body)


def hung_up(fake: FakePrometheus, world: World) -> None:
    fake.hang_up = True


def without(name: str) -> Callable[[FakePrometheus, World], None]:
    return keeping(lambda world: [one for one in scraped(world) if one["metric"]["__name__"] != name])


def of_others(world: World) -> list[AnySeries]:
    """Another namespace's workers of the same names, in the same job."""
    series = scraped(world)
    for one in series:
        if "exported_instance" in one["metric"]:
            one["metric"]["exported_instance"] += "-elsewhere"
    return series


ERROR = json.dumps({"status": "error", "errorType": "execution", "error": "query processing would load too many"})
FAULTS: dict[str, tuple[Callable[[FakePrometheus, World], None], str]] = {
    "empty": (keeping(lambda world: []), "no recent samples of the gateway's job"),
    "nan": (valued("NaN"), "which is no count"),
    "not-an-integer": (valued("7.25"), "which is no count"),
    "500": (answering(500, "text/plain", b"broken"), "answered 500"),
    "503-with-json": (answering(503, JSON, ERROR.encode()), "503 with an error: query processing"),
    "html": (answering(200, "text/html", b"<html>log in</html>"), "something else than its API's JSON"),
    "a-redirect": (answering(302, "text/html", b""), "answered 302"),
    "status-error": (answering(200, JSON, ERROR.encode()), "with an error: query processing would load"),
    "success-without-data": (answering(200, JSON, b'{"status": "success"}'), "something else than its API's JSON"),
    "warnings": (warned, "may lack data: a store did not answer"),
    "hangs-up": (hung_up, "cannot be reached"),
    "old-samples": (frozen, "s old"),
    "samples-of-the-future": (keeping(lambda world: scraped(world, world.now + 30)), "30 s in the future"),
    "stale-markers": (without(f"{contract.METRIC_ASSIGNED}_total"), "is not whole"),
    "a-metric-dropped": (without(f"{contract.METRIC_FINISHED}_total"), "is not whole"),
    "scraped-twice": (
        keeping(lambda world: [*scraped(world), *[_elsewhere(one) for one in scraped(world)]]),
        "scrapes it more than once",
    ),
    "another-namespace": (keeping(of_others), "not yet scraped the process that runs now"),
    "too-many": (crowded, "50,000 are the limit"),
}


def _elsewhere(series: AnySeries) -> AnySeries:
    return {**series, "metric": {**series["metric"], "namespace": "copy"}}


def blind_reasons(world: World) -> str:
    return "\n".join(
        item.text for one in world.looks if one.look.decision is Decision.BLIND for item in one.look.verdict.evidence
    )


@pytest.mark.parametrize("then", list(Then))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_blinds_and_past_the_limit_does_what_the_spec_says(
    fake: FakePrometheus, build: Callable[..., World], plan: RolloutPlan, fault: str, then: Then
) -> None:
    world = build(replace(plan, blind_then=then))
    world.run(until=State.ANALYSING)
    world.run(seconds=4)
    step, (harm, words) = world.rollout.served_step if world.rollout else None, FAULTS[fault]
    harm(fake, world)
    world.run(seconds=plan.blind_seconds_max - 4)
    assert world.rollout is not None
    assert (world.state, world.rollout.served_step) == (State.ANALYSING, step), "blind alone decides nothing"
    world.run(seconds=30)
    expected = State.PAUSED if then is Then.PAUSE else State.ROLLED_BACK
    assert world.state is expected, world.story()
    assert words in blind_reasons(world)
    assert f"blind for more than {plan.blind_seconds_max:g} s" in world.story()


def test_an_honest_prometheus_promotes_a_good_release(build: Callable[..., World], plan: RolloutPlan) -> None:
    world = build(plan)
    assert world.to_the_end() is State.PROMOTED
    assert "gave no counters" not in blind_reasons(world)


@pytest.mark.parametrize("fault", ["500", "nan", "samples-of-the-future", "stale-markers"])
def test_a_fault_that_passes_costs_time_alone(
    fake: FakePrometheus, build: Callable[..., World], plan: RolloutPlan, fault: str
) -> None:
    world = build(plan)
    world.run(until=State.ANALYSING)
    FAULTS[fault][0](fake, world)
    world.run(seconds=6)
    fake.answer, fake.series = None, lambda: scraped(world)
    assert world.to_the_end() is State.PROMOTED


def test_a_neighbour_with_the_same_names_is_passed_over(
    fake: FakePrometheus, build: Callable[..., World], plan: RolloutPlan
) -> None:
    world = build(plan)
    world.run(until=State.ANALYSING)
    fake.series = lambda: [*scraped(world), *[_elsewhere(one) for one in of_others(world)]]
    assert world.to_the_end() is State.PROMOTED
    assert blind_reasons(world) == ""


def test_a_worker_that_restarts_is_waited_for_and_then_read_from_zero(
    fake: FakePrometheus, build: Callable[..., World], plan: RolloutPlan
) -> None:
    world = build(plan)
    world.run(until=State.ANALYSING)
    world.run(seconds=4)
    kept = scraped(world)
    world.gateways[0].restart()
    fake.series = lambda: kept
    world.run(seconds=3)
    assert "not yet scraped the process that runs now" in blind_reasons(world)
    fake.series = lambda: scraped(world)
    assert world.to_the_end() is State.PROMOTED
    assert "was restarted" in blind_reasons(world)


def counted_in_this_epoch(world: World) -> bool:
    """Whether a look has something of the table in force that could go backwards; a new table begins at nothing."""
    bases = world.rollout.judge.bases.values() if world.rollout else ()
    return any(cell.epoch == world.tier.epoch and cell.assigned for base in bases for cell in base.cells)


def test_a_reset_without_a_restart_blinds_and_is_the_next_base(
    fake: FakePrometheus, build: Callable[..., World], plan: RolloutPlan
) -> None:
    world = build(plan)
    world.run(until=State.ANALYSING)
    world.run(until=lambda: counted_in_this_epoch(world))
    fake.series = lambda: [
        series
        for number, gateway in enumerate(world.gateways)
        for series in series_of(with_fields(asyncio.run(gateway.counters()), cells=()), target=f"10.0.0.{number}:1")
    ]
    world.run(seconds=3)
    assert "went backwards" in blind_reasons(world)
    assert world.state is State.ANALYSING


# --- By the clock on the wall ---------------------------------------------------------------------------------------


async def refused(source: PrometheusCounters) -> str:
    from ops.rollout.counted import CountersError

    with pytest.raises(CountersError) as caught:
        await source.scrapes()
    return str(caught.value)


async def test_a_late_answer_is_not_waited_for_and_the_next_question_waits_for_it(fake: FakePrometheus) -> None:
    fake.stall = threading.Event()
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    assert await refused(source) == "Prometheus did not answer within 2 s"
    fake.stall.set()
    source.close()


async def test_the_librarys_own_time_out_is_told_as_one(fake: FakePrometheus) -> None:
    """On a busy machine it comes before ours."""
    fake.stall = threading.Event()
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    with pytest.raises(CountersError, match="did not answer within 2 s"):
        await asyncio.to_thread(source._ask)
    source.close()


async def test_an_answer_that_drips_is_broken_off(fake: FakePrometheus) -> None:
    fake.drip = threading.Event()
    fake.series = lambda: [{"metric": {"__name__": "x" * 200}, "values": []}]
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    assert "within 2 s" in await refused(source)
    assert len(fake.queries) == 1
    source.close()


async def test_a_refused_connection_is_told_at_once(fake: FakePrometheus) -> None:
    source = PrometheusCounters("http://127.0.0.1:1", job=JOB, age_seconds_max=5.0)
    assert await refused(source) == "Prometheus cannot be reached: ConnectionError"
    source.close()


async def test_an_endless_answer_is_broken_off(fake: FakePrometheus) -> None:
    fake.answer = lambda: (200, JSON, b" " * (33 * 1024 * 1024))
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    assert "more than 33,554,432 bytes" in await refused(source)
    source.close()


async def test_no_question_is_asked_twice(fake: FakePrometheus) -> None:
    fake.answer = lambda: (500, "text/plain", b"")
    source = PrometheusCounters(fake.url, job=JOB, age_seconds_max=5.0)
    await refused(source)
    assert len(fake.queries) == 1
    source.close()


async def test_the_urls_password_is_in_no_reason(fake: FakePrometheus) -> None:
    source = PrometheusCounters("http://reader:swordfish@127.0.0.1:1", job=JOB, age_seconds_max=5.0)
    assert "swordfish" not in await refused(source)
    source.close()
