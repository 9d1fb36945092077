"""Contradictions within environments, and between their pace and the rollout's lease and samples."""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.contradictions.common import at_least, at_most, unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding, figure

LOOKS_PER_LEASE_MIN = 3
"""Two renewals may fail before the workers return to stable."""


def environment_contradictions(draft: Draft) -> Iterator[Finding]:
    for name in draft.keys("environments"):
        place = ("environments", name)
        yield from at_least(draft, (*place, "replicas", "max"), (*place, "replicas", "min"), "fewer than the least")
        yield from _regions(draft, name)
        yield from _pace(draft, name)


def _regions(draft: Draft, name: str) -> Iterator[Finding]:
    place = ("environments", name, "regions")
    regions = draft.indices(*place)
    names = [((*place, i, "name"), text) for i in regions if (text := draft.text(*place, i, "name"))]
    yield from unique(names, "the region")
    roles = [draft.text(*place, i, "role") for i in regions]
    if roles and None not in roles and roles.count("primary") != 1:
        yield Finding(place, "regions need one primary", f"{roles.count('primary')}", "1")


def _pace(draft: Draft, name: str) -> Iterator[Finding]:
    pace = ("environments", name, "pace")
    look = draft.number(*pace, "look_seconds")
    yield from at_least(
        draft, (*pace, "step_seconds_max"), (*pace, "step_seconds_min"), "a step's longest time is below its shortest"
    )
    yield from at_most(
        draft, (*pace, "look_seconds"), (*pace, "step_seconds_min"), "a step could end before its first look"
    )
    lease = draft.number("rollout", "lease_seconds")
    if look is not None and lease is not None and look > lease / LOOKS_PER_LEASE_MIN:
        why = "the lease would end after too few missed looks"
        most = f"at most a third of rollout.lease_seconds, {figure(round(lease / LOOKS_PER_LEASE_MIN, 3))}"
        yield Finding((*pace, "look_seconds"), why, figure(look), most)
    for bound, why in (
        (("rollout", "analysis", "samples_age_seconds_max"), "samples are too old before the next look"),
        (("rollout", "blind", "seconds_max"), "one look without samples is already too many"),
    ):
        yield from at_most(draft, (*pace, "look_seconds"), bound, why)
