"""The pictures of dashboards, as far as no browser is needed: what is drawn, by what, and that it is there."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import struct
from pathlib import Path

import psutil
import pytest
from PIL import Image

from benchmarks.pictures import gpus
from benchmarks.pictures.__main__ import FIRST, FIRST_HEIGHT
from benchmarks.pictures.browser import POLL_SECONDS, START_SECONDS_MAX, end
from benchmarks.pictures.drawing import PICTURE_BYTES_MAX, WIDTH, Drawn, judged, names, small, top
from ops.alerting.catalogue import METRICS, Source
from ops.dashboarding.model import Shape
from ops.verdict import Outcome

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "benchmarks" / "pictures" / "page"
IMAGES = ROOT / "docs" / "images"
BOARDS = names(ROOT / "dashboards")


def entries(file: str, constant: str) -> set[str]:
    """The keys of an object of the page's source."""
    found = re.search(rf"^const {constant} = \{{\n(.*?)^\}};", (PAGE / file).read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{file} has no {constant}"
    return {key.strip("'") for key in re.findall(r"^  ('[\w-]+'|\w+):", found[1], re.MULTILINE)}


@pytest.mark.parametrize(("file", "constant"), [("board.jsx", "DRAWN"), ("overriding.js", "CUSTOM")])
def test_every_shape_of_panel_can_be_drawn(file: str, constant: str) -> None:
    assert entries(file, constant) == {shape.value for shape in Shape}


def test_every_panel_that_is_rendered_is_of_a_type_that_can_be_drawn() -> None:
    for name in BOARDS:
        board = json.loads((ROOT / "dashboards" / f"{name}.json").read_text())
        assert {panel["type"] for panel in board["panels"]} - {"row"} <= entries("board.jsx", "DRAWN"), name


def test_grafanas_packages_are_of_the_version_whose_types_are_checked() -> None:
    wanted = json.loads((ROOT / "tests" / "node" / "package.json").read_text())["devDependencies"]["@grafana/schema"]
    ours = json.loads((PAGE / "package.json").read_text())["devDependencies"]
    assert {version for name, version in ours.items() if name.startswith("@grafana/")} == {wanted}


def test_the_lock_file_pins_what_is_asked_for_and_no_download_address() -> None:
    asked = json.loads((PAGE / "package.json").read_text())["devDependencies"]
    text = (PAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in asked} == asked
    assert all("integrity" in one for path, one in packages.items() if path)
    assert "resolved" not in text


@pytest.mark.parametrize("name", BOARDS)
def test_each_dashboard_has_its_picture_in_the_docs(name: str) -> None:
    png = (IMAGES / f"dashboard-{name}.png").read_bytes()
    assert len(png) <= PICTURE_BYTES_MAX
    assert struct.unpack(">I", png[16:20]) == (WIDTH,)
    assert f"images/dashboard-{name}.png" in (ROOT / "docs" / "dashboards.md").read_text()


def test_no_picture_is_left_of_a_dashboard_that_is_gone() -> None:
    found = {path.stem.removeprefix("dashboard-") for path in IMAGES.glob("dashboard-*.png")}
    assert found == {*BOARDS, f"{FIRST}-top"}


def test_the_top_in_the_readme_is_that_of_the_whole_picture() -> None:
    whole = IMAGES / f"dashboard-{FIRST}.png"
    part = whole.with_stem(f"{whole.stem}-top")
    with Image.open(io.BytesIO(top(whole.read_bytes(), FIRST_HEIGHT))) as wanted, Image.open(part) as found:
        assert found.size == (WIDTH, FIRST_HEIGHT)
        assert found.convert("RGB").tobytes() == wanted.convert("RGB").tobytes()
    assert f"docs/images/{part.name}" in (ROOT / "README.md").read_text()


def test_a_small_picture_has_the_size_and_the_colours_of_the_large_one() -> None:
    large = Image.new("RGB", (40, 20), (24, 27, 31))
    large.paste((242, 73, 92), (10, 5, 30, 15))
    out = io.BytesIO()
    large.save(out, "png")
    with Image.open(io.BytesIO(small(out.getvalue()))) as found:
        assert (found.size, found.mode) == ((40, 20), "P")
        assert found.convert("RGB").tobytes() == large.tobytes()


def test_the_made_up_gpus_have_every_metric_that_dashboards_read() -> None:
    names_read = {one.name for one in METRICS if one.source is Source.DCGM and one.name.startswith("DCGM")}
    assert {line.split("{")[0] for line in gpus.text(0).splitlines()} == names_read
    assert gpus.text(0) != gpus.text(30)


async def test_what_a_browser_has_started_ends_with_it() -> None:
    process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 60 & wait", start_new_session=True)
    async with asyncio.timeout(START_SECONDS_MAX):
        while not psutil.Process(process.pid).children():  # noqa: ASYNC110 - another program tells of no event
            await asyncio.sleep(POLL_SECONDS)
    await end(process)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def drawn(*panels: dict[str, object], error: str | None = None, size: int = 10) -> Drawn:
    return Drawn("overview", bytes(size), panels, error)


EMPTY = frozenset({("overview", "Freeze")})


@pytest.mark.parametrize(
    ("picture", "outcome", "words"),
    [
        (drawn({"panel": "Latency", "series": 2}), Outcome.PASS, "1 panels of 1 dashboards drawn"),
        (drawn({"panel": "Freeze", "series": 0}), Outcome.PASS, "1 panels of 1 dashboards drawn"),
        (drawn({"panel": "Latency", "series": 0}), Outcome.FAIL, "overview: Latency: no data"),
        (drawn({"panel": "Freeze", "series": 0, "error": "bad"}), Outcome.FAIL, "overview: Freeze: bad"),
        (drawn(error="no page"), Outcome.FAIL, "overview: no page"),
        (drawn({"panel": "Latency", "series": 1}, size=400_001), Outcome.FAIL,
         "overview: the picture has 400,001 bytes, 400,000 are the most"),
        (drawn(), Outcome.INVALID, "nothing was drawn"),
    ],
)  # fmt: skip
def test_only_panels_with_data_pass(picture: Drawn, outcome: Outcome, words: str) -> None:
    verdict = judged([picture], EMPTY)
    assert (verdict.outcome, [one.text for one in verdict.evidence]) == (outcome, [words])
