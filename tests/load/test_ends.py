"""Runs that do not end as planned: what was measured is kept, and nothing is green that should not be."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import urllib.request
from typing import Any

import psutil
import pytest

from .conftest import Loads, Service, free_port, wait_until

pytestmark = pytest.mark.server


def ended(process: subprocess.Popen[str], seconds: float = 90) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            process.kill()
    return process.returncode, out, err


def drivers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Of a run, once they have begun to send."""
    tree = psutil.Process(process.pid).children(recursive=True)
    return [one for one in tree if "ops.loadtest.driver_process" in " ".join(one.cmdline())]


def sending(service: Service) -> int:
    """Requests that the gateway has answered."""
    with urllib.request.urlopen(service.metrics_url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("gateway_responses_total{")))


def verdict(report: dict[str, Any]) -> tuple[str, str]:
    found = report["verdict"]
    return found["outcome"], "\n".join(item["text"] for item in found["evidence"])


def test_a_killed_worker_does_not_end_the_run_and_makes_it_invalid(service: Service, loads: Loads) -> None:
    process = loads.start("smoke", "--url", service.url, "--workers", "2")
    wait_until(lambda: len(drivers(process)) == 2 or process.poll() is not None, "both drivers began")
    before = sending(service)
    wait_until(lambda: sending(service) > before + 30 or process.poll() is not None, "they send")
    one, other = drivers(process)
    one.parent().send_signal(signal.SIGKILL)
    at = sending(service)
    wait_until(lambda: sending(service) > at + 30 or process.poll() is not None, "the other one goes on")
    assert other.is_running()
    code, _, err = ended(process)
    assert code == 4, err
    outcome, words = verdict(loads.report())
    assert outcome == "invalid"
    assert "gone" in words
    assert not one.is_running(), "a driver has outlived its worker"


def test_a_worker_that_comes_after_the_start_makes_the_run_invalid(service: Service, loads: Loads) -> None:
    port = str(free_port())
    before = sending(service)
    master = loads.start("smoke", "--url", service.url, "--time-scale", "2", "--master", "1", "--port", port)
    others = [loads.start("smoke", "--worker", f"127.0.0.1:{port}")]
    try:
        wait_until(lambda: sending(service) > before + 30 or master.poll() is not None, "the first worker sends")
        others.append(loads.start("smoke", "--worker", f"127.0.0.1:{port}"))
        code, _, err = ended(master)
    finally:
        for worker in others:
            ended(worker)
    assert code == 4, err
    report = loads.report()
    assert verdict(report)[0] == "invalid"
    (late,) = [one for one in report["verdict"]["evidence"] if one["values"].get("cause") == "worker_lost"]
    assert " s after the start)" in late["text"]


def test_ctrl_c_ends_the_run_in_order_and_what_was_measured_is_reported(service: Service, loads: Loads) -> None:
    process = loads.start("smoke", "--url", service.url, "--time-scale", "4")
    before = sending(service)
    wait_until(lambda: sending(service) > before + 180 or process.poll() is not None, "it sends")
    found = drivers(process)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 3, err
    outcome, words = verdict(loads.report())
    assert outcome == "inconclusive"
    assert "stopped by hand" in words
    assert "requests missed it" in words
    assert not [one for one in found if one.is_running()]


def test_a_command_that_is_killed_leaves_nothing_running(service: Service, loads: Loads) -> None:
    process = loads.start("smoke", "--url", service.url, "--time-scale", "10")
    wait_until(lambda: drivers(process) or process.poll() is not None, "the driver began")
    tree = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_until(lambda: not [one for one in tree if _lives(one)], "everything that it started has ended")


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_disk_that_is_full_is_told_and_no_run_without_its_report_is_green(service: Service, loads: Loads) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    code, out, err = ended(loads.start("smoke", "--url", service.url, preexec_fn=fill))
    assert code == 4, err
    assert "could not be written" in out + err
    assert "generation" in out + err, "what was measured is shown where it cannot be kept"


@pytest.mark.alone
def test_a_service_that_fails_fails_the_run(service: Service, loads: Loads) -> None:
    service.set_faults(error_rate=0.5)
    try:
        done = loads.run("smoke", "--url", service.url, "--metrics-url", service.metrics_url, "--json")
    finally:
        service.set_faults()
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdict"]["outcome"] == "fail"


def test_closed_users_think_and_a_stage_that_wants_replicas_asks_for_them(service: Service, loads: Loads) -> None:
    scale = loads.folder / "scale"
    scale.write_text(f'#!/bin/sh\necho "$@" >> {loads.folder}/asked\n')
    scale.chmod(0o755)
    more = ("--arrivals", "users", "--scale", "0.5", "--replicas-command", f"{scale} production", "--json")
    done = loads.run("smoke", "--url", service.url, *more)
    assert done.returncode in (0, 3, 4), done.stderr
    report = json.loads(done.stdout)
    # 3 % of 10,000 users at half the scale are 150; each asks once in ten seconds, and the run takes nine.
    sent = sum(cell["counts"]["intended"] for cell in report["cells"])
    assert 60 < sent < 220
    assert (loads.folder / "asked").read_text() == "production 2\n"


def test_a_driver_that_dies_ends_the_run_and_makes_it_invalid(service: Service, loads: Loads) -> None:
    process = loads.start("smoke", "--url", service.url, "--time-scale", "10")
    before = sending(service)
    wait_until(lambda: sending(service) > before + 30 or process.poll() is not None, "it sends")
    (driver,) = drivers(process)
    driver.kill()
    code, _, err = ended(process)
    assert code == 4, err
    outcome, words = verdict(loads.report())
    assert outcome == "invalid"
    assert "the driver ended by itself" in words


def test_replicas_that_do_not_come_make_the_run_invalid(service: Service, loads: Loads) -> None:
    done = loads.run("smoke", "--url", service.url, "--replicas-command", "false", "--json")
    assert done.returncode == 4, done.stderr
    assert "the command for 2 replicas failed: exit code 1" in json.loads(done.stdout)["verdict"]["evidence"][0]["text"]


def test_efficiency_by_replicas_needs_somebody_who_sets_them(service: Service, loads: Loads) -> None:
    done = loads.run("scalability", "--url", service.url)
    assert done.returncode == 2
    assert "nobody sets them: --replicas-command" in done.stderr
