"""promtool and amtool on generated files: what the servers themselves would say."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECK_SECONDS_MAX = 300.0
"""Rule tests over windows of days evaluate tens of thousands of times."""
WORDS_MAX = 2000
"""Of a program's complaint."""


class ChecksUnavailable(Exception):
    """A program that checks is not there, or did not end. Nothing was learnt."""


@dataclass(frozen=True)
class Checked:
    what: str
    passed: bool
    said: str
    """Empty if it passed."""


def check_rules(files: list[Path]) -> Checked:
    """Raises ChecksUnavailable."""
    return _run("promtool", "prometheus", "the rules are valid", "check", "rules", *map(str, files))


def test_rules(file: Path) -> Checked:
    """Raises ChecksUnavailable."""
    return _run("promtool", "prometheus", f"the rule tests of {file.name} hold", "test", "rules", str(file))


def check_configuration(file: Path) -> Checked:
    """Raises ChecksUnavailable."""
    return _run(
        "amtool", "prometheus-alertmanager", "the Alertmanager's configuration is valid", "check-config", str(file)
    )


def check_texts(rules: Mapping[str, str]) -> Checked:
    """Rule files that do not lie anywhere yet, by name. Raises ChecksUnavailable."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in rules.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return check_rules(sorted(Path(folder).iterdir()))


def check_configuration_text(text: str) -> Checked:
    """Raises ChecksUnavailable."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "alertmanager.yml"
        path.write_text(text, encoding="utf-8")
        return check_configuration(path)


def routed_to(file: Path, labels: tuple[str, ...], receiver: str) -> Checked:
    """Whether an alert with these labels goes to the receiver and to no other. Raises ChecksUnavailable."""
    what = f"{' '.join(labels)} goes to {receiver}"
    line = ("config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *labels)
    return _run("amtool", "prometheus-alertmanager", what, *line)


def _run(program: str, package: str, what: str, *arguments: str) -> Checked:
    found = shutil.which(program)
    if found is None:
        raise ChecksUnavailable(f"there is no {program} on the PATH: apt-get install {package}")
    try:
        done = subprocess.run(
            [found, *arguments], capture_output=True, text=True, timeout=CHECK_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired as e:
        raise ChecksUnavailable(f"{program} did not end within {CHECK_SECONDS_MAX:g} s") from e
    except OSError as e:
        raise ChecksUnavailable(f"{program} cannot be started: {e.strerror}") from e
    said = (done.stdout + done.stderr).strip()
    return Checked(what, done.returncode == 0, "" if done.returncode == 0 else said[-WORDS_MAX:])
