"""What a replay found, on stdout."""

from __future__ import annotations

from ops.adapters.rollout_file import Recording
from ops.cli.output import emit_json
from ops.cli.rollout_words import plain, state_words
from ops.rollout.plan import JUDGE_VERSION
from ops.verdict import Verdict

REPLAY_SCHEMA = "gratefulgpt.replay/1"


def report_replay(recording: Recording, verdict: Verdict, json: bool) -> None:
    rollout = recording.rollout
    if json:
        head = {
            "rollout": rollout.id,
            "release": rollout.release.name,
            "release_digest": rollout.release.digest,
            "spec_digest": rollout.plan.spec_digest,
            "judge_version": JUDGE_VERSION,
            "looks": len(recording.looks),
        }
        emit_json(REPLAY_SCHEMA, {**head, "verdict": verdict.to_json()})
        return
    print(f"replay of {rollout.id}, {rollout.release.name}, {state_words(rollout.state)}: {verdict.outcome.value}")
    for item in verdict.evidence:
        print(f"  {plain(item.text)}")
