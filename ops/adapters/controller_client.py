"""The controller's API as the command line and the demo use it."""

from __future__ import annotations

import getpass
import uuid
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import stamina
from yarl import URL

from ops.judge.metering import Metered
from ops.quality.model import TranscriptStatus
from ops.rollout.answering import Judgement
from ops.rollout.observing import Checked
from ops.rollout.operating import ReleaseRequest
from ops.rollout.precautions import Calibration
from ops.rollout.record import Release, Rollout
from ops.rollout.recorded import RecordedLook
from ops.store.decisions import Decision, Wanted
from ops.store.rollouts import JournalLine, Loaded, LookLine
from serving.contract import ACTOR_HEADER, IDEMPOTENCY_HEADER

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
HASHING_SECONDS_MAX = 1800.0
"""For what reads a whole model: 140 GB at 100 MB/s, and some more."""
FORESEEING_SECONDS_MAX = 300.0
"""For what reads past rollouts and imagines many more."""
_TRIES = 4


class ControllerError(Exception):
    """The controller refused, with its reason."""

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


class ControllerUnavailable(ControllerError):
    """It cannot be reached, or cannot work just now: another try may succeed."""

    def __init__(self, message: str):
        super().__init__(message, 503)


@dataclass(frozen=True)
class _Releases:
    releases: list[Release]


@dataclass(frozen=True)
class _Rollouts:
    rollouts: list[Rollout]


@dataclass(frozen=True)
class _Lines:
    lines: list[JournalLine]


@dataclass(frozen=True)
class _Looks:
    looks: list[LookLine]


@dataclass(frozen=True)
class _Recorded:
    looks: list[RecordedLook]


@dataclass(frozen=True)
class _Decisions:
    decisions: list[Decision]


@dataclass(frozen=True)
class _Tiers:
    tiers: dict[str, Loaded]


class ControllerClient:
    """Use as an async context manager. Each call is tried a few times; a POST carries a key, so it acts once."""

    def __init__(self, url: str, admin_key: str, actor: str | None = None):
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {admin_key}", ACTOR_HEADER: actor or getpass.getuser()}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ControllerClient:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def add_release(self, request: ReleaseRequest) -> Release:
        return await self._call("POST", "/v1/releases", Release, request, HASHING_SECONDS_MAX)

    async def releases(self, tier: str | None = None) -> list[Release]:
        query = f"?tier={_part(tier)}" if tier else ""
        return (await self._call("GET", f"/v1/releases{query}", _Releases)).releases

    async def release(self, name: str) -> Release:
        return await self._call("GET", f"/v1/releases/{_part(name)}", Release)

    async def verify_release(self, name: str) -> Checked:
        return await self._call("POST", f"/v1/releases/{_part(name)}/verify", Checked, {}, HASHING_SECONDS_MAX)

    async def transcript_status(self, name: str) -> TranscriptStatus:
        return await self._call("GET", f"/v1/releases/{_part(name)}/transcript", TranscriptStatus)

    async def record_again(self, name: str) -> TranscriptStatus:
        return await self._call("POST", f"/v1/releases/{_part(name)}/record", TranscriptStatus, {})

    async def start(self, release: str, tier: str | None, accept_blind_spots: bool = False) -> Rollout:
        body = {"release": release, "tier": tier, "accept_blind_spots": accept_blind_spots}
        return await self._call("POST", "/v1/rollouts", Rollout, body, FORESEEING_SECONDS_MAX)

    async def rollouts(self, tier: str | None = None, count: int = 20) -> list[Rollout]:
        query = f"?count={count}" + (f"&tier={_part(tier)}" if tier else "")
        return (await self._call("GET", f"/v1/rollouts{query}", _Rollouts)).rollouts

    async def rollout(self, rollout_id: str) -> Rollout:
        return await self._call("GET", f"/v1/rollouts/{_part(rollout_id)}", Rollout)

    async def command(self, rollout_id: str, command: str, reason: str = "") -> Rollout:
        return await self._call("POST", f"/v1/rollouts/{_part(rollout_id)}/{command}", Rollout, {"reason": reason})

    async def roll_back_tier(self, tier: str, to: str | None, reason: str = "") -> Rollout:
        return await self._call("POST", f"/v1/tiers/{_part(tier)}/rollback", Rollout, {"to": to, "reason": reason})

    async def journal(self, rollout_id: str, after: int = 0) -> list[JournalLine]:
        return (await self._call("GET", f"/v1/rollouts/{_part(rollout_id)}/journal?after={after}", _Lines)).lines

    async def looks(self, rollout_id: str, after: int = 0) -> list[LookLine]:
        return (await self._call("GET", f"/v1/rollouts/{_part(rollout_id)}/looks?after={after}", _Looks)).looks

    async def recorded(self, rollout_id: str, after: int = 0) -> list[RecordedLook]:
        return (await self._call("GET", f"/v1/rollouts/{_part(rollout_id)}/recorded?after={after}", _Recorded)).looks

    async def decisions(self, wanted: Wanted, after: int = 0) -> list[Decision]:
        given = {name: value for name, value in asdict(wanted).items() if value is not None}
        return (await self._call("GET", f"/v1/journal?{urlencode({**given, 'after': after})}", _Decisions)).decisions

    async def judge_now(self, rollout_id: str, step: int | None = None) -> Judgement:
        query = "" if step is None else f"?step={step}"
        return await self._call("GET", f"/v1/rollouts/{_part(rollout_id)}/verdict{query}", Judgement)

    async def traffic(self, tier: str) -> Metered:
        """Of the last minutes."""
        return await self._call("GET", f"/v1/tiers/{_part(tier)}/traffic", Metered)

    async def calibration(self, tier: str) -> Calibration:
        """Margins as the history has them."""
        path = f"/v1/tiers/{_part(tier)}/calibration"
        return await self._call("GET", path, Calibration, None, FORESEEING_SECONDS_MAX)

    async def tiers(self) -> dict[str, Loaded]:
        return (await self._call("GET", "/v1/tiers", _Tiers)).tiers

    async def freezes(self) -> list[dict[str, Any]]:
        return list((await self._call("GET", "/v1/freezes", dict[str, Any]))["freezes"])

    async def freeze(self, tier: str, reason: str) -> None:
        await self._call("PUT", f"/v1/freezes/{_part(tier)}", dict[str, Any], {"reason": reason})

    async def lift_freeze(self, tier: str, reason: str) -> bool:
        answer = await self._call("DELETE", f"/v1/freezes/{_part(tier)}", dict[str, Any], {"reason": reason})
        return bool(answer["lifted"])

    async def _call(
        self, method: str, path: str, answer: type[T], body: Any = None, seconds: float = TIMEOUT_SECONDS
    ) -> T:
        headers = {IDEMPOTENCY_HEADER: uuid.uuid4().hex} if method == "POST" else {}
        async for attempt in stamina.retry_context(on=ControllerUnavailable, attempts=_TRIES, timeout=None):
            with attempt:
                return await self._once(method, path, answer, body, headers, seconds)
        raise AssertionError("a retry context ends in a return or a raise")

    async def _once(
        self, method: str, path: str, answer: type[T], body: Any, headers: dict[str, str], seconds: float
    ) -> T:
        if self._session is None:
            raise RuntimeError("use the client as an async context manager")
        data = msgspec.json.encode(body) if body is not None else None
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            url = URL(self._url + path, encoded=True)
            async with self._session.request(method, url, data=data, headers=headers, timeout=timeout) as response:
                raw, status = await response.read(), response.status
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as e:
            raise ControllerError(f"{self._url} is no address of a controller: http://HOST:PORT", 0) from e
        except (aiohttp.ClientError, TimeoutError) as e:
            raise ControllerUnavailable(
                f"no controller answers at {self._url} ({type(e).__name__}); is the stack up? see 'ops stack status'"
            ) from e
        try:
            if status < 300:
                return msgspec.json.decode(raw, type=answer)
            message = str(msgspec.json.decode(raw)["error"]["message"])
        except (msgspec.DecodeError, KeyError, TypeError) as e:
            raise ControllerError(f"the controller answered {status} with something else", status) from e
        if status == 503:
            raise ControllerUnavailable(message)
        raise ControllerError(message, status)


def _part(text: str) -> str:
    """One part of an address, whatever somebody typed."""
    return quote(text, safe="")
