"""Rollouts: what the controller does, the arms side by side, and the judge's evidence."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.dashboarding.boards.choices import ROLLOUT_TIERS
from ops.dashboarding.boards.stating import rollout_state
from ops.dashboarding.model import RED, YELLOW, Bound, Dashboard, Panel, Query, Row, Shape, Unit
from ops.dashboarding.querying import TIER, equal, mean, quantile, rate, select, share, total
from ops.spec.model import Spec


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="rollouts",
        title="Rollouts",
        description="What the controller does with a new release, the arms side by side, and the judge's evidence.",
        sources=(Source.CONTROLLER, Source.GATEWAY),
        variables=(ROLLOUT_TIERS,),
        since="now-1h",
        rows=(
            Row("State", (rollout_state(width=24), *_steps(spec))),
            Row("Evidence", tuple(_evidence())),
            Row("Arms side by side", tuple(_arms())),
            Row("All rollouts", tuple(_history())),
        ),
    )


def _steps(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "step_weight",
        "The canary's share",
        "What the controller wants, and the mean of what the workers have. They differ while a table is pushed, and "
        "where a worker went back to stable by itself.",
        Unit.RATIO,
        (
            Query(f"max by (tier) ({select('rollout_step_weight_ratio', TIER)})", "{{tier}} wanted"),
            Query(
                f"avg by (tier) ({select('gateway_route_weight_ratio', TIER, equal('arm', 'canary'))})",
                "{{tier}} in force",
            ),
        ),
        least=0,
        most=1,
        width=6,
    )
    yield Panel(
        "weights",
        "Weights by arm",
        "Where new requests go, as the workers have it.",
        Unit.RATIO,
        (
            Query(
                f"avg by (tier, arm, release) ({select('gateway_route_weight_ratio', TIER)})",
                "{{tier}} {{arm}} {{release}}",
            ),
        ),
        least=0,
        most=1,
        width=6,
    )
    blind = spec.rollout.blind
    yield Panel(
        "blind",
        "Blind for",
        f"Seconds for which the judge has seen nothing that it could trust. At {blind.seconds_max:g}: {blind.then}.",
        Unit.SECONDS,
        (Query(f"max by (tier) ({select('rollout_blind_seconds', TIER)})", "{{tier}}"),),
        bounds=(Bound(blind.seconds_max, RED),),
        least=0,
        width=6,
    )
    yield Panel(
        "started",
        "Running for",
        "Seconds since the rollout of each tier started.",
        Unit.SECONDS,
        (
            Query(
                f"time() - max by (tier) ({select('rollout_started_timestamp_seconds', TIER)} > 0)",
                "{{tier}}",
            ),
        ),
        least=0,
        width=6,
    )


def _evidence() -> Iterator[Panel]:
    for direction, title, what in (
        ("worse", "Evidence that the canary is worse", "rolled back"),
        ("harmless", "Evidence that it is harmless", "let on"),
    ):
        of = equal("direction", direction)
        yield Panel(
            f"evidence_{direction}",
            title,
            "Logarithm (base 10) of the e-value, by event. The rate of errors that the spec allows is shared over "
            "the critical events: the panel beside shows how much of what is needed it is.",
            Unit.NUMBER,
            (Query(f"max by (tier, event) ({select('rollout_evidence_log10', TIER, of)})", "{{tier}} {{event}}"),),
        )
        part = share(
            f"max by (tier, event) ({select('rollout_evidence_log10', TIER, of)})",
            f"max by (tier, event) ({select('rollout_evidence_needed_log10', TIER, of)})",
        )
        yield Panel(
            f"evidence_{direction}_share",
            f"{title}, of what is needed",
            f"At 1 there is enough of it that the canary is {what}.",
            Unit.RATIO,
            (Query(part, "{{tier}} {{event}}"),),
            bounds=(Bound(1, YELLOW),),
        )
    yield Panel(
        "quality",
        "Quality probe",
        "The gravest of what was last found on the canary's replicas, by judgement.",
        Unit.NUMBER,
        (
            Query(
                f"max by (tier, judgement, outcome) ({select('rollout_quality_verdict', TIER)})",
                "{{tier}} {{judgement}} {{outcome}}",
            ),
        ),
        shape=Shape.STATES,
        words={"0": ("no", "text"), "1": ("yes", YELLOW)},
    )
    yield Panel(
        "looks",
        "Looks by answer",
        "What the judge said. Only an answer in words of evidence moves a rollout; blind looks never do.",
        Unit.PER_SECOND,
        (Query(rate("rollout_looks_total", TIER, by="answer"), "{{answer}}"),),
        stacked=True,
        least=0,
        width=8,
    )


def _arms() -> Iterator[Panel]:
    yield Panel(
        "arm_requests",
        "Requests by arm",
        "Requests per second that each arm was given. Baseline and canary are to have alike.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_requests_assigned_total", TIER, by="tier, arm"), "{{tier}} {{arm}}"),),
        least=0,
    )
    bad = share(
        rate("gateway_requests_bad_total", TIER, by="tier, arm, event"),
        "on (tier, arm) group_left () " + rate("gateway_requests_assigned_total", TIER, by="tier, arm"),
    )
    yield Panel(
        "arm_events",
        "What went wrong, by arm",
        "Share of an arm's requests with each event that counts against an answer.",
        Unit.RATIO,
        (Query(f"{bad} > 0", "{{arm}} {{event}}"),),
        least=0,
        width=16,
    )
    for key, title, name, unit in (
        ("latency", "Latency", "gateway_request_latency_seconds", Unit.SECONDS),
        ("first_token", "First token", "gateway_time_to_first_token_seconds", Unit.SECONDS),
        ("token_interval", "Token interval", "gateway_token_interval_seconds", Unit.SECONDS),
    ):
        yield Panel(
            f"arm_{key}",
            f"{title}: p50 and p95, by arm",
            "For people. The judge compares how whole distributions spread, by class and stratum.",
            unit,
            tuple(
                Query(quantile(part, name, TIER, by="arm"), f"{{{{arm}}}} p{part * 100:.0f}") for part in (0.5, 0.95)
            ),
            least=0,
        )
    yield from _arms_answers()


def _arms_answers() -> Iterator[Panel]:
    yield Panel(
        "arm_output_tokens",
        "Mean length of answers, by arm",
        "Tokens of a whole answer.",
        Unit.NUMBER,
        (Query(mean("gateway_output_tokens", TIER, by="arm"), "{{arm}}"),),
        least=0,
        width=12,
    )
    yield Panel(
        "arm_levels",
        "Levels of slowness, by arm",
        "Share of an arm's requests on each level; level 0 is the fastest. The cuts are frozen with the epoch.",
        Unit.RATIO,
        (
            Query(
                share(
                    rate("gateway_requests_level_total", TIER, 'event="slow"', by="arm, level"),
                    "on (arm) group_left () "
                    + rate("gateway_requests_level_total", TIER, 'event="slow"', by="arm"),
                ),
                "{{arm}} level {{level}}",
            ),
        ),
        least=0,
        width=12,
    )


def _history() -> Iterator[Panel]:
    yield Panel(
        "ended",
        "Rollouts ended",
        "By outcome, in the time shown.",
        Unit.NUMBER,
        (
            Query(
                total(f"increase({select('rollout_ended_total', TIER)}[$__range])", "outcome"),
                "{{outcome}}",
                instant=True,
            ),
        ),
        shape=Shape.BARS,
        least=0,
        width=12,
    )
    yield Panel(
        "freeze",
        "Freeze",
        "1 while no new rollout may start.",
        Unit.NUMBER,
        (Query(f"max({select('rollout_freeze_active')})", "freeze"),),
        shape=Shape.STATES,
        words={"0": ("open", "green"), "1": ("frozen", "blue")},
        width=12,
    )
