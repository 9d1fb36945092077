"""Prometheus as a program of the local stack: where it is, what it scrapes, how it is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

SCRAPE_SECONDS = 2
"""Chosen: a local rollout's steps last seconds."""
RETENTION_BYTES_MAX = "512MB"


def find_prometheus() -> Path | None:
    found = shutil.which("prometheus")
    return Path(found) if found else None


def render_config(static: Mapping[str, tuple[str, ...]], targets_file: Path) -> str:
    """prometheus.yml. ``static`` holds addresses by job; ``targets_file`` names the engines, which come and go."""
    jobs: list[dict[str, object]] = [
        {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in static.items()
    ]
    jobs.append({"job_name": "engine", "file_sd_configs": [{"files": [str(targets_file)], "refresh_interval": "5s"}]})
    timing = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    return yaml.safe_dump({"global": timing, "scrape_configs": jobs}, sort_keys=False)


def command(binary: Path, config: Path, data: Path, port: int, retention_days: int) -> tuple[str, ...]:
    return (
        str(binary),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={retention_days}d",
        f"--storage.tsdb.retention.size={RETENTION_BYTES_MAX}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
