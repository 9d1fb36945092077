"""Panels whose series cannot be had in a short test of the stack, asked of a real Prometheus that scrapes a fake page.

GPUs: there are none here; the page is written after dcgm-exporter's own (its default-counters.csv). Error budgets:
their rules look back over weeks and are evaluated every few minutes; promtool proves the rules, this the panels.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ops.adapters.prometheus_server import command, find_prometheus
from ops.alerting.catalogue import METRICS, Source
from ops.alerting.families.budgets import OF_CLASSES, OF_TIERS
from ops.dashboarding import checking
from ops.dashboarding.model import Panel
from ops.dashboarding.registry import panels
from ops.spec.model import Spec

pytestmark = pytest.mark.server

STAND_INS = {"$__rate_interval": "3s", "$__interval": "1s", "$__range": "10s"}
WAIT_SECONDS_MAX = 30.0
GPUS = 2
DCGM = """
# HELP DCGM_FI_DEV_GPU_TEMP GPU temperature (in C).
# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{labels} {n}
# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{labels} {n}.5
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{labels} {n}
# HELP DCGM_FI_DEV_MEM_COPY_UTIL Memory utilization (in %).
# TYPE DCGM_FI_DEV_MEM_COPY_UTIL gauge
DCGM_FI_DEV_MEM_COPY_UTIL{labels} {n}
# HELP DCGM_FI_DEV_XID_ERRORS Value of the last XID error encountered.
# TYPE DCGM_FI_DEV_XID_ERRORS gauge
DCGM_FI_DEV_XID_ERRORS{labels} {n}
# HELP DCGM_FI_DEV_FB_FREE Framebuffer memory free (in MiB).
# TYPE DCGM_FI_DEV_FB_FREE gauge
DCGM_FI_DEV_FB_FREE{labels} {n}
# HELP DCGM_FI_DEV_FB_USED Framebuffer memory used (in MiB).
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{labels} 70000
"""
LABELS = '{gpu="{gpu}",UUID="GPU-{gpu}",device="nvidia{gpu}",modelName="NVIDIA A100",Hostname="node-1"}'
BUDGETS = """
OF_TIERS{tier="production",objective="availability"} 0.{n}
OF_TIERS{tier="idle",objective="availability"} NaN
OF_CLASSES{tier="production",task_class="query",objective="latency"} 0.{n}
"""
FAILING = 'gateway_responses_total{tier="production",task="chat",status="500"} {n}'
"""A task of which nothing is answered: it has no series of another status."""


def page(n: int) -> str:
    """What is scraped after ``n`` seconds."""
    budgets = BUDGETS.replace("OF_TIERS", OF_TIERS).replace("OF_CLASSES", OF_CLASSES)
    gpus = "".join(DCGM.replace("{labels}", LABELS.replace("{gpu}", str(gpu))) for gpu in range(GPUS))
    lines = [line for line in (gpus + budgets + FAILING).replace("{n}", str(10 + n)).splitlines() if line]
    return "\n".join(line for line in lines if not line.startswith("#")) + "\n"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; it scrapes the page four times a second, as the job dcgm."""
    folder, start = tmp_path_factory.mktemp("prometheus"), time.monotonic()

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = page(int(time.monotonic() - start)).encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\nscrape_configs:\n"
        f"- job_name: dcgm\n  static_configs: [{{targets: ['127.0.0.1:{server.server_address[1]}']}}]\n"
    )
    binary = find_prometheus()
    assert binary, "Debian's package prometheus is needed: .ci/system-packages"
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    line = command(binary, folder / "prometheus.yml", folder / "data", port, retention_days=1, resend_seconds=60)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        server.shutdown()
        server.server_close()


def numbers(url: str, expression: str) -> list[list[float]]:
    """Of each series, in the last half minute; none while Prometheus does not answer yet."""
    now = time.time()
    asked = {"query": checking.plain(expression, STAND_INS), "start": now - 30, "end": now, "step": 1}
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(asked)}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as e:
        raise AssertionError(f"{expression}: {e.read().decode()}") from e
    except OSError:
        return []
    series = [[float(value) for _, value in one["values"]] for one in found["data"]["result"]]
    return [[number for number in one if not math.isnan(number)] for one in series]


def asked_here(spec: Spec) -> dict[tuple[str, str], Panel]:
    """The panels of GPUs, and those that read what rules record."""
    return {
        key: panel
        for key, panel in panels(spec).items()
        if Source.DCGM in checking.sources(panel) or any(":error_budget" in one.expression for one in panel.queries)
    }


def test_panels_of_gpus_and_of_error_budgets_show_data_that_move(spec: Spec, prometheus: str) -> None:
    chosen = asked_here(spec)
    assert len(chosen) > 8
    end = time.monotonic() + WAIT_SECONDS_MAX
    missing: list[object] = list(chosen)
    while missing and time.monotonic() < end:
        missing = [
            (key, query.expression)
            for key, panel in chosen.items()
            for query in panel.queries
            if not any(len(set(found)) > 1 for found in numbers(prometheus, query.expression))
        ]
        time.sleep(0.5)
    assert not missing


def test_a_tier_that_nobody_asks_has_no_budget_that_is_no_number(spec: Spec, prometheus: str) -> None:
    for key in ("error_budget", "burn_down"):
        (query,) = panels(spec)["overview", key].queries
        assert waited(prometheus, f"count({query.expression})")[-1] == 1


def test_a_task_of_which_nothing_is_answered_stands_at_0(spec: Spec, prometheus: str) -> None:
    (query,) = panels(spec)["business", "answered"].queries
    assert set(waited(prometheus, query.expression)) == {0.0}


def waited(url: str, expression: str) -> list[float]:
    """The numbers of the one series, once there is one."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not (found := numbers(url, expression)) and time.monotonic() < end:
        time.sleep(0.5)
    (only,) = found
    return only


def test_the_page_has_every_metric_that_we_ask_of_gpus() -> None:
    names = {metric.name for metric in METRICS if metric.source is Source.DCGM and metric.name.startswith("DCGM")}
    assert {line.split("{")[0] for line in page(0).splitlines() if line.startswith("DCGM")} == names
