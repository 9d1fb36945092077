"""Alertmanager as a program of the local stack: where it is, how it is started."""

from __future__ import annotations

import shutil
from pathlib import Path

NAMES = ("alertmanager", "prometheus-alertmanager")
"""Upstream's name, and Debian's."""


def find_alertmanager() -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def command(binary: Path, config: Path, data: Path, port: int) -> tuple[str, ...]:
    return (
        str(binary),
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",  # one alone: no port for peers, no wait for them
        "--log.level=warn",
    )
