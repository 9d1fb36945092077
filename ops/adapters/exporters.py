"""Exporters as programs of the local stack: what tells Prometheus of the machine and of the database.

Each answers at ``/`` without collecting anything.
"""

from __future__ import annotations

import shutil
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit


class Exporter(StrEnum):
    """The value is its job in Prometheus."""

    NODE = "node"
    POSTGRES = "postgres"


NAMES = {
    Exporter.NODE: ("node_exporter", "prometheus-node-exporter"),
    Exporter.POSTGRES: ("postgres_exporter", "prometheus-postgres-exporter"),
}
"""Upstream's name, and Debian's."""


SCRAPE_SECONDS_MIN = {Exporter.POSTGRES: 5.0}
"""A scrape waits no longer than until the next one. postgres_exporter 0.11 needs 1.0 s to say that the database is gone
where it is refused, and 3.0 s, with ``CONNECT_SECONDS``, where nobody answers a new connection."""
CONNECT_SECONDS = 2


def find_exporter(exporter: Exporter) -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES[exporter])), None)
    return Path(found) if found else None


def command(exporter: Exporter, binary: Path, port: int) -> tuple[str, ...]:
    common = (str(binary), f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")
    # PostgreSQL 17 has moved what this collector of postgres_exporter 0.11 reads.
    return (*common, "--no-collector.bgwriter") if exporter is Exporter.POSTGRES else common


def postgres_environment(url: str, password_file: Path) -> dict[str, str]:
    """Tells postgres_exporter where the database is. ``url`` is without its password, which it reads from the file."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.setdefault("connect_timeout", str(CONNECT_SECONDS))  # its driver waits for ever where nothing is said
    if _is_loopback(parts.hostname or ""):
        query.setdefault("sslmode", "disable")  # its driver demands TLS where nothing is said
    address = parts.netloc.rpartition("@")[2]
    return {
        "DATA_SOURCE_URI": f"{address}{parts.path}?{urlencode(query)}",
        "DATA_SOURCE_USER": parts.username or "",
        "DATA_SOURCE_PASS_FILE": str(password_file),
    }


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
