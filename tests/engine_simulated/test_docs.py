"""The page on the simulated engine names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.engine.simulated.arguments import WITHOUT_EFFECT
from serving.engine.simulated.profile import Faults, Profile

PAGE = (Path(__file__).parents[2] / "docs" / "simulated-engine.md").read_text()


@pytest.mark.parametrize("name", [*Profile.__struct_fields__, *Faults.__struct_fields__, *WITHOUT_EFFECT])
def test_every_setting_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
