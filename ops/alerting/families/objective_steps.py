"""Steps that the runbooks of several objectives' alerts share. They run with the alert's labels as variables."""

from __future__ import annotations

from ops.alerting.model import Step

ENGINES = Step("Which parts of the stack are up?", ("ops stack status",))
ROUTES = Step("Where do the tier's requests go, and do all workers agree?", ("ops route show --tier $TIER",))
ROLLOUT = Step(
    "Did it begin with a rollout?",
    ("ops canary status --tier $TIER", "ops canary history --tier $TIER --count 5"),
)
FAILURES = Step(
    "How do requests fail, and on which arm?",
    (
        "promtool query instant $PROMETHEUS"
        " \"sum by (arm, event) (increase(gateway_requests_bad_total{tier='$TIER'}[5m])) > 0\"",
    ),
    silent="none fails",
)
WAITING = Step(
    "Do requests wait, in the gateway or in the engines?",
    (
        "promtool query instant $PROMETHEUS 'sum(gateway_requests_queued)'",
        "promtool query instant $PROMETHEUS 'sum by (instance) (vllm:num_requests_waiting)'",
        "promtool query instant $PROMETHEUS 'max by (instance) (vllm:kv_cache_usage_perc)'",
    ),
)
REPLICAS = Step(
    "Is one engine slower than its peers? Mean seconds of an answer, by engine.",
    (
        "promtool query instant $PROMETHEUS 'sum by (instance) (rate(vllm:e2e_request_latency_seconds_sum[5m]))"
        " / sum by (instance) (rate(vllm:e2e_request_latency_seconds_count[5m]))'",
    ),
)
BACK_TO_STABLE = Step(
    "If a rollout runs, send everything to stable at once: this needs neither controller nor database.",
    ("ops route stable --now --tier $TIER --reason 'on call' --yes",),
    ("ops canary resume --tier $TIER",),
)
FORMER_RELEASE = Step(
    "If it began with a release that has gone out to the end: back to the release before, whose replicas still run for"
    " the rollback window.",
    ("ops canary rollback --tier $TIER --reason 'on call' --yes",),
    ("ops canary start $RELEASE",),
)
ENGINES_ANEW = Step(
    "If engines are slow or stuck, and no release brought it: start the tier's engines anew, one after the other.",
    ("ops stack restart --tier $TIER --now",),
)
MITIGATION = (BACK_TO_STABLE, FORMER_RELEASE, ENGINES_ANEW)
"""From what is done at once and hurts nobody to what takes time."""
ANSWERED = Step("Requests are answered within their targets.", ("ops probe --count 5",))
