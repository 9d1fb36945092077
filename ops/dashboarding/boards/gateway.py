"""Gateway: what was asked, answered and refused, how long it took, and where requests go."""

from __future__ import annotations

from collections.abc import Iterator

from ops.alerting.catalogue import Source
from ops.dashboarding.boards.bounds import bounds
from ops.dashboarding.boards.choices import TASK_CLASSES, TIERS
from ops.dashboarding.boards.process import process_panels
from ops.dashboarding.boards.stating import route_state
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
from ops.dashboarding.querying import TASK_CLASS, TIER, buckets, quantile, rate, select, share, total
from ops.spec.model import Spec

LATENCY, FIRST_TOKEN = "gateway_request_latency_seconds", "gateway_time_to_first_token_seconds"
TOKEN_INTERVAL, OUTPUT_TOKENS = "gateway_token_interval_seconds", "gateway_output_tokens"

STATUSES = {"2..": GREEN, "3..": BLUE, "4..": YELLOW, "5..": RED, "0": RED}
CLASSES = (BLUE, ORANGE, GREEN, PURPLE)
"""Each class of tasks has the same colour on every panel."""


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="gateway",
        title="Gateway",
        description="What was asked, answered and refused, how long it took, and where requests go.",
        sources=(Source.GATEWAY,),
        variables=(TIERS, TASK_CLASSES),
        rows=(
            Row("Answers", tuple(_answers())),
            Row("Load", tuple(_load(spec))),
            Row("Latency", tuple(_latency(spec))),
            Row("Routes", tuple(_routes())),
            Row("Workers", (*_workers(), *process_panels(spec, 5))),
        ),
    )


def _answers() -> Iterator[Panel]:
    yield Panel(
        "responses",
        "Responses by status",
        "All that clients were answered, refusals at the door included.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_responses_total", TIER, by="status"), "{{status}}"),),
        colours=STATUSES,
        stacked=True,
        least=0,
    )
    yield Panel(
        "refused",
        "Refused at the door",
        "Requests over one of the gateway's limits, by limit. They reach no engine.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_requests_refused_total", by="limit"), "{{limit}}"),),
        stacked=True,
        least=0,
    )
    yield Panel(
        "events",
        "What went wrong",
        "Requests with an event that counts against an answer, by kind.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_events_total", TIER, TASK_CLASS, by="event"), "{{event}}"),),
        least=0,
    )
    yield Panel(
        "synthetic",
        "Probes and warm-up",
        "Synthetic requests by status. They count towards no target.",
        Unit.REQUESTS_PER_SECOND,
        (Query(rate("gateway_synthetic_requests_total", by="status"), "{{status}}"),),
        colours=STATUSES,
        least=0,
    )
    yield Panel(
        "tokens",
        "Tokens",
        "Tokens per second by direction, as the engines tell them.",
        Unit.TOKENS_PER_SECOND,
        (Query(rate("gateway_tokens_total", TIER, by="direction"), "{{direction}}"),),
        least=0,
    )
    yield Panel(
        "finished",
        "Assigned and finished",
        "Requests that were given to an arm, and those that came to an end. A gap that stays is a hang.",
        Unit.REQUESTS_PER_SECOND,
        (
            Query(rate("gateway_requests_assigned_total", TIER, TASK_CLASS), "assigned"),
            Query(rate("gateway_requests_finished_total", TIER, TASK_CLASS), "finished"),
        ),
        least=0,
    )


def _load(spec: Spec) -> Iterator[Panel]:
    limits, thresholds = spec.api.limits, spec.alerting.thresholds
    yield Panel(
        "in_flight",
        "In flight",
        f"Requests that each worker works on. It lets in {limits.in_flight_max} at most.",
        Unit.NUMBER,
        (Query(total(select("gateway_requests_in_flight"), "instance"), "{{instance}}"),),
        bounds=bounds(thresholds.in_flight_percent, limits.in_flight_max / 100),
        near=False,
        least=0,
        width=12,
    )
    yield Panel(
        "queued",
        "Waiting",
        f"Requests that wait for their turn, by worker. {limits.queue_max} may wait; more are refused.",
        Unit.NUMBER,
        (Query(total(select("gateway_requests_queued"), "instance"), "{{instance}}"),),
        bounds=bounds(thresholds.queue_depth),
        least=0,
        width=12,
    )


def _latency(spec: Spec) -> Iterator[Panel]:
    for key, title, name, what in (
        ("latency", "Latency", LATENCY, "Seconds until the whole answer"),
        ("first_token", "First token", FIRST_TOKEN, "Seconds until a stream's first content"),
        ("token_interval", "Token interval", TOKEN_INTERVAL, "Mean seconds between a stream's tokens"),
    ):
        yield _heatmap(f"{key}_heatmap", title, name, what, Unit.SECONDS)
        yield Panel(
            f"{key}_quantiles",
            f"{title}: p50, p95, p99",
            f"{what}, by class. Dotted p50, dashed p99. Estimated within buckets; exact at their bounds, of which the "
            "targets are some.",
            Unit.SECONDS,
            tuple(
                Query(quantile(part, name, TIER, TASK_CLASS, by="task_class"), f"p{part * 100:.0f} {{{{task_class}}}}")
                for part in (0.5, 0.95, 0.99)
            ),
            colours={f"p.* {name}": colour for name, colour in zip(spec.task_classes, CLASSES, strict=False)},
            dashes={"p50 .*": (2, 4), "p99 .*": (10, 10)},
            least=0,
            width=12,
        )
    yield _heatmap("output_tokens", "Length of answers", OUTPUT_TOKENS, "Tokens of a whole answer", Unit.NUMBER)
    yield Panel(
        "output_tokens_mean",
        "Mean length of answers",
        "Tokens of a whole answer, by class. A change without a release is a drift.",
        Unit.NUMBER,
        (
            Query(
                share(
                    rate(f"{OUTPUT_TOKENS}_sum", TIER, TASK_CLASS, by="task_class"),
                    rate(f"{OUTPUT_TOKENS}_count", TIER, TASK_CLASS, by="task_class"),
                ),
                "{{task_class}}",
            ),
        ),
        least=0,
        width=12,
    )


def _heatmap(key: str, title: str, name: str, what: str, unit: Unit) -> Panel:
    query = Query(buckets(name, TIER, TASK_CLASS), "{{le}}")
    return Panel(key, title, f"{what}: how many requests.", unit, (query,), shape=Shape.HEATMAP, width=12)


def _routes() -> Iterator[Panel]:
    yield Panel(
        "route_weight",
        "Weights in force",
        "Where new requests of a tier go, by arm and release, as the workers have it.",
        Unit.RATIO,
        (
            Query(
                f"avg by (tier, arm, release) ({select('gateway_route_weight_ratio', TIER)})",
                "{{tier}} {{arm}} {{release}}",
            ),
        ),
        least=0,
        most=1,
        width=10,
    )
    yield Panel(
        "route_epoch",
        "Epoch",
        "The version of the routing table. Workers that differ for long were not reached by the controller.",
        Unit.NUMBER,
        (Query(f"max by (tier, instance) ({select('gateway_route_epoch', TIER)})", "{{tier}} {{instance}}"),),
        width=6,
    )
    yield route_state(width=8)


def _workers() -> Iterator[Panel]:
    yield Panel(
        "workers",
        "Workers",
        "Workers that Prometheus can scrape.",
        Unit.NUMBER,
        (Query(total(select("up"), "job"), "{{job}}"),),
        shape=Shape.FIGURE,
        base=RED,
        bounds=(Bound(1, GREEN),),
        width=4,
    )
    yield Panel(
        "log_lines_dropped",
        "Log lines dropped",
        "Lines that were lost because the disk or the terminal did not keep up.",
        Unit.PER_SECOND,
        (Query(rate("gateway_log_lines_dropped_total", by="instance"), "{{instance}}"),),
        bounds=(Bound(1, YELLOW),),
        least=0,
        width=5,
    )
