"""Fixtures for tests of several areas."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MODELS = PROJECT / "build" / "models"
MEND = "run `make vllm tiny-model` first"
READY_SECONDS_MAX = 300.0
"""A vLLM server is ready in 17 s on an idle machine; in minutes where other tests keep every core busy."""
END_SECONDS_MAX = 60.0
LOG_CHARS_SHOWN = 3000


@dataclass(frozen=True)
class VllmServer:
    """A real vLLM server that serves a tiny model on loopback."""

    url: str
    """Base URL, without a trailing slash."""
    model_name: str


def pytest_configure() -> None:
    """Ctrl-C reaches the programs that tests start, even where pytest was started in the background and ignores it:
    what a process ignores, its children ignore too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under ``-m vllm`` or ``-m alone``, alone or with ``and``, the files that nowhere say so: importing them all, to
    find that no test is wanted, takes longer than some tests. No opinion otherwise."""
    wanted = re.fullmatch(r"(vllm|alone)( and (not )?\w+)?", config.option.markexpr)
    if wanted is None or collection_path.suffix != ".py":
        return None
    return None if _says(collection_path, wanted[1]) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a mark that does not stand in the test's own file: its test would never run."""
    for item in items:
        for name in ("vllm", "alone"):
            if item.get_closest_marker(name) and not _says(item.path, name):
                raise pytest.UsageError(f"{item.nodeid}: write mark.{name} into its file, or -m {name} passes it over")


@cache
def _says(path: Path, mark: str) -> bool:
    return f"mark.{mark}" in path.read_text("utf-8")


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """One vLLM server for the whole session, with the model ``tiny-a``. Tests that use it carry ``pytest.mark.vllm``.

    Fails, and never skips, where vLLM or the models are missing.
    """
    model = MODELS / "tiny-a"
    if not (model / "model.safetensors").exists():
        pytest.fail(f"{model} is not there: {MEND}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    server = VllmServer(url=f"http://127.0.0.1:{port}", model_name="tiny")
    line = [sys.executable, "-m", "serving.engine", "--engine", "vllm", "--model", str(model)]
    line += ["--model-name", server.model_name, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(line, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_ready(server.url, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # its children die with it
            process.wait()


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url + "/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    shown = log.read_text("utf-8", "replace")[-LOG_CHARS_SHOWN:]
    pytest.fail(f"vLLM is not ready (exit code {process.poll()}; is it installed? {MEND}). Its last words:\n{shown}")
