"""An engine asked how likely texts are: a fake server that answers well, badly, or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ops.adapters.scoring import Engine, ScoringError
from ops.quality.model import FixedText

TEXT = FixedText("song", "la la la")
GOOD = [None, {"7": {"logprob": -1.5}}, {"8": {"logprob": -0.25}}]


@pytest.fixture
async def engine() -> AsyncIterator[Callable[..., Any]]:
    """Gives an engine that answers with this body and status."""
    async with AsyncExitStack() as around:
        session = await around.enter_async_context(aiohttp.ClientSession())

        async def start(body: str, status: int = 200) -> Engine:
            async def answer(request: web.Request) -> web.Response:
                return web.Response(text=body, status=status, content_type="application/json")

            app = web.Application()
            app.add_routes([web.get("/version", answer), web.post("/v1/completions", answer)])
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            around.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            return Engine(session, f"http://{host}:{port}", "m")

        yield start


def body(prompt_logprobs: object) -> str:
    return json.dumps({"choices": [{"text": "x", "prompt_logprobs": prompt_logprobs}]})


async def test_the_tokens_and_their_log_probabilities_are_read(engine: Callable[..., Any]) -> None:
    found = await (await engine(body(GOOD))).score(TEXT)
    assert (found.name, found.tokens, found.logprobs) == ("song", (7, 8), (-1.5, -0.25))
    assert found.per_char == pytest.approx(-1.75 / 8)


@pytest.mark.parametrize("broken", [math.nan, None, -math.inf])
async def test_what_is_no_number_is_passed_on_to_the_judgement(engine: Callable[..., Any], broken: Any) -> None:
    found = await (await engine(body([None, {"7": {"logprob": broken}}]))).score(TEXT)
    assert not math.isfinite(found.logprobs[0])


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (body(GOOD), 500), (body(None), 200), (body([]), 200), (body([None, {}]), 200), (body([None, [1]]), 200),
        (body([None, {"7": {}}]), 200), (body([None, {"7": {"logprob": "x"}}]), 200), ("{", 200), ("[]", 200),
        ('{"choices": []}', 200), ('{"choices": [1]}', 200),
    ],
)  # fmt: skip
async def test_an_engine_that_does_not_say_is_an_error_without_the_text(
    engine: Callable[..., Any], answer: str, status: int
) -> None:
    with pytest.raises(ScoringError) as caught:
        await (await engine(answer, status)).score(TEXT)
    assert "la la" not in str(caught.value)


async def test_an_engine_that_is_not_there_is_an_error() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ScoringError, match="did not answer"):
            await Engine(session, "http://127.0.0.1:9", "m").version()
