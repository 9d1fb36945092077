"""The proofs as a table, as JSON and as a verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.runbooks.proving import Proof
from ops.verdict import Evidence, Outcome, Verdict, combine

SCHEMA = "gratefulgpt.runbooks/1"


def judged(proofs: Sequence[Proof]) -> Verdict:
    """Passes only if each incident came to its end by its page. No incidents at all is invalid."""
    return combine([_verdict(proof) for proof in proofs])


def _verdict(proof: Proof) -> Verdict:
    name = proof.incident.alert
    if proof.faults:
        return Verdict(Outcome.FAIL, tuple(Evidence(f"{name}: {fault}") for fault in proof.faults))
    return Verdict(Outcome.PASS, ())


def table(proofs: Sequence[Proof], factor: int) -> str:
    """Markdown."""
    head = "| alert | fault | fires after | pager told after | commands run | resolved after |"
    rows = [
        f"| {proof.incident.alert} | {proof.incident.fault} | {_minutes(proof.fired_seconds)} | {_told(proof)} "
        f"| {len(proof.ran)} | {_minutes(proof.resolved_seconds)} |"
        for proof in proofs
    ]
    note = f"Minutes, with the times of the spec's alerting divided by {factor}."
    return "\n".join([note, "", head, "|-|-|-:|-:|-:|-:|", *rows, ""])


def report(proofs: Sequence[Proof], factor: int, verdict: Verdict) -> dict[str, object]:
    rows = [
        {
            "alert": proof.incident.alert,
            "fault": proof.incident.fault,
            "fired_seconds": proof.fired_seconds,
            "told_seconds": proof.told_seconds,
            "told_instead": proof.told_instead,
            "resolved_seconds": proof.resolved_seconds,
            "faults": proof.faults,
            "commands": [asdict(ran) for ran in proof.ran],
        }
        for proof in proofs
    ]
    return {"schema": SCHEMA, "times_divided_by": factor, "verdict": verdict.to_json(), "incidents": rows}


def _told(proof: Proof) -> str:
    return f"{proof.told_instead} instead" if proof.told_instead else _minutes(proof.told_seconds)


def _minutes(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds / 60:.1f}"
