"""Alerts on releases that go out, freezes and maintenance windows: mostly for information."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ops.alerting.cases import Timing, Values, count_cases, counter, gauge, level_cases, near
from ops.alerting.families.common import (
    ANSWERED,
    CONTROL,
    DEPLOYMENT,
    MAINTENANCE,
    PARTS,
    QUALITY,
    alert,
    ask,
    increase,
    logs,
    one,
    timing,
)
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.spec.model import Spec

CONTROLLER = 'job="controller",instance="10.0.0.5:9200",tier="production"'
TIER = {"tier": "production"}
STATUS = Step("How does it stand?", ("ops canary status --tier $TIER --run-dir $RUN_DIR",))
STORY = Step("What was decided, and why?", ("ops canary show --tier $TIER --run-dir $RUN_DIR",))
JOURNAL = Step("Who did what?", ("ops canary journal --tier $TIER --run-dir $RUN_DIR",))
RESUME = Step(
    "It may go on.",
    ('ops canary resume --tier $TIER --reason "looked at" --run-dir $RUN_DIR',),
    undo=('ops canary pause --tier $TIER --reason "not yet" --run-dir $RUN_DIR',),
)
BACK = Step(
    "It should not go on: send the tier back to stable. The way back is to start the release again.",
    ('ops canary rollback --tier $TIER --reason "looked at" --yes --run-dir $RUN_DIR',),
    undo=("ops canary history --tier $TIER --run-dir $RUN_DIR",),
)
WAITING = "paused|suspended"
NOTHING = Step("Nothing has to be done: it tells what happened.")


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_stuck(spec), *_unprobed(spec), *_ended(spec), *_in_force(spec))
    return (Group("rollouts", spec.alerting.evaluation_seconds, alerts=made),)


def _stuck(spec: Spec) -> Iterator[Alert]:
    at_once, waits = timing(spec), timing(spec, spec.alerting.timing.waits_seconds)
    blind = spec.rollout.blind
    yield alert(
        "RolloutBlind", CONTROL, f"max by (tier) (rollout_blind_seconds) > {blind.seconds_max:.10g}", at_once,
        ("rollouts", "blind"),
        ("The judge of {{ $labels.tier }}'s rollout does not see", f"For more than {blind.seconds_max:g} s."),
        Runbook(
            f"The counters that the judge needs are missing, stale or do not add up. What follows is: {blind.then}.",
            "The rollout does not advance, however good it is; users are served as before.",
            (STATUS, ask("Are workers scraped?", 'up{job="gateway"}'), logs("controller", "What does it miss?"), PARTS),
            (RESUME, BACK),
            (ask("It sees.", "rollout_blind_seconds"), STATUS),
        ),
        level_cases(one(f"rollout_blind_seconds{{{CONTROLLER}}}"), *near(blind.seconds_max), at_once, (TIER,)),
    )  # fmt: skip
    yield alert(
        "RolloutWaits", CONTROL, f'max by (tier) (rollout_state{{state=~"{WAITING}"}}) == 1', waits,
        ("rollouts", "rollout_state"),
        ("A rollout of {{ $labels.tier }} waits for somebody", "It was paused or suspended, and nobody acted."),
        Runbook(
            "A rollout is held: by somebody, by a freeze, by a step without an answer, or because its lease ran out.",
            "None for users. Two releases stay in service, which costs engines.",
            (STATUS, STORY, JOURNAL),
            (RESUME, BACK),
            (STATUS,),
        ),
        tuple(case for state in WAITING.split("|") for case in level_cases(_state(state), 1, 0, waits, (TIER,))),
    )  # fmt: skip
    verdict = 'rollout_quality_verdict{outcome="fail"}'
    yield alert(
        "CanaryDamaged", QUALITY, f"max by (tier, judgement) ({verdict}) == 1", at_once, ("rollouts", "rollout_state"),
        ("{{ $labels.tier }}: the canary's answers are worse ({{ $labels.judgement }})",
         "The quality probe says that its model is not the one that was registered, or a worse one."),
        Runbook(
            "The probe of the quality of answers found what no counter shows: see docs/quality.md.",
            "Users of the canary get wrong answers. A critical judgement has begun the rollback already.",
            (STATUS, STORY, Step("Are its files what was registered?", ("ops release list --run-dir $RUN_DIR",))),
            (BACK,),
            (STATUS, ANSWERED),
        ),
        level_cases(_verdict, 1, 0, at_once, ({**TIER, "judgement": "damage"},)),
    )  # fmt: skip


def _unprobed(spec: Spec) -> Iterator[Alert]:
    quality, at_once = spec.rollout.quality, timing(spec)
    # A probe may take its longest time and the next one fail; of two that fail nothing is known any more.
    bound = 2 * (quality.probe_every_seconds + quality.probe_seconds_max)
    metric = "rollout_quality_probed_timestamp_seconds"
    yield alert(
        "CanaryUnprobed", CONTROL, f"time() - min by (tier) ({metric}) > {bound:.10g}", at_once,
        ("rollouts", "rollout_state"),
        ("The quality of {{ $labels.tier }}'s canary is not probed", f"Not for {bound:g} s."),
        Runbook(
            "A replica of the canary has not been probed for longer than two probes take.",
            "The rollout waits where a judgement is critical; wrong answers would not be seen.",
            (STATUS, logs("controller", "Why do probes fail?"), ask("Is there a queue?", "vllm:num_requests_waiting")),
            (RESUME, BACK),
            (ask("It is probed.", f"time() - {metric}"), STATUS),
        ),
        level_cases(_probed(at_once), *near(bound), at_once, (TIER,)),
    )  # fmt: skip


def _ended(spec: Spec) -> Iterator[Alert]:
    window = spec.alerting.timing.event_seconds
    at_once = timing(spec)
    for name, outcome, summary, meaning in (
        ("ReleasePromoted", "promoted", "A release of {{ $labels.tier }} is the new stable one",
         "The evidence of all steps was for it, or somebody promoted it."),
        ("ReleaseRolledBack", "rolled_back", "A release of {{ $labels.tier }} was rolled back",
         "The judge found it worse, a probe found it damaged, or somebody took it back."),
        ("ReleaseRefused", "refused", "A release of {{ $labels.tier }} was refused before it served",
         "Its files were not what was registered, it did not get ready, or a probe stopped it."),
    ):  # fmt: skip
        ended = increase(f'rollout_ended_total{{outcome="{outcome}"}}', window, "tier")
        yield alert(
            name, DEPLOYMENT, f"{ended} > 0", at_once, ("rollouts", "ended"), (summary, meaning),
            Runbook(
                meaning,
                "None: the judge watched it." if outcome == "promoted" else "Stable serves everybody.",
                (STORY, JOURNAL),
                (NOTHING, Step(
                    "If it was wrong, within the rollback window:",
                    ('ops canary rollback --tier $TIER --reason "wrong" --yes --run-dir $RUN_DIR',),
                    undo=("ops canary history --tier $TIER --run-dir $RUN_DIR",),
                )) if outcome == "promoted" else (NOTHING,),
                (STATUS, ANSWERED),
            ),
            count_cases(_endings(outcome), 0, window, at_once, (TIER,)),
        )  # fmt: skip


def _in_force(spec: Spec) -> Iterator[Alert]:
    at_once = timing(spec)
    yield alert(
        "FreezeInForce", DEPLOYMENT, "max by (job) (rollout_freeze_active) > 0", at_once, ("rollouts", "freeze"),
        ("Releases are frozen", "No new rollout starts, and those under way hold at their step."),
        Runbook(
            "Somebody froze releases, of one tier or of all.",
            "None for users. Mends wait too.",
            (Step("Who, since when and why?", ("ops freeze status --run-dir $RUN_DIR",)),),
            (Step(
                "Lift it when its reason is gone.",
                ('ops freeze off --reason "its reason is gone" --run-dir $RUN_DIR',),
                undo=('ops freeze on --reason "it is not" --run-dir $RUN_DIR',),
            ),),
            (Step("None is in force.", ("ops freeze status --run-dir $RUN_DIR",)),),
        ),
        level_cases(one('rollout_freeze_active{job="controller",instance="10.0.0.5:9200"}'), 1, 0, at_once,
                    ({"job": "controller"},)),
    )  # fmt: skip
    yield alert(
        "MaintenanceWindow", MAINTENANCE, 'sum by (job) (alertmanager_silences{state="active"}) > 0', at_once,
        ("infrastructure", "silences"),
        ("Alerts are silenced", "At least one silence is active, for a maintenance window or by hand."),
        Runbook(
            "What a silence matches reaches nobody until it ends.",
            "None, unless it matches more than was meant.",
            (Step("Which silences, by whom, until when?", ("amtool silence query --alertmanager.url=$ALERTMANAGER",)),),
            (Step("End one that should not be: `amtool silence expire ID`. The way back is to make it again."),),
            (ask("None is active.", 'alertmanager_silences{state="active"}'),),
        ),
        level_cases(_silences, 1, 0, at_once, ({"job": "alertmanager"},)),
    )  # fmt: skip


def _state(state: str) -> Callable[[Values], tuple[Series, ...]]:
    def inputs(values: Values) -> tuple[Series, ...]:
        own = [0.0 if value is None else value for value in values]
        others = [1 - value for value in own]
        rows = ((state, own), ("analysing", others))
        return tuple(gauge(f'rollout_state{{{CONTROLLER},state="{name}"}}', v) for name, v in rows)

    return inputs


def _verdict(values: Values) -> tuple[Series, ...]:
    own = [0.0 if value is None else value for value in values]
    rows = (("fail", own), ("pass", [1 - value for value in own]))
    return tuple(
        gauge(f'rollout_quality_verdict{{{CONTROLLER},judgement="damage",outcome="{name}"}}', v) for name, v in rows
    )


def _probed(pace: Timing) -> Callable[[Values], tuple[Series, ...]]:
    """Probes of these ages."""

    def inputs(values: Values) -> tuple[Series, ...]:
        times = [None if age is None else k * pace.step_seconds - age for k, age in enumerate(values)]
        return (gauge(f"rollout_quality_probed_timestamp_seconds{{{CONTROLLER}}}", times),)

    return inputs


def _endings(outcome: str) -> Callable[[Sequence[float]], tuple[Series, ...]]:
    """Endings of that outcome, while rollouts that end otherwise end all the time."""

    def inputs(counts: Sequence[float]) -> tuple[Series, ...]:
        rows = ((outcome, counts), ("otherwise", [1.0] * len(counts)))
        return tuple(counter(f'rollout_ended_total{{{CONTROLLER},outcome="{name}"}}', v) for name, v in rows)

    return inputs


def _silences(values: Values) -> tuple[Series, ...]:
    rows = (("active", values), ("expired", [5.0] * len(values)))
    own = 'job="alertmanager",instance="10.0.0.7:9093"'
    return tuple(gauge(f'alertmanager_silences{{{own},state="{state}"}}', v) for state, v in rows)
