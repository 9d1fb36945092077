"""What the README promises is there: commands, make targets, links and folders."""

import re
from pathlib import Path

import pytest

from ops.cli.main import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_names_commands():
    assert len(_commands()) >= 20


def _commands() -> list[str]:
    table = README[README.index("## Commands") : README.index("Results go to stdout")]
    return re.findall(r"`ops ([a-z]+(?: [a-z]+)?)`", table)


@pytest.mark.parametrize("command", _commands())
def test_each_command_of_the_readme_exists(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_each_make_target_named_in_a_page_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = re.compile(r"(?:`|^    )make ([a-z-]+)", re.MULTILINE)
    named = {name for page in PAGES for name in code.findall(page.read_text())}
    assert {"demo", "test"} <= named
    assert named <= targets


def test_each_link_between_pages_leads_somewhere():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


def test_each_folder_of_the_map_exists():
    table = README[README.index("## Where things are") : README.index("## More")]
    paths = re.findall(r"`([^`]+)`", table)
    assert len(paths) > 10
    assert not [path for path in paths if not (ROOT / path).exists()]
