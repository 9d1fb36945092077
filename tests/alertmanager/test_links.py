"""Where alerts lead: to their runbook, and to a panel that is on a dashboard."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from ops.adapters.spec_file import load_spec
from ops.alerting.links import filled, links_of
from ops.alerting.rules import alerts

from .conftest import ROOT


def test_every_alerts_link_shows_a_panel_of_a_dashboard() -> None:
    spec = load_spec(ROOT / "gratefulgpt.yaml")
    boards = [json.loads(path.read_text("utf-8")) for path in (ROOT / "dashboards").glob("*.json")]
    panels = {board["uid"]: {panel["id"] for panel in board["panels"]} for board in boards}
    assert alerts(spec)
    for alert in alerts(spec):
        link = urlsplit(filled(links_of(alert, spec)["dashboard_url"], {"tier": "edge", "instance": "a:1"}))
        shown = parse_qs(link.query)
        assert int(shown["viewPanel"][0]) in panels[link.path.removeprefix("/d/")], alert.name
        assert shown["var-tier"] == ["edge"]
        assert shown["var-instance"] == ["a:1"]
        assert "var-task_class" not in shown


def test_every_alerts_runbook_is_a_page() -> None:
    spec = load_spec(ROOT / "gratefulgpt.yaml")
    for alert in alerts(spec):
        link = links_of(alert, spec)["runbook_url"]
        assert link.startswith(spec.alerting.links.runbooks)
        assert (ROOT / "runbooks" / link.rpartition("/")[2]).exists()
