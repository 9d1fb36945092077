"""The reference spec, as text and as a spec, and the faults of a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec, parse_spec
from ops.spec.faults import Fault, SpecError
from ops.spec.model import Spec

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def reference_text() -> str:
    return (ROOT / "gratefulgpt.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def reference() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


@pytest.fixture(scope="session")
def edited(reference_text: str) -> Callable[..., bytes]:
    """The reference with texts replaced, each of which must be there."""

    def edit(*changes: tuple[str, str]) -> bytes:
        text = reference_text
        for old, new in changes:
            assert old in text, f"the reference has no {old!r}"
            text = text.replace(old, new, 1)
        return text.encode()

    return edit


@pytest.fixture(scope="session")
def faults_of() -> Callable[[bytes], list[Fault]]:
    """The faults that a text is answered with; none if it is a sound spec."""

    def answer(data: bytes) -> list[Fault]:
        try:
            parse_spec(data, "spec.yaml")
        except SpecError as e:
            return list(e.faults)
        return []

    return answer
