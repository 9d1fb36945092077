"""The signs of the rollout's picture. Each means the same without its colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isnan, log

from serving.contract import WEIGHT_TOTAL, Arm

ARM_STYLES: Mapping[Arm, str] = {Arm.STABLE: "green", Arm.BASELINE: "cyan", Arm.CANARY: "yellow"}


@dataclass(frozen=True)
class Glyphs:
    full: str
    empty: str
    passed: str
    serving: str
    preparing: str
    ahead: str
    ended: str
    done_link: str
    link: str
    reached: str
    arms: Mapping[Arm, str]


UNICODE = Glyphs(
    full="█",
    empty="░",
    passed="✓",
    serving="▶",
    preparing="◌",
    ahead="○",
    ended="✗",
    done_link="━━━",
    link="───",
    reached="✓",
    arms={Arm.STABLE: "░", Arm.BASELINE: "▒", Arm.CANARY: "█"},
)
ASCII = Glyphs(
    full="#",
    empty=".",
    passed="+",
    serving=">",
    preparing="~",
    ahead="o",
    ended="x",
    done_link="===",
    link="---",
    reached="+",
    arms={Arm.STABLE: ".", Arm.BASELINE: "b", Arm.CANARY: "#"},
)


def evidence_cells(e_value: float, needed: float, width: int) -> int:
    """How many of ``width`` cells an e-value fills, on a logarithmic scale from 1 (none) to ``needed`` (all).

    Full only if it is reached: a bar must not promise what is not there.
    """
    if isnan(e_value) or e_value <= 1:
        return 0
    if e_value >= needed:
        return width
    if e_value == inf or needed <= 1:
        return width
    return min(int(width * log(e_value) / log(needed)), width - 1)


def weight_cells(shares: Mapping[Arm, int], width: int) -> dict[Arm, int]:
    """How many of ``width`` cells each arm gets; an arm with weight gets one at least."""
    cells = {arm: max(1, round(share * width / WEIGHT_TOTAL)) for arm, share in shares.items() if share}
    while sum(cells.values()) != width:
        largest = max(cells, key=lambda arm: cells[arm])
        cells[largest] += 1 if sum(cells.values()) < width else -1
    return cells
