"""The examples for others' pipelines are held against the program: commands, JSON paths, exit codes, addresses."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.adapters.controller_api import controller_app
from ops.adapters.spec_file import load_spec
from ops.cli.main import main
from ops.cli.rollout_json import ROLLOUT_SCHEMA, rollout_json
from ops.cli.rollout_judging import report_judgement
from ops.rollout.answering import Judgement, judgement
from ops.rollout.controlling import Controller, Surroundings
from ops.rollout.planning import rollout_plan
from ops.rollout.record import Release, Rollout, Strategy
from ops.rollout.states import State
from ops.verdict import EXIT_CODES, EXIT_USAGE, Evidence, Outcome, Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pipelines.md").read_text()
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
GITHUB, GITLAB, ARGO = EXAMPLES[0], EXAMPLES[1]["canary"], EXAMPLES[2]
SCRIPTS = [step["run"] for step in GITHUB["jobs"]["canary"]["steps"]] + GITLAB["script"] + GITLAB["after_script"]


@pytest.fixture(scope="module")
def rollout() -> Rollout:
    release = Release("7b-2026-11", "production", "vllm", "", "/m", (), "v1", "0" * 64, (), 0.0, "jo")
    plan = rollout_plan(load_spec(ROOT / "gratefulgpt.yaml"), "production", "production")
    return Rollout("r1", "production", release, Strategy.CANARY, plan, 1.0, "jo", State.ANALYSING, served_step=0)


@pytest.fixture(params=list(Outcome))
def said(request: pytest.FixtureRequest, rollout: Rollout, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """What ``ops canary judge --json`` prints."""
    verdict = Verdict(request.param, (Evidence("one thing"), Evidence("and another")))
    report_judgement(judgement(rollout, verdict, 2.0, "hold"), json=True)
    return json.loads(capsys.readouterr().out)


def _commands() -> list[tuple[str, set[str]]]:
    """Each command of the page's examples and text, with its options."""
    text = "\n".join(SCRIPTS) + "\n" + "\n".join(re.findall(r"`(ops [^`]+)`", PAGE))
    found = re.findall(r"(ops canary [a-z]+)([^\n]*)", text)
    return [(command, set(re.findall(r"(?<![\w-])--[a-z-]+", rest))) for command, rest in found]


def test_the_examples_ask_the_judge() -> None:
    assert sum(command == "ops canary judge" for command, _ in _commands()) >= 3


@pytest.mark.parametrize(("command", "options"), _commands())
def test_each_command_and_option_exists(
    command: str, options: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out
    for option in options:
        assert re.search(rf"{option}\b", shown), option


def test_the_table_of_exit_codes_is_the_programs() -> None:
    rows = re.findall(r"^\| (\d) \| `?(\w+)`? \|", PAGE, re.MULTILINE)
    assert dict(rows) == {str(EXIT_USAGE): "none"} | {str(code): name.value for name, code in EXIT_CODES.items()}


def test_githubs_job_ends_by_the_exit_code_of_each_verdict(rollout: Rollout, tmp_path: Path) -> None:
    """Its own script, with a command in place of ``ops`` that gives a verdict's code."""
    jq = tmp_path / "jq"
    jq.write_text('#!/bin/sh\necho "$@"\n')
    jq.chmod(0o755)
    script = GITHUB["jobs"]["canary"]["steps"][1]["run"]
    for outcome, code in EXIT_CODES.items():
        stand_in = tmp_path / "ops"
        stand_in.write_text(f"#!/bin/sh\nexit {code}\n")
        stand_in.chmod(0o755)
        summary = tmp_path / f"summary-{code}"
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": str(summary), "ROLLOUT": "r1"}
        line = ["bash", "-e", "-c", script]
        ran = subprocess.run(line, env=environment | {"CONTROLLER": "x"}, cwd=tmp_path, capture_output=True)
        assert ran.returncode == code, ran.stderr
        assert "judgement.json" in summary.read_text(), f"{outcome.value} leaves its reasons behind"


def test_gitlab_lets_a_job_without_an_answer_pass_as_a_warning_and_no_other() -> None:
    assert GITLAB["allow_failure"]["exit_codes"] == [EXIT_CODES[Outcome.INCONCLUSIVE]]


def test_each_jq_path_finds_something(said: dict[str, Any], rollout: Rollout) -> None:
    started = {"schema": ROLLOUT_SCHEMA, "rollout": rollout_json(rollout), "look": None}
    paths = set(re.findall(r"jq -r '?([^'\n]+?)'? \w+\.json", "\n".join(SCRIPTS)))
    assert paths == {".rollout.id", ".verdict, .evidence[].text"}
    assert started["rollout"]["id"] == "r1"  # type: ignore[index]
    assert said["verdict"] in [outcome.value for outcome in Outcome]
    assert [item["text"] for item in said["evidence"]] == ["one thing", "and another"]


# --- Argo Rollouts ------------------------------------------------------------------------------------------------


def test_argo_calls_what_a_verdict_is(said: dict[str, Any]) -> None:
    (metric,) = ARGO["spec"]["metrics"]
    path = re.fullmatch(r"\{\$\.(\w+)\}", metric["provider"]["web"]["jsonPath"])
    assert path is not None
    result = said[path[1]]
    met = [metric[name] == f'result == "{result}"' for name in ("successCondition", "failureCondition")]
    assert met == [result == "pass", result == "fail"], "anything else must meet neither: that is Inconclusive"


def test_argo_never_takes_waiting_for_success() -> None:
    (metric,) = ARGO["spec"]["metrics"]
    assert "count" not in metric, "a count that is reached is a success"
    assert (metric["consecutiveSuccessLimit"], metric["failureLimit"]) == (1, 0)


def test_argos_address_is_a_route_and_its_arguments_are_given(rollout: Rollout) -> None:
    spec = ARGO["spec"]
    web = spec["metrics"][0]["provider"]["web"]
    names = {argument["name"] for argument in spec["args"]}
    used = set(re.findall(r"\{\{args\.([\w-]+)\}\}", json.dumps(web)))
    assert used == names
    address = re.sub(r"\{\{args\.([\w-]+)\}\}", lambda m: "production" if m[1] == "tier" else "1", web["url"])
    path, _, query = address.split("svc:8090")[1].partition("?")
    assert query == "step=1"
    routes = _routes()
    assert any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path) for route in routes), routes
    assert {"/v1/rollouts/{id}/verdict", "/v1/tiers/{tier}/verdict"} <= routes


def _routes() -> set[str]:
    around = Surroundings(None, "", None, (), None, (), ())  # type: ignore[arg-type]
    app = controller_app(Controller(around, "nobody"), None, "key")  # type: ignore[arg-type]
    return {route.resource.canonical for route in app.router.routes() if route.resource and route.method == "GET"}


def test_the_pages_answer_has_the_programs_fields() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert list(json.loads(shown)) == [field.name for field in fields(Judgement)]
