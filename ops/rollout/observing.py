"""What the core is told at each tick: everything that was seen, and nothing that was not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ops.quality.model import TranscriptStatus
from ops.rollout.record import Clock
from ops.rollout.replicas import ReplicaSpec, ReplicaStatus
from ops.verdict import Evidence, Outcome, Verdict
from serving.contract import Arm, CounterSnapshot, RouteState, RoutingTable, TierState


@dataclass(frozen=True)
class Checked:
    """What came of a check that takes a while: of an artefact's files, of a replica's warm-up."""

    ok: bool
    reason: str


@dataclass(frozen=True)
class Probed(Checked):
    """What a probe of a replica's model has shown."""

    damage: Verdict
    likelihood: Verdict


def blind_probe(reason: str) -> Probed:
    verdict = Verdict(Outcome.INVALID, (Evidence(reason),))
    return Probed(False, reason, verdict, verdict)


@dataclass(frozen=True)
class Observation:
    now: float
    """Unix seconds."""
    replicas: Mapping[str, ReplicaStatus] | None
    """None: whatever runs them could not be asked."""
    workers: Mapping[str, TierState | None]
    """What each worker that should be there does with the tier. None: it holds no table of the tier."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Workers that should be there and did not answer, with the reason."""
    snapshots: tuple[CounterSnapshot, ...] = ()
    """As the workers themselves gave them: for levels, and for what is under way."""
    counted: tuple[CounterSnapshot, ...] | None = None
    """What the judge reads. None: that too."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Workers that answered, and why the judge lacks their counters or has old ones."""
    artefact: Checked | None = None
    """Of the release's files, for the phase in which the rollout is. None: not known yet."""
    warmed: Mapping[str, Checked] = field(default_factory=dict)
    """By replica; those that are not there are not known yet."""
    transcripts: Mapping[str, TranscriptStatus] = field(default_factory=dict)
    """By release: where the recording of those that the rollout needs stands; only while it prepares."""
    probes: Mapping[str, Probed] = field(default_factory=dict)
    """By replica: probes of its model that have ended since the last tick."""
    frozen: str | None = None
    """Why nothing may advance (a change freeze), or None."""
    clock: Clock | None = None
    """That ``now`` was read from. None: one that never jumps."""

    @property
    def worker_names(self) -> tuple[str, ...]:
        return tuple(sorted({*self.workers, *self.unreachable}))

    @property
    def urls(self) -> dict[str, str]:
        return {name: status.url for name, status in (self.replicas or {}).items()}

    def ready(self, replicas: Iterable[ReplicaSpec]) -> bool:
        statuses = self.replicas or {}
        return all(replica.name in statuses and statuses[replica.name].ready for replica in replicas)

    def exhausted(self, replicas: Iterable[ReplicaSpec]) -> ReplicaStatus | None:
        """The first of ``replicas`` on which their supervisor has given up."""
        for replica in replicas:
            status = (self.replicas or {}).get(replica.name)
            if status and status.exhausted:
                return status
        return None

    def holding(self, table: RoutingTable | None) -> tuple[str, ...]:
        """The workers that follow ``table`` now: what was acknowledged and still holds, not what was requested."""
        return tuple(
            name
            for name, state in self.workers.items()
            if table and state and state.state is RouteState.ACTIVE and state.table == table
        )

    def lacking(self, table: RoutingTable | None) -> tuple[str, ...]:
        return tuple(sorted(set(self.worker_names) - set(self.holding(table))))

    def in_flight(self, tier: str, *arms: Arm) -> int:
        """Requests of the tier on ``arms`` that have not ended, over the workers that answered."""
        return sum(
            cell.assigned - cell.finished
            for snapshot in self.snapshots
            for cell in snapshot.cells
            if cell.tier == tier and cell.arm in arms
        )
