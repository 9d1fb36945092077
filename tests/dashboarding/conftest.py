from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ops.adapters.spec_file import load_spec
from ops.dashboarding.files import rendered_boards
from ops.spec.model import Spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def spec() -> Spec:
    return load_spec(ROOT / "gratefulgpt.yaml")


@pytest.fixture(scope="session")
def boards(spec: Spec) -> dict[str, dict[str, Any]]:
    """Grafana's JSON by dashboard."""
    return rendered_boards(spec)
