"""The load of a trial: a driver's process that sends until it is told to stop, and what came of its requests so far."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from io import BytesIO
from math import ceil

import msgspec

from ops.loadtest.calls import INTENDED, LATE, OK, failures
from ops.loadtest.certifying.observed import Counted
from ops.loadtest.frames import FRAME_BYTES_MAX, Begin, Order, Report, Stop, write
from ops.loadtest.health import causes
from ops.loadtest.plan import Phase, Plan, Rate
from ops.loadtest.run import Collecting
from ops.spec.model import Spec
from ops.verdict import Evidence

SUITE = "certify"
_LENGTH_BYTES = 4
STOP_SECONDS_EXTRA = 5.0
"""Beyond the plan's own bound for what is under way; then the process is ended."""
BROKEN_OFF_SECONDS_MAX = 2.0
"""For the last report where nothing hangs on it."""
CONNECTIONS_EXTRA = 100
LAG = "send_lag"
"""No cause here: nothing is compared to the millisecond, and a request that was sent late is one that ends late."""


def steady(plan: Plan, rate: float, seconds: float) -> Plan:
    """``rate`` requests a second for as long, with a connection for each that may hang until its time-out."""
    hanging = ceil(rate * max(kind.timeout_seconds for kind in plan.kinds))
    return msgspec.structs.replace(
        plan,
        phases=(Phase(SUITE, seconds),),
        rates=(Rate(seconds, rate, rate),),
        connections_max=hanging + CONNECTIONS_EXTRA,
        connections_held=0,
    )


class Generator:
    """Use as an async context manager: the process ends with the block."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._collecting = Collecting(SUITE, plan, time.time())
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Generator:
        # In a session of its own: a terminal's Ctrl-C is not for it.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.loadtest.driver_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(self._process))
        await self._say(Begin(self._plan, 1.0, 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(BROKEN_OFF_SECONDS_MAX)

    @property
    def ended(self) -> bool:
        """By itself, or because it was stopped."""
        return self._listening is None or self._listening.done()

    def requests(self) -> dict[str, Counted]:
        """By task class, those that are over."""
        found: dict[str, Counted] = {}
        for (_, kind), recorder in self._collecting.so_far.items():
            counts, name = recorder.counts, self._plan.kinds[kind].task_class
            failed = sum(failures(counts).values())
            found[name] = found.get(name, Counted()) + Counted(counts[OK] + failed, failed, counts[LATE])
        return found

    @property
    def due(self) -> int:
        """Requests so far, those under way included."""
        return self._collecting.counts()[INTENDED]

    async def stop(self, seconds_max: float | None = None) -> None:
        """Nothing more is sent; what is under way may end, within the plan's own bound where none is given."""
        process, listening = self._process, self._listening
        if process is None or listening is None:
            return
        await self._say(Stop())
        bound = self._plan.drain_seconds_max + STOP_SECONDS_EXTRA if seconds_max is None else seconds_max
        await asyncio.wait((listening,), timeout=bound)
        if process.returncode is None and not listening.done():
            process.kill()
        await process.wait()
        await listening

    def causes(self, spec: Spec) -> tuple[Evidence, ...]:
        """What makes its figures worthless; to be asked once, at the end."""
        found = causes(self._collecting.run(time.time()), spec)
        every = (*found.run, *(one for some in found.phases.values() for one in some))
        return tuple(one for one in every if one.values["cause"] != LAG)

    async def _say(self, order: Order) -> None:
        frame = BytesIO()
        write(frame, order)
        stdin = self._process.stdin if self._process else None
        with contextlib.suppress(ConnectionError):  # it is gone, and its missing final report makes the trial invalid
            if stdin is not None and not stdin.is_closing():
                stdin.write(frame.getvalue())
                await stdin.drain()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        stdout = process.stdout
        with contextlib.suppress(asyncio.IncompleteReadError, msgspec.DecodeError, ValueError):  # it was ended
            while stdout is not None:
                length = int.from_bytes(await stdout.readexactly(_LENGTH_BYTES))
                if length > FRAME_BYTES_MAX:
                    return
                report = msgspec.msgpack.decode(await stdout.readexactly(length), type=Report)
                self._collecting.take("local", report)
