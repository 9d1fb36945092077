"""The judge asked from outside: once, or until it has an answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ops.cli.output import emit_json, progress
from ops.cli.rollout_choosing import named_or_last
from ops.cli.rollout_words import plain, state_words
from ops.rollout.answering import Judgement
from ops.rollout.states import ENDED
from ops.verdict import Evidence, Outcome, Verdict

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient

POLL_SECONDS = 1.0


async def judge_once(client: ControllerClient, rollout_id: str | None, tier: str, step: int | None) -> Judgement:
    """Raises ControllerError."""
    return await client.judge_now((await named_or_last(client, rollout_id, tier)).id, step)


async def judge_until(
    client: ControllerClient, rollout_id: str | None, tier: str, step: int | None, seconds: float
) -> tuple[Judgement, bool]:
    """The first pass or fail of the step, by default of the one that serves now, or the last word after ``seconds``;
    and whether the time ran out.

    A controller that goes away is waited for; what was known before then says nothing any more. Raises
    ControllerError where it never answered.
    """
    from ops.adapters.controller_client import ControllerUnavailable

    until = time.monotonic() + seconds
    rollout = await named_or_last(client, rollout_id, tier)
    serving = rollout.step if rollout.served_step is None else rollout.served_step
    step = step or serving + 1
    found = await client.judge_now(rollout.id, step)
    while not _final(found) and time.monotonic() < until:
        await asyncio.sleep(min(POLL_SECONDS, max(until - time.monotonic(), 0)))
        try:
            found = await client.judge_now(rollout.id, step)
        except ControllerUnavailable as e:
            found = replace(found, verdict=Outcome.INVALID, evidence=(Evidence(str(e)),), decision=None)
    return found, not _final(found)


def _final(found: Judgement) -> bool:
    """Whether waiting changes nothing any more."""
    return found.verdict in (Outcome.PASS, Outcome.FAIL) or found.state in ENDED


def report_judgement(found: Judgement, json: bool) -> Verdict:
    """On stdout; gives the verdict to end with."""
    if json:
        fields = {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "schema"}
        emit_json(found.schema, fields)
    else:
        step = f", step {found.step}" if found.step else ""
        print(f"{found.rollout}, {found.release}, {state_words(found.state)}{step}: {found.verdict.value}")
        for item in found.evidence:
            print(f"  {plain(item.text)}")
    return Verdict(found.verdict, found.evidence)


def say_time_ran_out(seconds: float) -> None:
    progress(f"no answer within {seconds:g} s; the rollout goes on")
