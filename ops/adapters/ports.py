"""TCP ports of this machine: is one free, who holds it, and a book that gives each name the same one again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# Below the range from which Linux takes the ports of outgoing connections (32768 on), so that none of these is lost
# to a client's socket between two starts of a server.
CHOSEN_FROM = range(20_000, 32_000)
ATTEMPTS_MAX = 1_000


class PortsError(Exception):
    """No port could be had; the message says why."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on it now. Sockets that still wait after their end (TIME_WAIT) do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as e:
            if e.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise PortsError(f"port {port} of {host} cannot be asked for: {e.strerror}") from e
    return True


def holder(port: int) -> str:
    """Who listens on the port: ``nginx (pid 12)``, or that it could not be seen."""
    if port < 1024 and os.geteuid() != 0:
        return "only root may listen below 1024"
    try:
        pids = [c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr and c.laddr[1] == port]
        names = sorted(f"{psutil.Process(pid).name()} (pid {pid})" for pid in set(pids) if pid is not None)
    except psutil.Error:
        names = []
    return ", ".join(names) or "a process that this account cannot see"


class PortBook:
    """Ports by name in a JSON file, so that a restart finds the same ones. Safe for several processes at once."""

    def __init__(self, path: Path, chance: random.Random):
        self._path = path
        self._chance = chance

    def claim(self, name: str) -> int:
        """The port of ``name``, if nobody else listens there, or a new one. Call it only while ``name`` is down.
        Raises PortsError."""
        with self._open() as ports:
            kept = ports.get(name)
            if kept is None or not is_free(kept):
                ports[name] = self._choose(set(ports.values()))
            return ports[name]

    def get(self, name: str) -> int | None:
        with self._open() as ports:
            return ports.get(name)

    def release(self, name: str) -> None:
        with self._open() as ports:
            ports.pop(name, None)

    def _choose(self, taken: set[int]) -> int:
        for _ in range(ATTEMPTS_MAX):
            port = self._chance.choice(CHOSEN_FROM)
            if port not in taken and is_free(port):
                return port
        raise PortsError(f"no free port was found between {CHOSEN_FROM.start} and {CHOSEN_FROM.stop}")

    @contextmanager
    def _open(self) -> Iterator[dict[str, int]]:
        """The book under its lock; written back, as a whole, if it changed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                ports: dict[str, int] = json.loads(self._path.read_text())
            except (FileNotFoundError, ValueError):
                ports = {}
            before = dict(ports)
            yield ports
            if ports != before:
                new = self._path.with_suffix(".new")
                new.write_text(json.dumps(ports, indent=1, sort_keys=True) + "\n")
                new.replace(self._path)
