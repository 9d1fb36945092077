"""What came of the trials, on a terminal and as JSON. ``gratefulgpt.load-certify/1``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ops.loadtest.certifying.observed import Counted
from ops.loadtest.certifying.proving import Proof
from ops.loadtest.reporting_terminal import COLOURS, PLAIN_WIDTH
from ops.verdict import Verdict

SCHEMA = "gratefulgpt.load-certify/1"


def certified_json(verdict: Verdict, proofs: Iterable[Proof], scale: float, rate: float) -> Mapping[str, object]:
    """Without its schema. Seconds from the breach on; of the end, from when the breach was taken back."""
    return {
        "verdict": verdict.to_json(),
        "scale": scale,
        "requests_per_second": rate,
        "trials": [_trial(one) for one in proofs],
    }


def _trial(proof: Proof) -> Mapping[str, object]:
    seen, found = proof.observed, proof.figures
    return {
        "breach": seen.breach.name,
        "alert": seen.breach.alert,
        "faults": seen.breach.faults,
        "hang": seen.breach.hang,
        "outcome": proof.verdict.outcome,
        "injected_unix_seconds": found.injected_unix_seconds,
        "prometheus_seconds": found.prometheus_seconds,
        "alertmanager_seconds": found.alertmanager_seconds,
        "fire_seconds_max": seen.bounds.fire_seconds,
        "resolved_seconds": found.resolved_seconds,
        "resolve_seconds_max": seen.bounds.resolve_seconds,
        "bad_requests": {
            "what": seen.breach.bad,
            "share_asked": seen.bounds.share,
            "before": _counted(found.before),
            "during": _counted(found.during),
            "after": _counted(found.after),
        },
        "runbook_url": found.runbook_url,
        "runbook": seen.page,
        "also_paged": found.instead,
        "evidence": proof.verdict.to_json()["evidence"],
    }


def _counted(counted: Counted) -> Mapping[str, int]:
    return {"requests": counted.requests, "bad": counted.failed}


def print_certified(verdict: Verdict, proofs: Iterable[Proof], to: TextIO) -> None:
    console = Console(file=to, width=None if to.isatty() else PLAIN_WIDTH, highlight=False)
    _line(console, "certify", verdict)
    told = list(proofs)
    if not told:
        _evidence(console, verdict)
    for proof in told:
        _line(console, f"  {proof.observed.breach.name}", proof.verdict)
        _evidence(console, proof.verdict)


def _line(console: Console, name: str, verdict: Verdict) -> None:
    outcome = verdict.outcome
    console.print(Text.assemble(f"{name}: ", (outcome.value.upper(), f"bold {COLOURS[outcome]}")))


def _evidence(console: Console, verdict: Verdict) -> None:
    for item in verdict.evidence:
        console.print(Text(f"    {item.text}"), soft_wrap=True)
