"""Registers and checks releases: artefacts hashed off the loop, replicas warmed up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp

from ops.adapters.artefacts import ArtefactError, hash_files, model_folder, release_digest, verify
from ops.adapters.engines import warm_up
from ops.adapters.quality_texts import TextsError, load_texts
from ops.adapters.scoring import Engine, ScoringError, read_again, record_transcript
from ops.quality.damage import judge_damage, unusable
from ops.quality.likelihood import judge_likelihood
from ops.quality.model import Transcript
from ops.rollout.commanding import CommandRefused
from ops.rollout.observing import Checked, Probed, blind_probe
from ops.rollout.operating import ReleaseRequest
from ops.rollout.record import Release, Rollout
from ops.rollout.recording import Recorded, RecordingPlan


class Artefacts:
    """The ``Registrar`` and ``Checker`` of a controller that sees the models' folders. The session is the caller's."""

    def __init__(self, session: aiohttp.ClientSession, spec_folder: Path):
        """``spec_folder`` is searched for the fixed texts of quality probes."""
        self._session = session
        self._spec_folder = spec_folder

    async def register(self, request: ReleaseRequest, *, now: float, actor: str) -> Release:
        try:
            folder = model_folder(request.model)
            files = await asyncio.to_thread(hash_files, folder)
        except ArtefactError as e:
            raise CommandRefused(str(e)) from e
        return Release(
            name=request.name,
            tier=request.tier,
            engine=request.engine,
            engine_version=request.engine_version,
            model_path=str(folder),
            arguments=request.arguments,
            template_version=request.template_version,
            digest=release_digest(
                files, request.engine, request.engine_version, request.arguments, request.template_version
            ),
            files=files,
            created_at=now,
            created_by=actor,
        )

    async def verify(self, release: Release) -> Checked:
        return await asyncio.to_thread(verify, release)

    async def warm_up(self, url: str, rollout: Rollout) -> Checked:
        return await warm_up(self._session, url, rollout.plan.model_name, rollout.plan.warmup)

    async def record(self, url: str, release: Release, plan: RecordingPlan) -> Recorded:
        engine, quality = Engine(self._session, url, plan.model_name), plan.quality
        try:
            texts = await asyncio.to_thread(load_texts, quality.texts, self._spec_folder)
            async with asyncio.timeout(quality.record_seconds_max):
                transcript = await record_transcript(engine, release, texts, quality.answer_tokens, time.time())
        except (ScoringError, TextsError) as e:
            return Recorded(False, str(e))
        except TimeoutError:
            return Recorded(False, f"not within {quality.record_seconds_max:g} s")
        if faults := unusable(transcript, quality.damage):
            return Recorded(False, faults)
        # Read again: they may have been changed while the engine read them.
        unchanged = await self.verify(release)
        if not unchanged.ok:
            return Recorded(False, f"the artefact is not what was registered: {unchanged.reason}")
        count = sum(len(one.tokens) for one in (*transcript.answers, *transcript.passages))
        noise = transcript.noise.worst_nats
        read = f"{len(transcript.answers)} answers and {len(transcript.passages)} passages, {count} tokens"
        words = f"{read}; noise up to {noise:.2g} nats"
        return Recorded(True, words, transcript)

    async def probe(self, url: str, rollout: Rollout, own: Transcript | None, stable: Transcript | None) -> Probed:
        quality = rollout.plan.quality
        if quality is None or own is None:
            return blind_probe("the release has no reference transcript")
        try:
            async with asyncio.timeout(quality.probe_seconds_max):
                found = await read_again(Engine(self._session, url, rollout.plan.model_name), own)
        except ScoringError as e:
            return blind_probe(f"it could not be probed: {e}")
        except TimeoutError:
            return blind_probe(f"it could not be probed within {quality.probe_seconds_max:g} s")
        damage = judge_damage(own, found, quality.damage)
        likelihood = judge_likelihood(found.passages, own.texts_digest, stable, quality.likelihood)
        return Probed(True, "probed", damage, likelihood)
