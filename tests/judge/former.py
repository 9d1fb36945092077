"""Looks whose answers were recorded once: all that the judge does with counters, in two short rollouts.

``python -m tests.judge.former`` records them anew, which is right only when the judge is meant to answer otherwise
(and ``JUDGE_VERSION`` says so).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from ops.adapters.spec_file import load_spec
from ops.judge.counting import Counts, difference
from ops.judge.imagining import CellTraffic, Imagined, Source, Traffic
from ops.judge.judging import look
from ops.judge.model import JudgeState, Look, Situation
from ops.judge.tallying import Tally
from ops.judge.telling import Teller
from ops.rollout.planning import rollout_plan
from serving.contract import Arm, BadEvent

RECORDED = Path(__file__).parent / "former_looks.json"
SPEC = Path(__file__).parents[2] / "gratefulgpt.yaml"
SECONDS = 5.0
Between = Callable[[JudgeState], JudgeState]
DIGITS = 11
TRAFFIC = Traffic(
    30.0,
    (
        CellTraffic("generation/p0o1", 0.2, 0.3, 0.02, 40.0),
        CellTraffic("generation/p1o1", 0.3, 0.5, 0.02, 40.0),
        CellTraffic("completion/p1o0", 0.3, 0.2, 0.02, 10.0),
        CellTraffic("query/p2o0", 0.2, 0.1, 0.02, 8.0),
    ),
)
RELEASES = {"alike": Imagined(), "slower": Imagined(slower=1.2, longer=1.1, failed_rate=0.02, empty_rate=0.01)}


WORKERS = ("w0", "w1")
UNCUT = frozenset({("query", BadEvent.SLOW_FIRST_TOKEN)})
"""Of this class the table has no cuts of that event."""
MISSING = frozenset({25.0, 60.0})
"""When the second worker gives no counters."""


@dataclass(frozen=True)
class Phase:
    """So many looks at one step."""

    looks: int
    step: int
    epoch: int
    reference: Arm | None
    weights: tuple[tuple[Arm, float], ...]
    replicas: tuple[int, int] = (1, 1)


PHASES = (
    Phase(8, 0, 1, Arm.BASELINE, ((Arm.CANARY, 0.2), (Arm.BASELINE, 0.2), (Arm.STABLE, 0.6))),
    Phase(8, 1, 2, Arm.STABLE, ((Arm.CANARY, 0.5), (Arm.STABLE, 0.5))),
    Phase(4, 1, 3, Arm.STABLE, ((Arm.CANARY, 0.5), (Arm.STABLE, 0.5)), (5, 1)),  # loads are unlike
    Phase(5, 2, 4, None, ((Arm.CANARY, 1.0),)),
)


def as_it_is(state: JudgeState) -> JudgeState:
    return state


def taken(release: Imagined, between: Between = as_it_is) -> Iterator[tuple[JudgeState, Look]]:
    """Two workers share each look's requests; one is missing once, and one starts anew. ``between`` looks something
    may happen to the state."""
    plan = rollout_plan(load_spec(SPEC), "production", "production").analysis
    source = Source(TRAFFIC, release, SECONDS, np.random.default_rng(7))
    tally = Tally(TRAFFIC, plan.level_quantiles)
    levels = {
        name: {s: {e: c for e, c in cuts.items() if (name, e) not in UNCUT} for s, cuts in strata.items()}
        for name, strata in tally.levels.items()
    }
    tellers = [Teller("tier", ()), Teller("tier", (35.0,))]
    state, now = JudgeState(), 0.0
    for phase in PHASES:
        since = now
        for _ in range(phase.looks):
            for arrived in source.next(list(phase.weights), now):
                tally.add(arrived)
            now += SECONDS
            counted = {key: _cut(key[0], one) for key, one in tally.until(now).items()}
            halves = [dict(sorted(counted.items())[half::2]) for half in (0, 1)]
            told = [
                replace(teller.snapshot(half, phase.epoch, now), worker=worker)
                for worker, teller, half in zip(WORKERS, tellers, halves, strict=True)
            ]
            seen = told[:1] if now in MISSING else told
            found = difference(
                state.bases, seen, workers=WORKERS, tier="tier", epoch=phase.epoch, now=now, age_seconds_max=1.0
            )
            situation = Situation(phase.step, phase.epoch, phase.reference, *phase.replicas, now - since, 20.0, levels)
            state, answer = look(state, found, situation, plan)
            yield state, answer
            state = between(state)


def _cut(cell: str, counts: Counts) -> Counts:
    absent = {event for name, event in UNCUT if cell.startswith(name)}
    return replace(counts, levels={event: c for event, c in counts.levels.items() if event not in absent})


def rows(release: Imagined, between: Between = as_it_is) -> dict[str, Any]:
    """Each look in a few figures, and at the end all that is remembered."""
    steps = list(taken(release, between))
    looks = [
        [
            answer.decision.value,
            _short(answer.e_together),
            [_short(list(msgspec.to_builtins(event).values())) for event in answer.events if event.total],
            [evidence.text for evidence in answer.verdict.evidence][:2],
        ]
        for _, answer in steps
    ]
    remembered = msgspec.to_builtins(steps[-1][0], str_keys=True)
    remembered.pop("bases")
    return {"looks": looks, "state": _short(remembered)}


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    found = {name: rows(release) for name, release in RELEASES.items()}
    RECORDED.write_text(json.dumps(found, separators=(",", ":")).replace('],["', '],\n["') + "\n")
