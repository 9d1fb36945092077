"""A rollout to look at, and the command line run as a user runs it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ops.adapters.spec_file import load_spec
from ops.cli.main import main
from ops.judge.model import Decision, EventEvidence, Look
from ops.rollout.plan import Role
from ops.rollout.planning import rollout_plan
from ops.rollout.record import Release, Rollout, Strategy
from ops.rollout.states import State
from ops.store.rollouts import LookLine
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import BadEvent

ROOT = Path(__file__).resolve().parents[2]


def release(name: str) -> Release:
    return Release(name, "production", "vllm", "", "/models", (), "v1", "0" * 64, (), 0.0, "jo")


@pytest.fixture
def rollout() -> Rollout:
    """A canary that began at 1,000 s (Unix time) and has served its first step since 1,100 s, at production's pace."""
    plan = rollout_plan(load_spec(ROOT / "gratefulgpt.yaml"), "production", "production")
    return Rollout(
        id="r1124-034416-ab12",
        tier="production",
        release=release("7b-2026-11"),
        strategy=Strategy.CANARY,
        plan=plan,
        created_at=1000.0,
        created_by="jo",
        state=State.ANALYSING,
        state_since=1100.0,
        reason="warm; 5 % of new requests go to it",
        served_step=0,
        step_since=1100.0,
        baseline_release=release("7b-2026-10"),
        looks=7,
    )


@dataclass(frozen=True)
class Seen:
    """Evidence on one event; what is not said is of no consequence."""

    event: BadEvent
    canary: int = 0
    total: int = 0
    against: float = 1.0
    favour: float = 1.0
    observable: bool = True
    role: Role = Role.CRITICAL


SEEN = (
    Seen(BadEvent.SLOW, 310, 640, 0.12, 25.3),
    Seen(BadEvent.SLOW_FIRST_TOKEN, observable=False),
    Seen(BadEvent.FAILED, 44, 46, 1_234_567.0, 0.0001),
    Seen(BadEvent.CUT, favour=6.2),
    Seen(BadEvent.EMPTY, favour=19.99),
    Seen(BadEvent.INVALID, 12, 20, 599.9, 6.2),
    Seen(BadEvent.OVER_TARGET, 3, 9, role=Role.WATCHED),
)


@pytest.fixture
def make_look() -> Callable[..., LookLine]:
    def make(decision: Decision = Decision.HOLD, seen: tuple[Seen, ...] = SEEN, **changes: Any) -> LookLine:
        events = tuple(
            EventEvidence(
                one.event, one.role, one.canary, one.total, one.total / 2, one.against, 600.0, one.favour, 20.0,
                one.canary / 1204, one.observable,
            )
            for one in seen
        )  # fmt: skip
        words = changes.pop("words", ("worker gateway-1 did not answer within 2 s",))
        verdict = Verdict(Outcome.INCONCLUSIVE, tuple(Evidence(text) for text in words))
        look = replace(Look(decision, verdict, events, 1204, 1190), **changes)
        return LookLine("r1124-034416-ab12", 7, 1130.0, 0, look)

    return make


@pytest.fixture
def seen() -> type[Seen]:
    return Seen


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Ops = Callable[..., Ran]


@pytest.fixture(scope="session")
def ops() -> Ops:
    """Runs one command as ``ops`` does, in this process, and without a terminal."""

    def run(*arguments: object, **environment: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "stdin", io.StringIO())
            for name, value in {"COLUMNS": "120", **environment}.items():
                patch.setenv(name, value)
            code = main([str(argument) for argument in arguments])
        return Ran(code, out.getvalue(), err.getvalue())

    return run
