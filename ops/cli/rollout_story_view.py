"""A rollout told from its start: as text, as JSON, and as a page."""

from __future__ import annotations

from collections import Counter

from ops.adapters.rollout_file import Recording
from ops.cli.moments import utc
from ops.cli.rollout_journal import decided_by, decision_json
from ops.cli.rollout_json import look_json, rollout_json
from ops.cli.rollout_words import duration, journal_words, plain, state_words, steps_words
from ops.judge.counting import Counts
from ops.report.rollout_story import RolloutStory, story_of
from ops.report.traffic import BlindSpan
from ops.rollout.plan import Role
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED
from ops.store.decisions import Decision
from ops.store.rollouts import LookLine
from serving.contract import Arm

STORY_SCHEMA = "gratefulgpt.rollout-story/1"
_FOUND = frozenset({"routes", "quality"})
"""What followed, and what was found; what a finding leads to is a transition with its reason."""
_MECHANICAL = frozenset({"ready", "warmed", "settled"})
"""Transitions that follow from those before; whoever asks what was decided need not read them."""


def story(recording: Recording) -> RolloutStory:
    return story_of(recording.rollout, recording.journal, recording.looks)


def decisions_that_mattered(recording: Recording) -> list[Decision]:
    """What people and the judge did, and what stopped the rollout; not what followed from it."""
    looks = {one.number: LookLine(one.rollout, one.number, one.at, one.step, one.look) for one in recording.looks}
    return [
        Decision(line, looks.get(number) if isinstance(number := line.entry.payload.get("look"), int) else None)
        for line in recording.journal
        if line.entry.kind not in _FOUND and line.entry.event not in _MECHANICAL
    ]


def story_text(recording: Recording) -> str:
    told = story(recording)
    rollout = recording.rollout
    parts = [_head(rollout, told), "", "decisions that mattered (UTC)", *_decisions(recording)]
    if told.traffic:
        parts += ["", "requests and bad events by arm, from the first look to the last", *_traffic(told)]
    if told.blind:
        parts += ["", "blind", *(f"  {_blind(span)}" for span in told.blind)]
    return "\n".join(parts)


def _head(rollout: Rollout, told: RolloutStory) -> str:
    beside = f", canary beside {rollout.baseline_release.name}" if rollout.baseline_release else ""
    took = f"took {duration(told.seconds)}" if rollout.state in ENDED else f"runs for {duration(told.seconds)}"
    looks = Counter(line.look.decision.value.replace("_", " ") for line in told.looks)
    taken = ", ".join(f"{count} {name}" for name, count in looks.most_common())
    rows = (
        ("release", f"{rollout.release.name}{beside}; digest {rollout.release.digest}"),
        ("plan", f"{steps_words(rollout.plan)}; spec {rollout.plan.spec_digest}"),
        ("started", f"{utc(rollout.created_at)} by {plain(rollout.created_by)}, {took}"),
        ("looks", f"{rollout.looks}" + (f": {taken}" if taken else "") + f"; judge {rollout.plan.judge_version}"),
        ("why", plain(rollout.reason)),
    )
    head = f"{rollout.id}, {rollout.tier}: {state_words(rollout.state)}"
    return "\n".join([head, *(f"  {name:<8} {value}" for name, value in rows)])


def _decisions(recording: Recording) -> list[str]:
    lines = []
    for decision in decisions_that_mattered(recording):
        number = decision.line.entry.payload.get("look")
        who = plain(decided_by(decision)) + (f", look {number}" if number else "")
        lines.append(f"  {utc(decision.line.at)}  {who}: {journal_words(decision.line)}")
    return lines


def _traffic(told: RolloutStory) -> list[str]:
    totals = told.traffic[-1].by_arm
    arms = [arm for arm in Arm if totals.get(arm, Counts()).assigned]
    rows = [("", *(arm.value for arm in arms)), ("requests", *(f"{totals[arm].assigned:,}" for arm in arms))]
    for event in told.rollout.plan.analysis.events:
        if event.role is not Role.OFF:
            counts = [(totals[arm].bad.get(event.event, 0), totals[arm].assigned) for arm in arms]
            cells = (f"{bad:,} ({bad / assigned:.1%})" for bad, assigned in counts)
            rows.append((event.event.value.replace("_", " "), *cells))
    return [f"  {name:<18}" + "".join(f"{cell:>18}" for cell in cells) for name, *cells in rows]


def _blind(span: BlindSpan) -> str:
    looks = f"{span.looks} look{'s' if span.looks > 1 else ''}"
    return f"{utc(span.since)}  {duration(span.until - span.since)}, {looks}: {plain('; '.join(span.reasons))}"


def story_json(recording: Recording) -> tuple[str, dict[str, object]]:
    """Its schema and its fields."""
    told = story(recording)
    totals = told.traffic[-1].by_arm if told.traffic else {}
    looks = Counter(line.look.decision.value for line in told.looks)
    return STORY_SCHEMA, {
        "rollout": rollout_json(recording.rollout),
        "seconds": told.seconds,
        "looks": dict(looks),
        "decisions": [decision_json(decision) for decision in decisions_that_mattered(recording)],
        "requests": {
            arm.value: {
                "assigned": counts.assigned,
                "bad": {event.value: count for event, count in counts.bad.items()},
            }
            for arm, counts in totals.items()
        },
        "blind": [
            {
                "since_unix_seconds": span.since,
                "seconds": span.until - span.since,
                "looks": span.looks,
                "reasons": list(span.reasons),
            }
            for span in told.blind
        ],
        "last_look": look_json(told.last_look) if told.last_look else None,
    }


def story_page(recording: Recording) -> str:
    """HTML without any outside reference."""
    # Here, because the charts take longer to import than most commands take to run.
    from ops.report.page import Chapter, rollout_page

    rollout, told = recording.rollout, story(recording)
    beside = f", compared with {rollout.baseline_release.name}" if rollout.baseline_release else ""
    running = "" if rollout.state in ENDED else ", and it still runs"
    summary = (
        ("release", f"{rollout.release.name} on {rollout.tier}{beside}"),
        ("release digest", rollout.release.digest),
        ("steps", steps_words(rollout.plan)),
        ("started", f"{utc(rollout.created_at)} by {plain(rollout.created_by)}"),
        ("ended" if rollout.state in ENDED else "seen until", f"{utc(told.ended_at)}{running}"),
        ("judged by", f"version {rollout.plan.judge_version}, spec {rollout.plan.spec_digest}"),
    )
    return rollout_page(f"Rollout {rollout.id}", summary, [Chapter("What happened", None, told)])
