"""The reference's alerting, as a spec and in Alertmanager's form with receivers that a test reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.spec.alerting import Alerting

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks stand beside the packages and are not installed


@pytest.fixture(scope="session")
def alerting() -> Alerting:
    return load_spec(ROOT / "gratefulgpt.yaml").alerting
