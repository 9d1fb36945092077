"""Alerts on PostgreSQL, as postgres_exporter tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.alerting.cases import Rates, Share, Values, count_cases, counter, gauge, level_cases, near, share_cases
from ops.alerting.families.common import (
    CONTROL,
    DEGRADED,
    EXHAUSTED,
    FREEZE,
    PARTS,
    PRESSED,
    alert,
    ask,
    increase,
    levels,
    logs,
    one,
    restart,
    timing,
)
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.spec.model import Spec

SERVER = 'job="postgres",instance="10.0.0.4:9187"'
INSTANCE = {"instance": "10.0.0.4:9187"}
DATABASE = {**INSTANCE, "datname": "gratefulgpt"}
ITS_LOG = logs("postgres", "What does it say itself?")
LONGEST = Step(
    "On its machine, which sessions have run longest?",
    ("psql -c \"select pid, state, now() - xact_start as since, wait_event from pg_stat_activity order by since desc "
     "nulls last limit 10\"",),
)  # fmt: skip
END_SESSION = Step(
    "End a session that holds others up: `select pg_terminate_backend(PID)`. Its transaction is rolled back and its "
    "program connects again; nothing else has to be taken back."
)
NO_USERS = "Users feel nothing: gateways keep their routes. Rollouts stand still, and their leases run out to stable."


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_down(spec), *_connections(spec), *_deadlocks(spec), *_shares(spec))
    return (Group("database", spec.alerting.evaluation_seconds, alerts=made),)


def _down(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    yield alert(
        "DatabaseDown", CONTROL, "min by (instance) (pg_up) == 0", gone, ("infrastructure", "postgres_up"),
        ("PostgreSQL does not answer", "Its exporter runs and cannot reach it."),
        Runbook(
            meaning="PostgreSQL, which holds releases, rollouts and the journal, refuses connections or is gone.",
            impact=NO_USERS,
            diagnosis=(PARTS, ITS_LOG, Step("Is its disk full?", ("df -h",))),
            mitigation=(
                restart("postgres", "Start it again."),
                Step("If its data is damaged, restore it: docs/operating.md. A restore ends in a state of the past; "
                     "what follows in the journal is lost."),
            ),
            verification=(ask("It answers.", "pg_up"), ask("The controller reaches it.", "controller_database_up")),
        ),
        level_cases(one(f"pg_up{{{SERVER}}}"), 0, 1, gone, (INSTANCE,)),
    )  # fmt: skip


def _connections(spec: Spec) -> Iterator[Alert]:
    held = timing(spec, spec.alerting.timing.hold_seconds)
    names = ("DatabaseConnectionsScarce", PRESSED), ("DatabaseConnectionsExhausted", EXHAUSTED)
    used = "100 * sum by (instance) (pg_stat_activity_count) / max by (instance) (pg_settings_max_connections)"
    for name, kind, percent in levels(spec.alerting.thresholds.database_connections_percent, *names):
        yield alert(
            name, kind, f"{used} > {percent:.10g}", held, ("infrastructure", "postgres_connections"),
            ("PostgreSQL has hardly a connection left", f"More than {percent:g} % of max_connections are taken."),
            Runbook(
                meaning=f"More than {percent:g} % of the connections that PostgreSQL allows are open.",
                impact="When none is left the controller and `ops` are refused: " + NO_USERS,
                diagnosis=(ask("In which state are they?", "sum by (state) (pg_stat_activity_count)"), LONGEST),
                mitigation=(
                    END_SESSION,
                    Step("Raise max_connections and restart PostgreSQL. The way back is the former figure."),
                ),
                verification=(ask("There are connections.", used), PARTS),
            ),
            level_cases(_sessions, *near(percent, 100), held, (INSTANCE,)),
        )  # fmt: skip


def _deadlocks(spec: Spec) -> Iterator[Alert]:
    window, at_once = spec.alerting.timing.window_seconds, timing(spec)
    counted = increase("pg_stat_database_deadlocks", window, "instance, datname")
    for name, kind, bound in levels(spec.alerting.thresholds.database_deadlocks, ("DatabaseDeadlocks", DEGRADED)):
        yield alert(
            name, kind, f"{counted} > {bound:.10g}", at_once, ("infrastructure", "postgres_deadlocks"),
            ("Transactions of {{ $labels.datname }} block each other",
             f"PostgreSQL ended more than {bound:g} transactions in a window to break deadlocks."),
            Runbook(
                meaning="Transactions waited for each other in a circle, and PostgreSQL ended one of each circle.",
                impact="Each costs its program a retry and a second of waiting.",
                diagnosis=(ITS_LOG, LONGEST),
                mitigation=(
                    Step("Two controllers of one database are the likeliest cause: see ControllerTwoLeaders."),
                    END_SESSION,
                ),
                verification=(ask("No more come.", counted), PARTS),
            ),
            count_cases(_deadlocked, bound, window, at_once, (DATABASE,)),
        )  # fmt: skip


def _shares(spec: Spec) -> Iterator[Alert]:
    rules, at_once = spec.alerting, timing(spec)
    window, floors = rules.timing.window_seconds, rules.floors
    rollbacks = Runbook(
        meaning="Many transactions end in a rollback: a program fails at what it tries, again and again.",
        impact="Work is done twice or not at all; look at what fails.",
        diagnosis=(ITS_LOG, logs("controller", "Does the controller fail at something?")),
        mitigation=(FREEZE, Step("Mend the program that fails; PostgreSQL itself is well.")),
        verification=(ask("They end well.", "rate(pg_stat_database_xact_rollback[5m])"), PARTS),
    )
    misses = Runbook(
        meaning="PostgreSQL reads from disk what it should hold in memory.",
        impact="Its answers take longer; the disk does what memory could.",
        diagnosis=(
            ask("Has a database grown?", "topk(3, pg_database_size_bytes)"),
            ask("Does it sort on disk?", "rate(pg_stat_database_temp_bytes[5m])"),
            LONGEST,
        ),
        mitigation=(Step("Raise shared_buffers to a quarter of the machine's memory and restart PostgreSQL. The way "
                         "back is the former figure."),),
        verification=(ask("It reads from memory.", "rate(pg_stat_database_blks_read[5m])"), PARTS),
    )  # fmt: skip
    for bounds, name, bad, good, floor, panel, texts, runbook in (
        (rules.thresholds.database_rollback_percent, "DatabaseRollbacks", "xact_rollback", "xact_commit",
         floors.events, "postgres_rollbacks", "transactions of {{ $labels.datname }} are rolled back", rollbacks),
        (rules.thresholds.database_cache_miss_percent, "DatabaseCacheMisses", "blks_read", "blks_hit",
         floors.database_blocks, "postgres_cache", "blocks of {{ $labels.datname }} come from disk", misses),
    ):  # fmt: skip
        for _, kind, percent in levels(bounds, (name, DEGRADED)):
            bads, goods = (increase(f"pg_stat_database_{one}", window, "instance, datname") for one in (bad, good))
            yield alert(
                name, kind,
                f"{bads} / ({bads} + {goods}) > {percent / 100:.10g} and {bads} >= {floor}",
                at_once, ("infrastructure", panel),
                (f"Many {texts}", f"More than {percent:g} % of them."),
                runbook,
                share_cases(_of_database(bad, good), Share(percent, window, floor), at_once, (DATABASE,)),
            )  # fmt: skip


def _sessions(values: Values) -> tuple[Series, ...]:
    """Half of them active, half idle, of a hundred."""
    half = [None if value is None else value / 2 for value in values]
    active, idle = (
        gauge(f'pg_stat_activity_count{{{SERVER},datname="gratefulgpt",state="{state}"}}', half)
        for state in ("active", "idle")
    )
    return active, idle, gauge(f"pg_settings_max_connections{{{SERVER}}}", [100] * len(values))


def _deadlocked(counts: Sequence[float]) -> tuple[Series, ...]:
    return (counter(f'pg_stat_database_deadlocks{{{SERVER},datname="gratefulgpt"}}', counts),)


def _of_database(bad: str, good: str) -> Rates:
    def inputs(bads: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
        goods = [b - a for a, b in zip(bads, every, strict=True)]
        named = ((bad, bads), (good, goods))
        return tuple(counter(f'pg_stat_database_{name}{{{SERVER},datname="gratefulgpt"}}', v) for name, v in named)

    return inputs
