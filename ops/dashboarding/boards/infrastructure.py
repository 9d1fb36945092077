"""Infrastructure: machines, GPUs, PostgreSQL, the controller, and what watches them all."""

from __future__ import annotations

from ops.alerting.catalogue import Source
from ops.dashboarding.boards import controller, databases, machines, monitoring
from ops.dashboarding.boards.process import process_panels
from ops.dashboarding.model import Dashboard, Row
from ops.spec.model import Spec


def dashboard(spec: Spec) -> Dashboard:
    return Dashboard(
        name="infrastructure",
        title="Infrastructure",
        description="Machines, GPUs, PostgreSQL, the controller, and what watches them all.",
        sources=tuple(Source),
        rows=(
            Row("Controller", tuple(controller.panels(spec))),
            Row("Machines", tuple(machines.machine_panels(spec))),
            Row("GPUs", tuple(machines.gpu_panels(spec))),
            Row("PostgreSQL", tuple(databases.panels(spec))),
            Row("Monitoring", tuple(monitoring.panels())),
            Row("Processes", tuple(process_panels(spec, 8, of_jobs=True))),
        ),
    )
