"""Which alerts fire, as Prometheus has them, and which Alertmanagers it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from ops.adapters.monitoring_http import Server
from ops.alerting.commands import FOLLOWING
from serving.contract import METRIC_ROUTE_WEIGHT

FIRING = "firing"


@dataclass(frozen=True)
class FiringAlert:
    labels: Mapping[str, str]
    """With alertname, severity and category."""
    annotations: Mapping[str, str]
    active_since: str
    """RFC 3339, UTC."""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


class _Alert(msgspec.Struct, frozen=True):
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    activeAt: str


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[_Alert]


class _Address(msgspec.Struct, frozen=True):
    url: str


class _Alertmanagers(msgspec.Struct, frozen=True):
    activeAlertmanagers: list[_Address]


class _Sample(msgspec.Struct, frozen=True):
    metric: dict[str, str]
    value: tuple[float, str]


class _Vector(msgspec.Struct, frozen=True):
    result: list[_Sample]


class _VectorAnswer(msgspec.Struct, frozen=True):
    data: _Vector


class _AlertsAnswer(msgspec.Struct, frozen=True):
    data: _Alerts


class _AlertmanagersAnswer(msgspec.Struct, frozen=True):
    data: _Alertmanagers


async def firing(prometheus_url: str) -> tuple[FiringAlert, ...]:
    """Those that fire now, the longest first; pending ones do not. Raises MonitoringError."""
    answer = await _prometheus(prometheus_url).ask("/api/v1/alerts", _AlertsAnswer)
    found = [one for one in answer.data.alerts if one.state == FIRING]
    found.sort(key=lambda one: one.activeAt)
    return tuple(FiringAlert(one.labels, one.annotations, one.activeAt) for one in found)


async def alertmanager_url(prometheus_url: str) -> str | None:
    """The base URL of the first Alertmanager that Prometheus tells; None if it tells nobody. Raises MonitoringError."""
    answer = await _prometheus(prometheus_url).ask("/api/v1/alertmanagers", _AlertmanagersAnswer)
    addresses = answer.data.activeAlertmanagers
    return addresses[0].url.partition("/api/")[0] if addresses else None


async def followed(prometheus_url: str, labels: Mapping[str, str]) -> dict[str, str]:
    """An alert's labels, and what Prometheus knows by them: the labels of its target (an engine's replica and tier),
    and the release to which most of its tier's requests go. Raises MonitoringError."""
    found = dict(labels)
    if "instance" in found:
        target = await _first(prometheus_url, f"up{{instance={_quoted(found['instance'])}}}")
        found = {**{key: value for key, value in target.items() if key in FOLLOWING["instance"]}, **found}
    if "tier" in found:
        weights = f"sum by (release) ({METRIC_ROUTE_WEIGHT}{{tier={_quoted(found['tier'])}}})"
        found = {**await _first(prometheus_url, f"topk(1, {weights} > 0)"), **found}
    return found


def _prometheus(url: str) -> Server:
    return Server("Prometheus", url.rstrip("/"))


def _quoted(value: str) -> str:
    """As PromQL has it."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


async def _first(prometheus_url: str, query: str) -> dict[str, str]:
    """The labels of the first series of the answer, or none."""
    path = f"/api/v1/query?{urlencode({'query': query})}"
    answer = await _prometheus(prometheus_url).ask(path, _VectorAnswer)
    return answer.data.result[0].metric if answer.data.result else {}
