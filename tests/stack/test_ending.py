"""Every way in which a stack comes to its end, and what is left: nothing but its data."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from ops.stack.state import load_secrets

pytestmark = pytest.mark.server
Until = Callable[[Callable[[], object], str], None]
AllEnded = Callable[[list[psutil.Process]], bool]
SMALL = ("--without", "gateway", "--without", "controller", "--prometheus", "off")
"""The database alone: enough for what the supervisor does."""


def url_of(commands) -> str:  # type: ignore[no-untyped-def]
    return commands.state().database_url_with(load_secrets(commands.run_dir).database_password)


def test_sigterm_ends_it_in_order_and_the_data_are_there_again(commands, all_ended) -> None:  # type: ignore[no-untyped-def]
    process = commands.up("--workers", "1")
    with psycopg.connect(url_of(commands)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    before, tree = commands.state(), commands.tree()
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0, commands.said()
    assert all_ended(tree)
    said = commands.said()
    assert said.index("gateway-0: ended") < said.index("controller: ended") < said.index("postgres: ended")

    commands.up(*SMALL)
    after = commands.state()
    assert after.database_url == before.database_url, "a restart keeps its ports"
    with psycopg.connect(url_of(commands)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("victim", ["supervisord", "ops stack up"])
def test_kill_9_leaves_no_orphan_and_the_next_start_works(  # type: ignore[no-untyped-def]
    commands, until: Until, all_ended: AllEnded, victim: str
) -> None:
    process = commands.up("--workers", "1", "--prometheus", "off")
    tree = commands.tree()
    assert len(tree) > 10, "guards, workers, PostgreSQL and its processes"
    stale = commands.state()
    assert "supervisor.supervisord" in tree[1].cmdline()
    os.kill(process.pid if victim == "ops stack up" else tree[1].pid, signal.SIGKILL)
    if victim == "supervisord":
        assert process.wait(90) == 1
        assert "the supervisor died" in commands.said()
    until(lambda: all_ended(tree), "everything ends by itself")
    again = commands.up(*SMALL)
    assert again.pid != process.pid
    assert commands.state().supervisor_pid != stale.supervisor_pid


def test_a_start_right_after_kill_9_waits_for_what_is_still_ending(commands, all_ended) -> None:  # type: ignore[no-untyped-def]
    commands.up(*SMALL)
    tree = commands.tree()
    connection = psycopg.connect(url_of(commands))  # an open session, which PostgreSQL's end must break
    for process in tree[:2]:
        process.kill()
    commands.up(*SMALL)
    assert all_ended(tree)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")


def test_ctrl_c_during_the_start_ends_what_has_been_started(  # type: ignore[no-untyped-def]
    commands, until: Until, all_ended: AllEnded
) -> None:
    process = subprocess.Popen(
        commands.arguments("up", "--port", "0"), cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()  # the first program is healthy
    tree = commands.tree()
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 1
    process.stderr.close()
    assert all_ended(tree)


def test_a_second_ctrl_c_does_not_wait_for_what_hangs(commands, until: Until, all_ended: AllEnded) -> None:  # type: ignore[no-untyped-def]
    process = commands.up("--workers", "1", "--without", "controller", "--prometheus", "off")
    tree = commands.tree()
    worker = next(p for p in tree if p.cmdline()[1:3] == ["-m", "serving.gateway"])
    worker.suspend()  # it will not hear SIGTERM, and has its drain time of half a minute
    process.send_signal(signal.SIGINT)
    until(lambda: "a second Ctrl-C" in commands.said(), "the first is answered")
    process.send_signal(signal.SIGINT)
    assert process.wait(25) == 0, commands.said()
    assert all_ended(tree)


def test_down_from_elsewhere_ends_a_foreground_stack_cleanly(commands) -> None:  # type: ignore[no-untyped-def]
    process = commands.up(*SMALL)
    assert commands.run("down").returncode == 0
    assert process.wait(90) == 0
    assert "ended by `ops stack down`" in commands.said()


def test_a_program_that_does_not_start_shows_its_log_and_ends_the_rest(commands) -> None:  # type: ignore[no-untyped-def]
    (commands.run_dir / "gateway").mkdir(parents=True)
    (commands.run_dir / "gateway" / "gateway-0").write_text("a file where the worker wants its folder")
    done = commands.run("up", "--port", "0", "--workers", "1", "--without", "controller", "--prometheus", "off")
    assert done.returncode == 1
    assert "gateway-0 keeps ending" in done.stderr
    assert "gateway-0.log" in done.stderr
    assert "gateway/gateway-0" in done.stderr
    assert commands.run("status").returncode == 1
    left = [p for p in psutil.process_iter() if str(commands.run_dir) in " ".join(_command(p))]
    assert not left


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--environment", "moon"], "it has production, staging, development"),
        (["--workers", "0"], "a stack has 1 to 32"),
        (["--postgres-bin", "/nowhere"], "holds no postgres"),
        (["--spec", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_what_cannot_be_started_as_asked_is_exit_2(commands, arguments: list[str], words: str) -> None:  # type: ignore[no-untyped-def]
    done = commands.run("up", "--port", "0", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_somebody_else_is_used_and_left_alone(commands, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    commands.up(*SMALL)
    url = url_of(commands)
    other = type(commands)(tmp_path / "other")
    other.up("--without", "gateway", "--prometheus", "off", "--database-url", url)
    try:
        assert other.state().database_url == commands.state().database_url
        assert not other.state().database_is_ours
        assert other.run("status").returncode == 0
        assert not (other.run_dir / "postgres").exists()
    finally:
        assert other.run("down").returncode == 0
        other.started[0].wait(60)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
