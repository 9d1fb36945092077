"""The guard: forwards, drops privileges, and leaves no orphan whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.adapters import guard

GUARD = [sys.executable, "-I", "-S", guard.__file__]
SLEEPER = "import time; time.sleep(600)"
# Writes its own pid and that of a child of its own session, then sleeps; ignores SIGTERM if told to.
FAMILY = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1] + ".tmp", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
if "leave" in sys.argv:
    sys.exit(3)
time.sleep(600)
"""

Until = Callable[[Callable[[], object], str], None]
Alive = Callable[[int], bool]


@contextmanager
def running(*arguments: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*GUARD, *arguments], stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def family(folder: Path, *words: str) -> list[str]:
    return ["--", sys.executable, "-c", FAMILY, str(folder / "pids"), *words]


def pids_of(folder: Path, until: Until) -> list[int]:
    until((folder / "pids").exists, "the family writes its pids")
    return [int(word) for word in (folder / "pids").read_text().split()]


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_of_the_command_is_passed_on(code: int) -> None:
    done = subprocess.run([*GUARD, "--", sys.executable, "-c", f"raise SystemExit({code})"], timeout=30, check=False)
    assert done.returncode == code


def test_a_command_that_does_not_exist_is_named() -> None:
    done = subprocess.run([*GUARD, "--", "/no/such/program"], timeout=30, capture_output=True, check=False)
    assert done.returncode == guard.EXIT_CANNOT_RUN
    assert b"/no/such/program" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--"], ["--stop-seconds", "--", "true"], ["--nonsense", "1", "--", "true"]])
def test_wrong_usage_runs_nothing(arguments: list[str]) -> None:
    done = subprocess.run([*GUARD, *arguments], timeout=30, capture_output=True, check=False)
    assert done.returncode == guard.EXIT_CANNOT_RUN
    assert b"usage" in done.stderr


def test_a_stop_ends_the_command_and_the_children_of_its_children(tmp_path: Path, until: Until, alive: Alive) -> None:
    with running(*family(tmp_path)) as process:
        pids = pids_of(tmp_path, until)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
        assert not [pid for pid in pids if alive(pid)]


def test_the_stop_signal_is_the_one_of_the_order(tmp_path: Path, until: Until) -> None:
    script = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(42)); "
    script += f"open({str(tmp_path / 'up')!r}, 'w'); time.sleep(600)"
    with running("--stop-signal", "SIGINT", "--", sys.executable, "-c", script) as process:
        until((tmp_path / "up").exists, "the command starts")
        process.terminate()
        assert process.wait(30) == 42


def test_a_command_that_will_not_stop_is_killed_after_its_time(tmp_path: Path, until: Until, alive: Alive) -> None:
    with running("--stop-seconds", "0.3", *family(tmp_path, "stubborn")) as process:
        pids = pids_of(tmp_path, until)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGKILL
        assert not [pid for pid in pids if alive(pid)]


def test_a_second_stop_means_at_once(tmp_path: Path, until: Until, alive: Alive) -> None:
    with running("--stop-seconds", "600", *family(tmp_path, "stubborn")) as process:
        pids = pids_of(tmp_path, until)
        process.terminate()
        # The signals of one kind merge while pending: ask until it has been heard twice.
        until(lambda: process.poll() is not None or process.terminate(), "the guard ends everything at once")
        assert not [pid for pid in pids if alive(pid)]


def test_what_the_command_leaves_behind_is_ended_with_it(tmp_path: Path, until: Until, alive: Alive) -> None:
    with running(*family(tmp_path, "leave")) as process:
        pids = pids_of(tmp_path, until)
        assert process.wait(30) == 3
        assert not [pid for pid in pids if alive(pid)]


def test_a_parent_killed_by_9_leaves_no_orphan(tmp_path: Path, until: Until, alive: Alive) -> None:
    starter = "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", starter, *GUARD, *family(tmp_path)], stdin=subprocess.DEVNULL)
    pids = pids_of(tmp_path, until)
    parent.kill()
    parent.wait(30)
    until(lambda: not [pid for pid in pids if alive(pid)], "the family of a dead parent ends")


def test_a_guard_killed_by_9_takes_its_command_with_it(tmp_path: Path, until: Until, alive: Alive) -> None:
    with running(*family(tmp_path)) as process:
        pids = pids_of(tmp_path, until)
        process.kill()
        until(lambda: not alive(pids[0]), "the command of a dead guard ends")
        os.kill(pids[1], signal.SIGKILL)  # of a session of its own: nobody is left to know it


def test_nothing_starts_when_the_parent_is_already_another() -> None:
    done = subprocess.run([*GUARD, "--parent", "1", "--", "true"], timeout=30, capture_output=True, check=False)
    assert done.returncode == guard.EXIT_PARENT_GONE


def test_a_program_file_gives_command_environment_and_lock(tmp_path: Path, until: Until) -> None:
    awkward = 'a "quoted" 100% ; # word'
    order = {
        "command": [sys.executable, "-c", "import os, sys; print(os.environ['WORD'], sys.argv[1])", awkward],
        "environment": {"WORD": awkward},
        "lock": str(tmp_path / "lock"),
    }
    (tmp_path / "program.json").write_text(json.dumps(order))
    command = [*GUARD, "--program", str(tmp_path / "program.json")]
    done = subprocess.run(command, timeout=30, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"{awkward} {awkward}"
    assert (tmp_path / "lock").exists()


def test_broken_pipes_kill_the_command_as_everywhere_else() -> None:
    done = subprocess.run(
        [*GUARD, "--", "sh", "-c", "kill -PIPE $$; echo survived"], timeout=30, capture_output=True, check=False
    )
    assert done.returncode == 128 + signal.SIGPIPE
    assert not done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_root_becomes_the_user_for_good() -> None:
    script = "import os; print(os.getuid(), os.geteuid(), os.getgroups()); print(open('/proc/self/status').read())"
    done = subprocess.run(
        [*GUARD, "--user", "nobody", "--", "/usr/bin/env", "python3", "-c", script],
        timeout=30, capture_output=True, check=True, cwd="/", text=True,
    )  # fmt: skip
    assert done.stdout.startswith("65534 65534 []")
    assert "CapEff:\t0000000000000000" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
def test_a_user_who_cannot_reach_the_program_keeps_the_right_to_read_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nid -u\ngrep CapEff /proc/self/status\ntouch $0.new\n")
    program.chmod(0o755)
    done = subprocess.run(
        [*GUARD, "--user", "nobody", "--", str(program)], timeout=30, capture_output=True, check=False, text=True
    )
    if "cannot reach" in done.stderr:
        assert done.returncode == guard.EXIT_CANNOT_RUN  # a container without either capability says so
        return
    assert done.stdout.split()[0] == "65534"
    if "CapEff:\t0000000000000004" in done.stdout:
        assert done.returncode != 0
        assert not program.with_suffix(".new").exists()
