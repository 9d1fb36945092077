"""What is recorded of tiers and rollouts: kept whole, written together or not at all, by who leads alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.rollout_traffic import Behaviour
from benchmarks.rollout_world import TIER, World, release
from ops.rollout.decided import Decided, Entry
from ops.rollout.deciding import decide
from ops.rollout.observing import Observation
from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Rollout, Strategy, TierRecord
from ops.rollout.states import State
from ops.store.database import Database
from ops.store.errors import Conflict, LostLeadership, NotFound
from ops.store.leadership import Leadership, try_to_lead
from ops.store.releases import add_release
from ops.store.rollouts import get_rollout, list_rollouts, load, read_journal, read_looks, save

pytestmark = pytest.mark.server


@pytest.fixture
async def lead(url: str, database: Database) -> AsyncIterator[Leadership]:
    """A leader, with the releases known that the rollouts are of."""
    for name in ("stable", "next", "other"):
        await add_release(database, release(name))
    leadership = await try_to_lead(url, "first")
    assert leadership is not None
    async with leadership:
        yield leadership


def rollout(plan: RolloutPlan, id: str = "r1", of: str = "next", at: float = 1.0, **changes: Any) -> Rollout:
    return Rollout(id, TIER, release(of), Strategy.CANARY, plan, at, "somebody", **changes)


def started(one: Rollout) -> Decided:
    return Decided(TierRecord(TIER), one, (Entry("started", "go", to_state="preparing", actor="somebody"),))


async def test_a_tier_that_was_never_written_is_empty(database: Database) -> None:
    loaded = await load(database, TIER)
    assert (loaded.tier, loaded.active, loaded.frozen) == (TierRecord(TIER), None, None)


@pytest.mark.parametrize("until", [State.WARMING, State.ANALYSING, State.ROLLING_BACK])
async def test_a_record_of_any_phase_comes_back_as_it_was(
    database: Database, lead: Leadership, world: World, until: State
) -> None:
    def to_the_phase() -> None:
        world.behaviours = {"next": Behaviour(failed_rate=0.4 if until is State.ROLLING_BACK else 0.0)}
        world.begin(release("next"))
        world.run(until=until)
        world.run(seconds=0 if until is State.ROLLING_BACK else 3)

    await asyncio.to_thread(to_the_phase)
    await save(database, Decided(world.tier, world.rollout), term=lead.term, now=world.now)
    loaded = await load(database, TIER, lead.term)
    assert (loaded.tier, loaded.active) == (world.tier, world.rollout)
    assert world.rollout is not None
    assert await get_rollout(database, world.rollout.id) == world.rollout


async def test_what_was_loaded_decides_as_what_was_saved(
    database: Database, lead: Leadership, world: World
) -> None:
    def to_analysis() -> None:
        world.begin(release("next"))
        world.run(until=State.ANALYSING)
        world.run(seconds=5)

    await asyncio.to_thread(to_analysis)
    await save(database, Decided(world.tier, world.rollout), term=lead.term, now=world.now)
    loaded = await load(database, TIER)
    counters = [await gateway.counters() for gateway in world.gateways]
    states = {gateway.name: (await gateway.state()).tiers[TIER] for gateway in world.gateways}
    seen = Observation(world.now + 1, None, states, snapshots=tuple(counters))
    before = decide(world.tier, world.rollout, seen)
    after = decide(loaded.tier, loaded.active, seen)
    assert before.look is not None
    assert after == before


async def test_records_journal_and_look_are_written_together(
    database: Database, lead: Leadership, world: World
) -> None:
    decided = await asyncio.to_thread(_a_look, world)
    await save(database, decided, term=lead.term, now=5.0, webhooks=["chat"])
    assert decided.rollout is not None
    looks = await read_looks(database, decided.rollout.id, 0, 10)
    assert [line.look for line in looks] == [decided.look]
    assert looks[0].number == decided.rollout.looks


async def test_if_one_part_cannot_be_written_nothing_is(
    database: Database, lead: Leadership, world: World, plan: RolloutPlan
) -> None:
    decided = await asyncio.to_thread(_a_look, world)
    await save(database, decided, term=lead.term, now=5.0)
    assert decided.rollout is not None
    # The same look once more violates its key, after tier, rollout and journal were written in the transaction.
    later = replace(
        decided,
        tier=replace(decided.tier, epoch=999),
        rollout=replace(decided.rollout, reason="never kept"),
        entries=(Entry("routes", "never kept"),),
    )
    with pytest.raises(Conflict):
        await save(database, later, term=lead.term, now=6.0)
    loaded = await load(database, TIER)
    assert (loaded.tier, loaded.active) == (decided.tier, decided.rollout)
    assert "never kept" not in [line.entry.reason for line in await read_journal(database, None, 0, 1000)]


def _a_look(world: World) -> Decided:
    world.begin(release("next"))
    world.run(until=State.ANALYSING)
    world.run(seconds=4)
    loop = asyncio.new_event_loop()
    try:
        counters = tuple(loop.run_until_complete(gateway.counters()) for gateway in world.gateways)
        states = {g.name: loop.run_until_complete(g.state()).tiers[TIER] for g in world.gateways}
    finally:
        loop.close()
    decided = decide(world.tier, world.rollout, Observation(world.now + 1, None, states, snapshots=counters))
    assert decided.look is not None
    return decided


async def test_a_second_active_rollout_of_a_tier_conflicts(
    database: Database, lead: Leadership, plan: RolloutPlan
) -> None:
    await save(database, started(rollout(plan)), term=lead.term, now=1.0)
    with pytest.raises(Conflict, match="another rollout of production is active"):
        await save(database, started(rollout(plan, "r2", "other")), term=lead.term, now=2.0)
    loaded = await load(database, TIER)
    assert loaded.active is not None
    assert loaded.active.id == "r1"
    assert [line.rollout for line in await read_journal(database, None, 0, 10)] == ["r1"]


async def test_two_starts_at_once_leave_exactly_one(database: Database, lead: Leadership, plan: RolloutPlan) -> None:
    starts = (started(rollout(plan, f"r{i}")) for i in range(4))
    done = await asyncio.gather(
        *(save(database, start, term=lead.term, now=1.0) for start in starts), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "Conflict", "Conflict", "NoneType"]
    assert len(await list_rollouts(database, TIER, 10)) == 1


async def test_once_one_has_ended_another_may_start(database: Database, lead: Leadership, plan: RolloutPlan) -> None:
    await save(database, started(rollout(plan, state=State.ROLLED_BACK)), term=lead.term, now=1.0)
    await save(database, started(rollout(plan, "r2", "other", at=2.0)), term=lead.term, now=2.0)
    assert [one.id for one in await list_rollouts(database, TIER, 10)] == ["r2", "r1"]


async def test_the_journal_is_read_in_order_and_in_parts(
    database: Database, lead: Leadership, plan: RolloutPlan
) -> None:
    one = rollout(plan)
    for i in range(5):
        entry = Entry("routes", f"number {i}", payload={"epoch": i, "weights": {"canary": 500}})
        await save(database, Decided(TierRecord(TIER), one, (entry,)), term=lead.term, now=float(i))
    first = await read_journal(database, "r1", 0, 3)
    rest = await read_journal(database, "r1", first[-1].seq, 10)
    assert [line.entry.reason for line in (*first, *rest)] == [f"number {i}" for i in range(5)]
    assert [line.at for line in rest] == [3.0, 4.0]
    assert first[0].entry.payload == {"epoch": 0, "weights": {"canary": 500}}
    assert await read_journal(database, "r2", 0, 10) == []


async def test_an_unknown_rollout_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="ops canary history"):
        await get_rollout(database, "r9")


# --- Who may write ------------------------------------------------------------------------------------------------


async def test_a_second_controller_does_not_lead(url: str, lead: Leadership) -> None:
    assert await try_to_lead(url, "second") is None
    assert await lead.alive()


async def test_when_the_leader_dies_another_leads_with_a_higher_term(url: str, database: Database) -> None:
    first = await try_to_lead(url, "first")
    assert first is not None
    async with database.transaction() as connection:  # as if its machine had gone: the server ends its session
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'leader first'"
        )
    assert not await first.alive()
    second = None
    for _ in range(300):  # the lock goes with the session, a moment later
        second = await try_to_lead(url, "second")
        if second:
            break
        await asyncio.sleep(0.1)
    assert second is not None
    async with second:
        assert second.term > first.term


async def test_a_deposed_controller_can_neither_read_to_decide_nor_write(
    url: str, database: Database, lead: Leadership, plan: RolloutPlan
) -> None:
    await save(database, started(rollout(plan)), term=lead.term, now=1.0)
    async with lead:
        pass  # its session ends; it does not know
    second = await try_to_lead(url, "second")
    assert second is not None
    async with second:
        with pytest.raises(LostLeadership, match="second leads"):
            await load(database, TIER, lead.term)
        with pytest.raises(LostLeadership):
            await save(database, started(rollout(plan, reason="from the past")), term=lead.term, now=2.0)
        loaded = await load(database, TIER, second.term)
        assert loaded.active is not None
        assert loaded.active.reason == ""
        assert len(await read_journal(database, None, 0, 10)) == 1
