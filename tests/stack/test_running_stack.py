"""A whole stack: real PostgreSQL, gateway workers and controller under a real supervisor, looked at while it runs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest

from ops.adapters.supervisord import Supervisor
from ops.rollout.replicas import ReplicaSpec
from ops.stack.replicas import stack_replicas
from ops.stack.state import load_secrets, load_stack
from ops.store.migrating import revisions
from serving.contract import (
    ADMIN_COUNTERS_PATH,
    ADMIN_ROUTES_PATH,
    WEIGHT_TOTAL,
    Arm,
    Endpoint,
    Route,
    RoutingTable,
)

pytestmark = pytest.mark.server
Until = Callable[[Callable[[], object], str], None]


def health(commands) -> tuple[int, dict[str, dict]]:  # type: ignore[no-untyped-def]
    done = commands.run("status", "--json")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "gratefulgpt.stack-status/1"
    return done.returncode, {part["name"]: part for part in answer["parts"]}


def test_every_part_is_asked_and_healthy(running) -> None:  # type: ignore[no-untyped-def]
    code, parts = health(running)
    assert code == 0
    assert {"gateway-0", "gateway-1", "controller", "postgres"} <= set(parts)
    assert {"prometheus", "alertmanager", "node-exporter", "postgres-exporter"} <= set(parts)
    assert all(part["healthy"] for part in parts.values()), parts
    assert "healthy" in running.run("status").stdout


def test_its_files_say_where_everything_is_and_hide_the_secrets(running) -> None:  # type: ignore[no-untyped-def]
    state, secrets = load_stack(running.run_dir), load_secrets(running.run_dir)
    url = state.database_url_with(secrets.database_password)
    there, newest = revisions(url)
    assert there == newest
    hidden = (secrets.admin_key, secrets.synthetic_token, secrets.database_password)
    for path in running.run_dir.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077:
            if "postgres/data" in str(path) or "prometheus/data" in str(path):
                continue
            text = path.read_text(errors="replace")
            assert not [word for word in hidden if word in text], path
    commands = [" ".join(process.cmdline()) for process in running.tree()]
    assert not [line for line in commands if any(word in line for word in hidden)]


def test_both_workers_listen_on_the_public_port(running) -> None:  # type: ignore[no-untyped-def]
    port = int(running.state().gateway_url.rpartition(":")[2])
    tree = {process.pid for process in running.tree()}
    listening = {c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr[1] == port}
    assert len(listening) == 2
    assert listening <= tree


def test_a_second_up_is_answered_with_what_to_do(running) -> None:  # type: ignore[no-untyped-def]
    done = running.run("up")
    assert done.returncode == 2
    assert "already" in done.stderr
    assert "ops stack down" in done.stderr


def test_a_taken_port_is_named_with_its_holder(running, commands) -> None:  # type: ignore[no-untyped-def]
    port = running.state().gateway_url.rpartition(":")[2]
    done = commands.run("up", "--port", port)
    assert done.returncode == 2
    assert f"port {port} is taken by python" in done.stderr
    assert "(pid " in done.stderr


def test_a_killed_worker_shows_and_comes_back(running, until: Until) -> None:  # type: ignore[no-untyped-def]
    pids = {process.name: process.pid for process in Supervisor(running.state().folder).processes().values()}
    (worker,) = psutil.Process(pids["gateway-0"]).children()
    os.kill(worker.pid, signal.SIGSTOP)  # alive, and no use to anybody: only asking it can tell
    code, parts = health(running)
    assert code == 1
    assert not parts["gateway-0"]["healthy"]
    assert parts["gateway-1"]["healthy"]
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: health(running)[0] == 0, "the worker comes back")


def test_a_program_is_restarted_even_one_that_hangs(running, until: Until) -> None:  # type: ignore[no-untyped-def]
    guard = Supervisor(running.state().folder).processes()["gateway-1"].pid
    (worker,) = psutil.Process(guard).children()
    os.kill(worker.pid, signal.SIGSTOP)
    began = time.monotonic()
    done = running.run("restart", "gateway-1", "--now")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 15, "it waits for no drain"
    assert "gateway-1: healthy after" in done.stderr
    assert not worker.is_running()
    assert health(running)[1]["gateway-1"]["healthy"]
    (worker,) = psutil.Process(Supervisor(running.state().folder).processes()["gateway-1"].pid).children()
    os.kill(worker.pid, signal.SIGSTOP)
    done = running.run("restart", "--unhealthy", "--now")
    assert done.returncode == 0, done.stderr
    assert "gateway-1: healthy after" in done.stderr
    assert "gateway-0" not in done.stderr
    assert running.run("restart", "--unhealthy", "gateway-0").returncode == 2
    strange = running.run("restart", "nobody")
    assert strange.returncode == 2
    assert "gateway-0" in strange.stderr


def asked(url: str) -> Any:
    """What Prometheus answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def test_prometheus_scrapes_every_part_of_the_stack(running, until: Until) -> None:  # type: ignore[no-untyped-def]
    url = running.state().prometheus_url
    assert url is not None, "apt-get install prometheus"

    def up() -> bool:
        targets = asked(f"{url}/api/v1/targets")["activeTargets"]
        found = sorted((t["labels"]["job"], t["health"]) for t in targets)
        jobs = ["alertmanager", "controller", "gateway", "gateway", "node", "postgres", "prometheus"]
        return found == [(job, "up") for job in jobs]

    until(up, "Prometheus has scraped both workers, the controller, the exporters, Alertmanager and itself")
    query = urllib.parse.quote('pg_up == 1 and on() controller_leader == 1 and on() node_load1 >= 0')
    until(lambda: asked(f"{url}/api/v1/query?query={query}")["result"], "the parts say that they are well")


def test_prometheus_has_the_specs_rules_knows_alertmanager_and_reloads(running, until: Until) -> None:  # type: ignore[no-untyped-def]
    state = running.state()
    (found,) = asked(f"{state.prometheus_url}/api/v1/alertmanagers")["activeAlertmanagers"]
    assert found["url"].startswith(state.alertmanager_url)
    groups = asked(f"{state.prometheus_url}/api/v1/rules")["groups"]
    assert "TierOutage" in {rule["name"] for group in groups for rule in group["rules"]}
    new = running.run_dir / "prometheus" / "rules" / "by-hand.yml"
    rule = {"alert": "ByHand", "expr": "vector(1)"}
    new.write_text(json.dumps({"groups": [{"name": "by-hand", "interval": "1s", "rules": [rule]}]}))
    request = urllib.request.Request(f"{state.prometheus_url}/-/reload", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200

    def arrived() -> bool:
        with urllib.request.urlopen(f"{state.alertmanager_url}/api/v2/alerts", timeout=10) as answer:
            return "ByHand" in {alert["labels"]["alertname"] for alert in json.load(answer)}

    until(arrived, "Alertmanager has the alert")


def test_the_watchdog_reaches_its_receiver(running, until: Until) -> None:  # type: ignore[no-untyped-def]
    """Rules are evaluated, Alertmanager is told, and its route is the spec's."""
    line = [sys.executable, "-m", "ops.cli.main", "alerts", "status", "--run-dir", str(running.run_dir), "--json"]

    def told() -> dict[str, str]:
        answer = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False).stdout
        return {one["labels"]["alertname"]: one["told"] for one in json.loads(answer)["alerts"]}

    until(lambda: told().get("Watchdog") == "told heartbeat", "the Watchdog is told")


async def test_an_engine_becomes_ready_is_routed_to_and_probed(running, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert running.ops("probe").returncode == 1, "no release serves the tier yet"
    (tmp_path / "simulated.json").write_text("{}")
    spec = ReplicaSpec("test-one", "production", "gratefulgpt-7b", "simulated", str(tmp_path))
    state, secrets = running.state(), load_secrets(running.run_dir)
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {secrets.admin_key}"}) as session:
        replicas = stack_replicas(state, session, random.Random())
        await replicas.apply("production", [spec])
        deadline = time.monotonic() + 30
        while not (found := (await replicas.observe("production"))[0]).ready:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)
        assert health(running)[1]["replica-test-one"]["healthy"]
        again = running.run("restart", "--tier", "production")
        assert again.returncode == 0, again.stderr
        assert "replica-test-one: healthy after" in again.stderr
        assert running.run("restart", "--tier", "nobodys").returncode == 2

        route = Route(Arm.STABLE, "first", WEIGHT_TOTAL, (Endpoint("test-one", found.url),), "v1")
        table = msgspec.json.encode(RoutingTable("production", 1, (route,)))
        for worker in state.workers:
            async with session.put(f"{worker.admin_url}{ADMIN_ROUTES_PATH}/production", data=table) as response:
                assert response.status == 200
        probed = running.ops("probe", "--json", "--count", "3", "--interval-seconds", "0")
        report = json.loads(probed.stdout)
        assert report["schema"] == "gratefulgpt.probe/1"
        assert not [probe for probe in report["probes"] if probe["wrong"]], report
        assert probed.returncode in (0, 3, 4), "right answers; how quick they are depends on a busy machine"
        for worker in state.workers:
            async with session.get(f"{worker.admin_url}{ADMIN_COUNTERS_PATH}") as response:
                assert not (await response.json())["cells"], "probes are counted apart"
        await replicas.apply("production", [])


def test_logs_are_shown_by_program_and_strangers_refused(running) -> None:  # type: ignore[no-untyped-def]
    shown = running.run("logs", "postgres", "--lines", "50")
    assert "ready to accept connections" in shown.stdout
    assert "postgres | " in running.run("logs").stdout
    strange = running.run("logs", "nobody")
    assert strange.returncode == 2
    assert "gateway-0" in strange.stderr


def test_down_ends_all_of_it_and_says_so_once(running, all_ended) -> None:  # type: ignore[no-untyped-def]
    tree = running.tree()
    done = running.run("down")
    assert done.returncode == 0, done.stderr
    order = [done.stderr.index(name) for name in ("gateway-0", "controller", "postgres")]
    assert order == sorted(order)
    assert all_ended(tree)
    assert running.run("status").returncode == 1
    assert "no stack runs" in running.run("down").stderr
