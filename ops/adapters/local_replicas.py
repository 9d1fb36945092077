"""Replicas on this machine: one supervised engine process each.

What is declared stands in one file per replica, written before the process is added and deleted after it has gone,
so that a controller that died at any point finds out what there is and goes on. Raises nothing but ReplicasError.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec

from ops.adapters.ports import PortBook, PortsError
from ops.adapters.supervisord import ENDED, Process, State, Supervisor, SupervisorError
from ops.adapters.supervisord_files import Program, UnusablePath, is_program_name
from ops.rollout.replicas import ReplicasError, ReplicaSpec, ReplicaStatus

HEALTH_TIMEOUT_SECONDS = 2.0
STOP_WAIT_SECONDS_MAX = 2.0
"""How long ``apply`` waits for what it stopped; the rest is cleared away by the next ``apply``."""
STOP_SECONDS = 30.0
"""An engine may take this long to finish its requests."""
START_SECONDS = 60
"""An engine that ends sooner than this has failed to start; one that loads for long and then dies must count too."""
START_RETRIES = 3
DETAIL_CHARS_MAX = 300
LOCK_SECONDS_MAX = 5.0
"""How long another process may be in the middle of a change."""
_PRIORITY = 300
_POLL_SECONDS = 0.05

LOGS_KEPT = 20
"""Logs of replicas that have gone; older ones are deleted."""

Command = Callable[[ReplicaSpec, int], tuple[str, ...]]


def engine_command(spec: ReplicaSpec, port: int) -> tuple[str, ...]:
    """The engine's argument list."""
    named = ["--engine", spec.engine, "--model", spec.model_path, "--model-name", spec.model_name]
    listening = ["--host", "127.0.0.1", "--port", str(port)]
    return (sys.executable, "-m", "serving.engine", *named, *listening, *spec.arguments)


def program_name(replica: str) -> str:
    return f"replica-{replica}"


class Declared(msgspec.Struct, frozen=True):
    """A replica's file."""

    spec: ReplicaSpec
    port: int
    leaving: bool = False
    """It was asked to stop; nobody wants it any more."""


class LocalReplicas:
    """Implements ``ops.rollout.replicas.Replicas`` over supervisord. ``session`` asks for health; its owner closes it.
    ``targets_file`` is where Prometheus finds the engines."""

    def __init__(
        self,
        supervisor: Supervisor,
        session: aiohttp.ClientSession,
        targets_file: Path | None = None,
        *,
        chance: random.Random,
        command: Command = engine_command,
    ):
        self._supervisor = supervisor
        self._session = session
        self._folder = supervisor.folder.run_dir / "replicas"
        self._ports = PortBook(supervisor.folder.run_dir / "ports.json", chance)
        self._targets_file = targets_file
        self._command = command

    async def apply(self, tier: str, desired: Collection[ReplicaSpec]) -> None:
        with _translated():
            await asyncio.to_thread(self._apply, tier, {spec.name: spec for spec in desired})

    async def observe(self, tier: str) -> tuple[ReplicaStatus, ...]:
        return await self._observe(lambda spec: spec.tier == tier)

    async def observe_all(self) -> tuple[ReplicaStatus, ...]:
        """Of all tiers."""
        return await self._observe(lambda spec: True)

    async def _observe(self, wanted: Callable[[ReplicaSpec], bool]) -> tuple[ReplicaStatus, ...]:
        with _translated():
            declared = await asyncio.to_thread(self._declared)
            processes = await asyncio.to_thread(self._supervisor.processes)
        mine = [entry for entry in declared.values() if wanted(entry.spec) and not entry.leaving]
        return tuple(await asyncio.gather(*(self._status(entry, processes) for entry in mine)))

    async def _status(self, entry: Declared, processes: dict[str, Process]) -> ReplicaStatus:
        name, url = entry.spec.name, f"http://127.0.0.1:{entry.port}"
        process = processes.get(program_name(name))
        if process is None or process.state in (State.STOPPED, State.STOPPING):
            return ReplicaStatus(name, url, ready=False, detail="not started")
        if process.state is State.FATAL:
            return ReplicaStatus(name, url, ready=False, exhausted=True, detail=self._last_words(name))
        detail = await self._unhealthy(url)
        return ReplicaStatus(name, url, ready=detail is None, detail=detail or "")

    async def _unhealthy(self, url: str) -> str | None:
        """Why it is not ready, or None."""
        try:
            timeout = aiohttp.ClientTimeout(total=HEALTH_TIMEOUT_SECONDS)
            async with self._session.get(f"{url}/health", timeout=timeout) as response:
                return None if response.status == 200 else f"health answers {response.status}"
        except (aiohttp.ClientError, TimeoutError) as e:
            return f"no answer yet ({type(e).__name__})"

    def _last_words(self, name: str) -> str:
        lines = [line.strip() for line in self._supervisor.log_tail(program_name(name), 20) if line.strip()]
        return (lines[-1] if lines else "it ended without a word")[:DETAIL_CHARS_MAX]

    def _apply(self, tier: str, desired: dict[str, ReplicaSpec]) -> None:
        with self._locked():
            declared = self._declared()
            for name, spec in desired.items():
                entry = declared.get(name)
                if entry is not None and not entry.leaving and entry.spec != spec:
                    raise ReplicasError(f"replica {name} is declared with other contents: it needs a new name")
            unwanted = {name for name, entry in declared.items() if entry.spec.tier == tier and name not in desired}
            self._leave([entry for name, entry in declared.items() if name in unwanted or entry.leaving])
            declared = self._declared()
            processes = self._supervisor.processes()
            for name, spec in desired.items():
                self._start(spec, declared.get(name), processes.get(program_name(name)))
            self._write_targets()

    def _start(self, spec: ReplicaSpec, entry: Declared | None, process: Process | None) -> None:
        if entry is not None and entry.leaving:
            return  # its old process has not ended; the next call starts it anew
        if entry is not None and process is not None:
            if process.state is State.STOPPED:
                self._supervisor.start(process.name)
            return
        port = self._ports.claim(spec.name)
        self._write(Declared(spec, port))
        self._supervisor.add(
            Program(
                name=program_name(spec.name),
                command=self._command(spec, port),
                stop_seconds=STOP_SECONDS,
                start_seconds=START_SECONDS,
                start_retries=START_RETRIES,
                priority=_PRIORITY,
            )
        )

    def _leave(self, entries: Collection[Declared]) -> None:
        """Stops them all and forgets those that have ended within a short wait."""
        for entry in entries:
            self._write(msgspec.structs.replace(entry, leaving=True))
        left = {entry.spec.name for entry in entries}
        deadline = time.monotonic() + STOP_WAIT_SECONDS_MAX
        while left:
            processes = self._supervisor.processes()
            for name in tuple(left):
                process = processes.get(program_name(name))
                if process is None or (process.state in ENDED and self._supervisor.remove(process.name)):
                    self._forget(name)
                    left.discard(name)
                elif process.state is not State.STOPPING:
                    self._supervisor.stop(process.name)
            if time.monotonic() >= deadline:
                return
            if left:
                time.sleep(_POLL_SECONDS)

    def _forget(self, name: str) -> None:
        self._ports.release(name)
        self._path(name).unlink(missing_ok=True)
        declared = {program_name(name) for name in self._declared()}
        logs = [path for path in self._supervisor.folder.logs.glob("replica-*.log") if path.stem not in declared]
        for path in sorted(logs, key=lambda path: path.stat().st_mtime)[:-LOGS_KEPT]:
            for piece in path.parent.glob(f"{path.name}*"):
                piece.unlink(missing_ok=True)

    def _declared(self) -> dict[str, Declared]:
        entries = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                entry = msgspec.json.decode(path.read_bytes(), type=Declared)
            except FileNotFoundError:
                continue  # it left between the listing and the look
            entries[entry.spec.name] = entry
        return entries

    def _write(self, entry: Declared) -> None:
        _replace(self._path(entry.spec.name), msgspec.json.format(msgspec.json.encode(entry)))

    def _path(self, name: str) -> Path:
        if not is_program_name(name):
            raise ReplicasError(f"{name!r} is no name for a replica: letters, digits and dashes")
        return self._folder / f"{name}.json"

    def _write_targets(self) -> None:
        if self._targets_file is None:
            return
        targets = [
            {"targets": [f"127.0.0.1:{entry.port}"], "labels": {"replica": entry.spec.name, "tier": entry.spec.tier}}
            for entry in self._declared().values()
            if not entry.leaving
        ]
        _replace(self._targets_file, msgspec.json.format(msgspec.json.encode(targets)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, over processes too: a replaced controller may be in the middle of one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "lock"
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        with path.open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as e:
                    # A controller that hangs with the lock in hand must not make its successor hang too.
                    if time.monotonic() >= deadline:
                        raise ReplicasError(f"another process holds {path}: `fuser {path}` names it") from e
                    time.sleep(_POLL_SECONDS)
            yield


def _replace(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_bytes(text)
    new.replace(path)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (SupervisorError, PortsError, UnusablePath, OSError, ValueError) as e:
        raise ReplicasError(str(e)) from e
