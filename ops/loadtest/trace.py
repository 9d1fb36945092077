"""A recorded traffic: who asked for what, when and how much. Lines of JSON, or CSV with a header; no prompt is in it.

    {"at": 12.5, "task": "chat", "prompt_chars": 812, "output_tokens": 64, "session": "a1", "stream": true}

``at`` is in seconds, from any start; ``session`` any name that tells one conversation from another, or empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from ops.loadtest.traffic import Wish

ENTRIES_MAX = 1_000_000
COLUMNS = ("at", "task", "prompt_chars", "output_tokens", "session", "stream")
_SHOWN_MAX = 5


@dataclass(frozen=True)
class Entry:
    at: float
    """Seconds from the first entry."""
    wish: Wish


@dataclass(frozen=True)
class Broken:
    line: int
    """From 1."""
    why: str


class TraceError(ValueError):
    """No trace, or one that says nothing; the message says where and why."""


class BrokenTrace(TraceError):
    """Lines that say nothing."""

    def __init__(self, name: str, broken: Sequence[Broken], lines: int) -> None:
        shown = "\n".join(f"  line {one.line}: {one.why}" for one in broken[:_SHOWN_MAX])
        more = f"\n  and {len(broken) - _SHOWN_MAX} more" if len(broken) > _SHOWN_MAX else ""
        count = f"{len(broken)} of {lines} lines are broken (--skip-broken leaves them out)"
        super().__init__(f"{name}: {count}:\n{shown}{more}")


def read_trace(name: str, text: str, tasks: Collection[str]) -> tuple[list[Entry], list[Broken]]:
    """Entries in the order of their times, which count from the first one; and the lines that are none.

    ``tasks`` are those that the spec has. Raises TraceError where there is no entry at all.
    """
    entries, broken = [], []
    for line, found in _rows(name, text):
        if isinstance(found, str):
            broken.append(Broken(line, found))
            continue
        try:
            entries.append(_entry(found, tasks))
        except ValueError as e:
            broken.append(Broken(line, str(e)))
    if not entries and not broken:
        raise TraceError(f"{name}: no entries")
    entries.sort(key=lambda entry: entry.at)
    start = entries[0].at if entries else 0.0
    return [Entry(entry.at - start, entry.wish) for entry in entries], broken


def sound(name: str, entries: Sequence[Entry], broken: Sequence[Broken], skip_broken: bool) -> Sequence[Entry]:
    """The entries. Raises BrokenTrace where lines are broken and that is not asked to be borne, or none is left."""
    if broken and (not skip_broken or not entries):
        raise BrokenTrace(name, broken, len(entries) + len(broken))
    return entries


def _rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    """Number and fields of each line, or why it has none."""
    lines = text.splitlines()
    if not text.strip():
        return iter(())
    if len(lines) > ENTRIES_MAX:
        raise TraceError(f"{name}: more than {ENTRIES_MAX:,} lines")
    begun = next((line for line in lines if line.strip()), "")
    return _json_rows(lines) if begun.lstrip().startswith("{") else _csv_rows(lines)


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "no JSON"
            continue
        yield number, found if isinstance(found, dict) else "no JSON object"


def _csv_rows(lines: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    rows = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
    except csv.Error as e:
        yield 1, f"no CSV: {e}"
        return
    if missing := [name for name in COLUMNS[:4] if name not in header]:
        yield 1, f"no column {', '.join(missing)}: neither JSON lines nor CSV with a header"
        return
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as e:
            yield rows.line_num, f"no CSV: {e}"
            continue
        if row:
            found = dict(zip(header, row, strict=False))
            yield rows.line_num, found if len(row) == len(header) else f"{len(row)} fields, not {len(header)}"


def _entry(row: Mapping[str, object], tasks: Collection[str]) -> Entry:
    """Raises ValueError with what is wrong."""
    if unknown := sorted(set(row) - set(COLUMNS)):
        raise ValueError(f"unknown field {unknown[0]!r} (a trace holds no more than {', '.join(COLUMNS)})")
    task = row.get("task")
    if not isinstance(task, str) or task not in tasks:
        raise ValueError("no task of the spec")
    at = _number(row, "at", 0)
    wish = Wish(
        task=task,
        prompt_chars=int(_number(row, "prompt_chars", 1)),
        output_tokens=int(_number(row, "output_tokens", 1)),
        stream=_truth(row.get("stream", "")),
        session=str(row.get("session") or ""),
    )
    return Entry(at, wish)


def _number(row: Mapping[str, object], name: str, least: float) -> float:
    value = row.get(name)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except ValueError:
        number = float("nan")
    if not isfinite(number) or number < least:
        raise ValueError(f"{name} is no number of at least {least:g}")
    return number


def _truth(value: object) -> bool:
    known = {"": False, "0": False, "false": False, "1": True, "true": True}
    found = known.get(str(value).strip().lower()) if value is not None else False
    if found is None:
        raise ValueError("stream is neither true nor false")
    return found
