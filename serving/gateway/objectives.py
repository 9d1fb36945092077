"""How many requests there were for each promise to users, and how many missed it.

Every number stands at 0 from the worker's start: Prometheus's ``rate()`` sees no first increment of a series that is
new, and where misses are rare that one is the whole incident.
"""

from __future__ import annotations

from collections.abc import Iterator

from serving.contract import GRADED, BadEvent, Objective

OF_STREAMS = frozenset({Objective.FIRST_TOKEN, Objective.TOKEN_INTERVAL})
"""Only a request that asked for a stream is promised them."""
UNGRADED = tuple(event for event in BadEvent if event not in GRADED)
UNAVAILABLE = frozenset({BadEvent.FAILED, BadEvent.UNANSWERED, BadEvent.CUT})
"""With any of these the user has no answer, whatever came of it before."""


class ObjectiveCounts:
    """Of one tier's requests of one task class."""

    __slots__ = ("events", "misses", "requests", "streams")

    def __init__(self) -> None:
        self.requests = 0
        """Assigned to an arm, or turned away for no fault of their own."""
        self.streams = 0
        """Of these, those that asked for a stream."""
        self.misses = dict.fromkeys(Objective, 0)
        self.events = dict.fromkeys(UNGRADED, 0)

    def owed(self) -> Iterator[tuple[Objective, int]]:
        """By objective, the requests that it was promised to."""
        for objective in Objective:
            yield objective, self.streams if objective in OF_STREAMS else self.requests
