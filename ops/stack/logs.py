"""The programs' logs, read where supervisord writes and rotates them."""

from __future__ import annotations

import os
from pathlib import Path

from ops.adapters.supervisord import tail

READ_BYTES_MAX = 1_000_000
"""Of one log at one look; what is beyond comes with the next."""


def log_files(folder: Path) -> dict[str, Path]:
    """The logs in the folder by the name of their program."""
    return {path.stem: path for path in sorted(folder.glob("*.log"))}


class LogFollower:
    """Lines of one program's log, or of all; where it is all, each line begins with its program's name."""

    def __init__(self, folder: Path, name: str | None):
        self._folder = folder
        self._name = name
        self._read: dict[str, tuple[int, int]] = {}
        """By name: the file's inode and the bytes read of it."""

    def last(self, lines: int) -> list[str]:
        found = []
        for name, path in self._files().items():
            self._read[name] = _place(path)
            found += [self._shown(name, line) for line in tail(path, lines)]
        return found

    def new(self) -> list[str]:
        """What has been written since, in whole lines."""
        found = []
        for name, path in self._files().items():
            inode, size = _place(path)
            known, start = self._read.get(name, (inode, 0))
            if known != inode or size < start:
                start = 0  # rotated: a new file began
            data = _read(path, start)
            whole = data[: data.rfind(b"\n") + 1]
            self._read[name] = (inode, start + len(whole))
            found += [self._shown(name, line) for line in whole.decode(errors="replace").splitlines()]
        return found

    def _files(self) -> dict[str, Path]:
        files = log_files(self._folder)
        return files if self._name is None else {name: path for name, path in files.items() if name == self._name}

    def _shown(self, name: str, line: str) -> str:
        return line if self._name is not None else f"{name} | {line}"


def _place(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


def _read(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(READ_BYTES_MAX)
    except FileNotFoundError:
        return b""
