"""Alerts on what is gone: engines, gateways, any other target, and series that should be there.

No data where there should be some is an alert of its own: a rule over nothing never fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ops.alerting.cases import Timing, Values, case, gauge, level_cases
from ops.alerting.catalogue import Source, present
from ops.alerting.families.common import (
    ANSWERED,
    DEGRADED,
    DOWN,
    ENGINE_ANEW,
    MONITORING,
    PARTS,
    ROUTES,
    SCALE,
    alert,
    ask,
    levels,
    timing,
)
from ops.alerting.model import Alert, Case, Group, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec

ONE = "10.0.0.9:9000"
ENGINES = 40
WITNESSES = {
    Source.GATEWAY: "gateway_objective_requests_total",
    Source.CONTROLLER: "controller_leader",
    Source.ENGINE: "vllm:num_requests_running",
    Source.NODE: "node_load1",
    Source.DCGM: "DCGM_FI_DEV_GPU_TEMP",
    Source.POSTGRES: "pg_up",
    Source.PROMETHEUS: "prometheus_tsdb_head_series",
    Source.ALERTMANAGER: "alertmanager_alerts",
}
"""Of each source a series that is there whenever the source is well."""
TARGETS = ask("What else is down?", "up == 0")
AGAIN = Step(
    "Start it where it runs; here `ops stack restart NAME` does, with a name that `ops stack status` shows. If it ends "
    "again at once, its log says why."
)
NETWORK = Step(
    "It runs and Prometheus does not reach it: mend the address or the rule that blocks it. The way back is the former "
    "setting."
)


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_all_gone(spec), *_engines(spec), *_targets(spec), *_series(spec))
    return (Group("presence", spec.alerting.evaluation_seconds, alerts=made),)


def _all_gone(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    for source, name, panel, impact in (
        (Source.GATEWAY, "NoGateway", ("infrastructure", "targets"), "Nobody can reach the service at all."),
        (Source.ENGINE, "NoEngine", ("engines", "up"), "Every request is answered with an error."),
    ):
        job = source.value
        yield alert(
            name, DOWN, f'sum by (job) (up{{job="{job}"}}) == 0 or absent(up{{job="{job}"}})', gone, panel,
            (f"No {job} answers", "None that Prometheus knows is up, or it knows none."),
            Runbook(
                meaning=f"Prometheus reaches no {job}: all are down, or it has lost the list of them.",
                impact=impact + " If users are answered nevertheless, it is Prometheus that is blind.",
                diagnosis=(ANSWERED, PARTS, ask("Which does it know?", f'up{{job="{job}"}}'), TARGETS),
                mitigation=(AGAIN, NETWORK),
                verification=(ask("They are up.", f'sum(up{{job="{job}"}})'), ANSWERED),
            ),
            (
                *level_cases(_pair(job), 0, 1, gone, ({"job": job},)),
                *level_cases(_pair(job), None, 1, gone, ({"job": job},)),
            ),
        )  # fmt: skip


def _engines(spec: Spec) -> Iterator[Alert]:
    rules, gone = spec.alerting, timing(spec, spec.alerting.timing.down_seconds)
    yield alert(
        "EngineDown", DEGRADED, 'up{job="engine"} == 0', gone, ("engines", "up"),
        ("The engine {{ $labels.instance }} does not answer", "Its metrics cannot be read."),
        Runbook(
            meaning="One engine is down, hangs, or cannot be reached.",
            impact="Requests go to the tier's other engines. If it was the last one, see NoEngine.",
            diagnosis=(PARTS, ask("Which others are down?", 'up{job="engine"} == 0'), ROUTES,
                       Step("What did it say?", ("ops stack logs --run-dir $RUN_DIR --lines 20",))),
            mitigation=(ENGINE_ANEW, NETWORK),
            verification=(ask("It is up.", 'up{job="engine"}'), ANSWERED),
        ),
        level_cases(_beside("engine", "node"), 0, 1, gone, ({"job": "engine", "instance": ONE},)),
    )  # fmt: skip
    names = ("EnginesLost", DEGRADED), ("MostEnginesLost", DOWN)
    for name, kind, percent in levels(rules.thresholds.engines_lost_percent, *names):
        yield alert(
            name, kind, f'100 * (1 - avg by (job) (up{{job="engine"}})) > {percent:.10g}', gone, ("engines", "up"),
            ("Many engines do not answer", f"More than {percent:g} % of those that Prometheus knows are down."),
            Runbook(
                meaning=f"More than {percent:g} % of the engines are down at once: a common cause.",
                impact="The others cannot carry their traffic: answers are late, then requests are refused.",
                diagnosis=(ask("Which?", 'up{job="engine"} == 0'), PARTS, ask("Do machines fail?", "node_load1")),
                mitigation=(AGAIN, NETWORK),
                verification=(ask("They are up.", 'avg(up{job="engine"})'), ANSWERED),
            ),
            level_cases(_fleet, ENGINES // 2 - 1, ENGINES // 2 + 1, gone, ({"job": "engine"},)),
        )  # fmt: skip
    window = rules.timing.event_seconds
    count = 'count by (job) (up{job="engine"})'
    yield alert(
        "EnginesChanged", SCALE, f"{count} != count by (job) (up offset {duration(window)})", timing(spec),
        ("engines", "up"),
        ("The number of engines has changed", f"Within the last {duration(window)}."),
        Runbook(
            meaning="Engines were added or taken away: by autoscaling, a rollout, or somebody.",
            impact="None, if it was wanted.",
            diagnosis=(ask("How many are there?", count), PARTS,
                       Step("Is a release going out?", ("ops canary history --run-dir $RUN_DIR",))),
            mitigation=(Step("If it was not wanted: set the replicas where they are declared, in the spec's "
                             "environment or the autoscaler. The way back is the former number."),),
            verification=(ask("It is what it should be.", count),),
        ),
        _change_cases(window, timing(spec)),
    )  # fmt: skip


def _targets(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    yield alert(
        "TargetDown", MONITORING, 'up{job!="engine"} == 0', gone, ("infrastructure", "targets"),
        ("{{ $labels.job }} {{ $labels.instance }} does not answer Prometheus", "Its metrics cannot be read."),
        Runbook(
            meaning="A program that Prometheus should read is down, hangs, or cannot be reached.",
            impact="Alerts on it are blind. A gateway worker that is down serves nobody; the others do.",
            diagnosis=(TARGETS, PARTS),
            mitigation=(AGAIN, NETWORK),
            verification=(ask("It is up.", "up"), PARTS),
        ),
        level_cases(_beside("node", "engine"), 0, 1, gone, ({"job": "node", "instance": ONE},)),
    )  # fmt: skip
    for source in sorted(present(spec.alerting.exporters) - {Source.GATEWAY, Source.ENGINE}):
        job = source.value
        yield alert(
            f"No{job.capitalize()}", MONITORING, f'absent(up{{job="{job}"}})', gone, ("infrastructure", "targets"),
            (f"Prometheus knows no target of the job {job}", "Nothing of it is read, and its alerts are blind."),
            Runbook(
                meaning=f"The spec says that {job} is there, and Prometheus has no target of the job {job}: it lost "
                "the target, or it was never set up.",
                impact="None for users, and none would be seen.",
                diagnosis=(ask("Which jobs are there?", "count by (job) (up)"), PARTS),
                mitigation=(NETWORK, Step("If it should not be there, take it out of alerting.exporters in the spec "
                                          "and render again. The way back is its line in the spec.")),
                verification=(ask("It is known.", f'up{{job="{job}"}}'), PARTS),
            ),
            level_cases(_pair(job), None, 1, gone, ({"job": job},)),
        )  # fmt: skip


def _series(spec: Spec) -> Iterator[Alert]:
    gone = timing(spec, spec.alerting.timing.down_seconds)
    there = sorted(present(spec.alerting.exporters))
    parts = (f'up{{job="{one.value}"}} == 1 unless on (job, instance) {WITNESSES[one]}' for one in there)
    yield alert(
        "SeriesMissing", MONITORING, " or ".join(f"({part})" for part in parts), gone, ("infrastructure", "series"),
        ("{{ $labels.job }} {{ $labels.instance }} is up and lacks the series that it should have",
         "It answers Prometheus, and not with what rules read."),
        Runbook(
            meaning="A target answers, and the series by which it is known is not among what it says: another version, "
            "a wrong port, or an exporter that does not reach what it exports.",
            impact="Alerts on it are blind: they would be silent whatever happens.",
            diagnosis=(
                PARTS,
                Step("What does it expose?", ("curl -s http://$INSTANCE/metrics | head -40",)),
            ),
            mitigation=(AGAIN, NETWORK),
            verification=(ask("All is there.", f"count by (job) ({WITNESSES[Source.GATEWAY]})"), PARTS),
        ),
        tuple(
            one for source in there
            for one in level_cases(_witness(source), None, 1, gone, ({"job": source.value, "instance": ONE},))
        ),
    )  # fmt: skip


def _up(job: str, instance: str) -> str:
    return f'up{{job="{job}",instance="{instance}"}}'


def _pair(job: str) -> Callable[[Values], tuple[Series, ...]]:
    """A target that comes and goes beside one that is always down; both vanish where it does. Another job is down."""

    def inputs(values: Values) -> tuple[Series, ...]:
        down = [None if value is None else 0.0 for value in values]
        others = gauge(_up("other", "10.0.0.1:1"), [0.0] * len(values))
        return gauge(_up(job, ONE), values), gauge(_up(job, "10.0.0.9:9001"), down), others

    return inputs


def _beside(job: str, down: str) -> Callable[[Values], tuple[Series, ...]]:
    """A target of one job, and one of another that is always down."""
    return lambda values: (gauge(_up(job, ONE), values), gauge(_up(down, "10.0.0.1:1"), [0.0] * len(values)))


def _fleet(values: Values) -> tuple[Series, ...]:
    """So many engines are up, and a machine is down."""
    rows = [[float(k < (value or 0)) for value in values] for k in range(ENGINES)]
    engines = (gauge(_up("engine", f"10.0.1.{k}:8000"), row) for k, row in enumerate(rows))
    nodes = (gauge(_up("node", f"10.0.1.{k}:9100"), [0.0] * len(values)) for k in range(ENGINES))
    return (*engines, *nodes)


def _witness(source: Source) -> Callable[[Values], tuple[Series, ...]]:
    """A target that is up and loses its series; one that keeps it; and a copy of the series under another job."""

    def inputs(values: Values) -> tuple[Series, ...]:
        job, other = source.value, "10.0.0.9:9001"
        always = [1.0] * len(values)
        return (
            gauge(_up(job, ONE), always),
            gauge(_up(job, other), always),
            gauge(f'{WITNESSES[source]}{{job="{job}",instance="{ONE}"}}', values),
            gauge(f'{WITNESSES[source]}{{job="{job}",instance="{other}"}}', always),
            gauge(f'{WITNESSES[source]}{{job="copy",instance="{ONE}"}}', always),
        )

    return inputs


def _change_cases(window: float, pace: Timing) -> tuple[Case, ...]:
    """A second engine comes, and the number stays; machines come all the time."""
    width = pace.steps(window)
    steps = 3 * width + pace.steps(pace.keep_firing_seconds)

    def made(name: str, at: int) -> Case:
        first = gauge(_up("engine", ONE), [1.0] * steps)
        second = gauge(_up("engine", "10.0.0.9:9001"), [1.0 if k >= at else None for k in range(steps)])
        truth = [at <= k < at + width and k >= width for k in range(steps)]
        nodes = (gauge(_up("node", f"10.0.1.{n}:1"), [1.0 if k >= 9 * n else None for k in range(steps)])
                 for n in range(steps // 9))  # fmt: skip
        return case(name, (first, second, *nodes), truth, pace, ({"job": "engine"},))

    return made("one engine more", width + 4), made("as many as before", 0)
