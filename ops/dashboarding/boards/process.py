"""Panels that every program written in Python or Go can have: its own memory, CPU and open files."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.boards.bounds import ratios
from ops.dashboarding.model import Panel, Query, Unit
from ops.dashboarding.querying import RATE, select, share
from ops.spec.model import Spec


def process_panels(spec: Spec, width: int, of_jobs: bool = False) -> Iterator[Panel]:
    """Of each process, or of the one of each job that needs most."""
    by, legend = ("job", "{{job}}") if of_jobs else ("instance", "{{instance}}")
    the_most = " The process of each job that needs most." if of_jobs else ""

    def most(series: str) -> str:
        return f"max by ({by}) ({series})"

    yield Panel(
        "process_memory",
        "Memory of processes",
        f"Resident memory.{the_most}",
        Unit.BYTES,
        (Query(most(select("process_resident_memory_bytes")), legend),),
        least=0,
        width=width,
    )
    yield Panel(
        "process_cpu",
        "CPU of processes",
        f"Cores in use. A worker is one loop: at 1 it is at its end.{the_most}",
        Unit.NUMBER,
        (Query(most(f"rate({select('process_cpu_seconds_total')}[{RATE}])"), legend),),
        least=0,
        width=width,
    )
    files = most(share(select("process_open_fds"), select("process_max_fds")))
    yield Panel(
        "process_files",
        "Open files of processes",
        f"Share of the limit of open files, connections included.{the_most}",
        Unit.RATIO,
        (Query(files, legend),),
        bounds=ratios(spec.alerting.thresholds.open_files_percent),
        least=0,
        width=width,
    )
