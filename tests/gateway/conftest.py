"""What the gateway's tests share: a configuration, routing tables, waiting with a bound."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from serving.contract import (
    Arm,
    ClassConfig,
    Endpoint,
    LimitsConfig,
    Route,
    RoutingTable,
    ServingConfig,
    StrataConfig,
    TaskConfig,
    TaskKind,
    TierConfig,
)

DEADLINE_SECONDS = 30.0
ADMIN_KEY = "admin-key-of-the-tests"
SYNTHETIC_TOKEN = "synthetic-token-of-the-tests"
MODEL = "gratefulgpt-7b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for a condition, sync or async, with a bound."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")


def make_config(**limits: Any) -> ServingConfig:
    bounds = {
        "body_bytes_max": 100_000,
        "body_read_timeout_seconds": 10.0,
        "prompt_chars_max": 20_000,
        "in_flight_max": 64,
        "queue_max": 8,
        "queue_timeout_seconds": 5.0,
        "connect_timeout_seconds": 2.0,
        "attempts_max": 2,
        "drain_timeout_seconds": 20.0,
        "epochs_kept_max": 4,
    }
    own = {
        "generate": ("/api/v1/generate", TaskKind.TEXT, "generation", 512),
        "chat": ("/api/v1/chat", TaskKind.TEXT, "generation", 512),
        "history-query": ("/api/v1/history/query", TaskKind.STRUCTURED, "query", 64),
    }
    openai = {
        "openai-chat": ("/v1/chat/completions", TaskKind.OPENAI_CHAT, "generation", 512),
        "openai-completion": ("/v1/completions", TaskKind.OPENAI_COMPLETION, "completion", 192),
    }
    tasks = tuple(
        TaskConfig(name, path, kind, task_class, cap, "production")
        for name, (path, kind, task_class, cap) in {**openai, **own}.items()
    )
    return ServingConfig(
        service="gratefulgpt",
        spec_digest="0" * 64,
        tiers={"production": TierConfig(MODEL, 8192), "edge": TierConfig("gratefulgpt-1.3b", 4096)},
        tasks=tasks,
        classes={
            "generation": ClassConfig(2.0, 30.0, 0.5, 0.1),
            "completion": ClassConfig(1.0, 15.0, 0.5, 0.1),
            "query": ClassConfig(0.5, 10.0, 0.5, 0.1),
        },
        strata=StrataConfig((512, 4096), (32, 128)),
        limits=LimitsConfig(**{**bounds, **limits}),
        latency_bounds_seconds=(0.1, 0.5, 1.0, 2.0, 10.0),
        first_token_bounds_seconds=(0.1, 0.5, 1.0),
        token_interval_bounds_seconds=(0.01, 0.05, 0.1),
    )


def make_table(
    stable: str | list[str],
    *,
    canary: str | None = None,
    weight: int = 0,
    epoch: int = 1,
    tier: str = "production",
    **more: Any,
) -> RoutingTable:
    """A table with ``weight`` basis points on a canary."""
    urls = [stable] if isinstance(stable, str) else stable
    endpoints = tuple(Endpoint(f"stable-{i}", url) for i, url in enumerate(urls))
    routes = [Route(Arm.STABLE, "r1", 10_000 - weight, endpoints, "v1")]
    if canary is not None:
        routes.append(Route(Arm.CANARY, "r2", weight, (Endpoint("canary-0", canary),), "v1"))
        more.setdefault("lease_seconds", 60.0)
    return RoutingTable(tier=tier, epoch=epoch, routes=tuple(routes), **more)


def chat_body(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Tell me of Dark Star"}], "max_tokens": 16, **more}


@pytest.fixture(scope="session")
def tools() -> Any:
    """The functions that tests share (modules of tests are not imported by each other)."""

    class Tools:
        config = staticmethod(make_config)
        table = staticmethod(make_table)
        until = staticmethod(until)
        free_port = staticmethod(free_port)
        chat_body = staticmethod(chat_body)
        admin_key = ADMIN_KEY
        synthetic_token = SYNTHETIC_TOKEN
        model = MODEL
        deadline_seconds = DEADLINE_SECONDS

    return Tools
