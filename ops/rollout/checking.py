"""Checks that take a while (files hashed, replicas warmed up), run beside the loop and answered when they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

from ops.rollout.observing import Checked


@dataclass
class Checks:
    """Each key is run once; its answer stays until the key is no longer wanted."""

    group: asyncio.TaskGroup
    done: Callable[[], None]
    """Called whenever a check has its answer."""
    _tasks: dict[Hashable, asyncio.Task[Checked]] = field(default_factory=dict)

    def answer(self, key: Hashable, run: Callable[[], Awaitable[Checked]]) -> Checked | None:
        """The check's answer; None while it runs, which the first call starts."""
        task = self._tasks.get(key)
        if task is None:
            self._tasks[key] = self.group.create_task(self._run(run))
            return None
        return task.result() if task.done() and not task.cancelled() else None

    def keep(self, wanted: set[Hashable]) -> None:
        """Forgets, and ends, the checks that nobody waits for any more."""
        for key in self._tasks.keys() - wanted:
            self._tasks.pop(key).cancel()

    async def _run(self, run: Callable[[], Awaitable[Checked]]) -> Checked:
        try:
            return await run()
        except Exception as e:  # noqa: BLE001 - a check that breaks is a check that failed, and must not end the loop
            return Checked(False, f"the check itself failed: {type(e).__name__}: {e}")
        finally:
            self.done()
