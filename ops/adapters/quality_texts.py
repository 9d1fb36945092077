"""The files of fixed texts: a user's own beside the spec, or the product's."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec

from ops.quality.model import FixedText, Texts

FOLDER = "quality"
"""Beside the spec."""
TEXTS_MAX = 1000
TEXT_CHARS_MAX = 20_000


class TextsError(Exception):
    """There are no such texts, or the file is faulty. The message says where and what to mend."""


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    text: Annotated[str, msgspec.Meta(min_length=2, max_length=TEXT_CHARS_MAX)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompts: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1, max_length=TEXTS_MAX)]
    passages: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=TEXTS_MAX)]


def load_texts(name: str, spec_folder: Path) -> Texts:
    """``quality/NAME.json`` in ``spec_folder`` if it is there, else the product's own. Raises TextsError."""
    own = spec_folder / FOLDER / f"{name}.json"
    try:
        raw = own.read_bytes() if own.exists() else (files("ops.quality") / "texts" / f"{name}.json").read_bytes()
        found = msgspec.json.decode(raw, type=_File)
    except OSError as e:
        raise TextsError(f"no fixed texts {name!r}: neither {own} nor the product has them") from e
    except msgspec.DecodeError as e:
        raise TextsError(f"the fixed texts {name!r} are faulty: {e}") from e
    prompts, passages = _texts(found.prompts), _texts(found.passages)
    for kind in (prompts, passages):
        if len({text.name for text in kind}) != len(kind):
            raise TextsError(f"the fixed texts {name!r} hold a name twice")
    return Texts(name, hashlib.sha256(raw).hexdigest(), prompts, passages)


def _texts(found: tuple[_Text, ...]) -> tuple[FixedText, ...]:
    return tuple(FixedText(one.name, one.text) for one in found)
