"""Transitions of rollouts as annotations in Grafana, where every dashboard shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ops.adapters.webhooks import WebhookError
from ops.dashboarding.annotating import annotation_tags
from ops.spec.model import Spec
from ops.store.rollouts import JournalLine

RECEIVER = "grafana:annotations"
"""Its name among the webhooks; none of the spec's can be called so."""
TIMEOUT_SECONDS = 5.0


class TokenError(Exception):
    """There is no token. The message says where it should be."""


@dataclass(frozen=True)
class Annotations:
    url: str
    """Grafana's address."""
    service: str
    token: str = field(repr=False)

    async def deliver(self, session: aiohttp.ClientSession, line: JournalLine) -> None:
        """Raises WebhookError. Grafana knows no repeats: one whose answer was lost may be there twice."""
        try:
            async with session.post(
                f"{self.url.rstrip('/')}/api/annotations",
                json=annotation(self.service, line),
                headers={"authorization": f"Bearer {self.token}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                allow_redirects=False,
            ) as response:
                if response.status >= 300:
                    raise WebhookError(f"status {response.status}")
        except (aiohttp.ClientError, TimeoutError) as e:
            raise WebhookError(type(e).__name__) from e


def annotation(service: str, line: JournalLine) -> dict[str, Any]:
    """As Grafana's API takes it; times are milliseconds."""
    entry = line.entry
    change = f"{entry.from_state or 'new'} -> {entry.to_state}" if entry.to_state else entry.event or entry.kind
    return {
        "time": round(line.at * 1000),
        "tags": [*annotation_tags(service), line.tier, str(entry.to_state or entry.kind)],
        "text": f"{line.tier}: {change} ({line.rollout or 'no rollout'})",
    }


def annotations_of(spec: Spec) -> Annotations | None:
    """None where the spec wants none. Raises TokenError."""
    wanted = spec.notifications.grafana
    if wanted is None:
        return None
    file = Path(spec.alerting.secrets_folder) / wanted.token_file
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise TokenError(f"Grafana's token cannot be read from {file}: {type(e).__name__}") from e
    if not token or not token.isprintable():
        raise TokenError(f"{file} holds no token")
    return Annotations(spec.alerting.links.grafana, spec.service, token)
