"""The locustfiles, as users of Locust start them: one for each suite, and the UI runs it as often as one likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec

from .conftest import ROOT, Service, free_port, wait_until

FILES = sorted((ROOT / "loadtests").glob("*.py"))


def test_there_is_a_locustfile_for_each_suite_of_the_spec_and_no_other() -> None:
    suites = load_spec(ROOT / "gratefulgpt.yaml").load.suites
    assert {path.stem for path in FILES} == set(suites)
    for path in FILES:
        assert f'load_suite("{path.stem}")' in path.read_text()


@pytest.fixture
def ui(service: Service, short_spec: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Of Locust with the smoke suite, and the folder of its reports."""
    url = f"http://127.0.0.1:{free_port()}"
    line = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "smoke.py"), "--web-host", "127.0.0.1"]
    line += ["--web-port", url.rpartition(":")[2], "--host", service.url, "--spec", str(short_spec)]
    with (tmp_path / "log").open("w") as log:
        found = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(line, cwd=tmp_path, stdout=log, stderr=log, env=found)
    try:
        wait_until(lambda: _get(url + "/") is not None, "the UI answers")
        yield url, tmp_path / "build" / "load"
    finally:
        process.terminate()
        process.wait(60)


def _get(url: str, form: dict[str, str] | None = None) -> bytes | None:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(url, data=data, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return None


@pytest.mark.server
def test_a_run_of_the_ui_shows_its_requests_is_judged_and_takes_no_program_from_the_web(
    ui: tuple[str, Path], tmp_path: Path
) -> None:
    url, reports = ui
    mark = tmp_path / "mark"
    started = _get(url + "/swarm", {"scale": "0.9", "replicas_command": f"touch {mark}", "spec": "/nowhere.yaml"})
    assert started is not None
    assert json.loads(started)["success"]

    def shown() -> dict[str, float]:
        stats = json.loads(_get(url + "/stats/requests") or b"{}")
        return {row["name"]: row["num_requests"] for row in stats.get("stats", [])}

    wait_until(lambda: shown().get("chat", 0) > 5, "requests are shown")
    wait_until(lambda: list(reports.glob("smoke-*/report.json")), "the run is judged")
    (path,) = reports.glob("smoke-*/report.json")
    report = json.loads(path.read_text())
    assert report["scale"] == 0.9
    assert report["suite"] == "smoke"
    assert not mark.exists()


@pytest.mark.server
def test_a_run_of_the_ui_that_cannot_begin_is_told_and_the_ui_stays(ui: tuple[str, Path], tmp_path: Path) -> None:
    url, reports = ui
    _get(url + "/swarm", {"host": f"http://127.0.0.1:{free_port()}"})
    wait_until(lambda: "no server at" in (tmp_path / "log").read_text(), "the log says why")
    assert _get(url + "/") is not None
    assert not reports.exists()
