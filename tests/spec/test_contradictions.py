"""Each contradiction that a spec can hold is found: alone, at its place, and with its mend."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ops.adapters.spec_file import parse_spec
from ops.spec.faults import Fault

Edited = Callable[..., bytes]
FaultsOf = Callable[[bytes], list[Fault]]

ROUTE = """\
    - {severity: critical, receivers: [],
       grouping: {by: [], wait_seconds: 20, interval_seconds: 60, repeat_seconds: 60}}"""

CASES = [
    # what is edited, with what, the path of the fault, a part of its message
    ("[5, 50, 100]", "[5, 5, 100]", "rollout.strategies.canary.steps_percent[1]", "not rising"),
    ("[5, 50, 100]", "[50, 5, 100]", "rollout.strategies.canary.steps_percent[1]", "not rising"),
    ("[5, 50, 100]", "[5, 50, 101]", "rollout.strategies.canary.steps_percent[2]", "expected at most 100"),
    ("[5, 50, 100]", "[5, 50, 90]", "rollout.strategies.canary.steps_percent[2]", "leaves users behind"),
    ("[5, 50, 100]", "[0.001, 50, 100]", "rollout.strategies.canary.steps_percent[0]", "multiple of 0.01"),
    ("[5, 50, 100]", "[]", "rollout.strategies.canary.steps_percent", "at least 1 entry"),
    ("baseline_up_to_percent: 25", "baseline_up_to_percent: 51", "rollout.strategies.canary.baseline_up_to_percent",
     "at most 50"),
    ("latency_p95_ms: 2000", "latency_p95_ms: 2100", "task_classes.generation.latency_p95_ms", "did you mean '2000'?"),
    ("first_token_p95_ms: 400", "first_token_p95_ms: 450", "task_classes.generation.first_token_p95_ms",
     "did you mean '400'?"),
    ("first_token_p95_ms: 200", "first_token_p95_ms: 750", "task_classes.query.first_token_p95_ms",
     "target beyond that of the whole answer"),
    ("first_token_p95_ms: 400\n    token_interval_p95_ms: 40", "first_token_p95_ms: 400\n    token_interval_p95_ms: 45",
     "task_classes.generation.token_interval_p95_ms", "did you mean '40'?"),
    ("latency_bounds_ms: [10, 25", "latency_bounds_ms: [25, 10", "measuring.latency_bounds_ms[1]", "not rising"),
    ("prompt_chars: [512, 4096]", "prompt_chars: [4096, 512]", "measuring.strata.prompt_chars[1]", "not rising"),
    ("output_tokens: [16, 32, 64, 128]", "output_tokens: [16, 32, 64, 512]",
     "measuring.strata.output_tokens[3]", "no request can"),
    ("kind: openai_chat, class: generation, tier: production", "kind: openai_chat, class: generation, tier: prod",
     "api.tasks.openai-chat.tier", "did you mean 'production'?"),
    ("kind: openai_chat, class: generation", "kind: openai_chat, class: generaton", "api.tasks.openai-chat.class",
     "did you mean 'generation'?"),
    ("access: [researcher, enterprise]", "access: [researchers, enterprise]", "tiers.research.access[0]",
     "did you mean 'researcher'?"),
    ("access: [researcher, enterprise]", "access: [enterprise, enterprise]", "tiers.research.access[1]", "again"),
    ("replicas: { min: 10, max: 50 }", "replicas: { min: 10, max: 9 }", "environments.production.replicas.max",
     "expected at least environments.production.replicas.min, 10"),
    ("timeout_seconds: 15", "timeout_seconds: 0.9", "task_classes.completion.timeout_seconds", "expected more than 1"),
    ("timeout_seconds: 15", "timeout_seconds: 1", "task_classes.completion.timeout_seconds", "expected more than 1"),
    ("context_tokens_max: 8192", "context_tokens_max: 512", "api.tasks.openai-chat.class", "expected less than 512"),
    ("timeout_seconds: 10", "timeout_seconds: 9", "task_classes.query.timeout_seconds", "the tries of api.limits"),
    ("drain_timeout_seconds: 30", "drain_timeout_seconds: 29", "api.limits.drain_timeout_seconds", "would cut"),
    ("body_bytes_max: 1048576", "body_bytes_max: 65535", "api.limits.body_bytes_max", "longest prompt"),
    ("tier: production, output_tokens_max: 64", "tier: production, output_tokens_max: 65",
     "api.tasks.history-query.output_tokens_max", "expected at most task_classes.query.output_tokens_max, 64"),
    ("context_tokens_max: 8192", "context_tokens_max: 200", "api.tasks.openai-chat.class", "no room for a prompt"),
    ("path: /api/v1/complete,", "path: /api/v1/generate,", "api.tasks.complete.path", "the path of api.tasks.generate"),
    ("path: /api/v1/complete,", "path: /api/v1/health,", "api.tasks.complete.path", "gateway's own"),
    ("path: /api/v1/complete,", "path: /api/admin/complete,", "api.tasks.complete.path", "gateway's own"),
    ("model: gratefulgpt-7b", "model: gratefulgpt-70b", "tiers.production.model", "the model of tiers.research.model"),
    ("model: gratefulgpt-7b", "model: research", "tiers.production.model", "ambiguous"),
    ("webhooks: []", "webhooks: [{name: a, url: http://a}, {name: a, url: http://b}]",
     "notifications.webhooks[1].name", "the name of notifications.webhooks[0].name again"),
    ("webhooks: []", "webhooks: [{name: a, url: ftp://a}]", "notifications.webhooks[0].url", "http://... or https://"),
    ("webhooks: []", "webhooks: [{name: a, url: 'https://u:p@a'}]", "notifications.webhooks[0].url",
     "without user and password"),
    ("webhooks: []", "webhooks: [{name: a, url: 'https://'}]", "notifications.webhooks[0].url",
     "http://... or https://"),
    ("level_quantiles: [0.5", "level_quantiles: [0", "rollout.analysis.level_quantiles[0]", "expected more than 0"),
    ("0.9, 0.98]", "0.9, 1]", "rollout.analysis.level_quantiles[3]", "expected less than 1"),
    ("level_quantiles: [0.5, 0.75", "level_quantiles: [0.75, 0.5", "rollout.analysis.level_quantiles[1]", "not rising"),
    ("slow: { role: critical, margin: 1.15, harm: 1.5 }", "slow: { role: critical, margin: 3, harm: 3 }",
     "rollout.analysis.events.slow.harm", "expected more than rollout.analysis.events.slow.margin, 3"),
    ("failed: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03, budget_burn: 36 }",
     "failed: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03, budget_burn: 30 }",
     "rollout.analysis.events.failed.budget_burn", "what is tolerated"),
    ("failed: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03, budget_burn: 36 }",
     "failed: { role: critical, margin: 1.25, harm: 2.0, budget_burn: 1000 }",
     "rollout.analysis.events.failed.budget_burn", "no rate exceeds it"),
    ("failed: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03, budget_burn: 36 }",
     "failed: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03, budget_burn: 36, budget_rate: 0.05 }",
     "rollout.analysis.events.failed.budget_burn", "two budgets"),
    ("empty: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.03",
     "empty: { role: critical, margin: 1.25, harm: 2.0, tolerated_rate: 0.05",
     "rollout.analysis.events.empty.budget_rate", "what is tolerated"),
    ("      slow: {", "      slo: {", "rollout.analysis.events.slo", "did you mean 'slow'?"),
    ("      abandoned: { role: watched, margin: 1.5, harm: 3.0 }\n", "", "rollout.analysis.events",
     "missing key 'abandoned'"),
    ("lease_seconds: 15", "lease_seconds: 14.7", "environments.production.pace.look_seconds", "a third of"),
    ("samples_age_seconds_max: 5", "samples_age_seconds_max: 4", "environments.production.pace.look_seconds",
     "too old"),
    ("samples_age_seconds_max: 5", "samples_age_seconds_max: 61", "rollout.analysis.samples_age_seconds_max", "blind"),
    ("step_seconds_max: 1800", "step_seconds_max: 59", "environments.production.pace.step_seconds_max", "shortest"),
    ("step_seconds_min: 60", "step_seconds_min: 4", "environments.production.pace.look_seconds",
     "before its first look"),
    ("surge_percent: 25", "surge_percent: 0", "rollout.strategies.rolling.surge_percent", "nothing can move"),
    ("role: secondary", "role: primary", "environments.production.regions", "one primary"),
    ("name: us-west-2", "name: us-east-1", "environments.production.regions[1].name", "again"),
    ("rto_seconds: 3600", "rto_seconds: 3601", "recovery.rto_seconds", "slower than promised"),
    ("metrics_days: 90", "metrics_days: 29", "retention.metrics_days", "objectives' window"),
    ("model_versions_days: 90", "model_versions_days: 89", "retention.model_versions_days", "snapshot"),
    ("error_rate_percent: { critical: 5 }", "error_rate_percent: { critical: 0.05 }",
     "alerting.thresholds.error_rate_percent.critical", "promise still holds"),
    ("error_rate_percent: { critical: 5 }", "error_rate_percent: { critical: 5, warning: 5 }",
     "alerting.thresholds.error_rate_percent.critical", "before there was a warning"),
    ("receivers: [tickets]", "receivers: [ticket]", "alerting.routes[1].receivers[0]", "did you mean 'tickets'?"),
    ("receivers: [tickets]", "receivers: [tickets, tickets]", "alerting.routes[1].receivers[1]", "again"),
    ("{ receivers: [dead-mans-switch]", "{ receivers: [nobody]", "alerting.heartbeat.receivers[0]", "no such receiver"),
    ("    slack:\n", '    slack:\n      - { name: on-call, channel: "#a", url_file: a }\n',
     "alerting.receivers.slack[0].name", "the name of"),
    ("    - severity: warning", f"{ROUTE}\n    - severity: warning", "alerting.routes[1].severity", "the severity of"),
    ("- severity: warning", "- severity: warning\n      categories: [model-quality]", "alerting.routes",
     "a severity without a route: warning"),
    ("    - severity: warning", f"{ROUTE[:-1]}, categories: [deployment]}}\n    - severity: warning",
     "alerting.routes[1].categories[0]", "no such category of critical"),
    ("wait_seconds: 20,", "wait_seconds: 14,", "alerting.routes[0].grouping.wait_seconds", "page more than once"),
    ("repeat_seconds: 14400", "repeat_seconds: 299", "alerting.routes[0].grouping.repeat_seconds", "repeated sooner"),
    ("token_file: heartbeat-token", "url_file: heartbeat-url", "alerting.receivers.webhook[0]", "an address once"),
    ('url: "https://heartbeat.example.org/gratefulgpt", ', "", "alerting.receivers.webhook[0]", "found none"),
    ("America/New_York", "America/New_Yrk", "alerting.maintenance.windows[0].time_zone", "a name like Europe/Berlin"),
    ('begin: "04:00"', 'begin: "4 am"', "alerting.maintenance.windows[0].weekly.begin", "a time like HH:MM"),
    ('weekly: { days: [tuesday], begin: "04:00", end: "05:00" }', "tiers: [production]",
     "alerting.maintenance.windows[0]", "expected weekly or once"),
    ('weekly: { days: [tuesday], begin: "04:00", end: "05:00" }',
     'once: { begin: "2027-01-02T03:00", end: "2027-01-02T03:00" }',
     "alerting.maintenance.windows[0].once.end", "ends before it begins"),
    ('weekly: { days: [tuesday], begin: "04:00", end: "05:00" }',
     'once: { begin: "2027-01-02T03:00", end: "2027-01-03T03:01" }',
     "alerting.maintenance.windows[0].once.end", "silence_seconds_max"),
    ("severities: [warning, info]\n", "severities: [info]\n        tiers: [prod]\n",
     "alerting.maintenance.windows[0].tiers[0]", "did you mean 'production'?"),
    ("info: [deployment,", "info: [model-quality,", "alerting.categories.info[0]", "again"),
    ("factor: 14.4", "factor: 1000", "alerting.objectives.burn[0].factor", "more than all requests"),
    ("long_seconds: 3600, short_seconds: 300", "long_seconds: 3600, short_seconds: 3600",
     "alerting.objectives.burn[0].short_seconds", "less than the row's long_seconds, 3600"),
    ("long_seconds: 300, short_seconds: 120", "long_seconds: 300, short_seconds: 400",
     "alerting.objectives.errors.short_seconds", "less than the row's long_seconds, 300"),
    ("long_seconds: 259200", "long_seconds: 8000000", "alerting.objectives.burn[2].long_seconds", "be gone"),
    ("window_seconds: 120", "window_seconds: 20", "alerting.objectives.outage.window_seconds", "two evaluations"),
    ("bad_events_min: 5, gateways", "bad_events_min: 120001, gateways",
     "alerting.objectives.outage.bad_events_min", "expected at most 120000"),
    ("bad_percent: 10, long_seconds", "bad_percent: 5, long_seconds", "alerting.objectives.share[1].bad_percent",
     "target still holds"),
    ("down_seconds: 60", "down_seconds: 70", "alerting.timing.down_seconds", "expected a multiple of 15"),
    ("compare_seconds: 3600", "compare_seconds: 86400", "alerting.timing.compare_offset_seconds", "overlap"),
    ("forecast_window_seconds: 21600", "forecast_window_seconds: 8640000", "alerting.timing.forecast_window_seconds",
     "gone before they are read"),
    ("    security-incident: The", "    security-incidents: The", "alerting.without_alerts.security-incidents",
     "did you mean 'security-incident'"),
    ("speed: slow", "speed: fast", "alerting.objectives.burn[2].speed", "the speed of"),
    ("bad_events_min: 14, short_bad_events_min: 5, severity: critical",
     "bad_events_min: 14, short_bad_events_min: 5, severity: warning",
     "alerting.objectives.goodput[1].severity", "again"),
    ("release_percent: 70", "release_percent: 20", "alerting.objectives.share[0].release_percent", "more than 20,"),
    ("release_percent: 20 }", "release_percent: 2 }", "alerting.objectives.errors.release_percent",
     "more than 2, for alerting.thresholds.error_rate_percent.critical"),
    ("2, release_percent: 50, severity: critical", "2, release_percent: 6, severity: critical",
     "alerting.objectives.burn[0].release_percent", "while the target holds"),
    ("20, short_bad_events_min: 3,", "20, short_bad_events_min: 3, release_percent: 90,",
     "alerting.objectives.share[1].release_percent", "not evaluated often enough"),
    ("bad_events_min: 8, short_bad_events_min: 3", "bad_events_min: 8, short_bad_events_min: 9",
     "alerting.objectives.share[0].short_bad_events_min", "expected at most the row's bad_events_min, 8"),
        ("mix_percent: { chat: 30,", "mix_percent: { chta: 30,", "load.mix_percent.chta", "did you mean 'chat'?"),
    ("mix_percent: { chat: 30,", "mix_percent: { chat: 31,", "load.mix_percent", "do not sum to 100"),
    ("mix_percent: { chat: 40, generate: 40,", "mix_percent: { chat: 40, generate: 41,",
     "load.suites.volume.mix_percent", "do not sum to 100"),
    ("output_tokens: { median: 48,", "output_tokens: { median: 65,", "load.output_tokens.median",
     "above the cap of task 'history-query'"),
    ("output_tokens: { median: 400,", "output_tokens: { median: 513,", "load.suites.volume.output_tokens.median",
     "expected at most 512"),
    ("prompt_chars: { median: 8000,", "prompt_chars: { median: 65537,", "load.suites.volume.prompt_chars.median",
     "longer than the gateway takes"),
    ("{ name: at-50, seconds: 120, percent: 50 }", "{ name: at-25, seconds: 120, percent: 50 }",
     "load.suites.stress.stages[2].name", "again"),
    ("{ name: steady, seconds: 40, percent: 8 }", "{ name: steady, seconds: 40, percent: 8, measured: false }",
     "load.suites.smoke.stages", "no stage is measured"),
    ("{ name: at-50, seconds: 120, percent: 50 }", "{ name: at-50, seconds: 120, percent: 0 }",
     "load.suites.stress.stages[2].percent", "without load"),
    ("{ name: steady, seconds: 14400, percent: 50 }",
     "{ name: steady, seconds: 14400, percent: 50, swing: { percent: 50, seconds: 60 } }",
     "load.suites.endurance.stages[1].swing", "closed users"),
    ("bursts: { times: 8, seconds: 2, every_seconds: 20 }", "bursts: { times: 8, seconds: 20, every_seconds: 20 }",
     "load.suites.volume.stages[2].bursts.seconds", "less than 20"),
    ("{ name: two, seconds: 180, percent: 20, replicas: 2 }", "{ name: two, seconds: 180, percent: 20 }",
     "load.suites.scalability.stages[3]", "replicas of each stage"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "words"), CASES, ids=[f"{case[2]} {case[1][:30]}" for case in CASES])
def test_a_contradiction_is_found_once_at_its_place(
    edited: Edited, faults_of: FaultsOf, old: str, new: str, path: str, words: str
) -> None:
    found = faults_of(edited((old, new)))
    assert path in {fault.path for fault in found}
    fault = next(fault for fault in found if fault.path == path)
    assert words in str(fault)
    assert {fault.message for fault in found} == {fault.message}, "one mistake gave several kinds of faults"


def test_the_place_of_a_contradiction_is_that_of_its_value(
    reference_text: str, edited: Edited, faults_of: FaultsOf
) -> None:
    (fault,) = faults_of(edited(("[5, 50, 100]", "[5, 50, 90]")))
    lines = reference_text.splitlines()
    line = next(i for i, text in enumerate(lines) if "steps_percent: [5" in text)
    assert (fault.line, fault.column) == (line + 1, lines[line].index("100]") + 1)


def test_contradictions_are_found_beside_faults_of_type_and_misspelt_keys(edited: Edited, faults_of: FaultsOf) -> None:
    found = faults_of(
        edited(
            ("rollout:\n  default", "rolout:\n  default"),  # all that stands under it is checked nevertheless
            ("lease_seconds: 15", "lease_seconds: soon"),
            ("[5, 50, 100]", "[5, 50, 90]"),
            ("min: 10", "min: ten"),
            ("latency_p95_ms: 500", "latency_p95_ms: 510"),
        )
    )
    assert [fault.path for fault in found] == [
        "task_classes.query.latency_p95_ms",
        "environments.production.replicas.min",
        "rolout",
        "rollout.strategies.canary.steps_percent[2]",
        "rollout.lease_seconds",
]


def test_a_target_that_the_gateway_cannot_measure_is_refused(edited: Edited, faults_of: FaultsOf) -> None:
    found = faults_of(
        edited(
            ("latency_p95_ms: 2000", "latency_p95_ms: 100000"),
            ("timeout_seconds: 30 # chosen", "timeout_seconds: 200 # chosen"),
            ("15000, 30000]", "15000, 100000]"),
            ("drain_timeout_seconds: 30", "drain_timeout_seconds: 200"),
        )
    )
    (fault,) = found
    assert fault.message == "target is beyond what the gateway can measure"


def test_a_fault_behind_an_anchor_is_told_once(edited: Edited, faults_of: FaultsOf) -> None:
    (fault,) = faults_of(edited(("look_seconds: 5", "look_secs: 5")))
    assert fault.message == "unknown key"
    assert fault.nearest == "look_seconds"


def test_without_any_event_nothing_is_judged_and_that_is_no_spec(reference_text: str, faults_of: FaultsOf) -> None:
    start = reference_text.index("    events:\n")
    end = reference_text.index("\n  # ", start)
    found = faults_of((reference_text[:start] + "    events: {}" + reference_text[end:]).encode())
    assert {fault.path for fault in found} == {"rollout.analysis.events"}
    assert any("no event is critical" in fault.message for fault in found)
    assert any(fault.message == "missing key 'slow'" for fault in found)


def test_misspelt_keys_one_below_the_other_hide_nothing(edited: Edited, faults_of: FaultsOf) -> None:
    found = faults_of(
        edited(
            ("rollout:\n  default", "rolout:\n  default"),
            ("  strategies:", "  strategys:"),
            ("canary: { steps_percent: [5, 50, 100]", "cannary: { steps: [5, 50, 90]"),
        )
    )
    # The paths are those of the file as far as the misspellings were known when each was found.
    assert [(fault.path, fault.nearest) for fault in found] == [
        ("rolout", "rollout"),
        ("rollout.strategys", "strategies"),
        ("rollout.strategies.cannary", "canary"),
        ("rollout.strategies.canary.steps", "steps_percent"),
        ("rollout.strategies.canary.steps_percent[2]", None),
    ]


def test_an_address_is_never_quoted(edited: Edited, faults_of: FaultsOf) -> None:
    addresses = ("hooks.example.org/T0K3N", "[https://hooks/T0K3N]", "!!int T0K3N", "'https://u:T0K3N@x'", "!x T0K3N")
    for address in addresses:
        found = faults_of(edited(("webhooks: []", f"webhooks: [{{name: a, url: {address}}}]")))
        assert found
        assert not any("T0K3N" in str(fault) + repr(fault) for fault in found), address


def test_a_spec_does_not_show_addresses_when_it_is_printed(edited: Edited) -> None:
    spec = parse_spec(edited(("webhooks: []", "webhooks: [{name: a, url: https://hooks/T0K3N}]")), "spec.yaml")
    assert spec.notifications.webhooks[0].url == "https://hooks/T0K3N"
    assert "T0K3N" not in repr(spec) + str(spec)


def test_a_mean_may_not_tolerate_more_than_a_single_token(edited: Edited, faults_of: FaultsOf) -> None:
    (fault,) = faults_of(edited(("mean_tolerance_nats: 0.005", "mean_tolerance_nats: 0.06")))
    assert fault.path == "rollout.quality.damage.mean_tolerance_nats"
