"""Prometheus as a program of the local stack: where it is, what it scrapes, how it is started."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

GATEWAY_JOB = "gateway"
CLIENT_MEND = "pip install 'gratefulgpt-ops[prometheus]'"
SCRAPE_SECONDS = 2.0
"""Chosen: a local rollout's steps last seconds."""
SCRAPE_SECONDS_MIN = 0.25
SCRAPES_PER_AGE = 3
"""So many fit into the greatest age of samples that the judge accepts: one may fail, and no look is blind for it."""
RETENTION_BYTES_MAX = "512MB"


def find_prometheus() -> Path | None:
    found = shutil.which("prometheus")
    return Path(found) if found else None


def scrape_seconds(*, look_seconds: float, age_seconds_max: float) -> float:
    """How often, so that each look of the judge finds new samples, and none that are too old."""
    return max(SCRAPE_SECONDS_MIN, min(SCRAPE_SECONDS, look_seconds, age_seconds_max / SCRAPES_PER_AGE))


def render_config(
    static: Mapping[str, tuple[str, ...]], targets_file: Path, scrape_seconds: float = SCRAPE_SECONDS
) -> str:
    """prometheus.yml. ``static`` holds addresses by job; ``targets_file`` names the engines, which come and go."""
    jobs: list[dict[str, object]] = [
        {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in static.items()
    ]
    jobs.append({"job_name": "engine", "file_sd_configs": [{"files": [str(targets_file)], "refresh_interval": "5s"}]})
    interval = f"{round(scrape_seconds * 1000)}ms"
    timing = {"scrape_interval": interval, "evaluation_interval": interval}
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
