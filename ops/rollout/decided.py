"""What a decision consists of: the records to keep, the journal's lines, and the look if one was taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ops.judge.model import Look
from ops.rollout.record import Fleet, Retained, Rollout, TierRecord
from ops.rollout.recorded import Told
from ops.rollout.states import Event

CONTROLLER = "controller"


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    kind: str
    """``transition``, ``routes``, ``retired``, or the name of an operator's command."""
    reason: str
    event: str = ""
    from_state: str = ""
    to_state: str = ""
    actor: str = CONTROLLER
    payload: dict[str, object] = field(default_factory=dict)
    """Facts for machines: of transitions what was promised, and the look that decided; of routes the weights."""


def promised(rollout: Rollout) -> dict[str, object]:
    """What was decided on, and by which rules: frozen for the rollout, and repeated in each line that stands alone."""
    plan = rollout.plan
    return {
        "release": rollout.release.name,
        "digest": rollout.release.digest,
        "spec": plan.spec_digest,
        "judge": plan.judge_version,
    }


@dataclass(frozen=True)
class Decided:
    tier: TierRecord
    rollout: Rollout | None
    entries: tuple[Entry, ...] = ()
    look: Look | None = None
    told: Told | None = None
    """What the look was taken of."""

    @property
    def running(self) -> Rollout:
        """The rollout. Raises ValueError if there is none."""
        if self.rollout is None:
            raise ValueError("there is no rollout")
        return self.rollout

    def moved(self, event: Event, now: float, reason: str, **changes: object) -> Decided:
        """The rollout's transition with its journal line. Raises IllegalTransition."""
        before = self.running
        after = replace(before.moved(event, now, reason), **changes)  # type: ignore[arg-type]
        states = (before.state.value, after.state.value)
        entry = Entry("transition", reason, event.value, *states, payload=promised(after))
        return replace(self, rollout=after, entries=(*self.entries, entry))

    def changed(self, **changes: object) -> Decided:
        """With other fields of the rollout, without a transition."""
        return replace(self, rollout=replace(self.running, **changes))  # type: ignore[arg-type]

    def citing(self, first: int, look: dict[str, object]) -> Decided:
        """With ``look`` named in the lines from ``first`` on: it decided them."""
        cited = tuple(replace(entry, payload={**entry.payload, **look}) for entry in self.entries[first:])
        return replace(self, entries=(*self.entries[:first], *cited))

    def rolled_back(self, now: float, reason: str) -> Decided:
        return self.moved(Event.ROLL_BACK, now, reason, served_step=None)

    def promoted(self, now: float, reason: str) -> Decided:
        """Stable from now on; the former stable keeps its capacity until the rollback window has passed."""
        rollout, former = self.running, self.tier.stable
        retained = Retained(former, now + rollout.plan.pace.rollback_window_seconds) if former else None
        after = self.moved(Event.PROMOTE, now, reason, served_step=None, canary=(), baseline=())
        return replace(after, tier=replace(self.tier, stable=Fleet(rollout.release, rollout.canary), retained=retained))
