"""How likely a running engine finds a text: ``/v1/completions`` with vLLM's field ``prompt_logprobs``.

One request at a time, straight to the replica: no gateway counts it, and what it serves is hardly disturbed. Texts and
answers appear in no message.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp

from ops.quality.damage import changes, noise_of
from ops.quality.model import FixedText, Reading, Scored, Texts, Transcript
from ops.rollout.record import Release

REQUEST_TIMEOUT_SECONDS = 60.0
OK = 200
NOISE_READINGS = 2
AT_ONCE_MAX = 8
"""Texts in a batch of the engine: sums in another order than alone."""


class ScoringError(Exception):
    """The engine did not say how likely the text is. The message says what it did instead."""


class Engine:
    """A running replica, asked directly. The session is the caller's."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model_name: str):
        self._session = session
        self._url = url
        self._model_name = model_name

    async def version(self) -> str:
        """Raises ScoringError."""
        answer = await self._call("GET", "/version")
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise ScoringError("the engine does not say its version")
        return version

    async def score(self, text: FixedText) -> Scored:
        """Raises ScoringError. A log-probability that is no finite number is passed on as it is."""
        choice = await self._complete(text.text, max_tokens=1, prompt_logprobs=0)
        return scored(text, choice.get("prompt_logprobs"))

    async def greedy(self, prompt: FixedText, tokens: int) -> FixedText:
        """The prompt together with the greedy answer to it. Raises ScoringError."""
        answer = (await self._complete(prompt.text, max_tokens=tokens)).get("text")
        if not isinstance(answer, str):
            raise ScoringError("the engine's answer has no text")
        return FixedText(prompt.name, prompt.text + answer)

    async def _complete(self, text: str, **fields: int) -> dict[str, Any]:
        body = {"model": self._model_name, "prompt": text, "temperature": 0, **fields}
        answer = await self._call("POST", "/v1/completions", body)
        try:
            choice = answer["choices"][0]
        except (KeyError, IndexError, TypeError) as e:
            raise ScoringError("the engine's answer has no choice") from e
        if not isinstance(choice, dict):
            raise ScoringError("the engine's answer has no choice")
        return choice

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        try:
            async with self._session.request(method, self._url + path, json=body, timeout=timeout) as response:
                if response.status != OK:
                    raise ScoringError(f"{path} answered status {response.status}")
                # Not msgspec: an engine with damaged weights may write NaN, which the standard library reads.
                return json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError) as e:
            raise ScoringError(f"{path} did not answer ({type(e).__name__})") from e
        except ValueError as e:
            raise ScoringError(f"{path} answered with something else than JSON") from e


def scored(text: FixedText, prompt_logprobs: object) -> Scored:
    """From vLLM's shape: a list with an entry per token, the first null, the others by the token's id. With
    ``prompt_logprobs=0`` each holds the text's own token alone. Raises ScoringError."""
    if not isinstance(prompt_logprobs, list) or not prompt_logprobs:
        raise ScoringError("the engine gives no log-probabilities of a prompt")
    tokens: list[int] = []
    logprobs: list[float] = []
    try:
        for entry in prompt_logprobs[1:]:
            ((token, found),) = entry.items()
            tokens.append(int(token))
            logprobs.append(float(found["logprob"]) if found["logprob"] is not None else float("nan"))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise ScoringError("the engine's log-probabilities have an unknown shape") from e
    return Scored(text.name, text.text, tuple(tokens), tuple(logprobs))


async def record_transcript(
    engine: Engine, release: Release, texts: Texts, answer_tokens: int, now: float
) -> Transcript:
    """Everything once, one by one, and then again, several at once, to see the engine's noise. Raises ScoringError."""
    version = await engine.version()
    answers = tuple([await engine.score(await engine.greedy(prompt, answer_tokens)) for prompt in texts.prompts])
    passages = await _score_all(engine, texts.passages)
    first = (*answers, *passages)
    again = [await _score_at_once(engine, first) for _ in range(NOISE_READINGS)]
    if any([one.tokens for one in reading] != [one.tokens for one in first] for reading in again):
        raise ScoringError("the engine cuts the same text into other tokens each time")
    return Transcript(
        release=release.name,
        release_digest=release.digest,
        engine=release.engine,
        engine_version=version,
        texts=texts.name,
        texts_digest=texts.digest,
        recorded_at=now,
        answers=answers,
        passages=passages,
        noise=noise_of(changes(first, reading) for reading in again),
    )


async def _score_at_once(engine: Engine, texts: Sequence[Scored]) -> list[Scored]:
    places = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(text: Scored) -> Scored:
        async with places:
            return await engine.score(FixedText(text.name, text.text))

    return list(await asyncio.gather(*(one(text) for text in texts)))


async def read_again(engine: Engine, transcript: Transcript) -> Reading:
    """The texts of a transcript as the engine scores them now. Raises ScoringError."""
    return Reading(
        engine_version=await engine.version(),
        answers=await _score_all(engine, [FixedText(one.name, one.text) for one in transcript.answers]),
        passages=await _score_all(engine, [FixedText(one.name, one.text) for one in transcript.passages]),
    )


async def _score_all(engine: Engine, texts: Sequence[FixedText]) -> tuple[Scored, ...]:
    return tuple([await engine.score(text) for text in texts])
