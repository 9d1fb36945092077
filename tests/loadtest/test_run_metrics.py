"""What a Prometheus finds while a run goes on."""

import socket
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.loadtest.reporting_metrics import serve_metrics
from ops.loadtest.run import Collecting
from tests.loadtest.judged_runs import SPEC, STREAMED, FakeService, driven, loose, plan, serving

pytestmark = pytest.mark.server


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _scraped(port: int) -> dict[tuple[str, ...], float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    names = ("task_class", "outcome", "cause", "le", "generator")
    return {(one.name, *(one.labels[name] for name in names if name in one.labels)): one.value for one in samples}


def test_requests_histograms_and_the_generators_health_are_there_to_be_scraped():
    with serving(FakeService(status=lambda number: 503 if number % 10 == 0 else 200)) as service:
        run = loose(driven(plan(service, 100, 1, STREAMED)))
    collecting = Collecting("smoke", run.plan, time.time())
    port = free_port()
    end = serve_metrics(str(port), lambda: collecting, SPEC.measuring)
    try:
        assert not any(name[0].startswith("load_requests_total") for name in _scraped(port))
        from ops.loadtest.frames import Cell, Report

        cells = tuple(Cell(*key, recorded) for key, recorded in run.cells.items())
        collecting.take("local", Report(time.time(), 1.0, cells, 3, 0, 7, 0.1, 1 << 20))
        found = _scraped(port)
        assert found["load_requests_total", "query", "in_time"] == 90
        assert (
            found["load_requests_total", "query", "failed"] == found["load_failures_total", "query", "status.503"] == 10
        )
        assert found["load_tokens_total", "query"] == 270
        assert found["load_latency_seconds_bucket", "query", "0.5"] == 90
        assert found["load_time_to_first_token_seconds_bucket", "query", "+Inf"] == 90
        assert found["load_generator_connections", "local"] == 7
    finally:
        end()


def test_a_taken_port_is_told():
    port = free_port()
    end = serve_metrics(f"127.0.0.1:{port}", lambda: None, SPEC.measuring)
    try:
        with pytest.raises(OSError, match="in use"):
            serve_metrics(f"127.0.0.1:{port}", lambda: None, SPEC.measuring)
    finally:
        end()
