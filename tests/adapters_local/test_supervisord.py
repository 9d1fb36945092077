"""A real supervisord: programs come and go while it runs, words arrive unharmed, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.adapters.supervisord import ENDED, SOCKET_PATH_BYTES_MAX, State, Supervisor, SupervisorError, choose_socket
from ops.adapters.supervisord_files import Folder, Program, UnusablePath, render_config

Until = Callable[[Callable[[], object], str], None]
Alive = Callable[[int], bool]


def sleeper(name: str, folder: Path, **options: object) -> Program:
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); print('up'); time.sleep(600)"
    return Program(name, (sys.executable, "-uc", script, str(folder / name)), **options)  # type: ignore[arg-type]


def pid_of(folder: Path, name: str, until: Until) -> int:
    until(lambda: (folder / name).exists() and (folder / name).read_text(), f"{name} starts")
    return int((folder / name).read_text())


@pytest.mark.parametrize("mark", [" ;", " #", "\n", "[a]", "%"])
def test_a_path_that_supervisord_cannot_read_is_refused(mark: str) -> None:
    with pytest.raises(UnusablePath, match="another --run-dir"):
        render_config(Folder(Path(f"/run/a{mark}b"), Path("/run/socket")))


def test_a_socket_path_too_long_for_the_kernel_goes_elsewhere(tmp_path: Path) -> None:
    short = Path("/run/x")
    assert choose_socket(short).is_relative_to(short)
    elsewhere = choose_socket(tmp_path / ("long" * 40))
    assert len(os.fsencode(elsewhere)) <= SOCKET_PATH_BYTES_MAX
    assert elsewhere.parent.stat().st_mode & 0o777 == 0o700
    elsewhere.parent.rmdir()


def test_a_supervisor_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="does not answer"):
        Supervisor(Folder(tmp_path, tmp_path / "socket")).processes()


@pytest.mark.server
def test_programs_come_and_go(supervisor: Supervisor, tmp_path: Path, until: Until, alive: Alive) -> None:
    program = sleeper("one", tmp_path)
    supervisor.add(program)
    supervisor.add(program)  # twice is once
    pid = pid_of(tmp_path, "one", until)
    assert set(supervisor.processes()) == {"one"}
    assert supervisor.remove("one") is False
    supervisor.stop("one")
    until(lambda: supervisor.processes()["one"].state in ENDED, "it stops")
    assert not alive(pid)
    (tmp_path / "one").unlink()
    supervisor.start("one")
    pid_of(tmp_path, "one", until)
    supervisor.stop("one")
    until(lambda: supervisor.remove("one"), "it is forgotten")
    supervisor.stop("one")
    assert supervisor.processes() == {}
    assert not list(supervisor.folder.programs.iterdir())


@pytest.mark.server
def test_every_word_and_the_environment_arrive_unharmed(supervisor: Supervisor, until: Until) -> None:
    words = ("a b", 'say "hi"', "100%(x)s", "; # not a comment", "it's", "a,b='c'")
    script = "import os, sys, time; print(repr(sys.argv[1:] + [os.environ['WORD']])); time.sleep(600)"
    supervisor.add(Program("words", (sys.executable, "-uc", script, *words), {"WORD": words[1]}))
    until(lambda: supervisor.log_tail("words", 5), "it prints")
    assert supervisor.log_tail("words", 5) == [repr([*words, words[1]])]


@pytest.mark.server
def test_what_dies_is_started_again_and_what_keeps_dying_is_given_up(
    supervisor: Supervisor, tmp_path: Path, until: Until
) -> None:
    supervisor.add(sleeper("steady", tmp_path, start_seconds=0))
    supervisor.add(Program("broken", (sys.executable, "-c", "raise SystemExit('no luck')"), start_retries=1))
    first = pid_of(tmp_path, "steady", until)
    os.kill(first, signal.SIGKILL)
    until(lambda: pid_of(tmp_path, "steady", until) != first, "it is started again")
    until(lambda: supervisor.processes()["broken"].state is State.FATAL, "it is given up")
    assert supervisor.log_tail("broken", 1) == ["no luck"]


@pytest.mark.server
def test_killing_the_supervisor_by_9_leaves_no_orphan(
    supervisor: Supervisor, tmp_path: Path, until: Until, alive: Alive
) -> None:
    supervisor.add(sleeper("one", tmp_path))
    supervisor.add(sleeper("two", tmp_path))
    pids = [pid_of(tmp_path, name, until) for name in ("one", "two")]
    guards = [process.pid for process in supervisor.processes().values()]
    daemon = psutil.Process(guards[0]).parent()
    assert daemon is not None
    daemon.kill()
    until(lambda: not [pid for pid in (*pids, *guards) if alive(pid)], "programs and guards end")
