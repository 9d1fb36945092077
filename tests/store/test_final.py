"""What was recorded stays: the database refuses changes of journal and looks, whoever asks; retention alone deletes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from benchmarks.rollout_world import World, release
from ops.rollout.decided import Decided
from ops.rollout.record import Rollout
from ops.rollout.recorded import RecordedLook
from ops.rollout.replaying import replay
from ops.store.database import Database
from ops.store.decisions import Wanted, read_decisions
from ops.store.freezes import freeze
from ops.store.leadership import try_to_lead
from ops.store.looks import read_recorded
from ops.store.releases import add_release
from ops.store.retention import forget_before
from ops.store.rollouts import get_rollout, read_journal, save
from ops.verdict import Outcome, Verdict

pytestmark = pytest.mark.server


@pytest.fixture
async def kept(url: str, database: Database, world: World) -> AsyncIterator[Rollout]:
    """A promoted rollout of the virtual world, saved look by look."""

    def to_its_end() -> None:
        world.begin(release("next"))
        world.to_the_end()

    await asyncio.to_thread(to_its_end)
    await add_release(database, release("next"))
    leadership = await try_to_lead(url, "first")
    assert leadership is not None
    assert world.rollout is not None
    async with leadership:
        for look in world.looks:
            at_the_look = replace(world.rollout, looks=look.number, looks_digest=look.digest, served_step=look.step)
            decided = Decided(world.tier, at_the_look, (), look.look, look.told)
            await save(database, decided, term=leadership.term, now=look.at)
        entries = tuple(entry for _, entry in world.journal)
        await save(database, Decided(world.tier, world.rollout, entries), term=leadership.term, now=world.now)
        yield world.rollout


async def replayed(database: Database, rollout: Rollout) -> Verdict:
    looks: list[RecordedLook] = []
    while page := await read_recorded(database, rollout.id, looks[-1].number if looks else 0, 20):
        looks += page
    journal = await read_journal(database, rollout.id, 0, 1000)
    return replay(await get_rollout(database, rollout.id), looks, [line.entry for line in journal])


async def test_looks_come_back_with_all_that_they_were_taken_of(
    database: Database, kept: Rollout, world: World
) -> None:
    assert await read_recorded(database, kept.id, 0, 1000) == world.looks
    assert (await replayed(database, kept)).outcome is Outcome.PASS


async def test_the_log_gives_each_decision_with_the_look_that_made_it(
    database: Database, kept: Rollout, world: World
) -> None:
    log = await read_decisions(database, Wanted(rollout=kept.id), 0, 1000)
    assert [decision.line.entry for decision in log] == [entry for _, entry in world.journal]
    made = [decision for decision in log if decision.line.entry.event in ("advance", "promote")]
    assert len(made) == len(kept.plan.steps)
    by_number = {look.number: look.look for look in world.looks}
    for decision in made:
        assert decision.look is not None
        assert decision.look.look == by_number[decision.look.number]
        assert decision.look.look.decision == "advance"
    assert all(d.look is None for d in log if "look" not in d.line.entry.payload)


async def test_the_log_is_filtered_by_rollout_tier_and_time_and_read_page_by_page(
    database: Database, kept: Rollout, world: World
) -> None:
    await freeze(database, "edge", "the festival", "somebody", 5.0)
    at = world.now
    for wanted, kinds in (
        (Wanted(tier="edge"), ["freeze"]),
        (Wanted(until=6.0), ["freeze"]),
        (Wanted(until=5.0), []),
        (Wanted(since=5.0, until=at), ["freeze"]),
        (Wanted(rollout="another"), []),
        (Wanted(tier=kept.tier, since=at + 1), []),
    ):
        assert [d.line.entry.kind for d in await read_decisions(database, wanted, 0, 1000)] == kinds
    everything = await read_decisions(database, Wanted(), 0, 1000)
    assert len(everything) == len(world.journal) + 1
    pages = await read_decisions(database, Wanted(), 0, 7)
    pages += await read_decisions(database, Wanted(), pages[-1].line.seq, 1000)
    assert pages == everything


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE looks SET decision = 'advance'",
        "UPDATE looks SET snapshots = '[]' WHERE number = 3",
        "DELETE FROM looks WHERE number = 3",
        "TRUNCATE looks",
        "UPDATE journal SET actor = 'nobody'",
        "DELETE FROM journal",
        "TRUNCATE journal CASCADE",
    ],
)
async def test_nothing_that_was_recorded_can_be_changed(kept: Rollout, url: str, statement: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused"):
        connection.execute(statement.encode())


async def test_what_retention_may_delete_is_bounded_by_its_age(kept: Rollout, world: World, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('gratefulgpt.forget_before', %s, true)", (repr(world.looks[5].at),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM looks WHERE number <= 6")


async def test_retention_deletes_what_is_old_says_so_and_a_replay_then_is_invalid(
    database: Database, kept: Rollout, world: World
) -> None:
    gone = await forget_before(database, world.looks[5].at, world.now)
    assert gone == 5
    (line,) = [line for line in await read_journal(database, None, 0, 1000) if line.entry.kind == "forgotten"]
    assert (line.tier, line.entry.payload) == ("*", {"looks": 5, "lines": 0, "before": world.looks[5].at})
    verdict = await replayed(database, kept)
    assert (verdict.outcome, verdict.evidence[0].text) == (
        Outcome.INVALID,
        "looks 1 to 5 are no longer kept: what the judge knew from them cannot be told",
    )
    assert await forget_before(database, world.looks[5].at, world.now) == 0
    assert len(await read_journal(database, None, 0, 1000)) == len(world.journal) + 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE looks SET snapshots = jsonb_set(snapshots, '{0,cells,0,assigned}', '100000') WHERE number = 4",
            "look 4: the samples are not those that were recorded",
        ),
        (
            "UPDATE looks SET told = jsonb_set(told, '{situation,canary_replicas}', '2') WHERE number = 2",
            "look 2: the samples are not those that were recorded",
        ),
        (
            "UPDATE looks SET look = jsonb_set(look, '{decision}', '\"roll_back\"') WHERE number = 3",
            "look 3: decision was recorded as 'roll_back'",
        ),
    ],
    ids=["a-counter", "the-situation", "an-answer"],
)
async def test_meddling_past_the_triggers_is_found(
    database: Database, kept: Rollout, url: str, statement: str, said: str
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE looks DISABLE TRIGGER USER")
        assert connection.execute(statement.encode()).rowcount == 1
    verdict = await replayed(database, kept)
    assert verdict.outcome is Outcome.FAIL
    assert said in "\n".join(item.text for item in verdict.evidence)
