"""Profiles that grow by what a look adds, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from ops.judge.evidence import Profile
from ops.judge.grading import Floats
from ops.judge.model import Sides

_BLANK = Profile()


def profile_of(sides: Sides | None, at: int) -> Profile:
    return sides[at] if sides and len(sides) > at else _BLANK


def with_side(sides: Sides | None, at: int, profile: Profile) -> Sides:
    return (profile,) if at == 0 and not sides else (*(sides or ())[:at], profile, *(sides or ())[at + 1 :])


def grown_by(before: Sequence[Profile], added: Floats, levels: int) -> list[Profile]:
    """Each profile with a row of ``added``: its points, then what fell on the canary, in total and as expected."""
    none = (0.0,) * added.shape[1]
    known = chain.from_iterable(chain(p.points, p.canary, p.total, p.expected) if p.points else none for p in before)
    sums = added + np.fromiter(known, float).reshape(added.shape)
    ends = [added.shape[1] - levels * back for back in (3, 2, 1)]
    counted = sums[:, ends[0] : ends[2]].round().astype(int).tolist()
    return [
        Profile(tuple(row[: ends[0]]), tuple(whole[:levels]), tuple(whole[levels:]), tuple(row[ends[2] :]))
        for row, whole in zip(sums.tolist(), counted, strict=True)
    ]
