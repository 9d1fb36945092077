"""Alerts on what alerts: Prometheus' rules and configuration, and the way from it to whoever is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.alerting.cases import Share, Timing, Values, case, count_cases, counter, gauge, level_cases, share_cases
from ops.alerting.families.common import (
    HEARTBEAT,
    MONITORING,
    PARTS,
    alert,
    ask,
    increase,
    levels,
    logs,
    one,
    share,
    timing,
)
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.spec.model import Spec

SERVER = 'job="prometheus",instance="10.0.0.8:9090"'
KEEPER = 'job="alertmanager",instance="10.0.0.7:9093"'
BLIND = "None for users, and nobody would be told if there were one."
CHECK = Step("Are the files as the spec has them?", ("ops alerts check",))
ITS_LOG = logs("prometheus", "What does Prometheus say?")
RENDER = Step(
    "Render the files again, and let Prometheus read them. The way back is the former files, from the repository.",
    ("ops alerts render",),
    undo=("ops alerts check",),
)
RECEIVER = Step("Mend the receiver that refuses, or its address in the spec. The way back is the former address.")


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (_watchdog(spec), *_rules(spec), *_configurations(spec), *_deliveries(spec), _log_lines(spec))
    return (Group("monitoring", spec.alerting.evaluation_seconds, alerts=made),)


def _watchdog(spec: Spec) -> Alert:
    always = Timing(step_seconds=int(spec.alerting.evaluation_seconds))
    return alert(
        "Watchdog", HEARTBEAT, "vector(1)", always, ("overview", "alerts"),
        ("Alerts are evaluated and delivered", "It always fires. Whoever receives it raises an alarm when it stops."),
        Runbook(
            meaning="This alert always fires. Its receiver expects it, and calls somebody when it no longer comes.",
            impact="When it stops rules are not evaluated, or nothing reaches a receiver: all alerts are silent.",
            diagnosis=(PARTS, Step("Does Alertmanager have it?",
                                   ("amtool alert query Watchdog --alertmanager.url=$ALERTMANAGER",)), ITS_LOG),
            mitigation=(Step("Start what is down: `ops stack restart NAME` does it here."), RENDER),
            verification=(Step("Alertmanager has it.",
                               ("amtool alert query Watchdog --alertmanager.url=$ALERTMANAGER",)),),
        ),
        (case("always", (), [True] * 8, always),),
    )  # fmt: skip


def _rules(spec: Spec) -> Iterator[Alert]:
    window, at_once = spec.alerting.timing.window_seconds, timing(spec)
    failures = increase("prometheus_rule_evaluation_failures_total", window, "rule_group")
    held = timing(spec, spec.alerting.timing.hold_seconds)
    yield alert(
        "RuleFailures", MONITORING, f"{failures} > 0", at_once, ("infrastructure", "rule_failures"),
        ("Prometheus cannot evaluate {{ $labels.rule_group }}", "At least one rule of the group failed."),
        Runbook(
            "A rule's evaluation failed: two series where it expects one, most often.",
            BLIND,
            (ask("Which groups?", failures), ITS_LOG, CHECK),
            (RENDER,),
            (ask("No more fail.", failures),),
        ),
        count_cases(_failing, 0, window, at_once, ({"rule_group": "objectives"},)),
    )  # fmt: skip
    last, interval = (f"prometheus_rule_group_{name}_seconds" for name in ("last_duration", "interval"))
    yield alert(
        "RulesSlow", MONITORING, f"{last} > {interval}", held, ("infrastructure", "rule_time"),
        ("Evaluating {{ $labels.rule_group }} takes longer than its interval", "Evaluations are left out."),
        Runbook(
            "Prometheus needs longer for a group of rules than the time between two evaluations.",
            "Alerts come late.",
            (ask("Which groups take long?", f"topk(5, {last})"),
             ask("How many series are there?", "prometheus_tsdb_head_series")),
            (Step("Give Prometheus more processors, or evaluate more rarely (alerting.evaluation_seconds). The way "
                  "back is the former figure."),),
            (ask("They are in time.", f"{last} / {interval}"),),
        ),
        level_cases(_durations, 15.75, 14.25, held,
                    ({"job": "prometheus", "instance": "10.0.0.8:9090", "rule_group": "objectives"},)),
    )  # fmt: skip


def _configurations(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    for source, own, instance in (
        ("prometheus", SERVER, "10.0.0.8:9090"), ("alertmanager", KEEPER, "10.0.0.7:9093"),
    ):  # fmt: skip
        metric, name = f"{source}_config_last_reload_successful", source.capitalize()
        yield alert(
            f"{name}ConfigRefused", MONITORING, f"{metric} == 0", gone, ("infrastructure", "configuration"),
            (f"{name} refused its new configuration", "It goes on with the former one, until it is started anew."),
            Runbook(
                f"{name} was told to read its configuration again, and found a fault in it.",
                "None now: the former one is in force. After a restart there would be none at all.",
                (logs(source, "What does it say of it?"), CHECK),
                (RENDER,),
                (ask("It has taken it.", metric),),
            ),
            level_cases(one(f"{metric}{{{own}}}"), 0, 1, gone, ({"job": source, "instance": instance},)),
        )  # fmt: skip


def _deliveries(spec: Spec) -> Iterator[Alert]:
    rules, at_once = spec.alerting, timing(spec)
    window, gone = rules.timing.window_seconds, timing(spec, rules.timing.down_seconds)
    yield alert(
        "AlertsGoNowhere", MONITORING, "prometheus_notifications_alertmanagers_discovered < 1", gone,
        ("infrastructure", "alertmanagers"),
        ("Prometheus knows no Alertmanager", "Alerts fire, and go nowhere."),
        Runbook(
            "Prometheus has no Alertmanager to send alerts to.",
            BLIND,
            (PARTS, ITS_LOG),
            (Step("Start Alertmanager, or mend Prometheus' list of them. The way back is the former list."),),
            (ask("It knows one.", "prometheus_notifications_alertmanagers_discovered"),),
        ),
        level_cases(one(f"prometheus_notifications_alertmanagers_discovered{{{SERVER}}}"), 0, 1, gone,
                    ({"job": "prometheus", "instance": "10.0.0.8:9090"},)),
    )  # fmt: skip
    errors = increase("prometheus_notifications_errors_total", window, "alertmanager")
    yield alert(
        "AlertsNotSent", MONITORING, f"{errors} > 0", at_once, ("infrastructure", "alerts_delivered"),
        ("Prometheus cannot send alerts to {{ $labels.alertmanager }}", "At least one attempt failed."),
        Runbook(
            "Alertmanager did not take what Prometheus sent it.",
            BLIND,
            (PARTS, ITS_LOG, logs("alertmanager", "What does Alertmanager say?")),
            (Step("Start Alertmanager again: `ops stack restart alertmanager` does it here."),),
            (ask("No more fail.", errors),),
        ),
        count_cases(_unsent, 0, window, at_once, ({"alertmanager": "http://10.0.0.7:9093/api/v2/alerts"},)),
    )  # fmt: skip
    failed, every = "alertmanager_notifications_failed_total", "alertmanager_notifications_total"
    for name, kind, percent in levels(rules.thresholds.notification_failure_percent, ("PagesNotDelivered", MONITORING)):
        yield alert(
            name, kind, share(failed, every, "integration", percent, window), at_once,
            ("infrastructure", "alerts_delivered"),
            ("Alertmanager cannot reach {{ $labels.integration }}", f"More than {percent:g} % of attempts failed."),
            Runbook(
                "A receiver refuses what Alertmanager sends: its address, its secret, or the receiver itself.",
                BLIND,
                (logs("alertmanager", "Why?"), ask("Which?", increase(failed, window, "integration"))),
                (RECEIVER,),
                (ask("No more fail.", increase(failed, window, "integration")),),
            ),
            share_cases(_undelivered, Share(percent, window), at_once, ({"integration": "webhook"},)),
        )  # fmt: skip


def _log_lines(spec: Spec) -> Alert:
    window, at_once = spec.alerting.timing.window_seconds, timing(spec)
    dropped = increase("gateway_log_lines_dropped_total", window, "instance")
    return alert(
        "GatewayDropsLogs", MONITORING, f"{dropped} > 0", at_once, ("gateway", "log_lines_dropped"),
        ("{{ $labels.instance }} drops lines of its log", "Whoever reads its log is too slow, or its disk is."),
        Runbook(
            "A gateway worker could not write its log as fast as it had something to say, and left lines out.",
            "None for users; what is left out is missing later.",
            (ask("Which workers?", dropped), Step("On that machine: is the disk full?", ("df -h",))),
            (Step("Mend what reads the log, or make room for it. Nothing has to be taken back."),),
            (ask("None is dropped.", dropped),),
        ),
        count_cases(_lines, 0, window, at_once, ({"instance": "10.0.0.2:9001"},)),
    )  # fmt: skip


def _failing(counts: Sequence[float]) -> tuple[Series, ...]:
    return (counter(f'prometheus_rule_evaluation_failures_total{{{SERVER},rule_group="objectives"}}', counts),)


def _durations(values: Values) -> tuple[Series, ...]:
    own = f'{SERVER},rule_group="objectives"'
    return (
        gauge(f"prometheus_rule_group_last_duration_seconds{{{own}}}", values),
        gauge(f"prometheus_rule_group_interval_seconds{{{own}}}", [15.0] * len(values)),
    )


def _unsent(counts: Sequence[float]) -> tuple[Series, ...]:
    own = f'{SERVER},alertmanager="http://10.0.0.7:9093/api/v2/alerts"'
    return (counter(f"prometheus_notifications_errors_total{{{own}}}", counts),)


def _undelivered(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
    own = f'{KEEPER},integration="webhook"'
    return (
        counter(f"alertmanager_notifications_failed_total{{{own}}}", bad),
        counter(f"alertmanager_notifications_total{{{own}}}", every),
    )


def _lines(counts: Sequence[float]) -> tuple[Series, ...]:
    return (counter('gateway_log_lines_dropped_total{job="gateway",instance="10.0.0.2:9001"}', counts),)
