"""Addresses of dashboards and panels: alerts, runbooks and dashboards name each other by them."""

from __future__ import annotations

import hashlib
import zlib

PANEL_IDS = 1_000_000
"""Panels of one dashboard have different ids below it; a test would find two that fall on one."""
UID_CHARS_MAX = 40
"""Grafana's limit."""


def uid(dashboard: str, service: str) -> str:
    name = f"{service}-{dashboard}"
    if len(name) <= UID_CHARS_MAX:
        return name
    digest = hashlib.sha256(service.encode()).hexdigest()[:8]
    return f"{service[: UID_CHARS_MAX - len(dashboard) - len(digest) - 2]}-{digest}-{dashboard}"


def panel_id(key: str) -> int:
    """Grafana wants a number. It follows from the key alone, so that moving a panel breaks no link."""
    return zlib.crc32(key.encode()) % PANEL_IDS + 1


def dashboard_link(dashboard: str, service: str) -> str:
    """The path below Grafana's address."""
    return f"/d/{uid(dashboard, service)}"


def panel_link(dashboard: str, key: str, service: str) -> str:
    """The path below Grafana's address at which one panel fills the page. More variables may follow with ``&var-``."""
    return f"{dashboard_link(dashboard, service)}?viewPanel={panel_id(key)}"
