"""What came of the story, for machines and for the exit code."""

from __future__ import annotations

import time
from typing import Any

from ops.demo.telling import Told
from ops.report.rollout_story import RolloutStory
from ops.rollout.states import State
from ops.verdict import Evidence, Outcome, Verdict, combine

SCHEMA = "gratefulgpt.demo/1"


def verdict(told: Told) -> Verdict:
    """Passes only if the good release was promoted, the bad one rolled back, and users are back on the good one."""
    good, bad = told.good.rollout, told.bad.rollout
    checks = (
        (good.state is State.PROMOTED, f"the good release {good.release.name} was {good.state.value}: {good.reason}"),
        (bad.state is State.ROLLED_BACK, f"the bad release {bad.release.name} was {bad.state.value}: {bad.reason}"),
        (told.stable_restored, f"after it, new requests were answered by {good.release.name} alone"),
    )
    held = all(ok for ok, _ in checks)
    evidence = tuple(Evidence(("" if ok else "NOT AS IT SHOULD BE: ") + text) for ok, text in checks)
    return Verdict(Outcome.PASS if held else Outcome.FAIL, evidence)


def result(told: Told, engine: str, seconds: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "engine": engine,
        "at_unix_seconds": time.time(),
        "seconds": round(seconds, 1),
        "verdict": verdict(told).to_json(),
        "load": {"requests": told.requests, "failed": told.failed},
        "good": _chapter(told.good),
        "bad": _chapter(told.bad),
    }


def _chapter(story: RolloutStory) -> dict[str, Any]:
    rollout = story.rollout
    served, failed = story.served_by_release()
    return {
        "release": rollout.release.name,
        "outcome": rollout.state.value,
        "reason": rollout.reason,
        "rollout": rollout.id,
        "started_at_unix_seconds": story.started_at,
        "seconds": round(story.seconds, 1),
        "seconds_serving": round(_serving_seconds(story), 1),
        "looks": rollout.looks,
        "requests": len(story.samples),
        "requests_served_by_it": served,
        "requests_failed_on_it": failed,
        "bad_events_served": story.bad_served(),
        "verdict": _verdict(story).to_json(),
    }


def _verdict(story: RolloutStory) -> Verdict:
    """Of the judge's last look, and of what the quality probe found, which may have been before any look."""
    look = story.last_look
    probes = [part for found in story.rollout.quality.values() for part in (found.damage, found.likelihood)]
    return combine([*([look.look.verdict] if look else []), *probes])


def _serving_seconds(story: RolloutStory) -> float:
    """From the first table that gave it weight to the first after that gave it none, or to the end."""
    given: float | None = None
    for line in story.journal:
        weights = line.entry.payload.get("weights")
        if line.entry.kind != "routes" or not isinstance(weights, dict):
            continue
        if weights.get("canary") and given is None:
            given = line.at
        elif given is not None and not weights.get("canary"):
            return line.at - given
    return story.ended_at - given if given is not None else 0.0
