"""A fake Prometheus: a real server that speaks its API, and lies, stalls or breaks off on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from serving import contract
from serving.contract import CounterSnapshot

AnySeries = dict[str, Any]
JOB = "gateway"


def series_of(*scrapes: CounterSnapshot, target: str = "10.0.0.1:9001", job: str = JOB, **more: str) -> list[AnySeries]:
    """What Prometheus keeps of the scrapes of one target, the oldest first."""
    values: dict[tuple[tuple[str, str], ...], list[list[object]]] = {}

    def keep(name: str, value: float, at: float, **labels: str) -> None:
        key = {"__name__": name, "job": job, "instance": target, **more, **labels}
        values.setdefault(tuple(key.items()), []).append([at, f"{value:g}" if value > 1e15 else repr(value)])

    for one in scrapes:
        total, at = 0, one.at_unix_seconds
        for cell in one.cells:
            labels = {"tier": cell.tier, "arm": cell.arm.value, "epoch": str(cell.epoch)}
            labels |= {"task_class": cell.task_class, "stratum": cell.stratum}
            for metric, count in (
                (contract.METRIC_ASSIGNED, cell.assigned),
                (contract.METRIC_FINISHED, cell.finished),
                (contract.METRIC_STREAMED, cell.streamed),
            ):
                keep(f"{metric}_total", count, at, **labels)
                total += 1 + count
            for event, on_levels in cell.levels.items():
                for level, count in enumerate(on_levels):
                    keep(f"{contract.METRIC_LEVEL}_total", count, at, **labels, event=event.value, level=str(level))
                    total += 1 + count
            for event, count in cell.bad.items():
                keep(f"{contract.METRIC_BAD}_total", count, at, **labels, event=event.value)
                total += 1 + count
        keep(contract.METRIC_CONTROL_SUM, total, at)
        keep(contract.METRIC_INSTANCE, 1, at, worker=one.worker, exported_instance=one.instance)
    return [{"metric": dict(key), "values": found} for key, found in values.items()]


def body_of(series: list[AnySeries], **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}, **more}).encode()


@dataclass
class FakePrometheus:
    url: str = ""
    series: Callable[[], list[AnySeries]] = list
    """What it keeps now."""
    answer: Callable[[], tuple[int, str, bytes]] | None = None
    """Status, content type and body, instead of an honest answer."""
    stall: threading.Event | None = None
    """It waits for this before it answers."""
    drip: threading.Event | None = None
    """It sends the head, and one byte at a time until this is set."""
    hang_up: bool = False
    queries: list[str] = field(default_factory=list)

    def honest(self) -> tuple[int, str, bytes]:
        return 200, "application/json", body_of(self.series())

    def handler(fake) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                fake.queries += parse_qs(urlsplit(self.path).query).get("query", [])
                if fake.hang_up:
                    self.close_connection = True
                    return
                if fake.stall is not None:
                    fake.stall.wait(30)
                status, kind, body = (fake.answer or fake.honest)()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if fake.drip is not None:
                    self._drip(body, fake.drip)
                else:
                    self.wfile.write(body)

            def _drip(self, body: bytes, until: threading.Event) -> None:
                for i in range(len(body)):
                    self.wfile.write(body[i : i + 1])
                    if until.wait(0.1):
                        self.close_connection = True
                        return

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
