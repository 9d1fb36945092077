"""Both judgements on real vLLM: another good model passes, one flipped bit is damage however fluent the answers are.

The tiny models know nothing but the manual that they were trained on, so the texts are those of that domain.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from ops.adapters.quality_texts import load_texts
from ops.adapters.scoring import Engine, ScoringError, read_again, record_transcript
from ops.adapters.spec_file import load_spec
from ops.quality.damage import judge_damage, unusable
from ops.quality.likelihood import judge_likelihood
from ops.quality.model import Transcript
from ops.rollout.planning import quality_plan
from ops.rollout.record import Release
from ops.verdict import Outcome

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "build" / "models"
QUALITY = quality_plan(load_spec(ROOT / "gratefulgpt.yaml"))
READY_SECONDS_MAX = 300.0
# The largest exponent bit but one of one weight in 0.9 million: 0.0496 becomes 2.7e-21. All ten greedy answers read as
# well as before (the sound model finds them 0.02 nats per token less likely than its own).
FLIPPED_WEIGHT, FLIPPED_INDEX, FLIPPED_BIT = "model.layers.0.mlp.down_proj.weight", 1234, 13


def flip(file: Path, weight: str, index: int, bit: int) -> None:
    """In a safetensors file: eight bytes of the header's length, the header as JSON, the weights."""
    raw = bytearray(file.read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    tensor = json.loads(raw[8 : 8 + length])[weight]
    assert tensor["dtype"] == "BF16"
    at = 8 + length + tensor["data_offsets"][0] + 2 * index
    (before,) = struct.unpack_from("<H", raw, at)
    struct.pack_into("<H", raw, at, before ^ (1 << bit))
    file.write_bytes(raw)


@contextmanager
def launched(model: Path, folder: Path) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    line = [sys.executable, "-m", "serving.engine", "--engine", "vllm", "--model", str(model)]
    line += ["--model-name", "tiny", "--port", str(port)]
    with (folder / f"{model.name}.log").open("wb") as log:
        process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # its children die with it
        process.wait()


@dataclass(frozen=True)
class Engines:
    sound: Engine
    flipped: Engine
    other: Engine
    damaged: Engine
    own: Transcript
    """Of the sound one."""


async def ready(engine: Engine) -> Engine:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            await engine.version()
            return engine
        except ScoringError:
            assert time.monotonic() < deadline, "vLLM is not ready (is it installed? `make vllm tiny-model`)"
            await asyncio.sleep(0.5)


async def recorded(engine: Engine, name: str) -> Transcript:
    release = Release(name, "production", "vllm", "", "/m", (), "v1", name, (), 0.0, "tester")
    texts = load_texts("manual", ROOT)
    return await record_transcript(engine, release, texts, QUALITY.answer_tokens, 0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(vllm_server: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engines]:
    """Three servers beside the session's own, started at once."""
    folder = tmp_path_factory.mktemp("quality")
    spoilt = folder / "tiny-flipped"
    shutil.copytree(MODELS / "tiny-a", spoilt)
    flip(spoilt / "model.safetensors", FLIPPED_WEIGHT, FLIPPED_INDEX, FLIPPED_BIT)
    with (
        launched(spoilt, folder) as flipped,
        launched(MODELS / "tiny-b", folder) as other,
        launched(MODELS / "tiny-damaged", folder) as damaged,
    ):
        async with aiohttp.ClientSession() as session:
            sound = Engine(session, vllm_server.url, "tiny")
            own = await recorded(sound, "tiny-a")
            three = [await ready(Engine(session, url, "tiny")) for url in (flipped, other, damaged)]
            yield Engines(sound, three[0], three[1], three[2], own)


async def test_the_engine_agrees_with_itself_and_its_noise_is_within_the_tolerances(engines: Engines) -> None:
    assert unusable(engines.own, QUALITY.damage) is None
    assert QUALITY.damage.noise_factor * engines.own.noise.worst_nats <= QUALITY.damage.token_tolerance_nats
    again = judge_damage(engines.own, await read_again(engines.sound, engines.own), QUALITY.damage)
    assert again.outcome is Outcome.PASS, again.evidence[0].text


async def test_one_flipped_bit_is_damage_though_the_model_is_as_good(engines: Engines) -> None:
    found = await read_again(engines.flipped, engines.own)
    damage = judge_damage(engines.own, found, QUALITY.damage)
    assert damage.outcome is Outcome.FAIL, damage.evidence[0].text
    # Registered as a release of its own it would be no worse than the sound one, and it is not called worse.
    worse = judge_likelihood(found.passages, engines.own.texts_digest, engines.own, QUALITY.likelihood)
    assert worse.outcome is Outcome.PASS, worse.evidence[0].text


async def test_another_good_model_passes_beside_the_first_and_against_itself(engines: Engines) -> None:
    own = await recorded(engines.other, "tiny-b")
    found = await read_again(engines.other, own)
    assert judge_damage(own, found, QUALITY.damage).outcome is Outcome.PASS
    worse = judge_likelihood(found.passages, own.texts_digest, engines.own, QUALITY.likelihood)
    assert worse.outcome is Outcome.PASS, worse.evidence[0].text


async def test_a_spoilt_model_registered_as_a_release_of_its_own_is_a_worse_model(engines: Engines) -> None:
    own = await recorded(engines.damaged, "tiny-damaged")
    found = await read_again(engines.damaged, own)
    assert judge_damage(own, found, QUALITY.damage).outcome is Outcome.PASS
    worse = judge_likelihood(found.passages, own.texts_digest, engines.own, QUALITY.likelihood)
    assert worse.outcome is Outcome.FAIL, worse.evidence[0].text
