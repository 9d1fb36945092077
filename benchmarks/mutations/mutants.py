"""Every small change of a rule, one at a time. Pure.

Expressions are changed as text, token by token: their parser gives no positions. A test parses every mutant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ops.alerting.model import Alert, Recording, Severity
from ops.alerting.windows import duration

Rule = Alert | Recording
TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*") | (?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) | (?P<word>[a-zA-Z_:][\w:]*) | (?P<space>\s+)
      | (?P<other>=~|!~|!=|.)""",
    re.VERBOSE,
)
LADDER_SECONDS = (
    *(15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600),
    *(7200, 21_600, 43_200, 86_400, 172_800, 259_200, 604_800, 1_209_600, 2_592_000),
)
"""Windows that people write. A changed one is the next of these."""
ADDED_SECONDS = 240
"""Where a rule has no ``for`` or ``keep_firing_for``, the next longer window than this, and than the time between two
evaluations of the rule's cases, is added: what is shorter no evaluation could see."""
SMALL = 10
"""Whole numbers up to it are counted things: they change by one, all others by a tenth."""
GROUPING = ("by", "without", "on", "ignoring")
ADDABLE = ("job", "instance", "tier", "task_class", "objective")
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@dataclass(frozen=True)
class Mutant:
    what: str
    rule: Rule


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


def mutants(rule: Rule, labels: Mapping[str, frozenset[str]]) -> Iterator[Mutant]:
    """``labels`` are those of the series of each name, recorded ones too."""
    for what, expression in expressions(rule.expression, labels):
        yield Mutant(what, replace(rule, expression=expression))
    if isinstance(rule, Recording):
        return
    added = neighbours(max((ADDED_SECONDS, *(case.evaluation_seconds or 0 for case in rule.cases))))[0]
    for other in neighbours(rule.for_seconds) if rule.for_seconds else (added,):
        yield Mutant(f"for {rule.for_seconds:g} -> {other:g}", replace(rule, for_seconds=other))
    for other in neighbours(rule.keep_firing_seconds) if rule.keep_firing_seconds else (added,):
        what = f"keep_firing_for {rule.keep_firing_seconds:g} -> {other:g}"
        yield Mutant(what, replace(rule, keep_firing_seconds=other))
    others = [one for one in Severity if one is not rule.severity]
    yield from (Mutant(f"severity -> {one}", replace(rule, severity=one)) for one in others)
    yield Mutant("category -> other", replace(rule, category="other"))
    for name, value in rule.labels.items():
        yield Mutant(f"label {name} -> other", replace(rule, labels={**rule.labels, name: f"{value}-other"}))
        left = {key: kept for key, kept in rule.labels.items() if key != name}
        yield Mutant(f"label {name} dropped", replace(rule, labels=left))
    yield Mutant("a label more", replace(rule, labels={**rule.labels, "more": "other"}))


def expressions(text: str, labels: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, str]]:
    tokens = tokenise(text)
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token.text == "{") - (token.text == "}")
        if token.kind == "number" and not depth:
            yield from ((f"{token.text} -> {other}", _with(tokens, at, other)) for other in numbers(token.text))
        elif token.kind == "duration":
            for other in neighbours(seconds(token.text)):
                yield f"{_before(tokens, at)}{token.text} -> {duration(other)}", _with(tokens, at, duration(other))
        elif token.kind == "text" and depth:
            yield from _matcher(tokens, at)
        elif token.text in GROUPING and (group := _group(tokens, at)):
            yield from _grouping(tokens, *group, labels)


def tokenise(text: str) -> tuple[Token, ...]:
    return tuple(Token(found.lastgroup or "", found[0]) for found in TOKEN.finditer(text))


def numbers(text: str) -> tuple[str, ...]:
    value = float(text)
    if value == int(value) and value <= SMALL:
        return (f"{value + 1:g}", f"{value - 1:g}")
    return (f"{value * 1.1:.10g}", f"{value * 0.9:.10g}")


def neighbours(value_seconds: float) -> tuple[float, ...]:
    """The next longer and the next shorter one."""
    longer = [one for one in LADDER_SECONDS if one > value_seconds][:1]
    return (*longer, *[one for one in LADDER_SECONDS if one < value_seconds][-1:])


def seconds(text: str) -> float:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def _matcher(tokens: tuple[Token, ...], at: int) -> Iterator[tuple[str, str]]:
    """``tokens[at]`` is a matcher's value: another one, one alternative less, no matcher at all."""
    value, written = tokens[at].text.strip('"'), "".join(token.text for token in tokens[at - 2 : at + 1])
    opening = next(i for i in range(at, -1, -1) if tokens[i].text == "{")
    written = f"{tokens[opening - 1].text}{{{written}}}" if opening else written
    yield f"{written}: another value", _with(tokens, at, f'"{value}-other"')
    parts = value.split("|")
    if len(parts) > 1:
        for i, part in enumerate(parts):
            yield f"{written}: without {part}", _with(tokens, at, f'"{"|".join(parts[:i] + parts[i + 1 :])}"')
    start, end = at - 2, at + 1
    if tokens[end].text == ",":
        end += 1
    elif tokens[start - 1].text == ",":
        start -= 1
    yield f"{written}: dropped", "".join(token.text for token in (*tokens[:start], *tokens[end:]))


def _group(tokens: tuple[Token, ...], at: int) -> tuple[int, int] | None:
    """From the opening to the closing parenthesis of the list behind ``by`` or ``on``."""
    start = at + 1
    while start < len(tokens) and tokens[start].kind == "space":
        start += 1
    if start == len(tokens) or tokens[start].text != "(":
        return None
    return start, next(i for i in range(start, len(tokens)) if tokens[i].text == ")")


def _grouping(
    tokens: tuple[Token, ...], start: int, end: int, labels: Mapping[str, frozenset[str]]
) -> Iterator[tuple[str, str]]:
    head, tail = ("".join(token.text for token in part) for part in (tokens[: start + 1], tokens[end:]))
    word = next(token.text for token in reversed(tokens[:start]) if token.kind == "word")
    names = [token.text for token in tokens[start:end] if token.kind == "word"]
    for name in names:
        left = ", ".join(one for one in names if one != name)
        yield f"{word} ({', '.join(names)}): without {name}", f"{head}{left}{tail}"
    if word != "by":
        return  # a label more to match on changes nothing where both sides lack it
    read = _operand(tokens, end)
    there = frozenset().union(*(labels.get(token.text, frozenset()) for token in read if token.kind == "word"))
    for name in ADDABLE:
        if name in there and name not in names:
            yield f"{word} ({', '.join(names)}): with {name}", f"{head}{', '.join([*names, name])}{tail}"


def _operand(tokens: tuple[Token, ...], end: int) -> tuple[Token, ...]:
    """What stands in the parentheses behind the list that ends at ``end``."""
    depth = 0
    for i in range(end + 1, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if tokens[i].text == ")" and depth <= 0:
            return tokens[end + 1 : i]
    return tokens[end + 1 :]


def _with(tokens: tuple[Token, ...], at: int, other: str) -> str:
    return "".join(other if i == at else token.text for i, token in enumerate(tokens))


def _before(tokens: tuple[Token, ...], at: int) -> str:
    """A word on which of several equal windows it is."""
    same = [i for i, token in enumerate(tokens) if token.text == tokens[at].text]
    return f"number {same.index(at) + 1} of " if len(same) > 1 else ""
