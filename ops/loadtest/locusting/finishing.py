"""The end of a run: its verdict, its reports, and Locust's exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from locust.env import Environment

from ops.loadtest.judging import assess
from ops.loadtest.preparing import Prepared
from ops.loadtest.reporting import write_reports
from ops.loadtest.reporting_figures import document
from ops.loadtest.reporting_terminal import print_summary
from ops.loadtest.run import Run
from ops.verdict import EXIT_CODES, Outcome


def finish(environment: Environment, run: Run, ready: Prepared, folder: Path) -> None:
    """What cannot be written is told, and then nothing is green: a verdict needs its evidence."""
    assessment = assess(run, ready.spec)
    outcome = assessment.verdict.outcome
    try:
        write_reports(run, ready.spec, assessment, folder)
        print(f"{run.suite}: {outcome.value}; reports are in {folder}", file=sys.stderr, flush=True)
    except OSError as e:
        print(f"{run.suite}: {outcome.value}, but invalid: the reports could not be written to {folder}: {e.strerror}",
              file=sys.stderr, flush=True)  # fmt: skip
        print_summary(document(run, ready.spec, assessment), sys.stderr)
        outcome = Outcome.INVALID
    environment.process_exit_code = EXIT_CODES[outcome]
