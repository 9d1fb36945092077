"""Business: who asks for what, how much of it, and how good the answers are."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.dashboarding.boards.choices import TASK_CLASSES, TIERS
from ops.dashboarding.model import GREEN, RED, YELLOW, Bound, Dashboard, Panel, Query, Row, Shape, Unit
from ops.dashboarding.querying import TASK_CLASS, TIER, counted, mean, rate, share
from ops.spec.model import Spec
from serving.contract import BadEvent

QUALITY = (BadEvent.EMPTY, BadEvent.REPEATED, BadEvent.REFUSED, BadEvent.INVALID, BadEvent.TRUNCATED)
"""Events that say something of the answer, not of the service."""


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="business",
        title="Business",
        description="Who asks for what, how much of it, and how good the answers are.",
        sources=(Source.GATEWAY,),
        variables=(TIERS, TASK_CLASSES),
        since="now-24h",
        rows=(
            Row("Usage", tuple(_usage(spec))),
            Row("Tokens", tuple(_tokens())),
            Row("Quality", tuple(_quality())),
        ),
    )


def _usage(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "requests_by_task",
        "Requests by task",
        "Requests per second that were answered, by task of the API.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_responses_total", TIER, by="task"), "{{task}}"),),
        stacked=True,
        least=0,
    )
    yield Panel(
        "requests_by_tier",
        "Requests by tier",
        f"Requests per second. Planned for: {spec.targets.requests_per_second:g}.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_objective_requests_total", TIER, TASK_CLASS, 'objective="availability"', by="tier"),
               "{{tier}}"),),
        bounds=(Bound(spec.targets.requests_per_second, YELLOW),),
        near=False,
        stacked=True,
        least=0,
    )  # fmt: skip
    yield Panel(
        "tasks",
        "Requests in the time shown",
        "By task, the most used first.",
        Unit.NUMBER,
        (Query(f"sort_desc({counted('gateway_responses_total', TIER, by='task')})", "{{task}}", instant=True),),
        shape=Shape.BARS,
        least=0,
    )
    asked, answered = (rate("gateway_responses_total", TIER, *of, by="task") for of in ((), ('status=~"2.."',)))
    # A task of which nothing is answered has no series of the status 200.
    good = share(f"({answered} or 0 * {asked})", asked)
    promised = Bound(spec.targets.availability_percent / 100, GREEN)
    yield Panel(
        "answered",
        "Answered",
        "Share of a task's requests that were answered with what they asked for; what clients did wrong is not.",
        Unit.RATIO,
        (Query(good, "{{task}}"),),
        base=RED,
        bounds=(promised,),
        ranked=True,
        most=1,
        width=24,
    )


def _tokens() -> Iterator[Panel]:
    yield Panel(
        "tokens_by_tier",
        "Tokens by tier",
        "Tokens per second, prompts and answers: what a tier costs.",
        Unit.TOKENS_PER_SECOND,
        (Query(rate("gateway_tokens_total", TIER, by="tier, direction"), "{{tier}} {{direction}}"),),
        stacked=True,
        least=0,
    )
    yield Panel(
        "tokens_in_range",
        "Tokens in the time shown",
        "Prompts and answers together, by task, the most first.",
        Unit.NUMBER,
        (Query(f"sort_desc({counted('gateway_tokens_total', TIER, by='task')})", "{{task}}", instant=True),),
        shape=Shape.BARS,
        least=0,
    )
    yield Panel(
        "tokens_per_request",
        "Tokens per request",
        "Prompt and answer together, by task.",
        Unit.NUMBER,
        (
            Query(
                share(rate("gateway_tokens_total", TIER, by="task"), rate("gateway_responses_total", TIER, by="task")),
                "{{task}}",
            ),
        ),
        least=0,
    )


def _quality() -> Iterator[Panel]:
    kinds = "|".join(event.value for event in QUALITY)
    asked = rate("gateway_objective_requests_total", TIER, TASK_CLASS, 'objective="availability"', by="task_class")
    events = rate("gateway_events_total", TIER, TASK_CLASS, f'event=~"{kinds}"', by="task_class, event")
    yield Panel(
        "quality_events",
        "Answers that were no good",
        "Share of requests whose answer was empty, ended in a loop, was declined, invalid or cut at its limit.",
        Unit.RATIO,
        (Query(share(events, asked, "on (task_class) group_left ()"), "{{task_class}} {{event}}"),),
        ranked=True,
        least=0,
        width=12,
    )
    yield Panel(
        "answer_length",
        "Mean length of answers",
        "Tokens of a whole answer, by tier and class. A change without a release is a drift.",
        Unit.NUMBER,
        (Query(mean("gateway_output_tokens", TIER, TASK_CLASS, by="tier, task_class"), "{{tier}} {{task_class}}"),),
        least=0,
        width=12,
    )
