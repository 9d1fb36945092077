"""What users, clients and operators see of rollouts: streams that finish, a way back, a freeze, who is told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from ops.rollout.states import State
from serving.contract import ARM_HEADER, RELEASE_HEADER, SYNTHETIC_HEADER, Arm, BadEvent

MODEL = "gratefulgpt-7b"
STREAMS = 300
"""At 5 % some fifteen of them fall on the canary; that none does happens twice in ten million runs."""

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]


PROMPT = "name the song that followed the drums"


def chat(tokens: int, **more: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": tokens, **more}


async def ask(service: Any, body: dict[str, object], **headers: str) -> tuple[int, str, str, str]:
    """Status, arm, release and the text of the answer."""
    url, timeout = service.state.gateway_url + "/v1/chat/completions", aiohttp.ClientTimeout(total=60)
    async with service.session.post(url, json=body, headers=headers, timeout=timeout) as response:
        text = await response.text()
        return response.status, response.headers.get(ARM_HEADER, ""), response.headers.get(RELEASE_HEADER, ""), text


async def test_streams_on_the_canary_finish_while_it_is_rolled_back_and_new_requests_go_to_stable(
    service: Any,
) -> None:
    stable = await service.stable()
    # 30 tokens of 130 ms: four seconds, within the time-out of eight.
    rollout = await service.start("slow-streams", step_base_ms=130.0, output_tokens_mean=10_000.0)
    await service.analysed(rollout, step=0)
    streams = [asyncio.create_task(ask(service, chat(30, stream=True, ignore_eos=True))) for _ in range(STREAMS)]
    running = await service.eventually(lambda: on_canary(service), "no stream fell on the canary")
    asked = time.monotonic()
    await service.client.command(rollout.id, "rollback", "while streams run")
    await service.eventually(lambda: service.all_on(stable), "new requests do not go to stable")
    assert time.monotonic() - asked < 3.0, "new requests must not wait for the streams"
    assert await on_canary(service), "the streams ended before anything could be seen"
    later = [await ask(service, chat(4)) for _ in range(50)]
    assert {release for _, _, release, _ in later} == {stable}
    done = await asyncio.gather(*streams)
    assert all(status == 200 and text.rstrip().endswith("data: [DONE]") for status, _, _, text in done)
    assert sum(arm == "canary" for _, arm, _, _ in done) >= running
    ended = await service.reaches(rollout, State.ROLLED_BACK)
    assert "what ran on it has finished" in ended.reason


async def on_canary(service: Any) -> int:
    """Requests that run there now."""
    snapshots = [await worker.counters() for worker in service.workers]
    cells = [cell for snapshot in snapshots for cell in snapshot.cells if cell.arm is Arm.CANARY]
    return sum(cell.assigned - cell.finished for cell in cells)


async def test_after_a_promotion_the_way_back_takes_seconds_on_replicas_that_still_run(service: Any) -> None:
    former = (await service.client.tiers())[service.tier].tier.stable
    async with service.load() as load:
        rollout = await service.start("promoted-by-hand", seed=41)
        await service.analysed(rollout, step=0)
        code, _, error = await service.ops("canary", "promote", "--yes", "--reason", "in a hurry")
        assert code == 0, error
        await service.reaches(rollout, State.PROMOTED)
        assert await service.stable() == "promoted-by-hand"

        asked = time.monotonic()
        code, _, error = await service.ops("canary", "rollback", "--to", former.release.name, "--yes")
        assert code == 0, error
        await service.eventually(lambda: service.all_on(former.release.name), "it does not return")
        seconds = time.monotonic() - asked
        (back, *_) = await service.client.rollouts(service.tier)
        await service.reaches(back, State.PROMOTED)
    assert (await service.client.tiers())[service.tier].tier.stable == former, "other replicas than those that ran"
    assert seconds < 15
    load.assert_none_failed()


async def test_the_official_client_works_while_a_release_goes_out(service: Any) -> None:
    rollout = await service.start("seen-by-openai", seed=42)
    await service.analysed(rollout, step=0)
    messages: Any = [{"role": "user", "content": "who sang the encore"}]
    async with openai.AsyncOpenAI(base_url=service.state.gateway_url + "/v1", api_key="any", max_retries=0) as client:
        assert MODEL in [model.id async for model in client.models.list()]
        whole = await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=12)
        assert whole.choices[0].message.content
        assert whole.usage is not None
        assert whole.usage.completion_tokens <= 12
        parts = await client.chat.completions.create(model=MODEL, messages=messages, max_tokens=12, stream=True)
        assert "".join([part.choices[0].delta.content or "" async for part in parts if part.choices])
        text = await client.completions.create(model=MODEL, prompt="the crowd", max_tokens=12)
        assert text.choices[0].text
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="no-such-model", messages=messages)


async def test_synthetic_traffic_is_answered_and_enters_no_verdict(service: Any) -> None:
    rollout = await service.start("fails-the-probes", seed=43)
    await service.analysed(rollout, step=0)
    await service.harm_canary(error_rate=1.0)
    token = {SYNTHETIC_HEADER: service.secrets.synthetic_token}
    answers = [await ask(service, chat(2), **token) for _ in range(STREAMS)]
    failed = sum(status != 200 for status, _, _, _ in answers)
    assert failed, "no probe fell on the canary"
    looks = len(await service.client.looks(rollout.id))
    await service.eventually(lambda: looked(service, rollout, looks + 2), "the judge does not look")
    (*_, last) = await service.client.looks(rollout.id)
    judged = (await service.client.rollout(rollout.id)).judge.canary_whole
    assert (judged.assigned, judged.bad.get(BadEvent.FAILED, 0)) == (0, 0)
    assert last.look.decision == "hold"

    # Without the token the header means nothing: nobody opts out of the verdict.
    answers = [await ask(service, chat(2), **{SYNTHETIC_HEADER: "please"}) for _ in range(STREAMS)]
    failed = sum(status != 200 for status, _, _, _ in answers)
    await service.eventually(lambda: counted(service, rollout, failed), f"{failed} failures do not count")


async def looked(service: Any, rollout: Any, count: int) -> bool:
    return bool(len(await service.client.looks(rollout.id)) >= count)


async def counted(service: Any, rollout: Any, failed: int) -> bool:
    found = await service.client.rollout(rollout.id)
    return bool(found.judge.canary_whole.bad.get(BadEvent.FAILED, 0) >= failed or found.state is State.ROLLED_BACK)


async def test_a_freeze_holds_a_release_that_would_advance_and_lifted_lets_it_go_on(service: Any) -> None:
    async with service.load() as load:
        rollout = await service.start("frozen", seed=44)
        await service.analysed(rollout, step=0)
        # Held at its step, or it could be at the next before the freeze is on.
        await service.client.command(rollout.id, "pause", "a freeze comes")
        code, _, error = await service.ops("freeze", "on", "--tier", service.tier, "--reason", "a concert tonight")
        assert code == 0, error
        await service.client.command(rollout.id, "resume", "the freeze is on")
        try:
            # The judge would advance it three times over.
            await service.eventually(lambda: would_advance(service, rollout), "the judge has no evidence")
            held = await service.client.rollout(rollout.id)
            assert (held.state, held.served_step) == (State.ANALYSING, 0)
        finally:
            code, _, error = await service.ops("freeze", "off", "--tier", service.tier, "--reason", "it was great")
            assert code == 0, error
        await service.reaches(rollout, State.ANALYSING, step=1)
        await service.client.command(rollout.id, "rollback", "seen enough")
        await service.reaches(rollout, State.ROLLED_BACK)
    load.assert_none_failed()

    async def all_told() -> bool:
        lines = [line for line in await service.client.journal(rollout.id) if line.entry.to_state]
        told = [call for call in service.told if call["rollout"] == rollout.id]
        expected = [(line.entry.from_state, line.entry.to_state, line.entry.actor) for line in lines]
        return sorted((call["from_state"], call["to_state"], call["actor"]) for call in told) == sorted(expected)

    await service.eventually(all_told, "the webhook did not get each transition once")


async def would_advance(service: Any, rollout: Any) -> bool:
    looks = await service.client.looks(rollout.id)
    return sum(look.look.decision == "advance" for look in looks) >= 3


async def test_no_log_holds_a_prompt_an_answer_or_a_key(service: Any) -> None:
    answer = (await ask(service, chat(24)))[3]
    content = msgspec.json.decode(answer)["choices"][0]["message"]["content"]
    secrets = service.secrets
    kept_quiet = [PROMPT, content, secrets.admin_key, secrets.synthetic_token, secrets.database_password]
    logs = {path.name: path.read_text(errors="replace") for path in service.state.folder.logs.iterdir()}
    assert {"controller.log", "gateway-0.log", "postgres.log"} <= logs.keys()
    told = [(name, number) for name, text in logs.items() for number, words in enumerate(kept_quiet) if words in text]
    assert told == []
