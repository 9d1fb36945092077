"""What was promised and what missed it, as Prometheus reads it from a real worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.contract import (
    GRADED,
    METRIC_EVENTS,
    METRIC_OBJECTIVE_MISSES,
    METRIC_OBJECTIVE_REQUESTS,
    METRICS_PATH,
    SYNTHETIC_HEADER,
    BadEvent,
    Objective,
)

pytestmark = pytest.mark.server

Told = dict[tuple[str, str, str], int]
"""By tier, task class, and objective or event."""


async def told(gateway: Any, name: str) -> Told:
    async with gateway.session.get(gateway.admin_url + METRICS_PATH) as answer:
        families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    return {
        (s.labels["tier"], s.labels["task_class"], s.labels.get("objective") or s.labels["event"]): int(s.value)
        for s in families[name].samples
        if s.name.endswith("_total")
    }


def of_chat(found: Told) -> dict[str, int]:
    """Of the tier and class that the tests ask, what is not 0."""
    return {name: n for (tier, of, name), n in found.items() if (tier, of) == ("production", "generation") and n}


async def test_every_series_stands_at_0_before_the_first_request(own_gateway: Any, tools: Any) -> None:
    config = tools.config()
    pairs = [(tier, name) for tier in config.tiers for name in config.classes]
    objectives = dict.fromkeys([(*pair, objective.value) for pair in pairs for objective in Objective], 0)
    events = dict.fromkeys([(*pair, event.value) for pair in pairs for event in BadEvent if event not in GRADED], 0)
    assert await told(own_gateway, METRIC_OBJECTIVE_REQUESTS) == objectives
    assert await told(own_gateway, METRIC_OBJECTIVE_MISSES) == objectives
    assert await told(own_gateway, METRIC_EVENTS) == events


async def test_failures_miss_and_faults_of_the_client_and_probes_do_not(
    own_gateway: Any, engine: Any, tools: Any
) -> None:
    for behaviour in ("good", "500", "cut", "400"):
        engine.behaviour = behaviour
        for stream in (False, True):
            await own_gateway.chat(stream=stream)
    engine.behaviour = "500"
    await own_gateway.post(
        "/v1/chat/completions", tools.chat_body(), headers={SYNTHETIC_HEADER: tools.synthetic_token}
    )
    await own_gateway.post("/v1/chat/completions", {"messages": "no list"})
    requests = of_chat(await told(own_gateway, METRIC_OBJECTIVE_REQUESTS))
    misses = of_chat(await told(own_gateway, METRIC_OBJECTIVE_MISSES))
    events = of_chat(await told(own_gateway, METRIC_EVENTS))
    assert requests == {"availability": 8, "latency": 8, "goodput": 8, "first_token": 4, "token_interval": 4}
    assert events == {"failed": 2, "cut": 1, "refused": 2}
    # The stream that was cut had shown something; whole answers cannot be.
    assert misses == {"availability": 3, "latency": 3, "goodput": 3, "first_token": 1, "token_interval": 2}


async def test_a_full_queue_misses_what_was_promised_to_those_it_turns_away(
    launcher: Any, engine: Any, tools: Any
) -> None:
    gateway = await launcher.start(tools.config(in_flight_max=1, queue_max=1, queue_timeout_seconds=20.0))
    await gateway.push(tools.table(engine.url))
    engine.behaviour = "hang"
    first = asyncio.create_task(gateway.chat())
    await tools.until(lambda: engine.requests, "the engine has the first")
    second = asyncio.create_task(gateway.chat())

    async def queued() -> bool:
        return bool((await gateway.admin("GET", "/admin/health"))[1]["queued"] == 1)

    await tools.until(queued, "the second waits")
    assert (await gateway.chat())[0] == 429
    assert of_chat(await told(gateway, METRIC_OBJECTIVE_MISSES))["availability"] == 1
    assert of_chat(await told(gateway, METRIC_OBJECTIVE_REQUESTS))["availability"] == 2  # one still stands in line
    engine.release.set()
    assert [(await first)[0], (await second)[0]] == [200, 200]
    assert of_chat(await told(gateway, METRIC_OBJECTIVE_REQUESTS))["availability"] == 3
    assert of_chat(await told(gateway, METRIC_OBJECTIVE_MISSES))["availability"] == 1


async def test_without_a_release_every_request_misses(launcher: Any) -> None:
    gateway = await launcher.start()
    assert (await gateway.chat())[0] == 503
    assert of_chat(await told(gateway, METRIC_OBJECTIVE_MISSES)) == {"availability": 1, "latency": 1, "goodput": 1}
