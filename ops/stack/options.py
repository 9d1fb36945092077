"""What a stack is asked to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

WORKERS_MAX = 32
PORT_DEFAULT = 8080


class Choice(StrEnum):
    AUTO = "auto"
    """If it is installed."""
    ON = "on"
    OFF = "off"


class Counters(StrEnum):
    """Where the controller reads what the judge counts."""

    DIRECT = "direct"
    """From each gateway worker."""
    PROMETHEUS = "prometheus"


class Omitted(StrEnum):
    """What a stack can do without."""

    GATEWAY = "gateway"
    CONTROLLER = "controller"
    DATABASE = "database"


@dataclass(frozen=True)
class StackOptions:
    run_dir: Path = Path(".stack")
    environment: str = "development"
    spec: Path = Path("gratefulgpt.yaml")
    workers: int = 2
    engine: str = "simulated"
    port: int = PORT_DEFAULT
    """Of the public API; 0 takes a free one, the same again at the next start."""
    database_url: str | None = None
    """A PostgreSQL that somebody else runs; with its password, if it wants one."""
    postgres_bin: Path | None = None
    """Another PostgreSQL than the wheel's."""
    prometheus: Choice = Choice.AUTO
    alertmanager: Choice = Choice.AUTO
    """Without Prometheus there is none, nor exporters."""
    exporters: Choice = Choice.AUTO
    """Of the machine and of the database."""
    counters: Counters = Counters.DIRECT
    without: frozenset[Omitted] = field(default_factory=frozenset)
    afresh: bool = False
    """Without what an earlier stack left in the folder, its data included."""
    outlives_parent: bool = False
    """Whether the stack goes on when the process that started it ends."""
