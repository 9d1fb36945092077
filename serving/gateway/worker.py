"""One gateway worker: what it is made of, and what it can say about itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import aiohttp

from serving.contract import ServingConfig
from serving.gateway.admission import Admission
from serving.gateway.counting import Counters
from serving.gateway.inference import Inference
from serving.gateway.metrics import WorkerCollector
from serving.gateway.request_log import RequestLog
from serving.gateway.routes import Routes
from serving.gateway.settings import Secrets, Settings


@dataclass
class Life:
    """Where the worker stands between its start and its end."""

    draining: bool = False


@dataclass(frozen=True)
class Worker:
    """Everything of one process, wired together in ``serving.gateway.server``."""

    settings: Settings
    secrets: Secrets
    config: ServingConfig
    instance: str
    routes: Routes
    admission: Admission
    counters: Counters
    inference: Inference
    collector: WorkerCollector
    log: RequestLog
    session: aiohttp.ClientSession
    openapi: bytes
    life: Life = field(default_factory=Life)

    def snapshot_health(self) -> tuple[int, dict[str, object]]:
        """Status and body for whoever asks whether this worker serves."""
        serving = sorted(self.routes.held)
        status = "draining" if self.life.draining else "ok" if serving else "no_release"
        body: dict[str, object] = {"status": status, "worker": self.settings.worker, "tiers": serving}
        return (200 if status == "ok" else 503), body

    def models(self) -> list[dict[str, object]]:
        """The tiers that a release serves, as OpenAI lists models."""
        return [
            {
                "id": tier.model,
                "object": "model",
                "created": 0,
                "owned_by": self.config.service,
                "tier": name,
                "max_model_len": tier.context_tokens_max,
            }
            for name, tier in self.config.tiers.items()
            if name in self.routes.held
        ]

    def status(self) -> dict[str, object]:
        """Which release serves each tier, at which weight."""
        state = self.routes.state()
        tiers = {}
        for tier, held in state.tiers.items():
            weights = {route.arm: weight for route, weight in self.routes.held[tier].in_force}
            tiers[tier] = {
                "model": self.config.tiers[tier].model,
                "epoch": held.table.epoch,
                "state": held.state,
                "lease_left_seconds": held.lease_left_seconds,
                "arms": [
                    {
                        "arm": route.arm,
                        "release": route.release,
                        "weight_percent": weights.get(route.arm, 0) / 100,
                        "replicas": [endpoint.replica for endpoint in route.endpoints],
                    }
                    for route in held.table.routes
                ],
            }
        return {"service": self.config.service, "spec_digest": self.config.spec_digest, "tiers": tiers}

    def usage(self) -> dict[str, object]:
        """What this worker has answered since it started."""
        requests: dict[tuple[str, str], dict[str, int]] = {}
        for (task, tier, status), count in self.counters.responses.items():
            row = requests.setdefault((task, tier), {"requests": 0, "failed": 0})
            row["requests"] += count
            row["failed"] += count if status >= 500 else 0
        for (task, tier, direction), count in self.counters.tokens.items():
            requests.setdefault((task, tier), {"requests": 0, "failed": 0})[f"{direction}_tokens"] = count
        rows = [{"task": task, "tier": tier, **row} for (task, tier), row in sorted(requests.items())]
        return {"worker": self.settings.worker, "instance": self.instance, "usage": rows}

    def health(self) -> dict[str, object]:
        """How full this worker is."""
        limits = self.config.limits
        return {
            "worker": self.settings.worker,
            "instance": self.instance,
            "draining": self.life.draining,
            "in_flight": self.admission.in_flight,
            "in_flight_max": limits.in_flight_max,
            "queued": self.admission.queued,
            "queue_max": limits.queue_max,
        }

    async def keep_house(self, interval_seconds: float) -> None:
        """Until cancelled: ends leases nobody renewed, saves what is not on disk, writes the log."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                await self.routes.keep_up()
            except OSError as e:
                self.log.event(time.time(), "state_not_saved", type=type(e).__name__)
            with contextlib.suppress(OSError):  # nobody reads the log any more: no reason to stop serving
                await self.log.write()
