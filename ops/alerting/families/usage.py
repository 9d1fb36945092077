"""Alerts on traffic: much more or much less than the day before, and throughput that nears its target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ops.alerting.cases import Timing, beyond, case, count_cases, counter, exact, over
from ops.alerting.families.common import (
    ANSWERED,
    MILESTONE,
    PARTS,
    UNUSUAL,
    alert,
    ask,
    levels,
    logs,
    of_days,
    timing,
)
from ops.alerting.model import Alert, Case, Group, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec

OWN = 'job="gateway",instance="10.0.0.2:9001"'
BY_TASK = ask("Which task's traffic is it?", "sum by (task) (rate(gateway_responses_total[5m]))")


def groups(spec: Spec) -> tuple[Group, ...]:
    return (Group("usage", spec.alerting.evaluation_seconds, alerts=(*_compared(spec), *_milestones(spec))),)


def _compared(spec: Spec) -> Iterator[Alert]:
    rules = spec.alerting
    window, offset, least = rules.timing.compare_seconds, rules.timing.compare_offset_seconds, rules.floors
    pace = of_days(spec)
    now, before = (_requests(window, shift) for shift in (0, offset))
    rose = Runbook(
        meaning="A tier gets many times the requests of the same hour a day before: a success, a client that "
        "repeats itself, or misuse.",
        impact="None while there is room; then queues, and late answers.",
        diagnosis=(BY_TASK, ask("Do queues grow?", "vllm:num_requests_waiting"), PARTS),
        mitigation=(
            Step("Wanted traffic: add replicas for the tier, and take them away when it is over."),
            Step("Unwanted traffic: block its source in front of the gateway. The way back: unblock it."),
        ),
        verification=(ask("The traffic agrees.", f"{now} / {before}"), ANSWERED),
    )
    fell = Runbook(
        meaning="A tier gets a small part of the requests of the same hour a day before: they do not reach the "
        "gateway, or nobody sends them.",
        impact="If they do not reach it, users see an error that no counter here shows.",
        diagnosis=(
            Step("Does the public address answer from outside?", ("ops probe --run-dir $RUN_DIR",)),
            BY_TASK, PARTS, logs("gateway", "Do workers say anything?"),
        ),
        mitigation=(Step("Mend what stands in front of the gateway: name service, load balancer, certificates. The way "
                         "back is their former setting."),),
        verification=(ask("The traffic agrees.", f"{now} / {before}"), ANSWERED),
    )  # fmt: skip
    for name, up, first, second, words, book in (
        ("TrafficRose", True, now, before, "many times", rose),
        ("TrafficFell", False, before, now, "a small part of", fell),
    ):
        for _, kind, times in levels(rules.thresholds.traffic_times, (name, UNUSUAL)):
            yield alert(
                name, kind, f"{first} > {times:.10g} * {second} and {before} >= {least.requests_compared}", pace,
                ("business", "requests_by_tier"),
                (f"{{{{ $labels.tier }}}} gets {words} the requests of a day before",
                 f"By a factor of more than {times:g}, within {duration(window)}."),
                book,
                _compared_cases(times, least.requests_compared, window, offset, pace, up),
            )  # fmt: skip


def _milestones(spec: Spec) -> Iterator[Alert]:
    percent, times = spec.alerting.thresholds.milestone_percent, spec.alerting.timing
    if percent is None:
        return
    held, window = timing(spec, times.hold_seconds), times.window_seconds
    tokens = 'gateway_tokens_total{direction="completion"}'
    answers = "gateway_responses_total"
    for name, series, target, panel, unit in (
        ("RequestMilestone", answers, spec.targets.requests_per_second, "requests_by_tier", "requests"),
        ("TokenMilestone", tokens, spec.targets.tokens_per_second, "tokens_by_tier", "tokens"),
    ):
        bound = target * percent / 100
        rate = f"sum by (job) (rate({series}[{duration(window)}]))"
        yield alert(
            name, MILESTONE, f"{rate} > {bound:.10g}", held, ("business", panel),
            (f"The service answers {percent:g} % of the {unit} a second that it was built for",
             f"More than {bound:g} of {target:g} {unit} a second."),
            Runbook(
                meaning=f"Traffic has reached {percent:g} % of the target, {target:g} {unit} a second.",
                impact="None. Beyond the target nothing is promised.",
                diagnosis=(BY_TASK, ask("How much is it?", rate)),
                mitigation=(Step("Plan for more: run the load suites against more replicas, and raise the target."),),
                verification=(ask("It is below.", rate), ANSWERED),
            ),
            count_cases(_spread(series), bound * window, window, held, ({"job": "gateway"},)),
        )  # fmt: skip


def _requests(window: float, offset: float) -> str:
    shift = f" offset {duration(offset)}" if offset else ""
    series = f'gateway_objective_requests_total{{objective="availability"}}[{duration(window)}]{shift}'
    return f"sum by (tier) (increase({series}))"


def _compared_cases(
    times: float, least: float, window: float, offset: float, pace: Timing, up: bool
) -> tuple[Case, ...]:
    """Two hours of traffic, and the same two hours a day later with another one."""
    width, shift = pace.steps(window), pace.steps(offset)
    many = 16 * least / width

    def made(name: str, before: float, after: float) -> Case:
        quiet, hours = [0.0] * (shift - 2 * width), 2 * width
        counts = [0.0, *[exact(before)] * hours, *quiet, *[exact(after)] * hours, *[exact(before)] * width]
        n = over(window, counts, pace)
        truth = [k >= shift and _apart(n[k], n[k - shift]) for k in range(len(n))]
        looks = range(shift + width // 2, shift + 3 * width, max(1, width // 2))
        return case(name, _traffic(counts), truth, pace, ({"tier": "production"},), looks)

    def _apart(now: float, before: float) -> bool:
        larger, smaller = (now, before) if up else (before, now)
        far = larger > 0 if smaller == 0 else beyond(larger / smaller, times)
        return far and before >= least * (1 - 1e-9)

    def after(before: float, ratio: float) -> float:
        return before * ratio if up else before / ratio

    few = least / width
    return (
        made("just beyond the bound", many, after(many, times * 1.05)),
        made("just within the bound", many, after(many, times * 0.95)),
        made("just enough of the day before", few * 1.05, after(few, 4 * times)),
        made("too few of the day before", few * 0.95, after(few, 4 * times)),
    )


def _spread(series: str) -> Callable[[Sequence[float]], tuple[Series, ...]]:
    """Half on each of two tiers; of tokens, as many are read as written."""
    metric = series.partition("{")[0]

    def inputs(counts: Sequence[float]) -> tuple[Series, ...]:
        half = [one / 2 for one in counts]
        own = f'{OWN},task="chat",tier='
        if metric == "gateway_responses_total":
            return tuple(counter(f'{metric}{{{own}"{tier}",status="200"}}', half) for tier in ("production", "edge"))
        rows = [(tier, way) for tier in ("production", "edge") for way in ("prompt", "completion")]
        return tuple(counter(f'{metric}{{{own}"{tier}",direction="{way}"}}', half) for tier, way in rows)

    return inputs


def _traffic(counts: Sequence[float]) -> tuple[Series, ...]:
    """Requests, and a steady stream of those of another objective."""
    row = 'gateway_objective_requests_total{{{},tier="production",task_class="query",objective="{}"}}'
    rows = (("availability", counts), ("first_token", [1000.0] * len(counts)))
    return tuple(counter(row.format(OWN, objective), values) for objective, values in rows)
