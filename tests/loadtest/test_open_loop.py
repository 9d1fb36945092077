"""The load: independent users, bounded, on this machine alone, measured from when a request was due."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from random import Random

import psutil
import pytest

from ops.loadtest.arrivals import poisson
from ops.loadtest.requests import Mix, draw
from ops.loadtest.samples import Sample, read_samples


def test_arrivals_come_at_the_rate_asked_for_and_do_not_depend_on_each_other():
    times = list(poisson(50.0, 200.0, Random(1)))
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert times == sorted(times)
    assert times[-1] < 200.0
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1)  # exponential: as wide as it is long


def test_the_same_seed_asks_the_same():
    assert [draw("m", Mix(), Random(3)) for _ in range(5)] == [draw("m", Mix(), Random(3)) for _ in range(5)]


def test_the_mix_is_as_asked():
    chance = Random(1)
    requests = [draw("m", Mix(chat_streamed=1, chat=0, completion=0), chance) for _ in range(20)]
    assert all(request.stream and request.body["stream"] for request in requests)


def test_a_line_that_is_still_being_written_is_left_for_the_next_read(tmp_path):
    path = tmp_path / "samples.jsonl"
    line = b'{"at":1.0,"send_lag":0.0,"latency":0.5,"first_token":null,"status":200,"ok":true,"arm":"stable",'
    rest = b'"release":"r","stream":false}\n'
    path.write_bytes(line + rest + line)
    samples, offset = read_samples(path)
    assert [sample.latency for sample in samples] == [0.5]
    path.write_bytes(line + rest + line + rest)
    assert len(read_samples(path, offset)[0]) == 1


def _load(url: str, output, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.loadtest.open_loop", "--url", url, "--model", "m", "--output", str(output)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("http://192.0.2.1:80", ("--rate", "1", "--seconds", "1"), "this machine alone"),
        ("http://localhost.example.org", ("--rate", "1", "--seconds", "1"), "this machine alone"),
        ("http://127.0.0.1:1", ("--rate", "1e9", "--seconds", "1"), "out of bounds"),
        ("http://127.0.0.1:1", ("--rate", "1", "--seconds", "1e9"), "out of bounds"),
    ],
)
def test_load_that_must_not_be_is_refused(tmp_path, url, options, words):
    refused = _load(url, tmp_path / "s", *options)
    assert refused.returncode == 2
    assert words in refused.stderr


class _Service(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("x-arm", "canary")
        self.send_header("x-release", "r1")
        self.end_headers()
        if body.get("stream"):
            self.wfile.write(b'data: {"choices":[]}\n\n')  # and then it ends without its mark
        else:
            self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.mark.server
def test_each_request_leaves_a_sample_and_a_stream_without_its_end_is_not_ok(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = _load(f"http://127.0.0.1:{server.server_port}", tmp_path / "s", "--rate", "50", "--seconds", "2")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    samples, _ = read_samples(tmp_path / "s")
    assert 50 < len(samples) < 160
    assert {sample.stream for sample in samples} == {True, False}
    for sample in samples:
        assert isinstance(sample, Sample)
        assert (sample.status, sample.arm, sample.release) == (200, "canary", "r1")
        assert sample.ok is not sample.stream


@pytest.mark.server
def test_a_service_that_is_not_there_leaves_failed_samples(tmp_path):
    done = _load("http://127.0.0.1:9", tmp_path / "s", "--rate", "20", "--seconds", "1")
    assert done.returncode == 0
    samples, _ = read_samples(tmp_path / "s")
    assert samples
    assert not any(sample.ok or sample.status for sample in samples)


def test_the_load_ends_with_whoever_started_it(tmp_path):
    """SIGKILL leaves a parent no time to say so."""
    load = f"--url http://127.0.0.1:1 --model m --rate 20 --seconds 60 --output {tmp_path / 'l'}"
    command = [sys.executable, "-m", "ops.loadtest.open_loop", *load.split()]
    program = f"import subprocess; p = subprocess.Popen({command!r}); print(p.pid, flush=True); p.wait()"
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    generator = psutil.Process(int(owner.stdout.readline()))
    _wait_until(lambda: (tmp_path / "l").exists())
    owner.kill()
    owner.wait()
    _wait_until(lambda: not generator.is_running())


def _wait_until(true: Callable[[], bool], seconds_max: float = 30.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
