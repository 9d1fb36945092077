"""The programs of a stack: their commands, and the order of the end."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from ops.adapters import prometheus_server
from ops.stack import programs
from ops.stack.programs import Stage, stage_of
from ops.stack.state import StackState, Worker

STATE = StackState(
    run_dir="/run/here",
    environment="development",
    spec_path="/spec.yaml",
    engine="simulated",
    database_url="postgresql://someone@127.0.0.1:5432/name",
    database_is_ours=True,
    gateway_url="http://127.0.0.1:8080",
    workers=tuple(Worker(f"gateway-{number}", f"http://127.0.0.1:{9000 + number}") for number in range(3)),
    controller_url="http://127.0.0.1:9100",
    prometheus_url=None,
    supervisor_pid=1,
    supervisor_socket="/run/here/socket",
    started_unix_seconds=0.0,
)
FILES = programs.Files(Path("/run/here/serving.json"), Path("/run/here/secrets"), Path("/run/here/gateway"))


def test_each_worker_shares_the_public_port_and_knows_its_peers() -> None:
    parts = programs.gateways(STATE, FILES, drain_seconds=30)
    first = list(parts[0].program.command)
    assert first[:3] == [sys.executable, "-m", "serving.gateway"]
    assert first[first.index("--port") + 1] == "8080"
    assert first[first.index("--admin-port") + 1] == "9000"
    assert [first[i + 1] for i, word in enumerate(first) if word == "--peer"] == [
        "http://127.0.0.1:9001",
        "http://127.0.0.1:9002",
    ]
    assert {part.where for part in parts} == {f"http://127.0.0.1:{9000 + n}/healthz" for n in range(3)}
    assert all(part.program.stop_seconds > 30 for part in parts), "a drain has its time before anybody is killed"


def test_no_secret_stands_in_a_command() -> None:
    for part in (*programs.gateways(STATE, FILES, 30), programs.controller(STATE)):
        assert not [word for word in part.program.command if "secret" in word and not word.startswith(("/", "--"))]
        assert not part.program.environment


def test_gateways_end_first_and_the_database_last_whoever_ends_them() -> None:
    names = ["postgres", "replica-a", "prometheus", "gateway-1", "controller"]
    order = ["gateway-1", "controller", "replica-a", "prometheus", "postgres"]
    assert sorted(names, key=stage_of) == order
    priorities = [stage_of(name).priority for name in order]
    assert priorities == sorted(priorities, reverse=True), "supervisord stops the highest priority first"
    assert len(set(priorities)) == len(Stage)


def test_prometheus_scrapes_the_workers_and_finds_engines_in_a_file() -> None:
    config = yaml.safe_load(
        prometheus_server.render_config({"gateway": ("127.0.0.1:1", "127.0.0.1:2")}, Path("/run/targets.json"))
    )
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["gateway"]["static_configs"] == [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}]
    assert jobs["engine"]["file_sd_configs"][0]["files"] == ["/run/targets.json"]
