"""Text that matches a regular expression: what structured output by ``regex`` or a schema's ``pattern`` asks for."""

from __future__ import annotations

import random
import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

REPEATS_MAX = 12
"""An open-ended repeat is taken at most so often beyond its minimum."""
_PRINTABLE = tuple(range(0x20, 0x7F))
_CATEGORIES = {
    _constants.CATEGORY_DIGIT: re.compile(r"\d"),
    _constants.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    _constants.CATEGORY_SPACE: re.compile(r"\s"),
    _constants.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    _constants.CATEGORY_WORD: re.compile(r"\w"),
    _constants.CATEGORY_NOT_WORD: re.compile(r"\W"),
}


class PatternError(ValueError):
    """The expression is wrong, or uses what cannot be generated (look-around, back-references)."""


def check_pattern(pattern: str) -> None:
    """Raises PatternError if no text can be made for it."""
    matching_text(pattern, random.Random(0), REPEATS_MAX)  # noqa: S311 - thrown away


def matching_text(pattern: str, chance: random.Random, repeats_max: int) -> str:
    """A text that matches the whole pattern, of printable ASCII where the pattern leaves it open."""
    try:
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"invalid regular expression: {error}") from error
    return _sequence(parsed, chance, repeats_max)


def _sequence(parsed: Any, chance: random.Random, repeats_max: int) -> str:
    return "".join(_one(operation, argument, chance, repeats_max) for operation, argument in parsed)


def _one(operation: Any, argument: Any, chance: random.Random, repeats_max: int) -> str:
    if operation is _constants.LITERAL:
        return chr(argument)
    if operation is _constants.NOT_LITERAL:
        return chr(chance.choice([code for code in _PRINTABLE if code != argument]))
    if operation is _constants.ANY:
        return chr(chance.choice(_PRINTABLE))
    if operation is _constants.IN:
        return chr(chance.choice(_members(argument)))
    if operation is _constants.BRANCH:
        return _sequence(chance.choice(argument[1]), chance, repeats_max)
    if operation is _constants.SUBPATTERN:
        return _sequence(argument[3], chance, repeats_max)
    if operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
        low, high, inner = argument
        times = chance.randint(low, min(high, low + repeats_max))
        return "".join(_sequence(inner, chance, repeats_max) for _ in range(times))
    if operation is _constants.AT:
        return ""
    raise PatternError(f"{str(operation).lower()} is not supported in a regular expression")


def _members(items: Any) -> list[int]:
    negated = items[0][0] is _constants.NEGATE
    codes: set[int] = set()
    for operation, argument in items[negated:]:
        if operation is _constants.LITERAL:
            codes.add(argument)
        elif operation is _constants.RANGE:
            codes.update(range(argument[0], argument[1] + 1))
        else:
            codes.update(code for code in _PRINTABLE if _CATEGORIES[argument].match(chr(code)))
    found = [code for code in _PRINTABLE if code not in codes] if negated else sorted(codes)
    if not found:
        raise PatternError("a character class is empty")
    return found
