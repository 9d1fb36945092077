"""Alerts on the control plane: the controller, what it can no longer do, and the leases that run out without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ops.alerting.cases import Share, Timing, Values, counter, gauge, level_cases, near, share_cases
from ops.alerting.families.common import (
    ANSWERED,
    CONTROL,
    DEPLOYMENT,
    PARTS,
    ROUTES,
    alert,
    ask,
    levels,
    logs,
    one,
    restart,
    share,
    timing,
)
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.spec.model import Spec

LEADER, STANDBY = ('job="controller",instance="10.0.0.5:9200"', 'job="controller",instance="10.0.0.6:9200"')
INSTANCE = {"instance": "10.0.0.5:9200"}
STANDS_STILL = (
    "Users are served by the routes that are in force. A rollout under way stands still; when its lease has run out "
    "(rollout.lease_seconds) its workers return to stable by themselves."
)
ITS_LOG = logs("controller", "What does it say itself?")
ITS_DATABASE = ask("Does PostgreSQL answer it?", "controller_database_up", silent="no controller is there to tell")
START = restart("controller", "Start it again; it reads the records and goes on.")
RESUME = Step(
    "A rollout that was suspended goes on when somebody says so.",
    ('ops canary resume --tier production --reason "the controller is back" --run-dir $RUN_DIR',),
    undo=('ops canary rollback --tier production --reason "not now" --yes --run-dir $RUN_DIR',),
)
AT_WORK = ask("It is at work.", "time() - controller_last_tick_timestamp_seconds")


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_leaders(spec), *_ticks(spec), *_reach(spec), *_routes(spec))
    return (Group("control", spec.alerting.evaluation_seconds, alerts=made),)


def _leaders(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    none = "sum(controller_leader) == 0 or absent(controller_leader)"
    yield alert(
        "ControllerNoLeader", CONTROL, none, gone, ("infrastructure", "controller_leader"),
        ("No controller leads", "None runs, or none holds the database's lock."),
        Runbook(
            "No controller carries rollouts out: none runs, none reaches PostgreSQL, or none got its lock.",
            STANDS_STILL,
            (PARTS, ITS_LOG, ITS_DATABASE, ROUTES),
            (START, RESUME),
            (ask("One leads.", "controller_leader"), AT_WORK),
        ),
        (*level_cases(_led, 0, 1, gone), *level_cases(_only, None, 1, gone)),
    )  # fmt: skip
    yield alert(
        "ControllerTwoLeaders", CONTROL, "sum(controller_leader) > 1", gone, ("infrastructure", "controller_leader"),
        ("More than one controller says that it leads", "One of them is wrong; workers refuse the one of lower term."),
        Runbook(
            "Two controllers take themselves for the leader. A worker obeys the higher term alone, so routes are safe.",
            "Each may undo in the database what the other did: rollouts go to and fro.",
            (ask("Which are they, and of which term?", "controller_term"), PARTS, ITS_LOG),
            (Step("End the one of the lower term where it runs. The way back: start it again as a standby."),),
            (ask("One leads.", "sum(controller_leader)"), AT_WORK),
        ),
        level_cases(_led, 2, 1, gone),
    )  # fmt: skip


def _ticks(spec: Spec) -> Iterator[Alert]:
    rules, at_once = spec.alerting, timing(spec)
    window, floor = rules.timing.window_seconds, rules.floors.events
    for name, kind, bound in levels(rules.thresholds.tick_age_seconds, ("ControllerStalled", CONTROL)):
        yield alert(
            name, kind, f"time() - max(controller_last_tick_timestamp_seconds) > {bound:.10g}", at_once,
            ("infrastructure", "controller_tick_age"),
            ("The controller stands still", f"Its last whole pass over all tiers is more than {bound:g} s ago."),
            Runbook(
                "No pass over all tiers has ended well: the leader hangs, waits for PostgreSQL, or fails each time.",
                STANDS_STILL,
                (ITS_LOG, ask("Do passes fail, and at what?", "controller_tick_failures_total"), PARTS),
                (START, RESUME),
                (AT_WORK,),
            ),
            level_cases(_ages(at_once), *near(bound), at_once),
        )  # fmt: skip
    for name, kind, percent in levels(rules.thresholds.tick_failure_percent, ("ControllerTicksFail", CONTROL)):
        yield alert(
            name, kind,
            share("controller_tick_failures_total", "controller_ticks_total", "job", percent, window, floor),
            at_once, ("infrastructure", "controller_ticks"),
            ("The controller fails at a tier again and again", f"More than {percent:g} % of its passes."),
            Runbook(
                "Passes of the controller fail for a tier: what it should do there it cannot.",
                "That tier's rollout stands still; the other tiers go on.",
                (ask("Which kind of failure?", "sum by (kind) (rate(controller_tick_failures_total[5m]))"), ITS_LOG),
                (START, RESUME),
                (ask("They end well.", "rate(controller_tick_failures_total[5m])"), AT_WORK),
            ),
            share_cases(_failures, Share(percent, window, floor), at_once, ({"job": "controller"},)),
        )  # fmt: skip


def _reach(spec: Spec) -> Iterator[Alert]:
    gone, held = timing(spec, spec.alerting.timing.down_seconds), timing(spec, spec.alerting.timing.hold_seconds)
    yield alert(
        "ControllerDatabaseLost", CONTROL, "min by (instance) (controller_database_up) == 0", gone,
        ("infrastructure", "controller_database"),
        ("{{ $labels.instance }} does not reach its database", "The last thing that it asked was not answered."),
        Runbook(
            "The controller runs and PostgreSQL does not answer it.",
            STANDS_STILL,
            (PARTS, logs("postgres", "What does PostgreSQL say?"), ITS_LOG),
            (restart("postgres", "PostgreSQL is down: start it again."), START),
            (ask("It answers.", "controller_database_up"), AT_WORK),
        ),
        level_cases(one(f"controller_database_up{{{LEADER}}}"), 0, 1, gone, (INSTANCE,)),
    )  # fmt: skip
    for name, kind, bound in levels(spec.alerting.thresholds.notifications_pending, ("NotificationsPileUp", CONTROL)):
        yield alert(
            name, kind, f"max by (job) (controller_notifications_pending) > {bound:.10g}", held,
            ("infrastructure", "controller_notifications"),
            ("Webhooks do not take what the controller tells them", f"More than {bound:g} calls wait."),
            Runbook(
                "A receiver of notifications.webhooks refuses calls or does not answer; they are kept and tried again.",
                "Rollouts go on. Whoever relies on being told of them is not.",
                (ITS_LOG, ask("Does it grow?", "controller_notifications_pending")),
                (Step("Mend the receiver, or take it out of notifications.webhooks and start the controller again. The "
                      "way back: its line in the spec."),),
                (ask("None waits.", "controller_notifications_pending"),),
            ),
            level_cases(one(f"controller_notifications_pending{{{LEADER}}}"), *near(bound), held,
                        ({"job": "controller"},)),
        )  # fmt: skip


def _routes(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    begin = Step(
        "Start the release anew when the cause is known. The way back of that is its rollback.",
        ("ops canary status --tier $TIER --run-dir $RUN_DIR",),
        undo=('ops canary rollback --tier $TIER --reason "not now" --yes --run-dir $RUN_DIR',),
    )
    for state, name, kind, texts, runbook in (
        ("lease_expired", "RouteLeaseExpired", CONTROL,
         ("{{ $labels.tier }} returned to stable: nobody renewed its route", "Its lease ran out on a worker."),
         Runbook(
             "A worker held a route with a canary, and no controller renewed it: it returned to stable by itself.",
             "None: stable serves. The rollout is suspended.",
             (ROUTES, ask("Does one lead?", "controller_leader", silent="none is there"), ITS_LOG),
             (START, RESUME),
             (ROUTES, ANSWERED),
         )),
        ("forced_stable", "RouteForcedStable", DEPLOYMENT,
         ("{{ $labels.tier }} was sent to stable by hand", "`ops route stable --now` is in force."),
         Runbook(
             "Somebody sent a tier to stable past the controller. It stays so until a route of a higher epoch comes.",
             "None: stable serves. No release can go out on this tier.",
             (ROUTES, Step("Who, and why?", ("ops canary journal --all --since 24h --run-dir $RUN_DIR",))),
             (begin,),
             (ROUTES, ANSWERED),
         )),
    ):  # fmt: skip
        yield alert(
            name, kind, f'max by (tier) (gateway_route_state{{state="{state}"}}) == 1', gone,
            ("gateway", "route_state"), texts, runbook,
            level_cases(_state(state), 1, 0, gone, ({"tier": "production"},)),
        )  # fmt: skip


def _led(values: Values) -> tuple[Series, ...]:
    """So many leaders among two controllers."""
    first, second = ([None if v is None else min(1.0, max(0.0, v - taken)) for v in values] for taken in (0, 1))
    return gauge(f"controller_leader{{{LEADER}}}", first), gauge(f"controller_leader{{{STANDBY}}}", second)


def _only(values: Values) -> tuple[Series, ...]:
    return (gauge(f"controller_leader{{{LEADER}}}", values),)


def _ages(pace: Timing) -> Callable[[Values], tuple[Series, ...]]:
    """Times of last passes of these ages, beside a standby that never led."""

    def inputs(values: Values) -> tuple[Series, ...]:
        times = [None if age is None else k * pace.step_seconds - age for k, age in enumerate(values)]
        metric = "controller_last_tick_timestamp_seconds"
        return gauge(f"{metric}{{{LEADER}}}", times), gauge(f"{metric}{{{STANDBY}}}", [-1000.0] * len(times))

    return inputs


def _failures(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
    half = [one / 2 for one in bad]
    kinds = (counter(f'controller_tick_failures_total{{{LEADER},kind="{kind}"}}', half) for kind in ("store", "other"))
    return (*kinds, counter(f"controller_ticks_total{{{LEADER}}}", every))


def _state(state: str) -> Callable[[Values], tuple[Series, ...]]:
    """One of two workers holds the tier in that state, or both have the route as it should be."""

    def inputs(values: Values) -> tuple[Series, ...]:
        own = [0.0 if value is None else value for value in values]
        row = 'gateway_route_state{{job="gateway",instance="10.0.0.2:{}",tier="production",state="{}"}}'
        return (
            gauge(row.format(9001, state), own),
            gauge(row.format(9001, "active"), [1 - value for value in own]),
            gauge(row.format(9002, state), [0.0] * len(own)),
            gauge(row.format(9002, "active"), [1.0] * len(own)),
        )

    return inputs
