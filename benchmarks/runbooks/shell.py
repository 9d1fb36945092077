"""Runs the commands of a page as they stand, in a shell, where the stack was started."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMAND_SECONDS_MAX = 120.0
SHOWN_CHARS_MAX = 2000


class CommandStuck(Exception):
    """A command that did not end in time, and was ended."""


@dataclass(frozen=True)
class Ran:
    command: str
    code: int
    output: str
    """Of stdout and stderr, its end."""
    said: str
    """Of stdout alone."""
    seconds: float


async def run(command: str, folder: Path, variables: Mapping[str, str]) -> Ran:
    """Raises CommandStuck."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        cwd=folder,
        env={**_environment(), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS_MAX)
    except TimeoutError as e:
        process.kill()
        await process.wait()
        raise CommandStuck(f"did not end within {COMMAND_SECONDS_MAX:g} s: {command}") from e
    text = (out + err).decode(errors="replace")[-SHOWN_CHARS_MAX:]
    return Ran(command, process.returncode or 0, text, out.decode(errors="replace"), time.monotonic() - began)


async def set_variables(setting: str, folder: Path) -> tuple[Ran, dict[str, str]]:
    """Runs the command of the page's box; returns the variables that a shell has of it."""
    ran = await run(f"{setting} && env -0", folder, {})
    before = _environment()
    pairs = (pair.partition("=") for pair in ran.said.split("\0") if pair)
    return ran, {key: value for key, _, value in pairs if before.get(key) != value and key not in ("_", "SHLVL", "PWD")}


def _environment() -> dict[str, str]:
    """The path holds ``ops`` of this installation first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "COLUMNS": "120"}
