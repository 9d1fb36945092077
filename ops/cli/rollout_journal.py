"""The decision log on stdout: as a table, as one JSON object, or as JSON lines for whatever collects logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from ops.cli.moments import utc
from ops.cli.output import emit_json, emit_table
from ops.cli.rollout_json import JOURNAL_SCHEMA, journal_json, look_json
from ops.cli.rollout_words import journal_words, plain
from ops.store.decisions import Decision, Wanted

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient

DECISION_SCHEMA = "gratefulgpt.decision/1"
JUDGE = "judge"


async def all_decisions(client: ControllerClient, wanted: Wanted) -> list[Decision]:
    """Raises ControllerError."""
    found: list[Decision] = []
    while page := await client.decisions(wanted, found[-1].line.seq if found else 0):
        found += page
    return found


def decided_by(decision: Decision) -> str:
    """Who or what: a person, the controller by its rules, or the judge, on whose look the controller acted."""
    entry = decision.line.entry
    return JUDGE if "look" in entry.payload else entry.actor


def decision_json(decision: Decision) -> dict[str, object]:
    """A journal line with what an auditor asks next: what was decided on, by which rules, on which numbers."""
    payload = decision.line.entry.payload
    return {
        **journal_json(decision.line),
        "at": utc(decision.line.at),
        "decided_by": decided_by(decision),
        "release": payload.get("release"),
        "release_digest": payload.get("digest"),
        "spec_digest": payload.get("spec"),
        "judge_version": payload.get("judge"),
        "look_number": payload.get("look"),
        "samples_digest": payload.get("looks_digest"),
        "look": look_json(decision.look) if decision.look else None,
    }


def print_lines(decisions: Iterable[Decision]) -> None:
    """One JSON object a line, each with its schema."""
    for decision in decisions:
        print(msgspec.json.encode({"schema": DECISION_SCHEMA, **decision_json(decision)}).decode())


def print_object(rollout: str | None, decisions: Iterable[Decision]) -> None:
    emit_json(JOURNAL_SCHEMA, {"rollout": rollout, "lines": [decision_json(decision) for decision in decisions]})


def print_table(rollout: str | None, decisions: Iterable[Decision]) -> None:
    """``rollout`` if they are all of one; else each says of which it is."""
    columns = ("when (UTC)", "who", "look", "what and why")
    rows = [
        (
            utc(decision.line.at),
            *(() if rollout else (decision.line.rollout or f"tier {decision.line.tier}",)),
            plain(decided_by(decision)),
            decision.line.entry.payload.get("look", ""),
            journal_words(decision.line),
        )
        for decision in decisions
    ]
    if rollout:
        emit_table(f"journal of {rollout}", columns, rows)
    else:
        emit_table("journal", (columns[0], "rollout", *columns[1:]), rows)
