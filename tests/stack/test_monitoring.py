"""Which of Prometheus, Alertmanager and the exporters a stack has, by what is installed and asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.adapters.exporters import Exporter
from ops.adapters.spec_file import load_spec
from ops.stack import monitoring
from ops.stack.options import Choice, Omitted, StackOptions
from ops.stack.programs import Part
from ops.stack.state import Secrets, StackError, StackState, Worker

ROOT = Path(__file__).parents[2]
DEBIAN = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-postgres-exporter")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes these the only programs on the PATH."""

    def put(*names: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_text("#!/bin/sh\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


def test_with_everything_installed_a_stack_has_it_all(install: Any) -> None:
    install(*DEBIAN)
    options = StackOptions()
    assert monitoring.has_prometheus(options)
    assert monitoring.has_alertmanager(options)
    assert list(monitoring.exporters_of(options)) == [Exporter.NODE, Exporter.POSTGRES]


def test_upstreams_names_do_too(install: Any) -> None:
    install("prometheus", "alertmanager", "node_exporter", "postgres_exporter")
    assert monitoring.has_alertmanager(StackOptions())
    assert len(list(monitoring.exporters_of(StackOptions()))) == 2


def test_without_prometheus_there_is_nothing_to_tell(install: Any) -> None:
    install(*DEBIAN)
    options = StackOptions(prometheus=Choice.OFF)
    assert not monitoring.has_alertmanager(options)
    assert list(monitoring.exporters_of(options)) == []
    with pytest.raises(StackError, match="without Prometheus"):
        monitoring.check(StackOptions(prometheus=Choice.OFF, exporters=Choice.ON))


def test_what_is_off_is_left_out_and_so_is_a_database_that_is_not_there(install: Any) -> None:
    install(*DEBIAN)
    assert not monitoring.has_alertmanager(StackOptions(alertmanager=Choice.OFF))
    assert list(monitoring.exporters_of(StackOptions(exporters=Choice.OFF))) == []
    without = StackOptions(without=frozenset({Omitted.DATABASE}))
    assert list(monitoring.exporters_of(without)) == [Exporter.NODE]


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (StackOptions(alertmanager=Choice.ON), "no alertmanager on the PATH.*--alertmanager auto"),
        (StackOptions(exporters=Choice.ON), "no node_exporter on the PATH.*--exporters auto"),
    ],
)
def test_what_is_asked_for_and_not_installed_is_refused(install: Any, options: StackOptions, missing: str) -> None:
    install("prometheus")
    monitoring.check(StackOptions())
    with pytest.raises(StackError, match=missing):
        monitoring.check(options)


def state_in(run_dir: Path) -> StackState:
    return StackState(
        run_dir=str(run_dir),
        environment="development",
        spec_path="/spec.yaml",
        engine="simulated",
        database_url="postgresql://someone@127.0.0.1:5432/name",
        database_is_ours=True,
        gateway_url="http://127.0.0.1:1",
        workers=(Worker("gateway-0", "http://127.0.0.1:2"),),
        controller_url="http://127.0.0.1:3",
        prometheus_url="http://127.0.0.1:4",
        supervisor_pid=1,
        supervisor_socket="/socket",
        started_unix_seconds=0.0,
        alertmanager_url="http://127.0.0.1:5",
        exporter_urls={"node": "http://127.0.0.1:6", "postgres": "http://127.0.0.1:7"},
    )


def prepared(run_dir: Path, evaluation_seconds: float = 15) -> list[Part]:
    spec = load_spec(ROOT / "gratefulgpt.yaml")
    spec = spec.model_copy(
        update={"alerting": spec.alerting.model_copy(update={"evaluation_seconds": evaluation_seconds})}
    )
    options, secrets = StackOptions(run_dir=run_dir), Secrets("key", "token", "a-password")
    return list(monitoring.parts(options, spec, state_in(run_dir), secrets))


def test_alertmanager_tells_the_receivers_whose_secrets_are_put_there(install: Any, tmp_path: Path) -> None:
    install(*DEBIAN)
    (key := tmp_path / "alertmanager" / "secrets" / "pagerduty-routing-key").parent.mkdir(parents=True)
    key.write_text("a-key")
    prepared(tmp_path)
    text = (tmp_path / "alertmanager" / "alertmanager.yml").read_text()
    told = {kind: one[kind] for one in yaml.safe_load(text)["receivers"] for kind in one if kind != "name"}
    assert set(told) == {"pagerduty_configs"}
    assert told["pagerduty_configs"][0]["routing_key_file"] == str(key)
    assert "a-key" not in text


def test_jobs_have_the_names_that_rules_and_dashboards_read(install: Any, tmp_path: Path) -> None:
    install(*DEBIAN)
    (old := tmp_path / "prometheus" / "rules" / "old.yml").parent.mkdir(parents=True)
    old.write_text("of an earlier spec")
    parts = prepared(tmp_path)
    assert [p.program.name for p in parts] == ["prometheus", "alertmanager", "node-exporter", "postgres-exporter"]
    words = [word for p in parts for word in (*p.program.command, *p.program.environment.values())]
    assert not [word for word in words if "a-password" in word]
    config = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())
    static = [job for job in config["scrape_configs"] if "static_configs" in job]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in static}
    jobs = ("gateway", "controller", "node", "postgres", "prometheus", "alertmanager")
    assert targets == dict(zip(jobs, ([f"127.0.0.1:{port}"] for port in (2, 3, 6, 7, 4, 5)), strict=True))
    assert [j["job_name"] for j in config["scrape_configs"] if "file_sd_configs" in j] == ["engine"]
    routes = yaml.safe_load((tmp_path / "alertmanager" / "alertmanager.yml").read_text())
    assert {tuple(one) for one in routes["receivers"]} == {("name",)}, "no receiver has its secrets here"
    rules = sorted((tmp_path / "prometheus" / "rules").glob("*.yml"))
    assert rules
    assert old not in rules


def test_a_scrape_waits_for_the_database_exporter_until_it_can_say_that_the_database_is_gone(
    install: Any, tmp_path: Path
) -> None:
    install(*DEBIAN)
    prepared(tmp_path, evaluation_seconds=1)
    config = yaml.safe_load((tmp_path / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["node"]["scrape_interval"] == "1000ms"
    assert (jobs["postgres"]["scrape_interval"], jobs["postgres"]["scrape_timeout"]) == ("5000ms", "5000ms")
