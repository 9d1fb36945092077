"""The whole story through the command line: the two releases end as they should, and what is written says so."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _demo(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "ops.cli.main", "demo", "--folder", str(folder), *options]


def _tell(folder: Path, seconds_max: float, *options: str) -> dict:
    told = subprocess.run(
        _demo(folder, *options), cwd=ROOT, capture_output=True, text=True, timeout=seconds_max, check=False
    )
    assert told.returncode == 0, told.stderr[-4000:]
    return json.loads((folder / "result.json").read_text())


def _check(found: dict, folder: Path) -> None:
    assert found["verdict"]["outcome"] == "pass"
    assert found["good"]["outcome"] == "promoted"
    assert found["bad"]["outcome"] == "rolled_back"
    assert found["load"]["failed"] == 0
    assert found["good"]["looks"] > 3
    assert found["bad"]["verdict"]["outcome"] == "fail"
    assert found["bad"]["requests_served_by_it"] < 0.2 * found["bad"]["requests"]
    page = (folder / "report.html").read_text()
    for chart in ("Weights, by the routing", "Latency as users saw it, p95"):
        assert page.count(f">{chart}") == 2, "one for each release"
    judged = sum(found[release]["looks"] > 0 for release in ("good", "bad"))
    assert page.count(">Evidence that the release is worse") == judged
    assert found["bad"]["release"] in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


@pytest.mark.server
def test_on_simulated_engines_the_good_release_is_promoted_and_the_slow_one_comes_back(tmp_path):
    found = _tell(tmp_path, 400)
    _check(found, tmp_path)
    evidence = found["bad"]["verdict"]["evidence"]
    slow = {"slow", "slow_first_token", "slow_tokens"}
    assert {item["values"].get("event") for item in evidence} & slow
    assert found["bad"]["requests_served_by_it"] > 0


@pytest.mark.vllm
@pytest.mark.alone
def test_on_real_vllm_the_good_weights_are_promoted_and_the_damaged_ones_come_back(tmp_path):
    # Canary and baseline get five times the requests at once, so the judge waits a fifth as long for its evidence.
    reference = (ROOT / "gratefulgpt.yaml").read_text()
    spec = tmp_path / "wide-steps.yaml"
    spec.write_text(reference.replace("steps_percent: [5, 50, 100]", "steps_percent: [25, 100]"))
    assert spec.read_text() != reference
    found = _tell(tmp_path, 1500, "--engine", "vllm", "--spec", str(spec))
    _check(found, tmp_path)
    # The probe reads the damaged weights before anybody is served by them.
    assert "held-out" in found["bad"]["reason"]
    assert found["bad"]["requests_served_by_it"] == 0


@pytest.mark.server
def test_ctrl_c_in_the_middle_leaves_no_process_and_the_next_run_is_not_in_its_way(tmp_path):
    with subprocess.Popen(_demo(tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as demo:
        _wait_for(lambda: (tmp_path / "samples.jsonl").exists(), 120)
        os.kill(demo.pid, signal.SIGINT)
        _, said = demo.communicate(timeout=90)
    assert demo.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False).stdout.split()
    assert not left


@pytest.mark.server
def test_a_demo_beside_a_running_one_says_so(tmp_path):
    with subprocess.Popen(_demo(tmp_path), cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as first:
        _wait_for(lambda: (tmp_path / "samples.jsonl").exists(), 120)
        try:
            second = subprocess.run(_demo(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert (tmp_path / "stack" / "stack.json").exists(), "the second touched what the first runs on"
        finally:
            os.kill(first.pid, signal.SIGINT)
            first.wait(timeout=90)
    assert second.returncode == 2
    assert "running" in second.stderr
    assert first.returncode == 130


def test_an_engine_that_there_is_not_is_refused(tmp_path):
    refused = subprocess.run(
        _demo(tmp_path, "--engine", "abacus"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "simulated or vllm" in refused.stderr


def _wait_for(condition, seconds_max: float) -> None:
    until = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)
