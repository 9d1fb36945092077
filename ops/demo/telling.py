"""The story itself: a stack, a stable release, load, a good release, a bad one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.adapters.controller_client import ControllerClient, ControllerUnavailable
from ops.demo.load import Load, LoadNow
from ops.demo.models import Cast
from ops.quality.model import TranscriptState
from ops.report.rollout_story import RolloutStory
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State
from ops.store.rollouts import JournalLine, LookLine

_POLL_SECONDS = 0.5
_RECORDING_SECONDS_MAX = 900.0
"""For three releases; a tiny model on vLLM starts in a minute or more."""


class StoryError(Exception):
    """The story could not be told to its end, so it shows nothing."""


@dataclass(frozen=True)
class Scene:
    """What there is to show now."""

    title: str
    rollout: Rollout | None
    look: LookLine | None
    load: LoadNow | None
    journal: tuple[JournalLine, ...] = ()


@dataclass(frozen=True)
class Pacing:
    rate: float
    """Requests a second."""
    output_tokens: tuple[int, ...]
    history_seconds: float
    """Of load on stable alone, before the first release."""
    rollout_seconds_max: float


@dataclass(frozen=True)
class Told:
    good: RolloutStory
    bad: RolloutStory
    requests: int
    failed: int
    stable_restored: bool
    """Whether after the rollback new requests were answered by the good release alone."""


Show = Callable[[Scene], None]


@dataclass(frozen=True)
class Stage:
    """Where the story plays."""

    gateway_url: str
    model: str
    tier: str
    folder: Path
    """For the samples."""


async def _recorded(client: ControllerClient, *names: str) -> None:
    """Waits for the releases' reference transcripts. Raises StoryError."""
    deadline = time.monotonic() + _RECORDING_SECONDS_MAX
    waiting = set(names)
    while waiting:
        for name in sorted(waiting):
            status = await client.transcript_status(name)
            if status.state is TranscriptState.FAILED:
                raise StoryError(f"the reference transcript of {name} could not be recorded: {status.reason}")
            if status.state is not TranscriptState.PENDING:
                waiting.discard(name)
        if waiting and time.monotonic() > deadline:
            raise StoryError(f"no reference transcript of {', '.join(sorted(waiting))} in {_RECORDING_SECONDS_MAX:g} s")
        await asyncio.sleep(_POLL_SECONDS)


async def tell(client: ControllerClient, stage: Stage, cast: Cast, pacing: Pacing, show: Show) -> Told:
    """Raises StoryError, ControllerError, LoadError."""
    for request in (cast.stable, cast.good, cast.bad):
        await client.add_release(request)
    await _recorded(client, cast.stable.name)
    first = await _follow(client, cast.stable.name, stage.tier, pacing, None, "First release", show)
    if first.rollout.state is not State.PROMOTED:
        raise StoryError(f"the first release did not become stable: {first.rollout.reason}")
    # Recorded while the first one started, and to the end before any load: an engine that starts meanwhile would take
    # time from those judged.
    await _recorded(client, cast.good.name, cast.bad.name)
    tier, samples = stage.tier, stage.folder / "samples.jsonl"
    seconds = pacing.history_seconds + 3 * pacing.rollout_seconds_max
    async with Load(stage.gateway_url, stage.model, pacing.rate, seconds, samples, pacing.output_tokens) as load:
        await _gather_history(load, pacing, show)
        good = await _follow(client, cast.good.name, tier, pacing, load, "A good release", show)
        bad = await _follow(client, cast.bad.name, tier, pacing, load, "A bad release", show)
        restored = await _restored(load, good.rollout.release.name, show)
        return Told(good, bad, len(load.samples), sum(not s.ok for s in load.samples), restored)


async def _gather_history(load: Load, pacing: Pacing, show: Show) -> None:
    until = time.monotonic() + pacing.history_seconds
    while time.monotonic() < until:
        await asyncio.sleep(_POLL_SECONDS)
        show(Scene("Load on the stable release", None, None, load.read()))
    if not any(sample.ok for sample in load.samples):
        raise StoryError("no request was answered before the first rollout; see the gateway's log")


async def _follow(
    client: ControllerClient, release: str, tier: str, pacing: Pacing, load: Load | None, title: str, show: Show
) -> RolloutStory:
    """Starts a rollout and follows it to its end, or to where nobody would move it any more."""
    # On a busy machine the margins found leave less power than the spec demands. The story is told all the same; the
    # journal then has it that blind spots were accepted, and the verdict is on how the rollouts end.
    rollout = await client.start(release, tier, accept_blind_spots=True)
    journal: list[JournalLine] = []
    looks: list[LookLine] = []
    until = time.monotonic() + pacing.rollout_seconds_max
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        now = load.read() if load else None
        try:
            rollout = await client.rollout(rollout.id)
            journal += await client.journal(rollout.id, journal[-1].seq if journal else 0)
            looks += await client.looks(rollout.id, looks[-1].number if looks else 0)
        except ControllerUnavailable:
            if time.monotonic() > until:
                raise
            continue
        show(Scene(title, rollout, looks[-1] if looks else None, now, tuple(journal)))
        if rollout.state in ENDED or rollout.state is State.PAUSED or time.monotonic() > until:
            break
    ended = time.time()
    samples = load.between(rollout.created_at, ended) if load else ()
    return RolloutStory(rollout, tuple(journal), tuple(looks), samples, ended)


async def _restored(load: Load, stable: str, show: Show) -> bool:
    """Looks at what users get once the bad release is gone."""
    since = time.time()
    for _ in range(int(3 / _POLL_SECONDS)):
        await asyncio.sleep(_POLL_SECONDS)
        show(Scene("After the rollback", None, None, load.read()))
    after = [sample for sample in load.samples if sample.at >= since]
    return bool(after) and all(sample.release == stable for sample in after if sample.release)
