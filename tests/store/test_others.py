"""The registry, freezes, webhooks still to be called, kept answers, and a database that is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.rollout_world import TIER, release
from ops.rollout.decided import Decided, Entry
from ops.rollout.record import ArtefactFile, Clock, TierRecord
from ops.store.answers import KeptAnswer, forget_answers, keep_answer, kept_answer
from ops.store.database import CONNECT_TIMEOUT_SECONDS, IDLE_TRANSACTION_TIMEOUT_MS, Database
from ops.store.deliveries import delivery_done, delivery_failed, due_deliveries
from ops.store.errors import Conflict, NotFound, StoreError, StoreUnavailable
from ops.store.freezes import freeze, lift_freeze, list_freezes
from ops.store.leadership import require_term, try_to_lead
from ops.store.releases import add_release, get_release, list_releases
from ops.store.rollouts import load, read_journal, save

pytestmark = pytest.mark.server
CLOCK = Clock("a-boot", 5.0)


async def test_a_release_comes_back_as_it_was_registered(database: Database) -> None:
    one = replace(release("next"), arguments=("--seed", "1"), files=(ArtefactFile("a/model.bin", "ab" * 32, 2**40),))
    await add_release(database, one)
    assert await get_release(database, "next") == one


async def test_a_name_is_given_once(database: Database) -> None:
    await add_release(database, release("next"))
    with pytest.raises(Conflict, match="a name of its own"):
        await add_release(database, replace(release("next"), digest="other"))
    assert await get_release(database, "next") == release("next")


async def test_releases_are_listed_by_age_and_tier(database: Database) -> None:
    old, new = replace(release("old"), created_at=1.0), replace(release("new"), created_at=2.0)
    edge = replace(release("small"), tier="edge", created_at=3.0)
    for one in (new, old, edge):
        await add_release(database, one)
    assert await list_releases(database) == [edge, new, old]
    assert await list_releases(database, TIER) == [new, old]


async def test_an_unknown_release_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="ops release list"):
        await get_release(database, "nothing")


async def test_a_freeze_is_seen_by_whoever_loads_until_it_is_lifted(database: Database) -> None:
    await freeze(database, TIER, "the festival", "somebody", 1.0)
    await freeze(database, TIER, "the festival, longer", "somebody", 2.0)
    assert (await load(database, TIER)).frozen == "the festival, longer"
    assert [one["tier"] for one in await list_freezes(database)] == [TIER]
    assert await lift_freeze(database, TIER, "over", "somebody", 3.0)
    assert not await lift_freeze(database, TIER, "over", "somebody", 4.0)
    assert (await load(database, TIER)).frozen is None
    assert [line.entry.kind for line in await read_journal(database, None, 0, 10)] == ["freeze", "freeze", "unfreeze"]


async def test_a_webhook_is_called_until_it_is_done_or_given_up(url: str, database: Database) -> None:
    lead = await try_to_lead(url, "first")
    assert lead is not None
    async with lead:
        entries = (Entry("transition", "go", "ready", "preparing", "warming"), Entry("routes", "no transition"))
        webhooks = ["chat", "pager"]
        await save(database, Decided(TierRecord(TIER), None, entries), term=lead.term, now=10.0, webhooks=webhooks)
    chat, pager = sorted(await due_deliveries(database, 10.0, CLOCK, 10), key=lambda one: one.webhook)
    assert (chat.webhook, chat.line.entry.to_state, pager.webhook) == ("chat", "warming", "pager")
    await delivery_done(database, chat, 11.0)
    await delivery_failed(database, pager, "answered 500", 20.0, 11.0, CLOCK)
    assert await due_deliveries(database, 19.0, CLOCK, 10) == []
    (again,) = await due_deliveries(database, 20.0, CLOCK, 10)
    assert (again.webhook, again.attempts) == ("pager", 1)
    await delivery_failed(database, again, "answered 500", None, 21.0, CLOCK)
    assert await due_deliveries(database, 1e9, CLOCK, 10) == []


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86_400.0, -86_400.0], ids=lambda s: f"{s:+.0f}s")
async def test_a_webhook_is_tried_again_after_the_seconds_meant_however_the_wall_clock_is_put(
    url: str, database: Database, jump: float
) -> None:
    written, failed, jumped = 100_000.0, 100_001.0, replace(CLOCK, ahead_seconds=CLOCK.ahead_seconds + jump)
    await with_a_webhook(url, database, at=written)
    (one,) = await due_deliveries(database, written + jump, jumped, 10)  # never tried: at once, by any clock
    await delivery_failed(database, one, "answered 500", failed + 8, failed, CLOCK)
    assert await due_deliveries(database, failed + 7 + jump, jumped, 10) == []
    (again,) = await due_deliveries(database, failed + 8 + jump, jumped, 10)
    assert again.attempts == 1
    # Set by the clock that had jumped, read after it was put right.
    await delivery_failed(database, again, "answered 500", failed + 24 + jump, failed + 8 + jump, jumped)
    assert await due_deliveries(database, failed + 23, CLOCK, 10) == []
    assert [late.attempts for late in await due_deliveries(database, failed + 24, CLOCK, 10)] == [2]


async def test_after_a_reboot_or_on_another_machine_a_webhook_is_tried_at_once(url: str, database: Database) -> None:
    await with_a_webhook(url, database, at=10.0)
    (one,) = await due_deliveries(database, 10.0, CLOCK, 10)
    await delivery_failed(database, one, "answered 500", 200.0, 11.0, CLOCK)
    assert await due_deliveries(database, 12.0, CLOCK, 10) == []
    assert len(await due_deliveries(database, 12.0, Clock("another", 12.0), 10)) == 1


async def with_a_webhook(url: str, database: Database, *, at: float) -> None:
    """A transition written at ``at``, of which one webhook is to hear."""
    lead = await try_to_lead(url, "first")
    assert lead is not None
    async with lead:
        entry = Entry("transition", "go", "ready", "preparing", "warming")
        decided = Decided(TierRecord(TIER), None, (entry,))
        await save(database, decided, term=lead.term, now=at, webhooks=["pager"])


async def test_a_leader_that_hangs_within_a_transaction_does_not_keep_the_next_from_leading(
    url: str, database: Database
) -> None:
    first = await try_to_lead(url, "first")
    assert first

    async def hang_in_a_transaction() -> None:
        async with database.transaction() as connection:
            await require_term(connection, first.term)
            await taken_over.wait()
            await connection.execute("SELECT 1")

    taken_over = asyncio.Event()
    hanging = asyncio.create_task(hang_in_a_transaction())
    await asyncio.sleep(0.5)  # it holds its lock by now; no condition tells
    await first._connection.close()  # as PostgreSQL ends it when it says nothing
    second = await asyncio.wait_for(try_to_lead(url, "second"), 1.5 * IDLE_TRANSACTION_TIMEOUT_MS / 1000)
    taken_over.set()
    with pytest.raises(StoreError, match="idle-in-transaction"):
        await hanging
    assert second
    assert second.term == first.term + 1
    await second._connection.close()


async def test_an_answer_is_kept_once_for_a_key(database: Database) -> None:
    first, second = KeptAnswer("digest", 202, {"id": "r1", "ok": [1, None]}), KeptAnswer("digest", 500, None)
    assert await kept_answer(database, "key") is None
    await keep_answer(database, "key", first, 1.0)
    await keep_answer(database, "key", second, 2.0)
    assert await kept_answer(database, "key") == first


async def test_answers_are_forgotten_after_their_time(database: Database) -> None:
    await keep_answer(database, "old", KeptAnswer("d", 200, None), 1.0)
    await keep_answer(database, "new", KeptAnswer("d", 200, None), 5.0)
    assert await forget_answers(database, 5.0) == 1
    assert await kept_answer(database, "old") is None
    assert await kept_answer(database, "new") is not None


async def test_a_database_that_is_away_says_so_within_seconds_and_is_used_again_when_it_is_back(
    own_server: Any,
) -> None:
    database = Database(own_server.url)
    await database.open()
    try:
        await add_release(database, release("next"))
        await asyncio.to_thread(own_server.stop)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await get_release(database, "next")
        with pytest.raises(StoreUnavailable):
            await try_to_lead(own_server.url, "first")
        assert time.monotonic() - began < 20 * CONNECT_TIMEOUT_SECONDS
        await asyncio.to_thread(own_server.start)
        assert await _once_it_is_back(database) == release("next")
    finally:
        await database.close()


async def _once_it_is_back(database: Database) -> object:
    """The pool finds its dead connections out one by one."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await get_release(database, "next")
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


async def test_a_database_that_was_never_there_does_not_keep_a_controller_from_starting() -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/nothing")
    await database.open()
    try:
        with pytest.raises(StoreUnavailable):
            await load(database, TIER)
    finally:
        await database.close()


async def test_a_password_is_in_no_message(own_server: Any) -> None:
    wrong = own_server.url.replace("a-password-of-this-test", "not-the-secret")
    with pytest.raises(StoreUnavailable) as refused:
        await try_to_lead(wrong, "first")
    assert "not-the-secret" not in str(refused.value)
