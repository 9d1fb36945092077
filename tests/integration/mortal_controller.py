"""Controllers that die by SIGKILL twice at each transition, and are started again each time.

``python mortal_controller.py TIER DEATHS RUN_DIR PORT...`` runs one on each port: the product's own, which know nothing
of this. The one that leads dies when a transition of TIER is saved and nothing of it is acted on yet; a later life
dies as soon as it is acted on, before anything else is saved. DEATHS is a file with one line for each death, written
just before. Lives are forked from a process that has imported what they need and nothing else, so that twenty of them
cost the small machine no more than one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import ops.adapters.controller_api
import ops.adapters.notifier
import ops.adapters.registrar
import ops.cli.controller
import ops.stack.replicas  # noqa: F401 - imported here once, as are those above, not in each life
from ops.cli.main import main
from ops.rollout import controlling, operating
from ops.rollout.decided import Decided
from ops.rollout.record import TierRecord

SAVED, ACTED = "saved", "acted on"
LIVES_MAX = 200


class Mortal:
    """Around the two ends of a boundary: between ``save`` and ``make_true``, and between that and the next save."""

    def __init__(self, tier: str, deaths: Path):
        self._tier, self._deaths = tier, deaths
        self._save, self._make_true = controlling.save, controlling.make_true

    async def save(self, database: Any, decided: Decided, **how: Any) -> None:
        await self._save(database, decided, **how)
        events = [entry.event or entry.kind for entry in decided.entries if entry.to_state]
        if events and decided.tier.tier == self._tier:
            self._die(SAVED, *events)

    async def make_true(self, tier: TierRecord, *others: Any) -> None:
        await self._make_true(tier, *others)
        lines = self._deaths.read_text().splitlines()
        if tier.tier == self._tier and lines and lines[-1].startswith(f"{SAVED}: "):
            self._die(ACTED, lines[-1].removeprefix(f"{SAVED}: "))

    def _die(self, boundary: str, *events: str) -> None:
        with self._deaths.open("a") as file:
            file.write(f"{boundary}: {', '.join(events)}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def begin_life(mortal: Mortal, run_dir: str, port: str) -> int:
    """The new process's id."""
    if pid := os.fork():
        return pid
    controlling.save = operating.save = mortal.save
    controlling.make_true = mortal.make_true
    sys.argv = ["ops", "controller", "run", "--port", port, "--run-dir", run_dir]
    try:
        main()
    finally:
        os._exit(1)


def keep_alive(tier: str, deaths: str, run_dir: str, *ports: str) -> NoReturn:
    mortal = Mortal(tier, Path(deaths))
    lives = {begin_life(mortal, run_dir, port): port for port in ports}
    for _ in range(LIVES_MAX):
        pid, status = os.wait()
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"a controller ended by itself: {os.waitstatus_to_exitcode(status)}")
        port = lives.pop(pid)
        lives[begin_life(mortal, run_dir, port)] = port
    sys.exit(f"controllers died {LIVES_MAX} times")


if __name__ == "__main__":
    keep_alive(*sys.argv[1:])
