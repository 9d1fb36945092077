"""Where an alert leads: its runbook, and its panel with the alert's own tier, class and instance chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ops.alerting.model import Alert
from ops.dashboarding.links import panel_link
from ops.spec.model import Spec

VARIABLES = ("tier", "task_class", "instance")
"""Labels of alerts that are variables of the dashboards too."""
_VARIABLE = "{{{{ with $labels.{0} }}}}&var-{0}={{{{ . }}}}{{{{ end }}}}"
"""Nothing where the alert lacks the label: an empty variable would empty the panel."""


def links_of(alert: Alert, spec: Spec) -> dict[str, str]:
    """Annotations, in Prometheus' templates."""
    links = spec.alerting.links
    panel = panel_link(alert.panel.dashboard, alert.panel.key, spec.service)
    variables = "".join(_VARIABLE.format(label) for label in VARIABLES)
    return {
        "runbook_url": runbook_url(alert.name, spec),
        "dashboard_url": f"{links.grafana.rstrip('/')}{panel}{variables}",
    }


def runbook_url(name: str, spec: Spec) -> str:
    """``name`` is the alert's, or a template that becomes it."""
    return f"{spec.alerting.links.runbooks.rstrip('/')}/{name}.md"


def page_of(url: str, spec: Spec) -> str | None:
    """The file of the page, within the folder of runbooks, to which a link leads; None where it leads elsewhere."""
    folder = spec.alerting.links.runbooks.rstrip("/") + "/"
    name = url.removeprefix(folder)
    return name if url.startswith(folder) and name and "/" not in name else None


def filled(text: str, labels: Mapping[str, str]) -> str:
    """The template as Prometheus fills it for an alert with these labels; one that is lacking is empty."""
    for label in VARIABLES:
        value = labels.get(label, "")
        text = text.replace(_VARIABLE.format(label), f"&var-{label}={value}" if value else "")
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)
