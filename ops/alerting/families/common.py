"""What families share: expressions of shares, timings, and steps that many runbooks begin or end with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ops.alerting.cases import Timing, Values, gauge
from ops.alerting.model import Alert, Case, Panel, Runbook, Series, Severity, Step
from ops.alerting.windows import duration
from ops.spec.alerting import DepthLevels, PercentLevels
from ops.spec.model import Spec


@dataclass(frozen=True)
class Kind:
    severity: Severity
    category: str


DOWN = Kind(Severity.CRITICAL, "service-downtime")
EXHAUSTED = Kind(Severity.CRITICAL, "resource-exhaustion")
INTRUSION = Kind(Severity.CRITICAL, "security-incident")
DEGRADED = Kind(Severity.WARNING, "performance-degradation")
PRESSED = Kind(Severity.WARNING, "resource-pressure")
UNUSUAL = Kind(Severity.WARNING, "unusual-usage")
QUALITY = Kind(Severity.WARNING, "model-quality")
CONTROL = Kind(Severity.WARNING, "control-plane")
MONITORING = Kind(Severity.WARNING, "monitoring")
DEPLOYMENT = Kind(Severity.INFO, "deployment")
SCALE = Kind(Severity.INFO, "scale-event")
MAINTENANCE = Kind(Severity.INFO, "maintenance-window")
MILESTONE = Kind(Severity.INFO, "usage-milestone")
HEARTBEAT = Kind(Severity.INFO, "heartbeat")

PARTS = Step("Which parts run, and since when?", ("ops stack status --run-dir $RUN_DIR",))
ROUTES = Step("Where do requests go?", ("ops route show --run-dir $RUN_DIR",))
ANSWERED = Step("Users are answered, and in time.", ("ops probe --run-dir $RUN_DIR",))
ROLLOUTS = Step("Is a release going out? It is the likeliest cause.", ("ops canary history --run-dir $RUN_DIR",))
ENGINE_ANEW = Step(
    "One engine alone is stuck: start it anew. Requests that it holds are lost.",
    ("ops stack restart replica-$REPLICA --now --run-dir $RUN_DIR",),
)
ALL_STABLE = Step(
    "A release is going out and this began with it: send its tier to stable, whatever the controller does.",
    ('ops route stable --now --tier production --reason "alert" --yes --run-dir $RUN_DIR',),
    undo=('ops canary resume --tier production --reason "over" --run-dir $RUN_DIR',),
)
FREEZE = Step(
    "Let nothing new go out until it is over.",
    ('ops freeze on --reason "alert" --run-dir $RUN_DIR',),
    undo=('ops freeze off --reason "over" --run-dir $RUN_DIR',),
)


MOVE = Step(
    "Give the machine less to do: stop what does not belong there, or move a replica to another one. The way back: "
    "start it again once the cause is found."
)


def alert(
    name: str,
    kind: Kind,
    expression: str,
    pace: Timing,
    panel: tuple[str, str],
    texts: tuple[str, str],
    runbook: Runbook,
    cases: tuple[Case, ...],
) -> Alert:
    """``panel`` is a dashboard and its panel's key, ``texts`` the summary and the description."""
    return Alert(
        name=name,
        severity=kind.severity,
        category=kind.category,
        expression=expression,
        summary=texts[0],
        description=texts[1],
        panel=Panel(*panel),
        runbook=runbook,
        cases=cases,
        for_seconds=pace.for_seconds,
        keep_firing_seconds=pace.keep_firing_seconds,
    )


def levels(
    bounds: PercentLevels | DepthLevels, warning: tuple[str, Kind], critical: tuple[str, Kind] | None = None
) -> Iterator[tuple[str, Kind, float]]:
    """Name, kind and bound of the alerts for which the spec has a level."""
    if bounds.warning is not None:
        yield (*warning, bounds.warning)
    if critical is not None and bounds.critical is not None:
        yield (*critical, bounds.critical)


def one(series: str) -> Callable[[Values], tuple[Series, ...]]:
    """Inputs of a case: a single gauge."""
    return lambda values: (gauge(series, values),)


SLOW_STEP_SECONDS = 240
"""Less than the five minutes for which PromQL takes a sample for the present."""


def percents(values: Values, total: float, left: bool) -> Values:
    """What these percentages of the total are, or what is left of it."""
    return [None if value is None else total * (1 - value / 100 if left else value / 100) for value in values]


def ask(text: str, expression: str, silent: str = "") -> Step:
    """A step that asks Prometheus. ``silent``: what it says when there is no answer."""
    return Step(text, (f"promtool query instant $PROMETHEUS '{expression}'",), silent=silent)


def logs(program: str, text: str) -> Step:
    return Step(text, (f"ops stack logs {program} --run-dir $RUN_DIR --lines 50",))


def restart(program: str, text: str) -> Step:
    return Step(text, (f"ops stack restart {program} --run-dir $RUN_DIR",))


def timing(spec: Spec, for_seconds: float = 0) -> Timing:
    """With the spec's own evaluations and what keeps alerts from coming and going."""
    rules = spec.alerting
    return Timing(for_seconds, rules.objectives.keep_firing_seconds, int(rules.evaluation_seconds))


def of_days(spec: Spec) -> Timing:
    """Of rules that compare with the day before: kept longer, and tested with fewer samples."""
    return Timing(0, spec.alerting.timing.hold_seconds).slower(SLOW_STEP_SECONDS)


def increase(series: str, seconds: float, by: str) -> str:
    return f"{_sum(by)}(increase({series}[{duration(seconds)}]))"


def share(bad: str, every: str, by: str, percent: float, seconds: float, at_least: float = 0) -> str:
    """True where more than ``percent`` of a counter's increase is bad, and that is at least so many."""
    bads = increase(bad, seconds, by)
    too_many = f"{bads} / {increase(every, seconds, by)} > {percent / 100:.10g}"
    return f"{too_many} and {bads} >= {at_least:.10g}" if at_least else too_many


def _sum(by: str) -> str:
    return f"sum by ({by}) " if by else "sum"
