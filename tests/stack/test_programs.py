"""The programs of a stack: their commands, and the order of the end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from ops.adapters import alertmanager_server, exporters, prometheus_server
from ops.adapters.prometheus_server import Job
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


def rendered(jobs: list[Job], alertmanager: str | None) -> dict[str, Any]:
    text = prometheus_server.render_config(
        jobs,
        Path("/run/targets.json"),
        0.5,
        evaluation_seconds=15,
        rules=Path("/run/rules/*.yml"),
        alertmanager=alertmanager,
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


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


def test_what_watches_ends_together_after_what_it_watches_and_before_the_database() -> None:
    assert {stage_of(name) for name in ("prometheus", "alertmanager", "node-exporter", "postgres-exporter")} == {
        Stage.METRICS
    }
    assert stage_of("replica-node-exporter") is Stage.ENGINES, "whatever a replica is called"


def test_prometheus_scrapes_the_workers_and_finds_engines_in_a_file() -> None:
    wanted = [Job("gateway", ("127.0.0.1:1", "127.0.0.1:2")), Job("node", ("127.0.0.1:3",), scrape_seconds=15)]
    config = rendered(wanted, alertmanager="127.0.0.1:4")
    assert config["global"] == {"scrape_interval": "500ms", "evaluation_interval": "15000ms"}
    assert config["rule_files"] == ["/run/rules/*.yml"]
    assert config["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["127.0.0.1:4"]}]}]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["gateway"]["static_configs"] == [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}]
    assert "scrape_interval" not in jobs["gateway"]
    assert jobs["node"]["scrape_interval"] == "15000ms"
    assert jobs["node"]["scrape_timeout"] == "10000ms", "not the half second of the others"
    assert jobs["engine"]["file_sd_configs"][0]["files"] == ["/run/targets.json"]


def test_without_an_alertmanager_prometheus_alerts_nobody() -> None:
    assert "alerting" not in rendered([], alertmanager=None)


def test_the_database_exporter_gets_its_password_from_a_file_alone() -> None:
    url = "postgresql://someone@127.0.0.1:5432/name"
    environment = exporters.postgres_environment(url, Path("/run/password"))
    assert environment == {
        "DATA_SOURCE_URI": "127.0.0.1:5432/name?connect_timeout=2&sslmode=disable",
        "DATA_SOURCE_USER": "someone",
        "DATA_SOURCE_PASS_FILE": "/run/password",
    }
    elsewhere = exporters.postgres_environment("postgresql://a@db.example.org/b?sslmode=verify-full", Path("/p"))
    assert elsewhere["DATA_SOURCE_URI"] == "db.example.org/b?sslmode=verify-full&connect_timeout=2"
    assert exporters.postgres_environment("postgresql://a@db.example.org/b", Path("/p"))["DATA_SOURCE_URI"] == (
        "db.example.org/b?connect_timeout=2"
    ), "its driver's own default, which demands TLS, holds elsewhere"


def test_everything_listens_on_loopback_alone() -> None:
    binary, folder = Path("/usr/bin/program"), Path("/run")
    commands = [
        prometheus_server.command(binary, folder / "c", folder / "d", 9, 1, 15),
        alertmanager_server.command(binary, folder / "c", folder / "d", 9),
        *(exporters.command(one, binary, 9) for one in exporters.Exporter),
    ]
    for command in commands:
        listening = [word for word in command if "listen-address" in word]
        assert "--web.listen-address=127.0.0.1:9" in listening
        assert set(listening) <= {"--web.listen-address=127.0.0.1:9", "--cluster.listen-address="}
