"""The outermost edge: a fault of ours is answered, logged by place, and never quoted."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from serving.gateway.admin_port import admin_app
from serving.gateway.public import public_app
from serving.gateway.request_log import LINES_HELD_MAX, RequestLog


@pytest.mark.parametrize(("make", "path"), [(public_app, "/api/v1/health"), (admin_app, "/healthz")])
async def test_a_fault_of_ours_is_a_500_and_a_log_line_without_its_words(tools: Any, make: Any, path: str) -> None:
    class Worker(SimpleNamespace):
        @property
        def life(self) -> Any:
            raise ValueError("secret words")

        def snapshot_health(self) -> Any:
            raise ValueError("secret words")

    stream = io.BytesIO()
    log = RequestLog("gateway-0", stream)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    app = make(Worker(log=log, config=tools.config(), inference=SimpleNamespace(serve=receive)))
    await app({"method": "GET", "path": path, "headers": []}, receive, send)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"]["code"] == "internal_error"
    await log.write()
    line = json.loads(stream.getvalue())
    assert (line["event"], line["type"]) == ("fault", "ValueError")
    assert any("test_edges.py" in frame for frame in line["frames"])
    assert "secret" not in stream.getvalue().decode()


async def test_a_log_that_nobody_reads_drops_lines_and_counts_them() -> None:
    log = RequestLog("gateway-0", io.BytesIO())
    for _ in range(LINES_HELD_MAX + 3):
        log.event(0.0, "tick")
    assert log.dropped == 3
    await log.write()
    log.event(0.0, "tick")
    assert log.dropped == 3
