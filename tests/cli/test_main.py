"""The frame of the command line: nouns found when used, one line and an exit code for whatever goes wrong."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cli.main import NOUNS, Noun, main

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]

MODULE = """
import typer
from ops.cli.output import CommandError, confirm, emit_json, exit_with, fail_usage
from ops.spec.faults import Fault, SpecError
from ops.verdict import Evidence, Outcome, Verdict

app = typer.Typer()

@app.command()
def run(how: str = typer.Argument(), yes: bool = typer.Option(False, "--yes")) -> None:
    match how:
        case "pass" | "fail" | "inconclusive" | "invalid":
            exit_with(Verdict(Outcome(how), (Evidence("seen"),)))
        case "interrupt":
            raise KeyboardInterrupt
        case "usage":
            fail_usage("that cannot be meant")
        case "down":
            raise CommandError("the stack is not up", exit_code=1)
        case "spec":
            raise SpecError([Fault("a.yaml", 1, 2, "x", "wrong"), Fault("a.yaml", 3, 4, "y", "wrong")])
        case "defect":
            raise RuntimeError("broken")
        case "json":
            emit_json("test.thing/1", {"verdict": Outcome.PASS, "rate": float("inf")})
        case "delete":
            confirm("this deletes 3 things", yes)
            print("deleted")
"""


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line with nouns of the test's own; gives exit code, stdout, stderr."""
    (tmp_path / "noun_thing.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "noun_needing.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    (tmp_path / "noun_empty.py").write_text("app = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    nouns = {
        "thing": Noun("noun_thing", "Do a thing.", group=False),
        "things": Noun("noun_thing", "Do things."),
        "gone": Noun("noun_gone", "Not there."),
        "needing": Noun("noun_needing", "Needs more."),
        "empty": Noun("noun_empty", "Holds nothing."),
    }

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments, nouns)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.parametrize(("outcome", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 3), ("invalid", 4)])
def test_a_verdict_gives_its_exit_code(ops: Run, outcome: str, code: int) -> None:
    assert ops("thing", outcome) == (code, "", "")


def test_a_group_keeps_its_verbs_even_if_it_has_one_only(ops: Run) -> None:
    assert ops("things", "run", "fail") == (1, "", "")
    assert ops("things", "fail")[0] == 2


def test_an_interrupt_is_one_line_and_exit_code_130(ops: Run) -> None:
    assert ops("thing", "interrupt") == (130, "", "ops: interrupted\n")


def test_wrong_usage_is_one_line_and_exit_code_2(ops: Run) -> None:
    assert ops("thing", "usage") == (2, "", "ops: that cannot be meant\n")


def test_a_command_that_cannot_go_on_says_why_with_its_own_exit_code(ops: Run) -> None:
    assert ops("thing", "down") == (1, "", "ops: the stack is not up\n")


def test_a_bad_spec_anywhere_is_shown_with_all_its_faults(ops: Run) -> None:
    assert ops("thing", "spec") == (2, "", "a.yaml:1:2: x: wrong\na.yaml:3:4: y: wrong\nops: the spec has 2 faults\n")


def test_a_defect_is_no_verdict_of_failure(ops: Run) -> None:
    code, out, err = ops("thing", "defect")
    assert (code, out) == (4, "")
    assert "RuntimeError: broken" in err
    assert err.endswith("ops: this is a defect of the program, and no verdict\n")


def test_json_names_its_schema_first_and_holds_no_infinity(ops: Run) -> None:
    assert ops("thing", "json") == (0, '{\n  "schema": "test.thing/1",\n  "verdict": "pass",\n  "rate": null\n}\n', "")


def test_a_noun_whose_module_is_absent_says_so(ops: Run) -> None:
    assert ops("gone") == (2, "", "ops: `ops gone` is not part of this installation (no module noun_gone)\n")


def test_a_noun_that_lacks_a_package_names_it(ops: Run) -> None:
    code, out, err = ops("needing")
    assert (code, out) == (2, "")
    assert "needs the package 'a_package_that_is_not_there'" in err


def test_a_module_without_an_app_is_a_defect(ops: Run) -> None:
    assert ops("empty")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("thong", "pass"), "'thing'"),
        (("thing", "--yse"), "--yes"),
        (("thing",), "Missing argument"),
        (("--colour", "thing"), "--colour"),
    ],
)
def test_a_slip_is_answered_with_what_is_near(ops: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = ops(*arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_help_lists_every_noun_with_its_line(ops: Run) -> None:
    code, out, _ = ops("--help")
    assert code == 0
    for line in ("thing    Do a thing.", "gone     Not there."):
        assert line in out


def test_no_arguments_give_the_help_and_exit_code_2(ops: Run) -> None:
    code, out, err = ops()
    assert code == 2
    assert "Do a thing." in out + err


def test_the_version_is_that_of_the_package(ops: Run) -> None:
    code, out, err = ops("--version")
    assert (code, err) == (0, "")
    assert out.startswith("ops ")


def test_help_imports_no_heavy_package() -> None:
    heavy = {"matplotlib", "numpy", "psycopg", "sqlalchemy", "alembic", "rich", "aiohttp", "yaml", "supervisor"}
    heavy |= {"pydantic", "scipy"}
    script = "import sys; from ops.cli.main import main; main(['--help']); print(*sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "ops.cli.main" in imported
    assert not heavy & imported


def test_every_help_fits_its_line_so_that_none_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, noun in NOUNS.items():
        assert f"  {name} " in out
        assert noun.help in out


def test_a_command_that_destroys_needs_yes_where_nobody_can_be_asked(
    ops: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "nobody").open("w+") as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        code, out, err = ops("thing", "delete")
        assert (code, out) == (2, "")
        assert "this deletes 3 things" in err
        assert "--yes" in err
        assert ops("thing", "delete", "--yes") == (0, "deleted\n", "this deletes 3 things\n")


@pytest.mark.parametrize(
    ("answer", "code", "printed"), [(b"y\n", 0, "deleted\n"), (b"n\n", 2, ""), (b"\n", 2, ""), (b"\x04", 2, "")]
)
def test_a_command_that_destroys_asks_who_sits_there(tmp_path: Path, answer: bytes, code: int, printed: str) -> None:
    (tmp_path / "noun_thing.py").write_text(MODULE, encoding="utf-8")
    script = (
        "import sys; from ops.cli.main import Noun, main; "
        "sys.exit(main(['thing', 'delete'], {'thing': Noun('noun_thing', 'A thing.', group=False)}))"
    )
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (code, printed)
    assert "this deletes 3 things. Go on? [y/N]" in done.stderr
