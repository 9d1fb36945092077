"""``ops alerts env`` against a fake Prometheus: the variables of a runbook, or why there are none."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ops.cli.main import main
from serving.contract import METRIC_ROUTE_WEIGHT


@dataclass
class Prometheus:
    url: str = ""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    alertmanagers: list[str] = field(default_factory=lambda: ["http://127.0.0.1:9093/am/api/v2/alerts"])
    series: dict[str, dict[str, str]] = field(default_factory=dict)
    """Labels of the answer, by a part of the query."""
    status: int = 200
    body: bytes | None = None

    def fires(self, name: str, state: str = "firing", **labels: str) -> None:
        named = {"alertname": name, "severity": "critical", "category": "service-downtime", **labels}
        since = f"2026-11-25T17:00:0{len(self.alerts)}.5Z"
        self.alerts.append(
            {"state": state, "labels": named, "annotations": {}, "activeAt": since, "value": "1e+00"}
        )

    def answer(self, path: str) -> dict[str, Any]:
        if path.startswith("/api/v1/query?"):
            (query,) = parse_qs(urlsplit(path).query)["query"]
            found = [{"metric": labels, "value": [1.0, "1"]} for part, labels in self.series.items() if part in query]
            return {"resultType": "vector", "result": found}
        if path == "/api/v1/alerts":
            return {"alerts": self.alerts}
        return {"activeAlertmanagers": [{"url": url} for url in self.alertmanagers], "droppedAlertmanagers": []}


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    fake = Prometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = json.dumps({"status": "success", "data": fake.answer(self.path)}).encode()
            body = fake.body if fake.body is not None else whole
            self.send_response(fake.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def env(prometheus: Prometheus, *arguments: str) -> int:
    return main(["alerts", "env", *arguments, "--prometheus", prometheus.url])


def refused(script: str) -> bool:
    """A shell that evaluates it fails, and has no variable of an earlier alert."""
    line = 'TIER=edge; PROMETHEUS=x; eval "$1"; echo "$?$TIER$PROMETHEUS"'
    return subprocess.run(["/bin/sh", "-c", line, "sh", script], capture_output=True, check=True).stdout == b"1\n"


def test_labels_and_addresses_become_variables_that_a_shell_reads(prometheus, capsys) -> None:
    prometheus.fires("Other", tier="edge")
    prometheus.fires("SlowAnswers", tier="pro duction", task_class="it's", path="/bin", instance="a:1")
    assert env(prometheus, "SlowAnswers") == 0
    script = capsys.readouterr().out + 'printf "%s|" "$TIER" "$TASK_CLASS" "$INSTANCE" "$PROMETHEUS" "$ALERTMANAGER"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"pro duction|it's|a:1|{prometheus.url}|http://127.0.0.1:9093/am|"
    assert " PATH" not in script, "a label never takes the place of one of the shell's own variables"


def test_an_engines_replica_tier_and_release_follow_from_its_instance(prometheus, capsys) -> None:
    prometheus.fires("EngineDown", instance="127.0.0.1:8001", job="engine")
    prometheus.series = {
        'up{instance="127.0.0.1:8001"}': {"replica": "r-1", "tier": "edge", "job": "other", "zone": "b"},
        f'{METRIC_ROUTE_WEIGHT}{{tier="edge"}}': {"release": "v2"},
    }
    assert env(prometheus, "EngineDown") == 0
    seen = capsys.readouterr().out
    assert {"export REPLICA=r-1", "export TIER=edge", "export RELEASE=v2", "export JOB=engine"} <= set(seen.split("\n"))
    assert "ZONE" not in seen


def test_one_that_does_not_fire_is_refused_and_what_fires_is_named(prometheus, capsys) -> None:
    prometheus.fires("TierOutage", tier="edge")
    prometheus.fires("SlowAnswers", state="pending", tier="edge")
    assert env(prometheus, "SlowAnswers") == 1
    seen = capsys.readouterr()
    assert refused(seen.out)
    assert "SlowAnswers does not fire; what fires is TierOutage" in seen.err


def test_one_that_fires_twice_must_be_chosen(prometheus, capsys) -> None:
    prometheus.fires("SlowAnswers", tier="edge", task_class="query")
    prometheus.fires("SlowAnswers", tier="research", task_class="query")
    assert env(prometheus, "SlowAnswers") == 2
    seen = capsys.readouterr()
    assert refused(seen.out)
    assert "--label tier=edge\n  --label tier=research" in seen.err
    assert env(prometheus, "SlowAnswers", "--label", "tier=research") == 0
    assert "export TIER=research\n" in capsys.readouterr().out
    assert env(prometheus, "SlowAnswers", "--label", "tier=community") == 2
    assert env(prometheus, "SlowAnswers", "--label", "research") == 2


def test_without_an_alertmanager_its_variable_is_missing_and_that_is_said(prometheus, capsys) -> None:
    prometheus.fires("TierOutage", tier="edge")
    prometheus.alertmanagers = []
    assert env(prometheus, "TierOutage") == 0
    seen = capsys.readouterr()
    assert "export ALERTMANAGER" not in seen.out
    assert "$ALERTMANAGER is not set" in seen.err


@pytest.mark.parametrize(("status", "body"), [(503, None), (200, b"<html>"), (200, b'{"status":"success","data":3}')])
def test_a_prometheus_that_cannot_be_asked_leaves_everything_unknown(prometheus, capsys, status, body) -> None:
    prometheus.status, prometheus.body = status, body
    assert env(prometheus, "TierOutage") == 4
    seen = capsys.readouterr()
    assert refused(seen.out)
    assert prometheus.url in seen.err


def test_no_prometheus_and_no_stack_leave_everything_unknown(prometheus, capsys, tmp_path) -> None:
    assert main(["alerts", "env", "TierOutage", "--prometheus", "http://127.0.0.1:9"]) == 4
    assert "cannot be reached" in capsys.readouterr().err
    assert main(["alerts", "env", "TierOutage", "--run-dir", str(tmp_path)]) == 4
    assert "--prometheus URL" in capsys.readouterr().err
