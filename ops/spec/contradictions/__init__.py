"""What a spec says in one place and denies in another.

Each check is a function from a ``Draft`` to findings. It reads only what is there and sound, so all of them run
on any spec, however faulty.
"""

from __future__ import annotations

from collections.abc import Iterator

from ops.spec.contradictions.environments import environment_contradictions
from ops.spec.contradictions.loading import loading_contradictions
from ops.spec.contradictions.notifying import notifying_contradictions
from ops.spec.contradictions.objectives import objective_contradictions
from ops.spec.contradictions.promises import promise_contradictions
from ops.spec.contradictions.rollout import rollout_contradictions
from ops.spec.contradictions.serving import serving_contradictions
from ops.spec.contradictions.timing import timing_contradictions
from ops.spec.draft import Draft
from ops.spec.faults import Finding

__all__ = ["contradictions"]


def contradictions(draft: Draft) -> Iterator[Finding]:
    """Every contradiction in what is sound of a spec."""
    yield from serving_contradictions(draft)
    yield from environment_contradictions(draft)
    yield from rollout_contradictions(draft)
    yield from promise_contradictions(draft)
    yield from notifying_contradictions(draft)
    yield from objective_contradictions(draft)
    yield from timing_contradictions(draft)
    yield from loading_contradictions(draft)
