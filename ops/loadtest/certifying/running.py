"""One trial: load, quiet, a breach, the wait for its alert, the breach taken back, the wait for the alert's end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.alerting.links import page_of
from ops.loadtest.causes import cause
from ops.loadtest.certifying.breaches import Breach
from ops.loadtest.certifying.generating import Generator, steady
from ops.loadtest.certifying.injecting import CannotInject, Engines
from ops.loadtest.certifying.judging import blind_seconds, breach_seen
from ops.loadtest.certifying.observed import Bounds, Counted, Look, Observed, between
from ops.loadtest.certifying.watching import NOT_QUIET, Watch
from ops.loadtest.plan import Plan
from ops.spec.model import Spec

LOOK_SECONDS = 0.5
"""Between looks: what a delay is known to."""
TELL_SECONDS = 2.0
START = 15.0
"""Seconds within which the first request is over; on a machine that is well it takes one or two."""
MARGIN_SECONDS = 120.0
"""That the load lasts longer than a trial can take."""


class Interrupted:
    """Somebody wants the end. ``why`` is empty until then."""

    def __init__(self) -> None:
        self.why = ""
        self._event = asyncio.Event()

    def set(self, why: str) -> None:
        self.why = self.why or why
        self._event.set()

    async def pause(self, seconds: float) -> None:
        """Ends early where that is wanted."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may swallow a cancellation
                await self._event.wait()


@dataclass(frozen=True)
class Scene:
    """Where trials take place."""

    spec: Spec
    plan: Plan
    """Its requests are sent, at ``rate``."""
    rate: float
    """Requests a second."""
    engines: Engines
    watch: Watch
    runbooks: Path
    """The folder of the pages to which alerts lead."""
    interrupted: Interrupted
    tell: Callable[[str], None]
    """A line of progress."""


@dataclass(frozen=True)
class Pace:
    before_seconds: float
    """Of load, before anything is broken."""
    calm_seconds: float
    """Longer yet it may take until all is quiet: what an earlier trial has left."""
    pages_only: bool
    """Whether quiet means that nothing pages: an earlier breach may have left warnings, for hours and days."""


async def observe(scene: Scene, breach: Breach, bounds: Bounds, pace: Pace) -> Observed:
    """Takes the breach back whatever happens, an exception and a cancellation included."""
    return await _Trial(scene, breach, bounds, pace).run()


class _Trial:
    def __init__(self, scene: Scene, breach: Breach, bounds: Bounds, pace: Pace) -> None:
        self._scene, self._breach, self._bounds, self._pace = scene, breach, bounds, pace
        self._began, self._began_unix = time.monotonic(), time.time()
        self._looks: list[Look] = []
        self._told = 0.0
        self._injected: float | None = None
        self._taken_back: float | None = None
        self._stuck = ""
        self._despite: tuple[str, ...] = ()

    async def run(self) -> Observed:
        scene, bounds, pace = self._scene, self._bounds, self._pace
        seconds = pace.before_seconds + pace.calm_seconds + bounds.fire_seconds + bounds.resolve_seconds
        async with Generator(steady(scene.plan, scene.rate, seconds + MARGIN_SECONDS)) as load:
            await self._before(load)
            hindered = () if scene.interrupted.why else scene.watch.unquiet(pace.pages_only)
            self._despite = scene.watch.warnings() if pace.pages_only else ()
            if not (hindered or self._halted(load)):
                try:
                    await self._breached(load)
                except CannotInject as e:
                    hindered = (cause("no_breach", f"{self._breach.alert}: the breach was never begun: {e}"),)
                await self._ended(load)
            if not scene.interrupted.why:
                await load.stop()
        return Observed(
            breach=self._breach,
            bounds=bounds,
            began_unix_seconds=self._began_unix,
            looks=tuple(self._looks),
            injected=self._injected,
            taken_back=self._taken_back,
            despite=self._despite,
            hindered=hindered,
            generator=() if scene.interrupted.why else load.causes(scene.spec),
            page=self._page(),
            interrupted=scene.interrupted.why,
            stuck=self._stuck,
        )

    async def _before(self, load: Generator) -> None:
        pace = self._pace
        await self._until(load, "load begins", lambda look: any(one.requests for one in look.requests.values()), START)
        end = self._now + pace.before_seconds
        if any(one.values.get("cause") == NOT_QUIET for one in self._scene.watch.unquiet(pace.pages_only)):
            end -= 0.0 if pace.calm_seconds else pace.before_seconds  # it would have to be quiet now

        def quiet(look: Look) -> bool:
            return look.at >= end and not look.blind and not self._scene.watch.unquiet(pace.pages_only)

        await self._until(load, "all should be quiet", quiet, end + pace.calm_seconds)

    async def _breached(self, load: Generator) -> None:
        """Raises CannotInject."""
        breach, bounds = self._breach, self._bounds
        try:
            self._scene.engines.break_(breach)
            self._injected = injected = self._now
            wanted = f"{breach.alert} must fire within {bounds.fire_seconds:.0f} s"
            self._scene.tell(f"{injected:5.0f} s  {breach.words}; {wanted}")

            def told(look: Look) -> bool:
                return look.told(breach.alert) is not None and breach_seen(self._so_far(), look.at)

            await self._until(load, f"waiting for {breach.alert}", told, injected + bounds.fire_seconds)
        finally:
            self._stuck = self._scene.engines.mend()
            self._taken_back = self._now if self._injected is not None else None
            how = f"the breach could not be taken back: {self._stuck}" if self._stuck else "taken back"
            self._scene.tell(f"{self._now:5.0f} s  {how}")

    async def _ended(self, load: Generator) -> None:
        alert = self._breach.alert
        if self._taken_back is None or self._stuck or not any(look.told(alert) for look in self._looks):
            return  # what was never told cannot be seen to end

        def over(look: Look) -> bool:
            return not look.blind and alert not in look.fires and not look.of(alert)

        end = self._taken_back + self._bounds.resolve_seconds
        await self._until(load, f"waiting for the end of {alert}", over, end)

    async def _until(self, load: Generator, words: str, done: Callable[[Look], bool], end: float) -> None:
        """Looks until it is done, or the time is over, or there is no point in going on."""
        while True:
            look = await self._scene.watch.look(self._now, load.requests())
            self._looks.append(look)
            self._progress(look, words)
            if done(look) or self._now >= end or self._halted(load):
                return
            await self._scene.interrupted.pause(LOOK_SECONDS)

    def _halted(self, load: Generator) -> bool:
        away = blind_seconds(self._looks) > self._bounds.blind_seconds
        return bool(self._scene.interrupted.why) or load.ended or away

    def _progress(self, look: Look, words: str) -> None:
        if look.at < self._told + TELL_SECONDS:
            return
        self._told = look.at
        earlier = next(one for one in self._looks if one.at >= look.at - 5 * TELL_SECONDS)
        lately = sum(between(look.requests, earlier.requests).values(), Counted())
        bad = 100 * (lately.failed + lately.late) / max(1, lately.requests)
        rate = lately.requests / max(LOOK_SECONDS, look.at - earlier.at)
        pages = sorted({one.name for one in look.held if one.severity == "critical" and not one.silent_by})
        fires = look.blind or (f"pages: {', '.join(pages)}" if pages else "nothing pages")
        self._scene.tell(f"{look.at:5.0f} s  {words}: {rate:.1f} requests/s, {bad:.0f} % bad, {fires}")

    def _so_far(self) -> Observed:
        return Observed(self._breach, self._bounds, self._began_unix, tuple(self._looks), self._injected)

    def _page(self) -> str | None:
        alert = self._breach.alert
        url = next((told.runbook_url for look in self._looks if (told := look.told(alert))), "")
        name = page_of(url, self._scene.spec)
        page = self._scene.runbooks / name if name else None
        is_its_own = page is not None and page.is_file() and f"# {alert}\n" in page.read_text(encoding="utf-8")
        return str(page) if is_its_own else None

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began
