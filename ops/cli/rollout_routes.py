"""What gateway workers hold, compared: pure functions over their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serving.contract import RouteState, TierState, WorkerState

Held = Mapping[str, TierState]
"""By worker."""


@dataclass(frozen=True)
class Asked:
    """One worker's answer, or why there is none."""

    worker: str
    state: WorkerState | None
    trouble: str = ""


def held_by_tier(asked: tuple[Asked, ...], tier: str | None) -> dict[str, dict[str, TierState]]:
    """By tier, then worker; of one tier, or of all."""
    found: dict[str, dict[str, TierState]] = {}
    for one in asked:
        for name, state in (one.state.tiers if one.state else {}).items():
            if tier in (None, name):
                found.setdefault(name, {})[one.worker] = state
    return dict(sorted(found.items()))


def disagreements(held: Held, answering: tuple[str, ...]) -> tuple[str, ...]:
    """In what the workers that answer differ over one tier, in words. Lease times always differ a little."""
    lines = []
    if lacking := [name for name in answering if name not in held]:
        lines.append(f"{', '.join(lacking)} without a table")
    if len({state.table.epoch for state in held.values()}) > 1:
        lines.append("epochs: " + _each({name: str(state.table.epoch) for name, state in held.items()}))
    elif len({state.table.routes for state in held.values()}) > 1:
        lines.append("different routes under the same epoch")
    if len({state.state for state in held.values()}) > 1:
        lines.append("states: " + _each({name: state.state.value for name, state in held.items()}))
    return tuple(lines)


def _each(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def in_force(state: TierState) -> dict[str, int]:
    """Basis points of new requests by arm that really go there: a table that was left serves stable alone."""
    weights = {route.arm.value: route.weight for route in state.table.routes}
    if state.state is RouteState.ACTIVE:
        return weights
    total = sum(weights.values())
    return {arm: total if arm == "stable" else 0 for arm in weights}


def lease_words(state: TierState) -> str:
    if state.lease_left_seconds is not None:
        return f"{state.lease_left_seconds:.1f} s"
    return "none" if state.table.lease_seconds is None else "over"
