"""Which rollout a command means where it names none, and what a destructive command says before it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.cli.output import fail_usage
from ops.cli.rollout_words import percent, plain, state_words, weights
from ops.rollout.record import Rollout
from ops.store.rollouts import Loaded
from serving.contract import Arm

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient


async def loaded_tier(client: ControllerClient, tier: str) -> Loaded:
    """Raises CommandError where the spec has no such tier."""
    tiers = await client.tiers()
    if tier not in tiers:
        fail_usage(f"no tier {tier}; the spec has {', '.join(tiers)}")
    return tiers[tier]


async def named_or_active(client: ControllerClient, rollout_id: str | None, tier: str) -> Rollout:
    """Raises CommandError where none is named and none is active."""
    if rollout_id is not None:
        return await client.rollout(rollout_id)
    active = (await loaded_tier(client, tier)).active
    if active is None:
        fail_usage(f"no rollout of {tier} is active; 'ops canary history' shows those there were")
    return active


async def named_or_last(client: ControllerClient, rollout_id: str | None, tier: str) -> Rollout:
    """The named one, or the tier's newest: its active one, if it has one. Raises CommandError if there is none."""
    if rollout_id is not None:
        return await client.rollout(rollout_id)
    await loaded_tier(client, tier)
    rollouts = await client.rollouts(tier, 1)
    if not rollouts:
        fail_usage(f"there was no rollout of {tier} yet; begin one with 'ops canary start RELEASE'")
    return rollouts[0]


def promotion_words(rollout: Rollout) -> str:
    return (
        f"This takes {rollout.release.name} to all requests of {rollout.tier} without waiting for evidence "
        f"(rollout {rollout.id} is {state_words(rollout.state)}: {plain(rollout.reason)})"
    )


def end_words(rollout: Rollout) -> str:
    share = weights(rollout).get(Arm.CANARY, 0)
    stable = rollout.baseline_release.name if rollout.baseline_release else "stable"
    serves = f"new requests ({percent(share)} of them now) leave it for {stable}" if share else "it serves nothing yet"
    return f"This ends rollout {rollout.id} of {rollout.release.name} on {rollout.tier}: {serves}"


def return_words(loaded: Loaded, to: str | None) -> str:
    stable, retained = loaded.tier.stable, loaded.tier.retained
    start = f"This takes all requests of {loaded.tier.tier} from {stable.release.name if stable else 'nothing'} "
    kept = retained.fleet.release.name if retained else None
    target = to or kept
    if target is None:
        return start + "back to the release that was stable before it, on new replicas"
    return f"{start}back to {target}" + (", whose replicas still run" if target == kept else ", on new replicas")
