"""The tasks that the spec names, from the spec's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.tasks.catalogue import Catalogue, load_catalogue

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def own_tasks() -> dict[str, dict[str, Any]]:
    """Name to entry, with the cap on output tokens that holds for it."""
    spec = yaml.safe_load((ROOT / "gratefulgpt.yaml").read_text())
    return {
        name: {"cap": spec["task_classes"][task["class"]]["output_tokens_max"], **task}
        | ({"cap": task["output_tokens_max"]} if "output_tokens_max" in task else {})
        for name, task in spec["api"]["tasks"].items()
        if task["kind"] in ("text", "structured")
    }


@pytest.fixture(scope="session")
def catalogue(own_tasks: dict[str, Any]) -> Catalogue:
    return load_catalogue(own_tasks)
