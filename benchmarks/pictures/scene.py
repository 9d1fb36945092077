"""What the pictures show: some minutes of a service, with a good rollout, a bad one, and things that go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from benchmarks.pictures import gpus
from benchmarks.runbooks.shortening import FACTOR
from benchmarks.runbooks.world import TIER, World, WorldBroken, world
from ops.adapters.spec_file import load_spec
from ops.loadtest.asking import destination, request_schemas
from ops.loadtest.traffic import Maker, drawn
from ops.rollout.operating import ReleaseRequest
from ops.rollout.states import ENDED, State

RATE = 32.0
"""Requests a second of the spec's mix, beside what the world sends to each tier."""
RATE_OF_TIERS = 6.0
SUITE = "smoke"
SEED = 1
TIMEOUT_SECONDS = 30.0
ROLLOUT_SECONDS_MAX = 600.0
SETTLING_SECONDS = 60.0
"""After the start of the load: so long Prometheus tells of the releases with which the world has begun."""
QUIET_SECONDS = 60.0
INCIDENT_SECONDS = 60.0
POLL_SECONDS = 0.5
SLOW_TIMES = 6.0
"""So much slower are the engines in the last incident."""
SLOWDOWN = 1.6
"""Of the bad release."""
SMALL = ("--num-gpu-blocks-override", "1024")
"""Engine arguments of the good release: a crowd fills its cache."""
CROWD = 60
CROWDS = 4
TOO_LARGE_WORDS = 50_000


@dataclass(frozen=True)
class Scene:
    world: World
    start: float
    """Unix seconds from which on it is to be seen."""


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A stack as it is to be seen: in the middle of an incident. Ends all that it began. Raises WorldBroken."""
    async with world(folder, FACTOR, RATE_OF_TIERS) as found:
        configuration = Path(found.state.run_dir) / "prometheus" / "prometheus.yml"
        async with gpus.exported(found.prometheus_url, configuration), asyncio.TaskGroup() as group:
            others = [group.create_task(mixed(found)), group.create_task(oddities(found))]
            try:
                _say("load")
                await asyncio.sleep(SETTLING_SECONDS)
                start = time.time()
                await told(found)
                yield Scene(found, start)
            finally:
                for task in others:
                    task.cancel()


async def told(found: World) -> None:
    await asyncio.sleep(QUIET_SECONDS / 2)
    _say("a good release")
    await rolled_out(found, "good", State.PROMOTED, SMALL, seed=41)
    _say("a crowd at one engine")
    await crowds(found)
    await asyncio.sleep(QUIET_SECONDS / 3)
    _say("a bad release")
    await rolled_out(found, "slow", State.ROLLED_BACK, (), seed=42, slowdown=SLOWDOWN)
    _say("three in ten requests fail")
    await found.faults(TIER, error_rate=0.3)
    await asyncio.sleep(INCIDENT_SECONDS)
    await found.faults(TIER)
    await asyncio.sleep(QUIET_SECONDS)
    _say("engines are slow")
    await found.faults(TIER, slowdown=SLOW_TIMES)
    await asyncio.sleep(INCIDENT_SECONDS)


async def rolled_out(found: World, name: str, end: State, arguments: tuple[str, ...], **profile: object) -> None:
    """Judged as any other. Raises WorldBroken where it does not end so."""
    home = found.folder / "models" / name
    home.mkdir(parents=True)
    (home / "simulated.json").write_text(json.dumps(profile))
    await found.client.add_release(ReleaseRequest(name, TIER, "simulated", str(home), arguments=arguments))
    rollout = await found.client.start(name, TIER, accept_blind_spots=True)
    deadline = time.monotonic() + ROLLOUT_SECONDS_MAX
    while (rollout := await found.client.rollout(rollout.id)).state not in ENDED:
        if time.monotonic() > deadline:
            raise WorldBroken(f"{name} does not end: {rollout.state}: {rollout.reason}")
        await asyncio.sleep(POLL_SECONDS)
    _say(f"{name}: {rollout.state}: {rollout.reason}")
    if rollout.state is not end:
        raise WorldBroken(f"{name} is {rollout.state}, not {end}: {rollout.reason}")


async def mixed(found: World) -> None:
    """The spec's mix of tasks, as an open loop, without an end."""
    spec = load_spec(found.folder / "gratefulgpt.yaml")
    chance = Random(SEED)
    url = found.state.gateway_url
    schemas = await asyncio.to_thread(request_schemas, destination(url))
    wishes = list(drawn(spec.load, spec.load.suites[SUITE], spec.load.requests_distinct, chance))
    makers = {name: Maker(spec, name, schemas) for name in {wish.task for wish in wishes}}
    text = "the band opened the second set with a long jam that turned into an old song " * 1000

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(url, timeout=timeout) as session, asyncio.TaskGroup() as group:
        while True:
            wish = chance.choice(wishes)
            begin = chance.randrange(1000)
            body = makers[wish.task].body(text[begin : begin + wish.prompt_chars], wish)
            group.create_task(_ask(session, makers[wish.task].path, body))
            await asyncio.sleep(chance.expovariate(RATE))


async def _ask(session: aiohttp.ClientSession, address: str, body: object) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # what fails is seen on the dashboards
        async with session.post(address, json=body) as response:
            await response.read()


async def oddities(found: World) -> None:
    """Synthetic requests, and now and then one that is too large to be let in."""
    url = found.state.gateway_url + "/api/v1/history/query"
    while True:
        line = (sys.executable, "-m", "ops.cli.main", "probe", "--count", "5", "--run-dir", found.state.run_dir)
        silent = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*line, stdout=silent, stderr=silent)
        await process.wait()
        for _ in range(3):
            await _ask(found.session, url, {"question": "when? " * TOO_LARGE_WORDS})
        await asyncio.sleep(20)


async def crowds(found: World) -> None:
    """More than an engine can hold, some times."""
    serving = (await found.client.tiers())[TIER].tier.stable
    if serving is None or not serving.replicas:
        raise WorldBroken(f"{TIER} has no engines to ask")
    prompt = {"model": load_spec(found.folder / "gratefulgpt.yaml").tiers[TIER].model, "max_tokens": 150}
    url = found.state.gateway_url + "/v1/completions"
    for time_over in range(CROWDS):
        # Different from the first word on, so that they share no part of the cache.
        words = [f"{time_over} {n} word " * 60 for n in range(CROWD)]
        await asyncio.gather(*(_ask(found.session, url, {**prompt, "prompt": one}) for one in words))
        await asyncio.sleep(1)
