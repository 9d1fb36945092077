"""The spec's receivers as Alertmanager's integrations, and the files that hold their secrets."""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.alerting import Alerting
from ops.spec.receiving import AlertWebhook, Email, PagerDuty, Receivers, Slack

Integration = tuple[str, dict[str, object]]
"""Alertmanager's key for the kind, and its settings."""
Receiver = PagerDuty | Slack | Email | AlertWebhook

_TITLE = "[{{ .Status | toUpper }}] {{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }}"
_LINES = (
    "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "Runbook: {{ .Annotations.runbook_url }}\nPanel: {{ .Annotations.dashboard_url }}\n\n{{ end }}"
)
_FIRST = "{{ (index .Alerts 0).Annotations.%s }}"


def every(receivers: Receivers) -> Iterator[Receiver]:
    yield from receivers.pagerduty
    yield from receivers.slack
    yield from receivers.email
    yield from receivers.webhook


def secret_files(receiver: Receiver) -> tuple[str, ...]:
    """The names of the files that it needs in the secrets' folder."""
    match receiver:
        case PagerDuty():
            return (receiver.routing_key_file,)
        case Slack():
            return (receiver.url_file,)
        case Email():
            return (receiver.password_file,)
        case AlertWebhook():
            return tuple(one for one in (receiver.url_file, receiver.token_file) if one)


def secrets_needed(alerting: Alerting) -> tuple[str, ...]:
    """The files of all receivers that a route or the heartbeat names."""
    used = {name for route in alerting.routes for name in route.receivers} | set(alerting.heartbeat.receivers)
    return tuple(file for one in every(alerting.receivers) if one.name in used for file in secret_files(one))


def integrations(receivers: Receivers, folder: str) -> dict[str, Integration]:
    """By the receiver's name. ``folder`` is where the secrets' files lie."""
    return {one.name: _integration(one, folder.rstrip("/")) for one in every(receivers)}


def _integration(receiver: Receiver, folder: str) -> Integration:
    match receiver:
        case PagerDuty():
            return "pagerduty_configs", {
                "send_resolved": True,
                "routing_key_file": f"{folder}/{receiver.routing_key_file}",
                "severity": "{{ with .CommonLabels.severity }}{{ . }}{{ else }}critical{{ end }}",
                "class": "{{ .CommonLabels.category }}",
                "component": "{{ .CommonLabels.tier }}",
                "description": _TITLE,
                "links": [
                    {"href": _FIRST % "runbook_url", "text": "Runbook"},
                    {"href": _FIRST % "dashboard_url", "text": "Panel"},
                ],
            }
        case Slack():
            return "slack_configs", {
                "send_resolved": True,
                "api_url_file": f"{folder}/{receiver.url_file}",
                "channel": receiver.channel,
                "title": _TITLE,
                "title_link": _FIRST % "runbook_url",
                "text": _LINES,
            }
        case Email():
            return "email_configs", {
                "send_resolved": True,
                "to": ", ".join(receiver.to),
                "from": receiver.sender,
                "smarthost": receiver.smarthost,
                "auth_username": receiver.username,
                "auth_password_file": f"{folder}/{receiver.password_file}",
                "require_tls": True,
                "headers": {"Subject": _TITLE},
                "text": _LINES,
                "html": "",
            }
        case AlertWebhook():
            return "webhook_configs", _webhook(receiver, folder)


def _webhook(receiver: AlertWebhook, folder: str) -> dict[str, object]:
    found: dict[str, object] = {"send_resolved": True}
    if receiver.url is not None:
        found["url"] = receiver.url
    else:
        found["url_file"] = f"{folder}/{receiver.url_file}"
    if receiver.token_file:
        found["http_config"] = {"authorization": {"credentials_file": f"{folder}/{receiver.token_file}"}}
    return found
