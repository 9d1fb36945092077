"""Rollouts, releases and journal lines as versioned JSON for scripts: what matters, not the judge's memory."""

from __future__ import annotations

from ops.cli.rollout_outcome import end_verdict
from ops.cli.rollout_words import weights
from ops.judge.model import EventEvidence
from ops.rollout.assessing import awaits_transcript
from ops.rollout.record import Release, Rollout
from ops.store.rollouts import JournalLine, LookLine

ROLLOUT_SCHEMA = "gratefulgpt.rollout/1"
ROLLOUTS_SCHEMA = "gratefulgpt.rollouts/1"
JOURNAL_SCHEMA = "gratefulgpt.journal/1"
RELEASE_SCHEMA = "gratefulgpt.release/1"
RELEASES_SCHEMA = "gratefulgpt.releases/1"


def release_json(release: Release) -> dict[str, object]:
    return {
        "name": release.name,
        "tier": release.tier,
        "engine": release.engine,
        "engine_version": release.engine_version,
        "model_path": release.model_path,
        "arguments": list(release.arguments),
        "template_version": release.template_version,
        "digest": release.digest,
        "files": [
            {"path": file.path, "sha256": file.sha256, "size_bytes": file.size_bytes} for file in release.files
        ],
        "created_at_unix_seconds": release.created_at,
        "created_by": release.created_by,
    }


def rollout_json(rollout: Rollout) -> dict[str, object]:
    """Weights are basis points."""
    plan, verdict = rollout.plan, end_verdict(rollout)
    served = rollout.served_step
    return {
        "id": rollout.id,
        "tier": rollout.tier,
        "release": rollout.release.name,
        "release_digest": rollout.release.digest,
        "baseline_release": rollout.baseline_release.name if rollout.baseline_release else None,
        "strategy": rollout.strategy.value,
        "state": rollout.state.value,
        "reason": rollout.reason,
        "outcome": verdict.outcome.value if verdict else None,
        "created_at_unix_seconds": rollout.created_at,
        "created_by": rollout.created_by,
        "state_since_unix_seconds": rollout.state_since,
        "step": {
            "serving": served + 1 if served is not None else None,
            "judged_or_prepared": rollout.step + 1,
            "weights": [step.weight for step in plan.steps],
            "since_unix_seconds": rollout.step_since if served is not None else None,
        },
        "weights": {arm.value: share for arm, share in weights(rollout).items()},
        "promote_requested": rollout.promote_requested,
        "needs_resume": rollout.needs_resume,
        "blind_since_unix_seconds": rollout.blind_since,
        "looks": rollout.looks,
        "awaits_transcript": awaits_transcript(rollout),
        "quality": {
            name: {
                "at_unix_seconds": found.at,
                "damage": found.damage.to_json(),
                "likelihood": found.likelihood.to_json(),
            }
            for name, found in rollout.quality.items()
        },
        "spec_digest": plan.spec_digest,
        "judge_version": plan.judge_version,
        "environment": plan.environment,
    }


def look_json(line: LookLine) -> dict[str, object]:
    look = line.look
    return {
        "number": line.number,
        "at_unix_seconds": line.at,
        "step": line.step + 1,
        "decision": look.decision.value,
        "verdict": look.verdict.to_json(),
        "requests": {"canary": look.canary_assigned, "reference": look.reference_assigned},
        "events": [_event_json(event) for event in look.events],
    }


def _event_json(event: EventEvidence) -> dict[str, object]:
    return {
        "event": event.event.value,
        "role": event.role.value,
        "canary": event.canary,
        "total": event.total,
        "expected": event.expected,
        "canary_rate": event.canary_rate,
        "e_against": event.e_worse,
        "e_against_needed": event.e_worse_needed,
        "e_for": event.e_harmless,
        "e_for_needed": event.e_harmless_needed,
        "observable": event.observable,
    }


def journal_json(line: JournalLine) -> dict[str, object]:
    entry = line.entry
    return {
        "seq": line.seq,
        "at_unix_seconds": line.at,
        "tier": line.tier,
        "rollout": line.rollout,
        "actor": entry.actor,
        "kind": entry.kind,
        "event": entry.event or None,
        "from_state": entry.from_state or None,
        "to_state": entry.to_state or None,
        "reason": entry.reason,
        "payload": entry.payload,
    }
