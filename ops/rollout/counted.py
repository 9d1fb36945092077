"""The counters that the judge reads, where they come from another source than the workers themselves. Pure.

A source tells of scrapes of targets. Which of them is a worker's is decided by the worker's own word: the instance that
it names when it is asked directly. So another gateway with the same names, or the same worker before its restart, is
never taken for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from serving.contract import CounterSnapshot


class CountersError(Exception):
    """The source told nothing that can be used; the message says why. Worth another try."""


@dataclass(frozen=True)
class Scrape:
    """What a source holds of one target."""

    target: str
    """Where it was scraped, for people."""
    worker: str
    """As the target names itself."""
    instance: str
    snapshot: CounterSnapshot | None
    """The last whole one, with its own time."""
    fault: str = ""
    """Why there is no snapshot, or why it is not of the last scrape."""


class CounterSource(Protocol):
    async def scrapes(self) -> tuple[Scrape, ...]:
        """Raises CountersError."""


@dataclass(frozen=True)
class Counted:
    snapshots: tuple[CounterSnapshot, ...]
    faults: Mapping[str, str]
    """By worker: why it has no snapshot, or an old one."""


def counted(instances: Mapping[str, str], scrapes: Iterable[Scrape]) -> Counted:
    """``instances``: by worker, as the workers that answered have told."""
    known = tuple(scrapes)
    snapshots: list[CounterSnapshot] = []
    faults: dict[str, str] = {}
    for worker, instance in instances.items():
        of_name = [scrape for scrape in known if scrape.worker == worker]
        own = [scrape for scrape in of_name if scrape.instance == instance]
        if len(own) == 1:
            if own[0].snapshot is not None:
                snapshots.append(own[0].snapshot)
            if own[0].fault:
                faults[worker] = own[0].fault
        elif own:
            targets = " and ".join(sorted(scrape.target for scrape in own))
            faults[worker] = f"Prometheus scrapes it more than once, as {targets}"
        elif of_name:
            faults[worker] = "Prometheus has not yet scraped the process that runs now"
        else:
            faults[worker] = "Prometheus has no recent scrape of it"
    return Counted(tuple(snapshots), faults)
