"""Checks that several parts of a spec need: rising lists, unique names, references, one number bounded by another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from ops.spec.draft import Draft
from ops.spec.faults import Finding, Path, figure, nearest, one_of, path_text, quoted


def rising(draft: Draft, path: Path) -> Iterator[Finding]:
    """Each number of the list is above the one before."""
    for (_, former), (i, value) in pairwise(draft.numbers(*path)):
        if value <= former:
            found = f"{figure(value)} after {figure(former)}"
            yield Finding((*path, i), "not rising", found, f"more than {figure(former)}")


def unique(places: Iterable[tuple[Path, str]], what: str) -> Iterator[Finding]:
    """No two of the places hold the same text."""
    first: dict[str, Path] = {}
    for path, text in places:
        if text in first:
            yield Finding(path, f"{what} of {path_text(first[text])} again", quoted(text))
        first.setdefault(text, path)


def reference(draft: Draft, path: Path, to: str) -> Iterator[Finding]:
    """The text at the path is a name in the top-level mapping ``to``, if that is readable at all."""
    name, known = draft.text(*path), draft.keys(to)
    if name is not None and known and name not in known:
        yield Finding(path, f"no such name in {to}", quoted(name), one_of(known), nearest(name, known))


def at_most(draft: Draft, path: Path, bound: Path, why: str) -> Iterator[Finding]:
    """The number at the path is not above the one at ``bound``."""
    value, limit = draft.number(*path), draft.number(*bound)
    if value is not None and limit is not None and value > limit:
        yield Finding(path, why, figure(value), f"at most {path_text(bound)}, {figure(limit)}")


def at_least(draft: Draft, path: Path, bound: Path, why: str) -> Iterator[Finding]:
    """The number at the path is not below the one at ``bound``."""
    value, limit = draft.number(*path), draft.number(*bound)
    if value is not None and limit is not None and value < limit:
        yield Finding(path, why, figure(value), f"at least {path_text(bound)}, {figure(limit)}")


def above(draft: Draft, path: Path, bound: Path, why: str) -> Iterator[Finding]:
    """The number at the path is above the one at ``bound``."""
    value, limit = draft.number(*path), draft.number(*bound)
    if value is not None and limit is not None and value <= limit:
        yield Finding(path, why, figure(value), f"more than {path_text(bound)}, {figure(limit)}")
