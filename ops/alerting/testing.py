"""The rule tests of all alerts, as ``promtool test rules`` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ops.alerting.links import filled
from ops.alerting.model import Alert, Case, Example, Recording
from ops.alerting.rendering import HEADER, annotations_of, dump, labels_of
from ops.spec.model import Spec


def test_file(
    rule_files: Iterable[str],
    alerts: Iterable[Alert],
    evaluation: str,
    spec: Spec,
    recordings: Iterable[Recording],
) -> str:
    """``rule_files`` are paths seen from where the test file will lie."""
    tests = [_example(rule, example) for rule in recordings for example in rule.examples]
    tests += [_test(alert, case, spec) for alert in alerts for case in alert.cases]
    return HEADER + dump({"rule_files": list(rule_files), "evaluation_interval": evaluation, "tests": tests})


def _test(alert: Alert, case: Case, spec: Spec) -> dict[str, object]:
    return {
        "name": f"{alert.name}: {case.name}",
        "interval": f"{case.interval_seconds}s",
        "input_series": [{"series": one.series, "values": one.values} for one in case.inputs],
        "alert_rule_test": [
            *({**_at(alert, minute), "exp_alerts": _expected(alert, case, spec)} for minute in case.fires),
            *(_at(alert, minute) for minute in case.silent),
        ],
    }


def _example(rule: Recording, example: Example) -> dict[str, object]:
    return {
        "name": f"{rule.record}: {example.name}",
        "interval": f"{example.interval_seconds}s",
        "input_series": [{"series": one.series, "values": one.values} for one in example.inputs],
        "promql_expr_test": [
            {
                "expr": rule.record,
                "eval_time": f"{round(look.minute * 60)}s",
                "exp_samples": [{"labels": _labelled(rule.record, own), "value": n} for own, n in look.samples],
            }
            for look in example.looks
        ],
    }


def _labelled(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def _at(alert: Alert, minute: float) -> dict[str, object]:
    return {"eval_time": f"{round(minute * 60)}s", "alertname": alert.name}


def _expected(alert: Alert, case: Case, spec: Spec) -> list[dict[str, object]]:
    texts = annotations_of(alert, spec)
    return [
        {
            "exp_labels": {**labels_of(alert), **own},
            "exp_annotations": {key: filled(text, own) for key, text in texts.items()},
        }
        for own in case.labels
    ]
