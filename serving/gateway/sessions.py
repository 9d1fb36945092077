"""Which sessions were scored: with assignment by session only the first request of each enters what is judged.

The others share its arm, its user and what it talks about, so they are no evidence of their own.
"""

from __future__ import annotations

SESSIONS_PER_TIER_MAX = 100_000
"""Per worker and epoch, about 10 MB. A session beyond it is served as the others and not scored."""


class ScoredSessions:
    """Of one worker. Holds places of sessions (``assigning.point_of_session``), never their names."""

    def __init__(self, sessions_max: int = SESSIONS_PER_TIER_MAX) -> None:
        self._sessions_max = sessions_max
        self._by_tier: dict[str, tuple[int, set[float]]] = {}
        """Epoch, and the sessions scored in it."""

    def is_first(self, tier: str, epoch: int, point: float) -> bool:
        """Whether this request is to be scored; from then on its session has been. A new epoch begins anew."""
        held = self._by_tier.get(tier)
        if held is None or held[0] != epoch:
            held = self._by_tier[tier] = epoch, set()
        seen = held[1]
        if point in seen or len(seen) >= self._sessions_max:
            return False
        seen.add(point)
        return True
