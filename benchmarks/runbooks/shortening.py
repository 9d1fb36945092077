"""The reference spec with its alerting's times divided by one factor, so that incidents last seconds.

Thresholds, shares and floors stay as they are, and so does everything outside of ``alerting``. All that would be told
to people goes to one webhook.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FACTOR = 15
"""So that the spec's windows stay whole seconds: 300 become 20, 900 become 60; evaluation every second."""
KEPT = frozenset({"compare_seconds", "compare_offset_seconds"})
"""Comparisons with the day before: a few minutes of yesterday tell nothing, and no incident is of them."""
RECEIVER = "proof"


def shortened(reference: Path, webhook_url: str, factor: int = FACTOR) -> str:
    """YAML text. ``factor`` 1 leaves the times as they are."""
    spec = yaml.safe_load(reference.read_text(encoding="utf-8"))
    alerting = _divided(spec["alerting"], factor)
    alerting["receivers"] = {"webhook": [{"name": RECEIVER, "url": webhook_url}]}
    for route in (*alerting["routes"], alerting["heartbeat"]):
        route["receivers"] = [RECEIVER] if route["receivers"] else []
    return yaml.safe_dump({**spec, "alerting": alerting}, sort_keys=False)


def _divided(part: Any, factor: int, key: str = "") -> Any:
    if isinstance(part, dict):
        return {name: _divided(value, factor, str(name)) for name, value in part.items()}
    if isinstance(part, list):
        return [_divided(value, factor, key) for value in part]
    if isinstance(part, int | float) and key not in KEPT and (key.endswith("_seconds") or "_seconds_" in key):
        return max(1, round(part / factor))
    return part
