"""YAML text into a ``Document`` with places, by PyYAML's safe composer; no object is ever built.

Scalars follow YAML 1.2's core schema, so that ``no`` is a word, ``1e3`` a number and ``1:30`` no count of seconds.
Anchors, aliases and merge keys work. Size, depth and number of nodes are bounded, aliases counted as often as used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from ops.spec.document import Entry, Items, Leaf, Mark, Node, Table, plain
from ops.spec.faults import SECRET_KEYS, Fault, Path, SpecError, path_text, quoted, shortened

DEPTH_MAX = 32
NODES_MAX = 20_000
TOO_DEEP = "nested too deep"
TOO_MANY = "too many values, aliases included"
WORDS_LENGTH_MAX = 200
"""Of PyYAML's own words, which may quote a name from the text."""

_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"


class _CoreResolver(BaseResolver):
    """The implicit types of YAML 1.2's core schema, decimal numbers only."""


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _CoreResolver.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


class _TooMuch(Exception):
    def __init__(self, mark: Mark, message: str, expected: str) -> None:
        self.mark, self.message, self.expected = mark, message, expected


class _Loader(Reader, Scanner, Parser, Composer, _CoreResolver):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        place = _mark(parent.start_mark) if parent else Mark(1, 1)
        if self.depth > DEPTH_MAX:
            raise _TooMuch(place, TOO_DEEP, f"at most {DEPTH_MAX} levels")
        if self.nodes > NODES_MAX:
            raise _TooMuch(place, TOO_MANY, f"at most {NODES_MAX}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(text: str, file: str) -> tuple[Node, list[Fault]]:
    """The document and the faults that leave it readable (keys twice, keys that are no text).

    Raises SpecError where the text is no YAML, empty, too deep or too large.
    """
    root = _composed(text, file)
    if root is None:
        raise SpecError([_fault(file, Mark(1, 1), "the file is empty", "a spec")])
    building = _Building(file)
    return building.node(root, ()), building.faults


def _composed(text: str, file: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except ReaderError as e:
        mark = _mark_at(text, e.position)
        raise SpecError([_fault(file, mark, "a character that YAML does not allow", None, _code(e.character))]) from e
    try:
        return loader.get_single_node()
    except _TooMuch as e:
        raise SpecError([_fault(file, e.mark, e.message, e.expected)]) from e
    except yaml.MarkedYAMLError as e:
        place = e.problem_mark or e.context_mark
        mark = _mark(place) if place else Mark(1, 1)
        words = ", ".join(part for part in (e.context, e.problem) if part)
        raise SpecError([_fault(file, mark, f"not YAML: {shortened(words, WORDS_LENGTH_MAX)}", None)]) from e
    except (ValueError, OverflowError) as e:
        # PyYAML's own: an escape beyond Unicode, a directive's number of thousands of digits.
        mark = Mark(loader.line + 1, loader.column + 1)
        raise SpecError([_fault(file, mark, "not YAML: an escape or a directive that means nothing", None)]) from e


@dataclass
class _Building:
    """Turns composed nodes into a document, and counts them."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    nodes: int = 0

    def node(self, node: yaml.Node, path: Path) -> Node:
        mark = _mark(node.start_mark)
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise SpecError([_fault(self.file, mark, TOO_MANY, f"at most {NODES_MAX}")])
        if len(path) > DEPTH_MAX:  # an alias within what it stands for
            raise SpecError([_fault(self.file, mark, TOO_DEEP, f"at most {DEPTH_MAX} levels")])
        match node:
            case yaml.MappingNode():
                return Table(mark, self.entries(node, path))
            case yaml.SequenceNode():
                return Items(mark, tuple(self.node(item, (*path, i)) for i, item in enumerate(node.value)))
            case _:
                return self.leaf(node, path, mark)

    def entries(self, node: yaml.MappingNode, path: Path) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in node.value:
            mark = _mark(key.start_mark)
            if key.tag == _MERGE:
                merged = {**self.merged(value, path), **merged}
            elif not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str" or not _encodable(key.value):
                self.found(mark, path, "a key is plain text", _key_found(key))
            elif key.value in own:
                self.found(mark, (*path, key.value), f"the key of line {own[key.value].key_mark.line} again")
            else:
                own[key.value] = Entry(mark, self.node(value, (*path, key.value)))
        return {**merged, **own}

    def merged(self, value: yaml.Node, path: Path) -> dict[str, Entry]:
        """What a merge key brings: of one mapping, or of several, the earlier ones first."""
        entries: dict[str, Entry] = {}
        for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            table = self.node(part, (*path, "<<"))
            if isinstance(table, Table):
                entries = {**table.entries, **entries}
            else:
                self.found(_mark(part.start_mark), path, "a merge key takes mappings", quoted(plain(table)))
        return entries

    def leaf(self, node: yaml.Node, path: Path, mark: Mark) -> Leaf:
        text, tag = str(node.value), node.tag.removeprefix(_TAG)
        try:
            match tag:
                case "str" | "merge" if _encodable(text):
                    return Leaf(mark, text)
                case "null":
                    return Leaf(mark, None)
                case "bool":
                    return Leaf(mark, {"true": True, "false": False}[text.lower()])
                case "int":
                    return Leaf(mark, int(text))
                case "float":
                    return Leaf(mark, float(re.sub(r"\.(inf|nan)$", r"\1", text.lower())))
                case _:
                    problem = f"not a value that a spec can hold: {shortened(tag)}"
        except (ValueError, KeyError):  # an explicit tag on another type's text; a number of thousands of digits
            problem = f"cannot be read as {shortened(tag)}"
        secret = bool(path) and path[-1] in SECRET_KEYS
        self.found(mark, path, problem, None if secret else quoted(text))
        return Leaf(mark, None)

    def found(self, mark: Mark, path: Path, message: str, found: str | None = None) -> None:
        self.faults.append(Fault(self.file, mark.line, mark.column, path_text(path), message, found))


def _encodable(text: str) -> bool:
    """No half of a surrogate pair, which an escape can smuggle in."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _key_found(key: yaml.Node) -> str:
    return quoted(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a list or mapping"


def _fault(file: str, mark: Mark, message: str, expected: str | None, found: str | None = None) -> Fault:
    return Fault(file, mark.line, mark.column, "", message, found, expected)


def _mark(mark: yaml.Mark) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _mark_at(text: str, position: int) -> Mark:
    before = text[:position]
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _code(character: object) -> str:
    return f"U+{ord(character):04X}" if isinstance(character, str) else f"0x{character}"
