"""A real Alertmanager, and a fake server that receives what it sends."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], object], words: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s in vain: {words}"
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Notification:
    path: str
    authorization: str | None
    body: dict[str, Any]

    @property
    def names(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.body["alerts"] if alert["status"] == "firing"}


@dataclass
class Receiver:
    """What arrived, by path: each receiver of a test has one of its own."""

    url: str = ""
    got: list[Notification] = field(default_factory=list)

    def at(self, path: str) -> list[Notification]:
        return [one for one in self.got if one.path == path]


@contextmanager
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.got.append(Notification(self.path, self.headers.get("authorization"), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Alertmanager:
    url: str
    config: Path

    def fire(self, *labels: Mapping[str, str]) -> None:
        """All at once, as one evaluation of Prometheus sends them; they end when nobody renews them in an hour."""
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        self._post("/api/v2/alerts", [{"labels": dict(one), "endsAt": ends} for one in labels])

    def send(self, alerts: Iterable[tuple[Mapping[str, str], bool]]) -> None:
        """What fires, and what fires no longer."""
        now = datetime.now(UTC)
        until = {True: (now + timedelta(hours=1)).isoformat(), False: now.isoformat()}
        self._post("/api/v2/alerts", [{"labels": dict(one), "endsAt": until[firing]} for one, firing in alerts])

    def alerts(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as response:
            answer: list[dict[str, Any]] = json.load(response)
            return answer

    def suppressed(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.alerts() if one["status"]["state"] == "suppressed"}

    def _post(self, path: str, content: object) -> None:
        request = urllib.request.Request(
            self.url + path, json.dumps(content).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200


@contextmanager
def alertmanager(config: Path) -> Iterator[Alertmanager]:
    port = free_port()
    line = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={config.parent / 'data'}"]
    line += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn"]
    log = config.parent / "alertmanager.log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        found = Alertmanager(f"http://127.0.0.1:{port}", config)
        wait_until(lambda: process.poll() is not None or answers(f"{found.url}/-/ready"), log.read_text("utf-8"))
        assert process.poll() is None, log.read_text("utf-8")
        yield found
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def prometheus(folder: Path, *, lifecycle: bool = True) -> Iterator[str]:
    """Its address. It reads rules from ``folder/rules`` and scrapes nothing."""
    port = free_port()
    (folder / "rules").mkdir(exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(f"rule_files: ['{folder}/rules/*.yml']\n", encoding="utf-8")
    line = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=warn"]
    line += [f"--web.listen-address=127.0.0.1:{port}", *(["--web.enable-lifecycle"] if lifecycle else [])]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: process.poll() is not None or answers(f"{url}/-/ready"), "Prometheus is ready")
        assert process.poll() is None, log.read_text("utf-8")
        yield url
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


@contextmanager
def pretender(answers_by_path: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """A server that gives for each path a status and a body, and 404 for all others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers_by_path.get(self.path, (404, "no such page"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
