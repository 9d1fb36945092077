"""Everything that a load run leaves behind: what verdict and reports are made from. Reports of many drivers, merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from ops.loadtest.frames import Report
from ops.loadtest.plan import Plan
from ops.loadtest.recording import Measure, Recorded, Recorder
from ops.spec.loadtest import Stage

WINDOWS_MAX = 600
"""A longer run has wider windows: what is kept of time is bounded."""


@dataclass(frozen=True)
class Window:
    """What came in, of one task class, within ``seconds`` after ``at`` seconds from the start."""

    at: int
    seconds: int
    task_class: str
    recorded: Recorded


@dataclass(frozen=True)
class Health:
    """What a driver said of itself, at one report."""

    at_unix_seconds: float
    elapsed_seconds: float
    """Since the driver began."""
    cpu_share: float
    """Of one core, since the report before."""
    memory_bytes: int
    in_flight: int
    waiting: int
    connections: int


@dataclass(frozen=True)
class Generator:
    """One driver over the whole run."""

    name: str
    health: tuple[Health, ...]
    ended: bool
    """Its final report came: without it requests went unrecorded."""
    error: str = ""


@dataclass(frozen=True)
class ServerHistogram:
    """What the gateway itself counted from before the first request until after the last, all workers together."""

    measure: Measure
    """LATENCY, from a request's arrival at the gateway on; FIRST_TOKEN; TIME_PER_TOKEN. Of whole answers alone."""
    task_class: str
    bounds_seconds: tuple[float, ...]
    counts: tuple[int, ...]
    """By bound, not cumulative; one more for what lies above the last."""


@dataclass(frozen=True)
class ServerHealth:
    """What a process of the gateway said of itself, at one moment."""

    at_unix_seconds: float
    name: str
    memory_bytes: int
    open_files: int


@dataclass(frozen=True)
class Server:
    """The service's own view of the run. ``blind`` says why there is none, and is empty where there is."""

    histograms: tuple[ServerHistogram, ...] = ()
    health: tuple[ServerHealth, ...] = ()
    blind: str = "the gateway's metrics were not asked for"


@dataclass(frozen=True)
class Run:
    suite: str
    plan: Plan
    started_unix_seconds: float
    ended_unix_seconds: float
    cells: Mapping[tuple[int, int], Recorded]
    """By phase and kind, as numbered in the plan."""
    windows: tuple[Window, ...]
    generators: tuple[Generator, ...]
    interrupted: str = ""
    """Why it ended early."""
    server: Server = Server()
    lost: tuple[str, ...] = ()
    """Workers of Locust that went missing, came too late or were never there, one line each."""
    broken: tuple[str, ...] = ()
    """What else was not as the suite wants it, one line each."""
    stages: tuple[Stage, ...] = ()
    """The suite's, in the order of the plan's phases."""
    scale: float = 1.0
    """Of the spec's load."""


@dataclass
class Collecting:
    """Takes the drivers' reports as they come; memory grows with time and kinds, never with requests."""

    suite: str
    plan: Plan
    started_unix_seconds: float
    _cells: dict[tuple[int, int], Recorder] = field(default_factory=dict)
    _windows: dict[tuple[int, str], Recorded] = field(default_factory=dict)
    _open: dict[tuple[int, str], Recorder] = field(default_factory=dict)
    """Windows that are still coming in: a histogram is large until it is encoded."""
    _health: dict[str, list[Health]] = field(default_factory=dict)
    _final: dict[str, Report] = field(default_factory=dict)

    def take(self, name: str, report: Report) -> None:
        at = int(report.elapsed_seconds) // self.window_seconds * self.window_seconds
        for cell in report.cells:
            self._cells.setdefault((cell.phase, cell.kind), Recorder()).merge(cell.recorded)
            self._window(at, self.plan.kinds[cell.kind].task_class).merge(cell.recorded)
        health = self._health.setdefault(name, [])
        elapsed = report.at_unix_seconds - (health[-1].at_unix_seconds if health else self.started_unix_seconds)
        share = report.cpu_seconds / elapsed if elapsed > 0 else 0.0
        health.append(
            Health(
                report.at_unix_seconds,
                report.elapsed_seconds,
                share,
                report.memory_bytes,
                report.in_flight,
                report.waiting,
                report.connections,
            )
        )
        if report.final:
            self._final[name] = report

    def counts(self) -> Counter[str]:
        """All so far, for progress."""
        return sum((recorder.counts for recorder in self._cells.values()), Counter[str]())

    @property
    def so_far(self) -> Mapping[tuple[int, int], Recorder]:
        """By phase and kind; only to be read."""
        return self._cells

    @property
    def latest(self) -> Mapping[str, Health]:
        """What each driver said of itself last."""
        return {name: health[-1] for name, health in self._health.items()}

    @property
    def window_seconds(self) -> int:
        return max(1, ceil(self.plan.seconds / WINDOWS_MAX))

    def _window(self, at: int, task_class: str) -> Recorder:
        found = self._open.get((at, task_class))
        if found is None:
            self._close(before=at)
            found = self._open[at, task_class] = Recorder()
            if (at, task_class) in self._windows:  # a worker's report came late
                found.merge(self._windows.pop((at, task_class)))
        return found

    def _close(self, before: int | None = None) -> None:
        for key in [key for key in self._open if before is None or key[0] != before]:
            self._windows[key] = self._open.pop(key).taken()

    def run(
        self,
        ended_unix_seconds: float,
        interrupted: str = "",
        server: Server = Server(),
        lost: tuple[str, ...] = (),
        broken: tuple[str, ...] = (),
        stages: tuple[Stage, ...] = (),
        scale: float = 1.0,
    ) -> Run:
        """All that was taken; to be called once, at the end."""
        generators = tuple(
            Generator(name, tuple(health), name in self._final, self._final[name].error if name in self._final else "")
            for name, health in sorted(self._health.items())
        )
        self._close()
        windows = tuple(
            Window(at, self.window_seconds, task_class, recorded)
            for (at, task_class), recorded in sorted(self._windows.items())
        )
        cells = {key: recorder.taken() for key, recorder in sorted(self._cells.items())}
        return Run(
            suite=self.suite,
            plan=self.plan,
            started_unix_seconds=self.started_unix_seconds,
            ended_unix_seconds=ended_unix_seconds,
            cells=cells,
            windows=windows,
            generators=generators,
            interrupted=interrupted,
            server=server,
            lost=lost,
            broken=broken,
            stages=stages,
            scale=scale,
        )
