"""Panels that every program written in Python or Go can have: its own memory, CPU and open files."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.boards.bounds import ratios
from ops.dashboarding.model import Panel, Query, Unit
from ops.dashboarding.querying import rate, select, share, total
from ops.spec.model import Spec


def process_panels(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "process_memory",
        "Memory of processes",
        "Resident memory.",
        Unit.BYTES,
        (Query(total(select("process_resident_memory_bytes"), "job, instance"), "{{job}} {{instance}}"),),
        least=0,
        width=6,
    )
    yield Panel(
        "process_cpu",
        "CPU of processes",
        "Cores in use. A worker is one loop: at 1 it is at its end.",
        Unit.NUMBER,
        (Query(rate("process_cpu_seconds_total", by="job, instance"), "{{job}} {{instance}}"),),
        least=0,
        width=6,
    )
    files = share(total(select("process_open_fds"), "job, instance"), total(select("process_max_fds"), "job, instance"))
    yield Panel(
        "process_files",
        "Open files of processes",
        "Share of the limit of open files, connections included.",
        Unit.RATIO,
        (Query(files, "{{job}} {{instance}}"),),
        bounds=ratios(spec.alerting.thresholds.open_files_percent),
        least=0,
        width=6,
    )
