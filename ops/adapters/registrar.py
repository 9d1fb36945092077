"""Registers and checks releases: artefacts hashed off the loop, replicas warmed up."""

from __future__ import annotations

import asyncio

import aiohttp

from ops.adapters.artefacts import ArtefactError, hash_files, model_folder, release_digest, verify
from ops.adapters.engines import warm_up
from ops.rollout.commanding import CommandRefused
from ops.rollout.observing import Checked
from ops.rollout.operating import ReleaseRequest
from ops.rollout.record import Release, Rollout


class Artefacts:
    """The ``Registrar`` and ``Checker`` of a controller that sees the models' folders. The session is the caller's."""

    def __init__(self, session: aiohttp.ClientSession):
        self._session = session

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
