"""Records the reference transcripts of a tier's releases: one replica at a time, beside whatever serves.

Nothing of it is remembered but what the database holds: a controller that dies while it records is followed by one
that finds the release still waiting and records it anew, on the replica of the same name; one that has nothing to
record declares none, so that none is left over.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from ops.quality.model import Transcript, TranscriptState, TranscriptStatus
from ops.rollout.assessing import transcripts_needed
from ops.rollout.checking import Checks
from ops.rollout.observing import Checked
from ops.rollout.plan import QualityPlan
from ops.rollout.record import Release, Rollout
from ops.rollout.replicas import ReplicaSpec, ReplicaStatus
from ops.store.database import Database
from ops.store.transcripts import next_to_record, record_again, save_transcript, transcript_statuses

ATTEMPTS_MAX = 3
"""Of a replica that is up and does not answer as it should; one that does not start is not tried again."""
_NAME_DIGITS = 10

log = structlog.get_logger("controller")


@dataclass(frozen=True)
class Recorded(Checked):
    transcript: Transcript | None = None


@dataclass(frozen=True)
class RecordingPlan:
    model_name: str
    quality: QualityPlan


class TranscriptRecorder(Protocol):
    async def verify(self, release: Release) -> Checked: ...

    async def record(self, url: str, release: Release, plan: RecordingPlan) -> Recorded: ...


def recording_replica(release: Release, attempt: int, model_name: str) -> ReplicaSpec:
    digest = hashlib.sha256(release.name.encode()).hexdigest()[:_NAME_DIGITS]
    name = f"recording-{digest}-{attempt}"
    return ReplicaSpec(name, release.tier, model_name, release.engine, release.model_path, release.arguments)


def outdated(statuses: Mapping[str, TranscriptStatus]) -> str | None:
    """Of transcripts that are to be compared and were recorded of other texts, the older one's release."""
    recorded = [status for status in statuses.values() if status.state is TranscriptState.RECORDED]
    if len({status.texts_digest for status in recorded}) < 2:
        return None
    return min(recorded, key=lambda status: status.recorded_at or 0.0).release


class Recorder:
    """Of one tier, for one leadership."""

    def __init__(
        self,
        database: Database,
        tier: str,
        term: int,
        recorder: TranscriptRecorder,
        checks: Checks,
        plan: RecordingPlan | None,
    ):
        self._database, self._tier, self._term = database, tier, term
        self._recorder, self._checks, self._plan = recorder, checks, plan
        self._begun: tuple[ReplicaSpec, float] | None = None
        """The replica that records and since when (monotonic seconds)."""

    async def statuses(self, rollout: Rollout | None) -> dict[str, TranscriptStatus]:
        """Of the transcripts that the rollout is judged by."""
        needed = transcripts_needed(rollout) if rollout else ()
        if not needed:
            return {}
        found = await transcript_statuses(self._database, needed)
        if stale := outdated(found):
            await record_again(self._database, stale)
            found[stale] = TranscriptStatus(stale, TranscriptState.PENDING)
        return found

    async def waiting(self) -> bool:
        """Whether some release is to be recorded. Raises StoreError."""
        if self._plan is None or not self._plan.quality.wanted:
            return False
        return await next_to_record(self._database, self._tier, ()) is not None

    async def step(self, rollout: Rollout | None, replicas: Mapping[str, ReplicaStatus]) -> tuple[ReplicaSpec, ...]:
        """The replicas that should run now for recording: one or none. Raises StoreError."""
        needed = transcripts_needed(rollout) if rollout else ()
        plan = self._plan
        if rollout and needed and rollout.plan.quality:
            plan = RecordingPlan(rollout.plan.model_name, rollout.plan.quality)
        wanted = plan is not None and plan.quality.wanted
        waiting = await next_to_record(self._database, self._tier, needed) if wanted else None
        if plan is None or waiting is None:
            self._checks.keep(set())
            self._begun = None
            return ()
        release, status = waiting
        spec = recording_replica(release, status.attempts, plan.model_name)
        self._checks.keep({("verify", spec.name), ("record", spec.name)})
        if self._begun is None or self._begun[0] != spec:
            self._begun = (spec, time.monotonic())
        outcome = self._outcome(release, spec, replicas.get(spec.name), plan)
        if outcome is None:
            return (spec,) if self._verified(release, spec) else ()
        await self._keep(status, outcome)
        return ()

    def _verified(self, release: Release, spec: ReplicaSpec) -> bool:
        found = self._check("verify", spec, partial(self._recorder.verify, release))
        return found is not None and found.ok

    def _outcome(
        self, release: Release, spec: ReplicaSpec, replica: ReplicaStatus | None, plan: RecordingPlan
    ) -> tuple[Checked, bool] | None:
        """What came of it, and whether another try makes sense; None while it goes on."""
        # The files first: no engine reads what is not as registered. They are read again when the transcript is there.
        verified = self._check("verify", spec, partial(self._recorder.verify, release))
        if verified is None:
            return None
        if not verified.ok:
            return Checked(False, f"the artefact is not what was registered: {verified.reason}"), False
        if replica is not None and replica.exhausted:
            return Checked(False, f"its replica does not start: {replica.detail or 'it keeps ending'}"), False
        if self._begun and time.monotonic() - self._begun[1] > plan.quality.record_seconds_max:
            return Checked(False, f"not within {plan.quality.record_seconds_max:g} s"), False
        if replica is None or not replica.ready:
            return None
        recorded = self._check("record", spec, partial(self._recorder.record, replica.url, release, plan))
        return None if recorded is None else (recorded, True)

    def _check(self, what: str, spec: ReplicaSpec, run: Callable[[], Awaitable[Checked]]) -> Checked | None:
        return self._checks.answer((what, spec.name), run)

    async def _keep(self, before: TranscriptStatus, outcome: tuple[Checked, bool]) -> None:
        found, worth_another = outcome
        transcript = found.transcript if isinstance(found, Recorded) else None
        attempts = before.attempts + 1
        if found.ok and transcript is not None:
            state = TranscriptState.RECORDED
        else:
            state = TranscriptState.PENDING if worth_another and attempts < ATTEMPTS_MAX else TranscriptState.FAILED
        status = TranscriptStatus(
            before.release,
            state,
            found.reason,
            attempts,
            transcript.texts_digest if transcript else "",
            transcript.recorded_at if transcript else None,
        )
        log.info("transcript", release=status.release, state=state.value, reason=status.reason, attempts=attempts)
        await save_transcript(
            self._database, status, transcript, term=self._term, tier=self._tier, now=time.time()
        )
