"""The end of a run: its verdict, its reports, and Locust's exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from locust.env import Environment

from ops.loadtest.judging import assessed
from ops.loadtest.preparing import Prepared
from ops.loadtest.run import Run
from ops.spec.model import Spec
from ops.verdict import Evidence, Outcome, Verdict, combine


def finish(environment: Environment, run: Run, ready: Prepared, folder: Path) -> None:
    """What cannot be written is told, and then nothing is green: a verdict needs its evidence."""
    verdict = assessed(run, ready.spec)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_reports(run, ready.spec, verdict, folder)
        print(f"reports are in {folder}", file=sys.stderr, flush=True)
    except OSError as e:
        words = f"the reports could not be written to {folder}: {e.strerror}"
        verdict = combine((verdict, Verdict(Outcome.INVALID, (Evidence(words),))))
    environment.process_exit_code = verdict.exit_code


def write_reports(run: Run, spec: Spec, verdict: Verdict, folder: Path) -> None:
    (folder / "report.json").write_bytes(msgspec.json.encode({"verdict": verdict.to_json()}))
