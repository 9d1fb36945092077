"""The replicas of a local stack, for its controller."""

from __future__ import annotations

import random

import aiohttp

from ops.adapters.local_replicas import LocalReplicas
from ops.adapters.supervisord import Supervisor
from ops.stack.state import StackState


def stack_replicas(
    state: StackState, session: aiohttp.ClientSession, chance: random.Random | None = None
) -> LocalReplicas:
    """Engines under the stack's supervisor; Prometheus finds them. The session stays the caller's. ``chance`` draws
    the ports of new ones."""
    chance = chance or random.SystemRandom()
    return LocalReplicas(Supervisor(state.folder), session, state.targets_file, chance=chance)
