"""Reads the spec's file."""

from __future__ import annotations

from pathlib import Path

from ops.adapters.yaml_document import compose
from ops.spec.faults import Fault, SpecError
from ops.spec.model import Spec
from ops.spec.reading import read_spec

SIZE_BYTES_MAX = 1024 * 1024


def load_spec(path: Path) -> Spec:
    """The spec in a YAML file.

    Raises SpecError with every fault of the file: of its syntax, its types and ranges, and its contradictions.
    """
    return parse_spec(_read(path), str(path))


def parse_spec(data: bytes, file: str) -> Spec:
    """The spec in the bytes of a YAML file; ``file`` names it in faults. Raises SpecError as ``load_spec`` does."""
    if len(data) > SIZE_BYTES_MAX:
        raise SpecError([Fault(file, 0, 0, "", "the file is too large", f"more than {SIZE_BYTES_MAX} bytes")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        before = data[: e.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        found = f"byte 0x{data[e.start]:02X}"
        raise SpecError([Fault(file, line, column, "", "the file is not UTF-8", found)]) from e
    document, faults = compose(text, file)
    return read_spec(document, file, faults)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(SIZE_BYTES_MAX + 1)
    except FileNotFoundError as e:
        raise SpecError([Fault(str(path), 0, 0, "", "no such file")]) from e
    except IsADirectoryError as e:
        raise SpecError([Fault(str(path), 0, 0, "", "a folder, where a file is expected")]) from e
    except (OSError, ValueError) as e:  # ValueError: a path with a null character
        reason = e.strerror if isinstance(e, OSError) else "not a path"
        raise SpecError([Fault(str(path), 0, 0, "", f"cannot be read: {reason}")]) from e
