"""The jobs of docs/ci.md are held against the program: commands and options, files, and the scripts by bash."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from ops.cli.main import main
from ops.loadtest.reporting import JSON_NAME, JUNIT_NAME, PAGE_NAME

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()
GITHUB, GITLAB = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
STEPS = GITHUB["jobs"]["smoke"]["steps"]
JOB = GITLAB["load-smoke"]
SCRIPTS = [step["run"] for step in STEPS if "run" in step] + JOB["script"] + JOB["after_script"]
COMMANDS = sorted(
    {
        (tuple(words.split()), tuple(sorted(re.findall(r"(?<![\w-])--[a-z-]+", rest))))
        for words, rest in re.findall(r"\bops ((?:load|stack|release|canary) [a-z]+)([^\n;]*)", "\n".join(SCRIPTS))
    }
)


@pytest.mark.parametrize(("words", "options"), COMMANDS, ids=lambda part: " ".join(part))
def test_each_command_of_the_jobs_has_the_options_that_they_use(words, options, capsys):
    command = ("load", "run") if words == ("load", "smoke") else words
    main([*command, "--help"])
    text = capsys.readouterr().out
    assert all(option in text for option in options)


def test_both_jobs_run_the_suite_keep_its_report_and_compare_it_with_the_last_one():
    for script in ("\n".join(step.get("run", "") for step in STEPS), "\n".join(JOB["script"])):
        assert "ops load smoke --folder build/load/this" in script
        assert "ops load compare build/load/main build/load/this" in script
    kept = next(step for step in STEPS if "upload-artifact" in step.get("uses", ""))
    assert (kept["with"]["path"], kept["if"]) == ("build/load/this", "always()")
    assert JOB["artifacts"]["reports"]["junit"] == f"build/load/this/{JUNIT_NAME}"


def test_the_page_names_the_files_that_a_run_leaves():
    named = set(re.findall(r"^\| `([a-z.]+)` \|", PAGE, re.MULTILINE))
    assert {JSON_NAME, PAGE_NAME, JUNIT_NAME} <= named


@pytest.mark.parametrize(("answer", "code"), [(200, 1), (404, 0), (500, 4)])
def test_gitlabs_job_tells_a_first_run_from_a_report_that_could_not_be_fetched(tmp_path, answer, code):
    ops = tmp_path / "ops"
    ops.write_text("#!/bin/sh\nexit 1\n")
    ops.chmod(0o755)
    script = JOB["script"][-1]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "code": str(answer)}
    done = subprocess.run(["bash", "-e", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, json.dumps([done.stdout, done.stderr])
