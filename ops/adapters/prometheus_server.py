"""Prometheus as a program of the local stack: where it is, what it scrapes, how it is started."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
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


TIMEOUT_SECONDS = 10.0
"""Prometheus's own, of a scrape."""


@dataclass(frozen=True)
class Job:
    name: str
    addresses: tuple[str, ...]
    """``host:port`` each."""
    scrape_seconds: float | None = None
    """None: as often as all."""


def render_config(
    jobs: Iterable[Job],
    targets_file: Path,
    scrape_seconds: float = SCRAPE_SECONDS,
    *,
    evaluation_seconds: float,
    rules: Path,
    alertmanager: str | None,
) -> str:
    """prometheus.yml. ``targets_file`` names the engines, which come and go; ``rules`` is a pattern of files;
    ``alertmanager`` an address."""
    engines = {"job_name": "engine", "file_sd_configs": [{"files": [str(targets_file)], "refresh_interval": "5s"}]}
    content: dict[str, object] = {
        "global": {"scrape_interval": _duration(scrape_seconds), "evaluation_interval": _duration(evaluation_seconds)},
        "rule_files": [str(rules)],
        "scrape_configs": [*map(_job, jobs), engines],
    }
    if alertmanager is not None:
        content["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return yaml.safe_dump(content, sort_keys=False)


def _job(job: Job) -> dict[str, object]:
    found: dict[str, object] = {"job_name": job.name, "static_configs": [{"targets": list(job.addresses)}]}
    if job.scrape_seconds is not None:
        # Its own, too: where none is given, Prometheus waits no longer than the time between scrapes of all.
        found["scrape_interval"] = _duration(job.scrape_seconds)
        found["scrape_timeout"] = _duration(min(job.scrape_seconds, TIMEOUT_SECONDS))
    return found


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def command(
    binary: Path, config: Path, data: Path, port: int, retention_days: int, resend_seconds: float
) -> tuple[str, ...]:
    """``resend_seconds``: how soon an alert is sent again. Those that fire in the seconds after a reload, before the
    Alertmanager is found again, are dropped and come with the next sending, which by default is a minute later."""
    return (
        str(binary),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={retention_days}d",
        f"--storage.tsdb.retention.size={RETENTION_BYTES_MAX}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--rules.alert.resend-delay={_duration(resend_seconds)}",
        "--web.enable-lifecycle",  # POST /-/reload takes new rules in, without a restart
        "--log.level=warn",
    )
