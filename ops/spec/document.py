"""A spec as it was written: values, each with its place in the file, before anything is known of their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ops.spec.faults import Path

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Mark:
    """Both count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Leaf:
    mark: Mark
    value: Plain


@dataclass(frozen=True)
class Items:
    mark: Mark
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Entry:
    key_mark: Mark
    node: Node


@dataclass(frozen=True)
class Table:
    mark: Mark
    entries: Mapping[str, Entry]


Node = Leaf | Items | Table


def plain(node: Node) -> object:
    """The bare values: dicts, tuples and scalars."""
    match node:
        case Leaf():
            return node.value
        case Items():
            return tuple(plain(item) for item in node.nodes)
        case Table():
            return {key: plain(entry.node) for key, entry in node.entries.items()}


def locate(node: Node, path: Path, *, at_key: bool = False) -> Mark:
    """Where the value at the path stands, or the key that names it; for a missing one, the mapping that lacks it."""
    mark = node.mark
    for step in path:
        match node:
            case Table() if step in node.entries:
                entry = node.entries[str(step)]
                mark, node = (entry.key_mark if at_key else entry.node.mark), entry.node
            case Items() if isinstance(step, int) and step < len(node.nodes):
                node = node.nodes[step]
                mark = node.mark
            case _:
                return node.mark
    return mark


def renamed(node: Node, path: Path, key: str) -> Node:
    """The same document, where the key at the end of the path is another."""
    step, rest = path[0], path[1:]
    match node:
        case Table():
            entries = {
                (key if not rest and name == step else name): (
                    replace(entry, node=renamed(entry.node, rest, key)) if rest and name == step else entry
                )
                for name, entry in node.entries.items()
            }
            return replace(node, entries=entries)
        case Items():
            nodes = tuple(renamed(item, rest, key) if i == step and rest else item for i, item in enumerate(node.nodes))
            return replace(node, nodes=nodes)
        case Leaf():
            return node
