"""Logs: the last lines, then what is written, whole lines only, over rotation."""

from __future__ import annotations

from pathlib import Path

from ops.stack.logs import LogFollower, log_files


def test_the_last_lines_then_only_what_is_new(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("a\nb\nc\n")
    follower = LogFollower(tmp_path, "one")
    assert follower.last(2) == ["b", "c"]
    assert follower.new() == []
    with log.open("a") as file:
        file.write("d\nhalf")
        file.flush()
        assert follower.new() == ["d"]
        file.write(" a line\n")
    assert follower.new() == ["half a line"]


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("a\n" * 100)
    follower = LogFollower(tmp_path, "one")
    follower.last(1)
    log.rename(tmp_path / "one.log.1")
    log.write_text("new\n")
    assert follower.new() == ["new"]


def test_all_together_name_their_program_and_later_ones_join(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text("a\n")
    follower = LogFollower(tmp_path, None)
    assert follower.last(5) == ["one | a"]
    (tmp_path / "two.log").write_text("b\n")
    assert follower.new() == ["two | b"]
    assert list(log_files(tmp_path)) == ["one", "two"]
