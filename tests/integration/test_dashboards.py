"""Every query of every dashboard, run against a real Prometheus of a stack under load: it has data, and the data move.

GPUs and error budgets over weeks are the exception: tests/dashboarding/test_exporters.py has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any

import aiohttp
import pytest

from ops.adapters.spec_file import load_spec
from ops.alerting.catalogue import Source
from ops.dashboarding import checking
from ops.dashboarding.model import Shape
from ops.dashboarding.registry import panels
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="package")]

STEP_SECONDS = 2
RATE = 50.0
ROLLOUT_SECONDS_MAX = 240.0
STAND_INS = {"$__rate_interval": "10s", "$__interval": "2s", "$__range": "1m"}
HARM = {"error_rate": 0.2, "cut_rate": 0.2, "empty_rate": 0.2, "repeat_rate": 0.1, "decline_rate": 0.1}
TOO_LARGE_WORDS = 50_000
BUDGET = ":error_budget"
"""In the names of what rules record every few minutes only."""
CROWD = 60
"""Requests at once to one engine: more than its cache and its queue hold."""
STEADY = {
    ("overview", "pages"): "an alert is made after minutes, and this is over by then",
    ("overview", "tickets"): "the same",
    ("gateway", "queued"): "thousands of requests at once would have to wait in one worker",
    ("gateway", "route_state"): "no lease ends while the controller lives",
    ("gateway", "log_lines_dropped"): "the disk keeps up",
    ("rollouts", "blind"): "no look is blind while every worker answers; on a busy machine one may be",
    ("infrastructure", "controller_leader"): "one leads all the time",
    ("infrastructure", "controller_database"): "the database stays",
    ("infrastructure", "controller_term"): "no other takes over",
    ("infrastructure", "swap"): "nothing is swapped out",
    ("infrastructure", "network_bytes"): "what a stack on one machine sends stays on the loopback device",
    ("infrastructure", "network_errors"): "there are none",
    ("infrastructure", "postgres_up"): "the database stays",
    ("infrastructure", "postgres_rollbacks"): "no transaction fails",
    ("infrastructure", "postgres_deadlocks"): "there are none",
    ("infrastructure", "postgres_temp"): "no query is that large",
    ("infrastructure", "rule_failures"): "every rule can be evaluated",
    ("infrastructure", "configuration"): "nothing is reloaded",
    ("infrastructure", "alertmanagers"): "the one stays",
    ("infrastructure", "alerts_delivered"): "a stack on one machine tells nobody",
    ("infrastructure", "silences"): "nobody silences anything",
}
"""Panels that have data, and why no load moves them."""


async def overload(service: Any) -> None:
    """More than an engine can hold."""
    (held, *_) = await service.tables()
    url = held.table.routes[0].endpoints[0].url + "/v1/completions"
    prompt = {"model": "gratefulgpt-7b", "max_tokens": 200}

    async def ask(address: str, **body: Any) -> int:
        async with service.session.post(address, **body) as response:
            await response.read()
            return int(response.status)

    # Different from the first word on, so that they share no part of the cache.
    await asyncio.gather(*(ask(url, json=prompt | {"prompt": f"{n} word " * 100}) for n in range(CROWD)))


async def ends(service: Any, rollout: Rollout, state: State) -> None:
    """With patience: what is asked here is what panels show, not how fast a busy machine is."""

    async def ended() -> bool:
        return (await service.client.rollout(rollout.id)).state in ENDED

    await service.eventually(ended, f"{rollout.id} does not end", ROLLOUT_SECONDS_MAX)
    assert (await service.client.rollout(rollout.id)).state is state


async def harm(service: Any) -> None:
    """Every canary that comes, since on a busy machine a lease may end and the rollout begin anew."""
    while True:
        with contextlib.suppress(KeyError, ValueError, aiohttp.ClientError):  # there is none at the moment
            await service.harm_canary(**HARM)
        await asyncio.sleep(1)


async def questions(service: Any) -> None:
    """What the load does not ask: the class query, synthetic requests, and one too large to be let in."""
    url = service.state.gateway_url + "/api/v1/history/query"
    await service.ops("probe", "--count", "10", "--interval-seconds", "0.2")
    while True:
        for words in (1, 1, 1, 1, TOO_LARGE_WORDS):
            async with service.session.post(url, json={"question": "when? " * words}) as response:
                await response.read()
            await asyncio.sleep(0.1)


async def asked(session: aiohttp.ClientSession, url: str, expression: str, start: float) -> list[list[float]]:
    """Each series' numbers since ``start``."""
    form = {"query": checking.plain(expression, STAND_INS), "start": start, "end": time.time(), "step": STEP_SECONDS}
    async with session.post(f"{url}/api/v1/query_range", data=form) as response:
        said = await response.json()
    assert said["status"] == "success", (expression, said)
    found = [[float(value) for _, value in one["values"]] for one in said["data"]["result"]]
    return [numbers for series in found if (numbers := [number for number in series if not math.isnan(number)])]


async def test_every_panel_shows_data_that_move_with_the_load(prometheus_service: Any) -> None:
    service, start = prometheus_service, time.time()
    async with service.load(RATE), asyncio.TaskGroup() as group:
        others = group.create_task(questions(service))
        await asyncio.sleep(4 * STEP_SECONDS)
        small = ("--max-model-len", "2048", "--num-gpu-blocks-override", "128", "--max-num-queued-reqs", "20")
        good = await service.client.start(await service.release("small-cache", small, seed=31), service.tier)
        await ends(service, good, State.PROMOTED)
        await overload(service)
        bad = await service.start("harmful", seed=32)
        worse = group.create_task(harm(service))
        await ends(service, bad, State.ROLLED_BACK)
        worse.cancel()
        await service.ops("freeze", "on", "--reason", "to be seen on a panel")
        await asyncio.sleep(2 * STEP_SECONDS)
        await service.ops("freeze", "off")
        await asyncio.sleep(6 * STEP_SECONDS)
        others.cancel()
    url = service.state.prometheus_url
    empty, still = [], []
    for key, panel in panels(load_spec(service.folder / "spec.yaml")).items():
        if Source.DCGM in checking.sources(panel) or any(BUDGET in query.expression for query in panel.queries):
            continue
        moves = False
        for query in panel.queries:
            found = await asked(service.session, url, query.expression, start)
            if not found:
                empty.append(f"{key}: {query.expression}")
            if panel.shape is Shape.TABLE:  # its rows come and go
                found += await asked(service.session, url, f"count({query.expression})", start)
            moves |= any(len(set(numbers)) > 1 for numbers in found)
        if not moves and key not in STEADY:
            still.append(str(key))
    assert not empty, "\n".join(empty)
    assert not still, "\n".join(still)
