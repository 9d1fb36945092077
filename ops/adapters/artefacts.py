"""Model artefacts on disk: their files hashed, and compared with what was registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from ops.rollout.observing import Checked
from ops.rollout.record import ArtefactFile, Release

_FILES_MAX = 10_000


class ArtefactError(Exception):
    """There is no artefact there, or it cannot be read. The message says where and what to do."""


def model_folder(uri: str) -> Path:
    """The folder that ``uri`` names: a path or ``file://``. Raises ArtefactError."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise ArtefactError(f"{uri}: only folders and file:// can be read; copy the model to a folder first")
    folder = Path(unquote(parts.path) if parts.scheme else uri).expanduser()
    if not folder.is_absolute():
        raise ArtefactError(f"{uri}: give an absolute path, so that every engine finds it")
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: no such folder; a release is a folder with the model's files")
    return folder


def hash_files(folder: Path) -> tuple[ArtefactFile, ...]:
    """Every file below ``folder``, by path. Raises ArtefactError."""
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            raise ArtefactError(f"{folder}: the folder is empty")
        if len(paths) > _FILES_MAX:
            raise ArtefactError(f"{folder}: more than {_FILES_MAX} files; is it a model's folder?")
        return tuple(_hash_file(path, folder) for path in paths)
    except OSError as e:
        raise ArtefactError(f"{folder}: cannot be read: {e.strerror}") from e


def _hash_file(path: Path, folder: Path) -> ArtefactFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ArtefactFile(path.relative_to(folder).as_posix(), digest, file.tell())


def release_digest(
    files: Iterable[ArtefactFile], engine: str, engine_version: str, arguments: Iterable[str], template_version: str
) -> str:
    """SHA-256 in hex over all that could change an answer."""
    parts = [[[file.path, file.sha256] for file in files], engine, engine_version, list(arguments), template_version]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def verify(release: Release) -> Checked:
    """Whether the files are those that were registered: all of them, unchanged, and no others."""
    try:
        found = {file.path: file for file in hash_files(model_folder(release.model_path))}
    except ArtefactError as e:
        return Checked(False, str(e))
    registered = {file.path: file for file in release.files}
    faults = [
        *(f"{path} is missing" for path in sorted(registered.keys() - found.keys())),
        *(f"{path} was not registered" for path in sorted(found.keys() - registered.keys())),
        *(
            f"{path} has sha256 {found[path].sha256[:12]}…, registered was {registered[path].sha256[:12]}…"
            for path in sorted(found.keys() & registered.keys())
            if found[path].sha256 != registered[path].sha256
        ),
    ]
    if faults:
        return Checked(False, "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else ""))
    digest = release_digest(
        release.files, release.engine, release.engine_version, release.arguments, release.template_version
    )
    if digest != release.digest:
        return Checked(False, "the registered digest does not follow from what is registered")
    return Checked(True, f"{len(found)} files as registered")
