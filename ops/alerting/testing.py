"""The rule tests of all alerts, as ``promtool test rules`` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ops.alerting.model import Alert, Case
from ops.alerting.rendering import HEADER, annotations_of, dump, labels_of


def test_file(rule_files: Iterable[str], alerts: Iterable[Alert], evaluation: str) -> str:
    """``rule_files`` are paths seen from where the test file will lie."""
    tests = [_test(alert, case) for alert in alerts for case in alert.cases]
    return HEADER + dump({"rule_files": list(rule_files), "evaluation_interval": evaluation, "tests": tests})


def _test(alert: Alert, case: Case) -> dict[str, object]:
    return {
        "name": f"{alert.name}: {case.name}",
        "interval": f"{case.interval_seconds}s",
        "input_series": [{"series": one.series, "values": one.values} for one in case.inputs],
        "alert_rule_test": [
            *({**_at(alert, minute), "exp_alerts": _expected(alert, case)} for minute in case.fires),
            *(_at(alert, minute) for minute in case.silent),
        ],
    }


def _at(alert: Alert, minute: float) -> dict[str, object]:
    return {"eval_time": f"{round(minute * 60)}s", "alertname": alert.name}


def _expected(alert: Alert, case: Case) -> list[dict[str, object]]:
    return [
        {"exp_labels": {**labels_of(alert), **own}, "exp_annotations": _filled(annotations_of(alert), own)}
        for own in case.labels
    ]


def _filled(texts: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    filled = dict(texts)
    for key, text in texts.items():
        for label, value in own.items():
            text = text.replace("{{ $labels." + label + " }}", value)
        filled[key] = text
    return filled
