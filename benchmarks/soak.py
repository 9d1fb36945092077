"""Rollouts of good and bad releases on a live stack under load: ``python -m benchmarks.soak``, or ``make soak``.

Everything is what users run, the reference spec included; only the engines are simulated. The tiers of one stack work
side by side, each with its own open-loop load and one rollout after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from benchmarks.soak_verdict import SLOW, Case, Ended, Lag, judged, table
from ops.adapters.controller_client import ControllerClient, ControllerError, ControllerUnavailable
from ops.adapters.spec_file import load_spec
from ops.demo.load import Load, LoadError
from ops.loadtest.samples import Sample
from ops.rollout.operating import ReleaseRequest
from ops.rollout.record import Rollout
from ops.rollout.states import ENDED, State
from ops.stack.options import Choice, StackOptions
from ops.stack.running import stack
from ops.stack.state import StackState, load_secrets

ROOT = Path(__file__).parents[1]
FAULTS: dict[str, dict[str, float]] = {
    SLOW: {},
    "errors 10 %": {"error_rate": 0.1},
    "empty 20 %": {"empty_rate": 0.2},
    "hangs 10 %": {"hang_rate": 0.1},
    "cut 20 %": {"cut_rate": 0.2},
    "repeated 20 %": {"repeat_rate": 0.2},
}
"""A slow model is slow from its start. The other faults come when it serves: its warm-up would find most of them."""
RATE = 20.0
OUTPUT_TOKENS = (16, 32, 64)
SEED = 1
ROLLOUT_SECONDS_MAX = 1800.0
LOAD_SECONDS_MAX = 21_600.0
HISTORY_SECONDS = 10.0
"""Load before the first rollout: so much history to cut levels from."""
POLL_SECONDS = 0.25
LATE_SECONDS = 0.5
"""A request sent so much later than intended was held up by the generator."""
SETTLED_SECONDS_MAX = 120.0


@dataclass
class Tier:
    """One tier at work: its load, and what came of its rollouts."""

    name: str
    load: Load
    ended: list[Ended] = field(default_factory=list)


@dataclass
class Soak:
    folder: Path
    state: StackState
    client: ControllerClient
    session: aiohttp.ClientSession

    async def register(self, name: str, tier: str, **profile: object) -> str:
        home = self.folder / "models" / tier / name
        home.mkdir(parents=True)
        (home / "simulated.json").write_text(json.dumps(profile))
        await self.client.add_release(ReleaseRequest(name, tier, "simulated", str(home)))
        return name

    async def run(self, tier: Tier, case: Case) -> None:
        name = f"{tier.name}-{case.number}"
        slowdown = 2.0 if case.fault == SLOW else 1.0
        release = await self.register(name, tier.name, seed=100 + case.number, slowdown=slowdown)
        # Margins calibrated on a noisy machine may leave less power than the spec demands. The soak counts what the
        # judge then does; it does not ask whether one should have started.
        began, started = time.time(), await self.client.start(release, tier.name, accept_blind_spots=True)
        last = await self._followed(started, FAULTS[case.fault] if case.fault else {})
        how, seconds = last.state.value, time.time() - began
        if last.state not in ENDED:
            await self.client.command(last.id, "rollback", "the soak goes on")
        await self._at_rest(tier.name)
        tier.load.read()
        of_it = [s for s in tier.load.samples if s.at >= began and (s.release == name or (not s.release and not s.ok))]
        failed = sum(not s.ok for s in of_it)
        step = None if last.served_step is None else last.plan.steps[last.served_step].weight / 100
        tier.ended.append(Ended(case, tier.name, how, last.reason, seconds, len(of_it), failed, step))
        print(f"{tier.name:10} {case.words:15} {how:12} {seconds:5.0f} s {len(of_it):6,} requests", file=sys.stderr)

    async def _followed(self, rollout: Rollout, faults: dict[str, float]) -> Rollout:
        """Until it ends, pauses, or its time is over; its engines get their faults as soon as it serves."""
        deadline, harmed = time.monotonic() + ROLLOUT_SECONDS_MAX, set[str]()
        while time.monotonic() < deadline:
            rollout = await self._asked(rollout)
            if rollout.state in ENDED or rollout.state is State.PAUSED:
                break
            if faults and rollout.serves:
                harmed |= await self._harmed({one.name for one in rollout.canary} - harmed, faults)
            await asyncio.sleep(POLL_SECONDS)
        return rollout

    async def _asked(self, rollout: Rollout) -> Rollout:
        try:
            return await self.client.rollout(rollout.id)
        except ControllerUnavailable:
            return rollout

    async def _harmed(self, names: set[str], faults: dict[str, float]) -> set[str]:
        """Those of ``names`` that have the faults now; the others are not up yet, and are tried again."""
        done = set()
        for name in names:
            try:
                port = json.loads((self.state.folder.run_dir / "replicas" / f"{name}.json").read_text())["port"]
                url = f"http://127.0.0.1:{port}/simulated/faults"
                async with self.session.put(url, json=faults) as response:
                    response.raise_for_status()
                done.add(name)
            except (OSError, ValueError, aiohttp.ClientError):
                continue
        return done

    async def _at_rest(self, tier: str) -> None:
        """Raises TimeoutError."""
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while (await self.client.tiers())[tier].active is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a rollout of {tier} does not end")
            await asyncio.sleep(POLL_SECONDS)


def cases(good: int, bad: int) -> list[Case]:
    """Shuffled, so that every tier gets some of all."""
    kinds: list[str | None] = [None] * good + [list(FAULTS)[i % len(FAULTS)] for i in range(bad)]
    Random(SEED).shuffle(kinds)
    return [Case(number, fault) for number, fault in enumerate(kinds)]


@asynccontextmanager
async def prepared(folder: Path, spec: Path, names: Sequence[str]) -> AsyncIterator[tuple[Soak, list[Tier]]]:
    """A stack whose tiers each serve a release under load."""
    models = {name: tier.model for name, tier in load_spec(spec).tiers.items() if not names or name in names}
    async with AsyncExitStack() as around:
        options = StackOptions(run_dir=folder / "run", spec=spec, port=0, prometheus=Choice.OFF)
        state = await around.enter_async_context(stack(options))
        secrets = load_secrets(options.run_dir)
        session = await around.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        client = await around.enter_async_context(ControllerClient(state.controller_url, secrets.admin_key, "soak"))
        soak, tiers = Soak(folder, state, client, session), []
        for name, model in models.items():
            first = await client.start(await soak.register(f"{name}-first", name, seed=1), name)
            if (ended := await soak._followed(first, {})).state is not State.PROMOTED:
                raise RuntimeError(f"the first release of {name} is {ended.state}: {ended.reason}")
            path = folder / f"{name}.jsonl"
            load = Load(state.gateway_url, model, RATE, LOAD_SECONDS_MAX, path, OUTPUT_TOKENS)
            tiers.append(Tier(name, await around.enter_async_context(load)))
        await asyncio.sleep(HISTORY_SECONDS)
        yield soak, tiers


async def soaked(spec: Path, names: Sequence[str], wanted: Sequence[Case]) -> tuple[list[Ended], Lag, str | None]:
    """What ended, how late the load was, and what broke the soak off. Ctrl-C or SIGTERM ends it with what is there."""
    if task := asyncio.current_task():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        async with prepared(Path(folder), spec, names) as (soak, tiers):
            waiting = list(reversed(wanted))

            async def work(tier: Tier) -> None:
                while waiting:
                    await soak.run(tier, waiting.pop())

            broken = await _broken_off(work(tier) for tier in tiers)
            return [one for tier in tiers for one in tier.ended], _lag(tiers), broken


async def _broken_off(works: Iterable[Coroutine[Any, Any, None]]) -> str | None:
    """Why the works did not all come to their end; None if they did."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except (ControllerError, LoadError, TimeoutError) as e:
        return str(e)
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.uncancel():
            raise
        return "interrupted"
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)
    return None


def _lag(tiers: Sequence[Tier]) -> Lag:
    samples: list[Sample] = []
    for tier in tiers:
        with contextlib.suppress(LoadError):  # it has broken the soak off already; what it sent counts
            tier.load.read()
        samples += tier.load.samples
    return Lag(len(samples), sum(sample.send_lag > LATE_SECONDS for sample in samples))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--good", type=int, default=20, help="rollouts of releases that are no worse (20)")
    parser.add_argument("--bad", type=int, default=20, help="rollouts of bad releases, the faults in turn (20)")
    parser.add_argument("--tier", action="append", default=[], help="only this tier; may be repeated (all)")
    parser.add_argument("--spec", type=Path, default=ROOT / "gratefulgpt.yaml", help="the spec (the reference one)")
    parser.add_argument("--output", type=Path, help="where the JSON goes besides stdout's table")
    chosen = parser.parse_args()
    unknown = set(chosen.tier) - set(load_spec(chosen.spec).tiers)
    if unknown or chosen.good < 0 or chosen.bad < 0:
        parser.error(f"no tier {', '.join(sorted(unknown))}" if unknown else "counts are at least 0")
    ended, lag, broken = asyncio.run(soaked(chosen.spec, chosen.tier, cases(chosen.good, chosen.bad)))
    verdict = judged(ended, lag, broken)
    print(table(ended), *(f"{item.text}" for item in verdict.evidence), verdict.outcome.value, sep="\n")
    if chosen.output:
        result = {"schema": "soak/1", "broken_off": broken, "requests_per_second": RATE, "verdict": verdict.to_json()}
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps({**result, "rollouts": [asdict(one) for one in ended]}, indent=1) + "\n")
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
