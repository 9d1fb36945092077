"""Rollouts in words: times, shares and journal lines as people read them. Pure."""

from __future__ import annotations

import time

from ops.rollout.plan import RolloutPlan
from ops.rollout.record import Rollout
from ops.rollout.states import State
from ops.store.rollouts import JournalLine
from serving.contract import WEIGHT_TOTAL, Arm

_E_SHOWN_MAX = 1e12
_E_SHOWN_MIN = 0.001
_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h``."""
    whole = max(int(seconds), 0)
    for size, unit, smaller, smaller_unit in _UNITS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def moment(unix_seconds: float) -> str:
    """Date and time of this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_seconds))


def percent(weight: int) -> str:
    """Basis points as ``5 %``."""
    return f"{weight * 100 / WEIGHT_TOTAL:g} %"


def rate(ratio: float) -> str:
    """A rate as ``2.3%``: short, for columns."""
    return f"{ratio:.1%}" if ratio < 0.9995 else "100%"


def e_words(e_value: float) -> str:
    """An e-value in six columns at most: ``0.12``, ``25``, ``1,234``, ``4e7``.

    Rounded down: 599.9 must not read as the 600 that are needed.
    """
    if e_value >= _E_SHOWN_MAX:
        return ">1e12"
    if e_value < _E_SHOWN_MIN:
        return "0"
    if e_value >= 10_000:
        mantissa, exponent = f"{e_value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{int(e_value):,}" if e_value >= 10 else f"{e_value:.2g}"


def plain(text: str) -> str:
    """One line without control characters: what people wrote must not steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def state_words(state: State) -> str:
    return state.value.replace("_", " ")


def weights(rollout: Rollout) -> dict[Arm, int]:
    """The basis points of each arm that should be in force, as the rollout's record has it."""
    if rollout.served_step is None:
        return {Arm.STABLE: WEIGHT_TOTAL}
    step = rollout.plan.steps[rollout.served_step]
    baseline = step.weight if step.baseline else 0
    shares = {Arm.STABLE: WEIGHT_TOTAL - step.weight - baseline, Arm.BASELINE: baseline, Arm.CANARY: step.weight}
    return {arm: share for arm, share in shares.items() if share}


def weights_words(shares: dict[str, int]) -> str:
    return ", ".join(f"{arm} {percent(share)}" for arm, share in shares.items() if share)


def steps_words(plan: RolloutPlan) -> str:
    """``5 % → 50 % → 100 %``."""
    return " → ".join(percent(step.weight) for step in plan.steps)


def journal_words(line: JournalLine) -> str:
    """What happened and why, without when and who."""
    entry = line.entry
    shares = entry.payload.get("weights")
    if isinstance(shares, dict):
        return f"epoch {entry.payload.get('epoch')}: {weights_words(shares)}"
    change = f"{entry.from_state} → {entry.to_state}" if entry.from_state else entry.kind
    change = change.replace("_", " ")
    return plain(f"{change}: {entry.reason}" if entry.reason else change)
