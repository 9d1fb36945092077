"""``ops load certify`` against a whole local stack with Prometheus and Alertmanager, alerting's times shortened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.runbooks.shortening import shortened
from tests.alertmanager.servers import receiver

from .conftest import ROOT, wait_until

pytestmark = [pytest.mark.server, pytest.mark.alone]
STEP_SECONDS_MAX = 120.0
CERTIFY_SECONDS_MAX = 240.0
ATTEMPTS_MAX = 2
"""An invalid one says that the machine was busy, so that alerts with times so short fired before anything was broken.
A stack that has only just begun is told of too: no leader yet, no engine yet."""
FACTOR = 15


def ops(*line: str, seconds: float = STEP_SECONDS_MAX) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli.main", *line]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture
def pager() -> Iterator[str]:
    """Takes what Alertmanager tells: that nobody can be told would be an alert of its own."""
    with receiver() as found:
        yield found.url


@pytest.fixture
def run_dir(tmp_path: Path, pager: str) -> Iterator[str]:
    """Of a stack that serves its first release and watches it."""
    where, spec, model = str(tmp_path / "stack"), tmp_path / "gratefulgpt.yaml", tmp_path / "model"
    spec.write_text(shortened(ROOT / "gratefulgpt.yaml", pager, FACTOR), encoding="utf-8")
    model.mkdir()
    (model / "simulated.json").write_text("{}")
    more = ("--prometheus", "on", "--alertmanager", "on", "--exporters", "off", "--port", "0", "--detach")
    up = ops("stack", "up", "--run-dir", where, "--spec", str(spec), *more)
    try:
        assert up.returncode == 0, up.stderr
        for line in (
            ("release", "add", "v1", "--model", str(model), "--engine", "simulated", "--no-wait"),
            ("canary", "start", "v1", "--watch"),
        ):
            done = ops(*line, "--run-dir", where)
            assert done.returncode == 0, done.stdout + done.stderr
        yield where
    finally:
        down = ops("stack", "down", "--run-dir", where)
    assert down.returncode == 0, down.stderr


def test_errors_under_load_set_off_the_alert_that_the_spec_derives_for_them(run_dir: str) -> None:
    for _ in range(ATTEMPTS_MAX):
        wait_until(lambda: ops("alerts", "status", "--run-dir", run_dir).returncode == 0, "alerts are quiet")
        done = ops("load", "certify", "errors", "--run-dir", run_dir, "--yes", "--json", seconds=CERTIFY_SECONDS_MAX)
        if done.returncode != 4:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "gratefulgpt.load-certify/1"
    assert report["verdict"]["outcome"] == "pass"
    (trial,) = report["trials"]
    assert trial["alert"] == "HighErrorRate"
    assert 0 < trial["alertmanager_seconds"] <= trial["fire_seconds_max"]
    assert 0 < trial["resolved_seconds"] <= trial["resolve_seconds_max"]
    assert trial["runbook"] == "runbooks/HighErrorRate.md"
    before, during = trial["bad_requests"]["before"], trial["bad_requests"]["during"]
    assert during["bad"] / during["requests"] > 0.1 > before["bad"] / before["requests"]
    assert "HighErrorRate must fire within" in done.stderr
