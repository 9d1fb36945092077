"""The admin side of gateway workers: what they hold, what they counted, and new tables for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

from ops.rollout.workers import WorkerError
from serving.contract import (
    ADMIN_COUNTERS_PATH,
    ADMIN_ROUTES_PATH,
    Ack,
    CounterSnapshot,
    ForceStable,
    Renewal,
    RoutingTable,
    WorkerState,
)

T = TypeVar("T")

TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class WorkerAddress:
    name: str
    admin_url: str


class GatewayAdmin:
    """One worker's admin port. The session is the caller's."""

    def __init__(self, session: aiohttp.ClientSession, address: WorkerAddress, admin_key: str):
        self.name = address.name
        self._url = address.admin_url.rstrip("/")
        self._session = session
        self._headers = {"authorization": f"Bearer {admin_key}", "content-type": "application/json"}

    async def state(self) -> WorkerState:
        return await self._call("GET", ADMIN_ROUTES_PATH, WorkerState)

    async def counters(self) -> CounterSnapshot:
        return await self._call("GET", ADMIN_COUNTERS_PATH, CounterSnapshot)

    async def put(self, table: RoutingTable) -> Ack:
        """The worker's answer, a refusal included."""
        return await self._call("PUT", f"{ADMIN_ROUTES_PATH}/{table.tier}", Ack, table)

    async def renew(self, tier: str, renewal: Renewal) -> Ack:
        """The worker's answer, a refusal included."""
        return await self._call("POST", f"{ADMIN_ROUTES_PATH}/{tier}/renew", Ack, renewal)

    async def force_stable(self, tier: str, force: ForceStable) -> Ack:
        return await self._call("POST", f"{ADMIN_ROUTES_PATH}/{tier}/stable", Ack, force)

    async def _call(self, method: str, path: str, answer: type[T], body: msgspec.Struct | None = None) -> T:
        data = msgspec.json.encode(body) if body is not None else None
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=self._headers, timeout=timeout
            ) as response:
                raw = await response.read()
                if response.status not in (200, 409):
                    raise WorkerError(f"{self.name} answered {response.status} to {method} {path}")
                return msgspec.json.decode(raw, type=answer)
        except TimeoutError as e:
            raise WorkerError(f"{self.name} did not answer within {TIMEOUT_SECONDS:g} s") from e
        except aiohttp.ClientError as e:
            raise WorkerError(f"{self.name} cannot be reached: {type(e).__name__}") from e
        except (msgspec.DecodeError, msgspec.ValidationError) as e:
            raise WorkerError(f"{self.name} answered {method} {path} with something else: {e}") from e
