"""``ops canary plan`` at a traffic that is told: its answer, its exit codes, what it refuses to guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.cli.main import main

SPEC = str(Path(__file__).parents[2] / "gratefulgpt.yaml")


def _plan(tmp_path: Path, *arguments: str) -> int:
    return main(["canary", "plan", "--spec", SPEC, "--run-dir", str(tmp_path), *arguments])


def test_enough_traffic_passes_with_the_figures_of_each_kind_of_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _plan(tmp_path, "--rps", "20", "--mix", "query/p0o0=3,completion/p1o1=1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "gratefulgpt.canary.plan/1"
    assert told["verdict"]["outcome"] == "pass"
    assert [cell["share"] for cell in told["traffic"]["traffic"]["cells"]] == [0.75, 0.25]
    by_slowness = {one["demand"]["slower"]: one for one in told["foretold"] if not one["demand"]["failed_to"]}
    assert {1.0, 1.2, 1.5, 2.0} <= by_slowness.keys()
    assert by_slowness[1.0]["promoted"] > 0.98
    assert by_slowness[2.0]["canary_requests_power"] < by_slowness[1.5]["canary_requests_power"]
    assert any(one["demand"]["failed_to"] == 0.01 for one in told["foretold"])


def test_too_little_traffic_fails_and_says_what_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _plan(tmp_path, "--rps", "1") == 1
    printed = capsys.readouterr().out
    assert "fail: what the spec demands to be detected in production" in printed
    assert "a release 1.5 times as slow is rolled back" in printed
    assert "would do: " in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mix", "query/p0o0=1"], "--mix without --rps"),
        (["--rps", "5", "--mix", "poetry/p0o0=1"], "no cell 'poetry/p0o0'"),
        (["--rps", "5", "--mix", "query/p0o0=0"], "must be above 0"),
        (["--rps", "5", "--mix", "query/p0o0=some"], "is no CELL=SHARE"),
        (["--rps", "5", "--environment", "moon"], "no environment moon"),
        (["--rps", "5", "--tier", "huge"], "no tier huge"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert _plan(tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err


def test_without_traffic_and_without_a_stack_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _plan(tmp_path) == 4
    assert "--controller" in capsys.readouterr().err
