"""The gateway in front of a real vLLM."""

from __future__ import annotations

from typing import Any

import msgspec
import openai
import pytest

from serving.contract import TierConfig
from serving.tasks.catalogue import load_catalogue

pytestmark = [pytest.mark.server, pytest.mark.vllm]


@pytest.fixture
async def real(launcher: Any, vllm_server: Any, tools: Any) -> Any:
    tiers = {**tools.config().tiers, "production": TierConfig(vllm_server.model_name, 1024)}
    gateway = await launcher.start(msgspec.structs.replace(tools.config(), tiers=tiers))
    status, _ = await gateway.push(tools.table(vllm_server.url))
    assert status == 200
    return gateway


async def test_the_openai_client_speaks_with_vllm_through_the_gateway(real: Any, vllm_server: Any) -> None:
    async with openai.AsyncOpenAI(base_url=real.url + "/v1", api_key="any", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hello"}]
        model = vllm_server.model_name
        whole = await client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0)
        stream = await client.chat.completions.create(
            model=model, messages=messages, max_tokens=8, temperature=0, stream=True
        )
        parts = [chunk async for chunk in stream]
        assert "".join(part.choices[0].delta.content or "" for part in parts) == whole.choices[0].message.content
        assert whole.usage is not None
        spent = 'gateway_tokens_total{direction="completion",task="openai-chat",tier="production"}'
        assert await real.metric(spent) == 2 * whole.usage.completion_tokens
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model=model, messages=messages, temperature=-7)
    assert await real.bad() == {"refused": 1}


async def test_own_tasks_are_answered_by_vllm_in_their_schema_or_refused_for_a_reason(real: Any) -> None:
    task = load_catalogue(["history-query"]).task("v1", "history-query")
    assert task is not None
    status, _, body = await real.post("/api/v1/generate", {"prompt": "Hello", "max_tokens": 8})
    assert (status, body["usage"]["completion_tokens"] <= 8) == (200, True)
    refused = 0
    for _ in range(4):
        status, _, body = await real.post("/api/v1/history/query", {"question": "When?"})
        if status == 200:
            assert task.answers(body["output"])
        else:
            refused += 1
            # Random text may fill the cap with white space where the engine allows any.
            assert (status, body["error"]["code"]) == (502, "answer_truncated")
    bad = await real.bad()
    assert bad.get("truncated", 0) == refused
    assert set(bad) <= {"truncated", "over_target"}


async def test_a_vllm_that_says_one_word_without_end_is_found_to_repeat(real: Any, vllm_server: Any) -> None:
    looping = {"max_tokens": 64, "logit_bias": {"300": 100}, "ignore_eos": True}
    wanted = 0
    for stream in (False, True):
        messages = [{"role": "user", "content": "Hello"}]
        chat = {"model": vllm_server.model_name, "messages": messages, **looping, "stream": stream}
        assert (await real.post("/v1/chat/completions", chat))[0] == 200
        completion = {"model": vllm_server.model_name, "prompt": "Hello", **looping, "stream": stream}
        assert (await real.post("/v1/completions", completion))[0] == 200
        wanted += 2
        assert (await real.bad()).get("repeated") == wanted
    ordinary = {"model": vllm_server.model_name, "prompt": "Hello", "max_tokens": 64, "temperature": 1.0, "seed": 1}
    assert (await real.post("/v1/completions", ordinary))[0] == 200
    assert (await real.bad()).get("repeated") == wanted
