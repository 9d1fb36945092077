"""The load of the story: the generator as a process, and what it has seen so far."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.loadtest.samples import Sample, read_samples

_RECENT_SECONDS = 5.0
_STOP_SECONDS = 10.0


class LoadError(Exception):
    """The generator ended by itself, so whatever came after was not measured."""


@dataclass(frozen=True)
class LoadNow:
    """Of the last few seconds."""

    requests_per_second: float
    failed: int
    p95_ms_by_arm: dict[str, float]
    sent: int
    """Since the start."""


class Load:
    """A running generator. Use as an async context manager: it ends with the block."""

    def __init__(
        self, url: str, model: str, rate: float, seconds: float, samples: Path, output_tokens: Sequence[int]
    ):
        self._command = [
            *(sys.executable, "-m", "ops.loadtest.open_loop", "--url", url, "--model", model),
            *("--rate", str(rate), "--seconds", str(seconds), "--output", str(samples)),
            *("--output-tokens", *map(str, output_tokens)),
        ]
        self._path = samples
        self._offset = 0
        self._process: asyncio.subprocess.Process | None = None
        self.samples: list[Sample] = []

    async def __aenter__(self) -> Load:
        # In a session of its own: Ctrl-C is ours to pass on, once what is shown has been put in order.
        self._process = await asyncio.create_subprocess_exec(*self._command, start_new_session=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def read(self) -> LoadNow:
        """Raises LoadError if the generator has ended."""
        fresh, self._offset = read_samples(self._path, self._offset)
        self.samples.extend(fresh)
        if self._process is not None and self._process.returncode is not None:
            raise LoadError(f"the load generator ended with {self._process.returncode} before the story did")
        since = time.time() - _RECENT_SECONDS
        recent = [sample for sample in self.samples[-5000:] if sample.at + sample.latency >= since]
        by_arm: dict[str, list[float]] = {}
        for sample in recent:
            if sample.ok:
                by_arm.setdefault(sample.arm, []).append(sample.latency * 1000)
        return LoadNow(
            requests_per_second=len(recent) / _RECENT_SECONDS,
            failed=sum(not sample.ok for sample in recent),
            p95_ms_by_arm={arm: sorted(values)[int(0.95 * len(values))] for arm, values in sorted(by_arm.items())},
            sent=len(self.samples),
        )

    def between(self, start: float, end: float) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if start <= sample.at <= end)
