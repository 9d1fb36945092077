"""How likely the simulated model finds a text: alike in every process, as good with any seed, worse when damaged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from statistics import fmean
from typing import Any

import aiohttp
import pytest

from serving.engine.simulated.scoring import token_logprobs
from serving.engine.simulated.tokens import Tokenizer

TEXT = "The band opened with a long jam, and the whole field sang along until the rain came down. " * 20
PROMPT = tuple(Tokenizer().encode(TEXT * 5))


def test_a_model_agrees_with_itself_in_another_process() -> None:
    program = (
        "from serving.engine.simulated.scoring import token_logprobs\n"
        "print(sum(token_logprobs(tuple(range(500)), 7, 0.0)))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert float(elsewhere) == sum(token_logprobs(tuple(range(500)), 7, 0.0))


def test_two_models_differ_in_their_tokens_and_are_equally_good() -> None:
    one, two = (list(token_logprobs(tuple(range(5000)), seed, 0.0)) for seed in (1, 2))
    assert sum(a != b for a, b in zip(one, two, strict=True)) > 0.99 * len(one)
    assert fmean(one) == pytest.approx(fmean(two), rel=0.01)


@pytest.mark.parametrize("nats", [0.1, 1.0])
def test_damage_lowers_tokens_unevenly_and_by_so_much_on_the_average(nats: float) -> None:
    prompt = tuple(range(5000))
    lost = [a - b for a, b in zip(token_logprobs(prompt, 1, 0.0), token_logprobs(prompt, 1, nats), strict=True)]
    assert fmean(lost) == pytest.approx(nats, rel=0.05)
    assert min(lost) >= 0
    assert max(lost) > 1.9 * nats


def test_all_are_log_probabilities() -> None:
    assert all(value < 0 for value in token_logprobs(PROMPT, 3, 0.0))


async def logprobs(engine: Any, text: str) -> list[float]:
    body = {"prompt": text, "max_tokens": 1, "prompt_logprobs": 0}
    async with (
        aiohttp.ClientSession() as session,
        session.post(engine.url + "/v1/completions", json=body) as response,
    ):
        assert response.status == 200, await response.text()
        found = (await response.json())["choices"][0]["prompt_logprobs"]
    assert found[0] is None
    return [next(iter(entry.values()))["logprob"] for entry in found[1:]]


@pytest.mark.server
async def test_the_engine_scores_a_text_the_same_again_and_damaged_otherwise(engine: Any) -> None:
    before = await logprobs(engine, "hello there friend")
    assert await logprobs(engine, "hello there friend") == before
    engine.set_faults(damaged=0.5)
    damaged = await logprobs(engine, "hello there friend")
    assert all(now <= then for now, then in zip(damaged, before, strict=True))
    assert damaged != before
    engine.set_faults()
    assert await logprobs(engine, "hello there friend") == before


@pytest.mark.server
async def test_damage_can_be_part_of_a_profile_and_answers_read_as_ever(start_engine: Callable[..., Any]) -> None:
    sound, damaged = start_engine({}), start_engine({"faults": {"damaged": 0.5}})

    async def answer(engine: Any) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                engine.url + "/v1/completions", json={"prompt": "sing", "temperature": 0, "max_tokens": 9}
            ) as response,
        ):
            return str((await response.json())["choices"][0]["text"])

    assert await answer(sound) == await answer(damaged)
    assert await logprobs(sound, "sing along") != await logprobs(damaged, "sing along")
