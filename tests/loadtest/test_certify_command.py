"""``ops load certify``: what cannot be tried is told in a line, with its exit code, and nothing is broken."""

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ops.cli.main import main
from ops.loadtest.certifying.breaches import BREACHES
from ops.stack.state import StackState, lock_path, save_stack

ROOT = Path(__file__).parents[2]
Running = Callable[..., str]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A folder in which a stack seems to run; its folder, as an argument."""
    with lock_path(tmp_path).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def begin(**more: object) -> str:
            state = StackState(
                run_dir=str(tmp_path), environment="development", spec_path=str(ROOT / "gratefulgpt.yaml"),
                engine="simulated", database_url="postgresql://x", database_is_ours=True,
                gateway_url="http://127.0.0.1:1", workers=(),
                controller_url="http://127.0.0.1:1", prometheus_url="http://127.0.0.1:1", supervisor_pid=1,
                supervisor_socket=str(tmp_path / "no.sock"), started_unix_seconds=0.0,
                alertmanager_url="http://127.0.0.1:1",
            )  # fmt: skip
            save_stack(msgspec.structs.replace(state, **more))
            return str(tmp_path)

        yield begin


@pytest.fixture
def pages(tmp_path: Path) -> str:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    return str(folder)


def test_a_breach_that_is_mispelt_is_told_with_the_nearest_and_all_there_are(capsys):
    assert main(["load", "certify", "outrage"]) == 2
    names = ", ".join(one.name for one in BREACHES)
    assert capsys.readouterr().err == f"ops: there is no breach 'outrage': did you mean outage? there are {names}\n"


def test_certify_is_no_suite_and_its_help_names_the_breaches(capsys):
    assert main(["load", "certify", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(one.name in said for one in BREACHES)
    assert "Only simulated engines are ever broken" in said


def test_a_scale_of_nothing_is_refused(capsys):
    assert main(["load", "certify", "--scale", "0"]) == 2
    assert "--scale must be more than 0" in capsys.readouterr().err


def test_without_pages_no_link_could_lead_anywhere(tmp_path, capsys):
    assert main(["load", "certify", "--runbooks", str(tmp_path / "none")]) == 2
    assert "`ops alerts render` writes them" in capsys.readouterr().err


def test_without_a_stack_it_says_how_to_start_one(tmp_path, pages, capsys):
    assert main(["load", "certify", "--runbooks", pages, "--run-dir", str(tmp_path)]) == 2
    assert "start one with `ops stack up" in capsys.readouterr().err


@pytest.mark.parametrize("lacking", ["prometheus", "alertmanager"])
def test_a_stack_without_what_would_tell_is_invalid(running: Running, pages: str, lacking: str, capsys):
    where = running(**{f"{lacking}_url": None})
    assert main(["load", "certify", "--runbooks", pages, "--run-dir", where]) == 4
    assert f"has no {lacking.capitalize()}, so no alert can be seen: --{lacking} on" in capsys.readouterr().err


def test_a_stack_whose_engines_cannot_be_asked_is_left_alone(running: Running, pages: str, capsys):
    assert main(["load", "certify", "--runbooks", pages, "--run-dir", running(), "--yes", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "the stack's engines cannot be asked: supervisord does not answer" in err


