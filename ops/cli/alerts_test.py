"""``ops alerts test``: what promtool and amtool say of the generated files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from ops.adapters.rule_checks import (
    Checked,
    ChecksUnavailable,
    check_configuration,
    check_rules,
    routed_to,
    test_rules,
)
from ops.adapters.spec_file import load_spec
from ops.alerting.files import ALERTMANAGER, ALERTS, RULES
from ops.alerting.inhibiting import WATCHDOG
from ops.alerting.routing import HEARTBEAT, receiver_of
from ops.cli.alerts_options import Folder, Json, SpecFile
from ops.cli.output import emit_json, exit_with, progress
from ops.cli.spec import DEFAULT_FILE
from ops.spec.model import Spec
from ops.verdict import Evidence, Outcome, Verdict, combine


def run_tests(spec: SpecFile = DEFAULT_FILE, root: Folder = Path("."), json: Json = False) -> None:
    """Check rules and configuration, run every rule test, and ask where each category's alerts go.

    With promtool and amtool, on the files as they lie there. A program that is missing makes the verdict invalid, and
    so do rules without a test.
    """
    loaded = load_spec(spec)
    verdicts = []
    try:
        for checked in _checks(loaded, root):
            verdicts.append(_verdict(checked))
            progress(f"{'ok  ' if checked.passed else 'FAIL'} {checked.what}")
        verdicts.append(_untested(root))
    except ChecksUnavailable as e:
        verdicts.append(Verdict(Outcome.INVALID, (Evidence(str(e)),)))
    verdict = combine(verdicts)
    if json:
        emit_json("gratefulgpt.alerts-test/1", {"verdict": verdict.to_json()})
    else:
        shown = [one.text for part in verdicts if part.outcome is not Outcome.PASS for one in part.evidence]
        print("\n".join((*shown, f"{verdict.outcome}: {len(verdict.evidence)} checks")))
    exit_with(verdict)


def _checks(spec: Spec, root: Path) -> Iterator[Checked]:
    rules, tests = (sorted((root / folder).glob("*.yml")) for folder in (RULES, ALERTS / "tests"))
    if not rules or not tests:
        raise ChecksUnavailable(f"there are no rules, or no tests of them, in {root / ALERTS}: `ops alerts render`")
    yield check_rules(rules)
    yield from map(test_rules, tests)
    configuration = root / ALERTMANAGER
    valid = check_configuration(configuration)
    yield valid
    if not valid.passed:
        return
    for severity, categories in spec.alerting.categories.model_dump().items():
        for category in categories:
            labels = (f"severity={severity}", f"category={category}")
            yield routed_to(configuration, labels, receiver_of(spec.alerting, severity, category))
    yield routed_to(configuration, (f"alertname={WATCHDOG}", "severity=info"), HEARTBEAT)


def _verdict(checked: Checked) -> Verdict:
    text = checked.what if checked.passed else f"not so: {checked.what}\n{checked.said}"
    return Verdict(Outcome.PASS if checked.passed else Outcome.FAIL, (Evidence(text),))


def _untested(root: Path) -> Verdict:
    """Alerts of the rule files that no test asks for: promtool passes them in silence."""
    alerts = {
        rule["alert"]
        for path in (root / RULES).glob("*.yml")
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    asked = {
        one["alertname"]
        for path in (root / ALERTS / "tests").glob("*.yml")
        for test_ in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for one in test_.get("alert_rule_test", ())
        if one.get("exp_alerts")
    }
    if lacking := sorted(alerts - asked):
        return Verdict(Outcome.INVALID, (Evidence(f"no rule test has them fire: {', '.join(lacking)}"),))
    return Verdict(Outcome.PASS, (Evidence(f"each of {len(alerts)} alerts fires in a test", {"alerts": len(alerts)}),))
