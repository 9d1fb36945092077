"""Starting what is measured, and reading what it says: servers, the driver's process, nginx."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from ops.loadtest.frames import Begin, Report, read, write
from ops.loadtest.plan import Kind, Phase, Plan, Process, Rate
from ops.loadtest.recording import Measure, Recorder

END_SECONDS_MAX = 90.0
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Tell me of the river. " * 18}]}).encode()
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY
TARGET_SECONDS, TIMEOUT_SECONDS = 0.5, 60.0


def plan(port: int, seconds: float, rate: float, process: Process = Process.POISSON, **more: object) -> Plan:
    """One kind of request at one rate, 0 for closed users. ``stream`` and ``lead_seconds`` besides a plan's own."""
    stream, lead = bool(more.pop("stream", False)), float(more.pop("lead_seconds", 0.0))  # type: ignore[arg-type]
    kind = Kind("x", "generation", TARGET_SECONDS, TIMEOUT_SECONDS, stream)
    rates = ((Rate(lead, 0.0, 0.0),) if lead else ()) + (Rate(seconds, rate, rate),)
    return Plan(
        "127.0.0.1", port, False, (kind,), ((0, REQUEST),), (Phase("all", lead + seconds),),
        rates=rates if rate else (), process=process, drain_seconds_max=TIMEOUT_SECONDS, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass
class Server:
    port: int
    process: psutil.Process
    summary: dict[str, object] = field(default_factory=dict)
    """What it said at its end."""


@contextmanager
def serving(role: str, **options: float) -> Iterator[Server]:
    """A server of ``benchmarks.load.servers``."""
    words = [str(part) for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "benchmarks.load.servers", role, *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    found = Server(int(child.stdout.readline()), psutil.Process(child.pid))
    try:
        yield found
        child.send_signal(signal.SIGTERM)
        found.summary = json.loads(child.communicate(timeout=END_SECONDS_MAX)[0])
    finally:
        child.kill()
        child.wait()


class Driven:
    """A driver's process at work: its reports, added up as they come."""

    def __init__(self, plan: Plan, share: float = 1.0, users: int = 0) -> None:
        command = [sys.executable, "-m", "ops.loadtest.driver_process"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reports: list[Report] = []
        self.total = Recorder()
        self.by_phase: dict[int, Recorder] = {}
        write(self._child.stdin, Begin(plan, share, users))  # type: ignore[arg-type]
        self._first = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while (data := read(self._child.stdout)) is not None:  # type: ignore[arg-type]
            report = msgspec.msgpack.decode(data, type=Report)
            for cell in report.cells:
                self.total.merge(cell.recorded)
                self.by_phase.setdefault(cell.phase, Recorder()).merge(cell.recorded)
            self.reports.append(msgspec.structs.replace(report, cells=()))
            self._first.set()

    def started_unix_seconds(self) -> float:
        """Known from its first report on."""
        assert self._first.wait(END_SECONDS_MAX)
        return self.reports[0].at_unix_seconds - self.reports[0].elapsed_seconds

    def wait(self) -> None:
        self._reading.join()
        self._child.wait(END_SECONDS_MAX)
        assert self.reports[-1].final, "the driver ended without its last report"
        assert not self.reports[-1].error, self.reports[-1].error

    def percentiles(self, measure: Measure, percents: tuple[float, ...]) -> list[float]:
        """Seconds."""
        return [self.total.histograms[measure].percentile(percent) for percent in percents]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Nginx:
    port: int

    def requests(self) -> int:
        """That it has served so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=10) as answer:
            return int(answer.read().split()[9])


@contextmanager
def nginx() -> Iterator[Nginx]:
    """One worker that answers every request with the same body and counts them."""
    if shutil.which("nginx") is None:
        raise SystemExit("nginx is needed: apt-get install nginx-light")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nginx.conf"
        path.write_text(
            f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events { worker_connections 16384; }\n"
            "http { access_log off; keepalive_requests 1000000000; default_type application/json;\n"
            f"client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};\n"
            f"uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096; location = /status {{ stub_status; }}\n"
            f'location / {{ return 200 \'{{"text":"{"word " * 50}"}}\'; }} }} }}\n'
        )
        child = subprocess.Popen(["nginx", "-c", str(path)], stderr=subprocess.DEVNULL)
        found = Nginx(port)
        try:
            for _ in range(100):
                try:
                    found.requests()
                    break
                except OSError:
                    time.sleep(0.1)
            yield found
        finally:
            child.terminate()
            child.wait(END_SECONDS_MAX)


def cpu_seconds(process: psutil.Process) -> float:
    """Of it and all of its children that live."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        times = one.cpu_times()
        total += times.user + times.system
    return total
