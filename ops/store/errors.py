"""What can go wrong with the store; the type says whether another try makes sense."""

from __future__ import annotations


class StoreError(Exception):
    """The database refused or failed."""


class StoreUnavailable(StoreError):
    """It cannot be reached now: try again later."""


class Conflict(StoreError):
    """Something of that name, or an active rollout of that tier, is there already."""


class NotFound(StoreError):
    """Nothing of that name."""


class LostLeadership(StoreError):
    """Another controller leads now: this one must not write any more."""
