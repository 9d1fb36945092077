"""Which fault a request meets: one draw decides, so that a seed repeats a run."""

from __future__ import annotations

from enum import StrEnum

from serving.engine.simulated.profile import Faults


class Fault(StrEnum):
    NONE = "none"
    ERROR = "error"
    REFUSE = "refuse"
    HANG = "hang"
    CUT = "cut"
    EMPTY = "empty"
    REPEAT = "repeat"
    DECLINE = "decline"
    REJECT = "reject"


def choose_fault(faults: Faults, chance: float) -> Fault:
    """``chance`` in [0, 1). Each fault has a stretch of that range as long as its rate."""
    below = 0.0
    for rate, fault in (
        (faults.error_rate, Fault.ERROR), (faults.refuse_rate, Fault.REFUSE), (faults.hang_rate, Fault.HANG),
        (faults.cut_rate, Fault.CUT), (faults.empty_rate, Fault.EMPTY), (faults.repeat_rate, Fault.REPEAT),
        (faults.decline_rate, Fault.DECLINE), (faults.reject_rate, Fault.REJECT),
    ):  # fmt: skip
        below += rate
        if chance < below:
            return fault
    return Fault.NONE
