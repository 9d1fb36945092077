"""Every generated file of the alerts, by its path in the repository."""

from __future__ import annotations

from pathlib import PurePath

from ops.alerting.rendering import rule_file
from ops.alerting.rules import families
from ops.alerting.runbooks import page
from ops.alerting.testing import test_file
from ops.alerting.windows import duration
from ops.spec.model import Spec

ALERTS, RUNBOOKS = PurePath("alerts"), PurePath("runbooks")
RULES = ALERTS / "rules"


def files(spec: Spec) -> dict[PurePath, str]:
    """Raises QueryError."""
    found: dict[PurePath, str] = {}
    evaluation = duration(spec.alerting.evaluation_seconds)
    made = families(spec)
    for name, groups in made.items():
        found[RULES / f"{name}.yml"] = rule_file(groups)
    every_rule_file = [f"../rules/{name}.yml" for name in made]
    for name, groups in made.items():
        alerts = [alert for group in groups for alert in group.alerts]
        found[ALERTS / "tests" / f"{name}.yml"] = test_file(every_rule_file, alerts, evaluation)
        for alert in alerts:
            found[RUNBOOKS / f"{alert.name}.md"] = page(alert)
    return found
