"""Rollouts: what the controller does, the arms side by side, and the judge's evidence."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.dashboarding.boards.choices import ROLLOUT_TIERS
from ops.dashboarding.boards.stating import quality_state, rollout_state
from ops.dashboarding.model import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Bound,
    Dashboard,
    Panel,
    Query,
    Row,
    Shape,
    Unit,
)
from ops.dashboarding.querying import TIER, counted, equal, mean, quantile, rate, select, share
from ops.spec.model import Spec

ARMS = {".*stable.*": BLUE, ".*baseline.*": PURPLE, ".*canary.*": ORANGE}
"""An arm has the same colour on every panel."""


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
            Row("Arms side by side", tuple(_arms(spec))),
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
                f"avg by (tier, arm) (sum by (tier, arm, instance) ({select('gateway_route_weight_ratio', TIER)}))",
                "{{tier}} {{arm}}",
            ),
        ),
        colours=ARMS,
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
        part = share(
            f"max by (tier, event) ({select('rollout_evidence_log10', TIER, of)})",
            f"max by (tier, event) ({select('rollout_evidence_needed_log10', TIER, of)})",
        )
        yield Panel(
            f"evidence_{direction}_share",
            title,
            f"As a share of what is needed, by event: at 100 % there is enough, and the canary is {what}. Logarithm of "
            "the e-value, over that of the e-value needed; what speaks for the contrary is shown as 0, more than "
            "enough as 100 %.",
            Unit.RATIO,
            (Query(f"clamp({part}, 0, 1)", "{{tier}} {{event}}"),),
            base=GREEN if direction == "worse" else YELLOW,
            bounds=(Bound(1, RED if direction == "worse" else GREEN),),
            ranked=True,
            least=0,
            most=1,
            width=12,
            none="no rollout is judged",
        )
    yield quality_state(width=8)
    yield Panel(
        "looks",
        "Looks by answer",
        "What the judge said. Only an answer in words of evidence moves a rollout; blind looks never do.",
        Unit.PER_SECOND,
        (Query(rate("rollout_looks_total", TIER, by="answer"), "{{answer}}"),),
        colours={"advance": GREEN, "hold": BLUE, "blind": ORANGE, "roll_back": RED},
        stacked=True,
        least=0,
        width=8,
    )
    yield Panel(
        "evidence_log10",
        "e-values",
        "The strongest of each direction, as a logarithm (base 10): the judge's own numbers. The rate of errors that "
        "the spec allows is shared over the critical events, so that what is needed differs between them.",
        Unit.NUMBER,
        (
            Query(
                f"max by (tier, direction) ({select('rollout_evidence_log10', TIER)})",
                "{{tier}} {{direction}}",
            ),
        ),
        colours={".* worse": RED, ".* harmless": GREEN},
        width=8,
        none="no rollout is judged",
    )


def _arms(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "arm_requests",
        "Requests by arm",
        "Requests per second that each arm was given. Baseline and canary are to have alike.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_requests_assigned_total", TIER, by="tier, arm"), "{{tier}} {{arm}}"),),
        colours=ARMS,
        least=0,
    )
    bad = share(
        rate("gateway_requests_bad_total", TIER, by="tier, arm, event"),
        rate("gateway_requests_assigned_total", TIER, by="tier, arm"),
        "on (tier, arm) group_left ()",
    )
    yield Panel(
        "arm_events",
        "What went wrong, by arm",
        "Share of an arm's requests with each event that counts against an answer. What nobody met is left out.",
        Unit.RATIO,
        (Query(f"{bad} > 0", "{{tier}} {{arm}} {{event}}"),),
        ranked=True,
        none="no arm met such an event",
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
            "For people: dotted p50, drawn through p95. The judge compares how whole distributions spread, by class "
            "and stratum.",
            unit,
            tuple(
                Query(quantile(part, name, TIER, by="arm"), f"{{{{arm}}}} p{part * 100:.0f}") for part in (0.5, 0.95)
            ),
            colours=ARMS,
            dashes={".* p50": (2, 4)},
            least=0,
        )
    yield from _arms_answers(spec)


def _arms_answers(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "arm_output_tokens",
        "Mean length of answers, by arm",
        "Tokens of a whole answer.",
        Unit.NUMBER,
        (Query(mean("gateway_output_tokens", TIER, by="arm"), "{{arm}}"),),
        colours=ARMS,
        least=0,
        width=12,
    )
    cuts = spec.rollout.analysis.level_quantiles
    cut = len(cuts) // 2 - 1 if len(cuts) > 1 else 0
    slower = "|".join(str(level) for level in range(cut + 1, len(cuts) + 1))
    levels = "gateway_requests_level_total"
    yield Panel(
        "arm_levels",
        f"Answers slower than the usual p{100 * cuts[cut]:g}, by arm",
        f"Share of an arm's requests: about {100 * (1 - cuts[cut]):.3g} % if an arm is like the service was when the "
        "epoch began. The judge compares all levels, of which this is the upper part.",
        Unit.RATIO,
        (
            Query(
                share(
                    rate(levels, TIER, 'event="slow"', f'level=~"{slower}"', by="arm"),
                    rate(levels, TIER, 'event="slow"', by="arm"),
                ),
                "{{arm}}",
            ),
        ),
        bounds=(Bound(round(1 - cuts[cut], 10), YELLOW),),
        colours=ARMS,
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
                counted("rollout_ended_total", TIER, by="outcome"),
                "{{outcome}}",
                instant=True,
            ),
        ),
        shape=Shape.BARS,
        colours={"promoted": GREEN, "rolled_back": RED, "refused": YELLOW},
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
