"""From pydantic's errors to findings in the words of a spec: what was found, what was expected, the nearest key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ops.spec.faults import SECRET_KEYS, Finding, Path, figure, nearest, one_of, quoted

_KEY = "[key]"
"""Pydantic's mark for a fault in a mapping's key."""

_EXPECTED: Mapping[str, str] = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
}

_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"more than {figure(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"at least {figure(ctx['ge'])}",
    "less_than": lambda ctx: f"less than {figure(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"at most {figure(ctx['le'])}",
    "literal_error": lambda ctx: ctx["expected"],
    "enum": lambda ctx: ctx["expected"],
    "web_address": lambda ctx: ctx["expected"],
    "local_time": lambda ctx: ctx["expected"],
    "time_zone": lambda ctx: ctx["expected"],
    "string_pattern_mismatch": lambda ctx: f"text like {ctx['pattern']}",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: f"at least {_counted(ctx['min_length'], 'character')}",
    "too_long": lambda ctx: f"at most {ctx['max_length']} entries",
    "too_short": lambda ctx: f"at least {_counted(ctx['min_length'], 'entry')}",
}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def explain(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> list[Finding]:
    """One finding per error, in the order given."""
    errors = list(errors)
    missing: dict[Path, list[str]] = {}
    for error in errors:
        if error["type"] == "missing":
            missing.setdefault(error["loc"][:-1], []).append(str(error["loc"][-1]))
    return [_finding(error, model, missing) for error in errors]


def _finding(error: ErrorDetails, model: type[BaseModel], missing: Mapping[Path, list[str]]) -> Finding:
    kind, path, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == "missing":
        return Finding(path[:-1], f"missing key '{path[-1]}'", missing=str(path[-1]))
    if kind == "extra_forbidden":
        return _unknown_key(path, keys_at(model, path[:-1]), missing.get(path[:-1], []))
    if _KEY in path:
        return _bad_key(kind, path[: path.index(_KEY)], context)
    expected = _EXPECTED.get(kind) or (_BOUNDS[kind](context) if kind in _BOUNDS else error["msg"])
    value = error["input"]
    secret = bool(path) and path[-1] in SECRET_KEYS
    near = nearest(value, _choices(expected)) if isinstance(value, str) and kind in ("literal_error", "enum") else None
    message = "wrong type" if kind in _EXPECTED and kind != "finite_number" else "value not allowed"
    return Finding(path, message, None if secret else quoted(value), expected, near)


def _unknown_key(path: Path, known: Sequence[str], missing: Sequence[str]) -> Finding:
    key = str(path[-1])
    # A key that is missing is the likelier one; a key that is there already would only be there twice.
    near = nearest(key, missing) or nearest(key, known)
    return Finding(path, "unknown key", expected=one_of(known), nearest=near, at_key=True)


def _bad_key(kind: str, path: Path, context: Mapping[str, Any]) -> Finding:
    expected = _BOUNDS[kind](context) if kind in _BOUNDS else "text"
    near = nearest(str(path[-1]), _choices(expected)) if kind == "enum" else None
    return Finding(path, "key not allowed", quoted(path[-1]), expected, near, at_key=True)


def _choices(expected: str) -> list[str]:
    """The quoted words of pydantic's "'a', 'b' or 'c'"."""
    return expected.split("'")[1::2]


def keys_at(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys, as a file writes them, of the mapping at a path; none where keys are free."""
    kind: object = model
    for step in path:
        kind = _inner(_part(kind), step)
    part = _part(kind)
    if isinstance(part, type) and issubclass(part, BaseModel):
        return tuple(field.alias or name for name, field in part.model_fields.items())
    return ()


def _part(kind: object) -> object:
    """Without ``Annotated`` and ``| None``."""
    if hasattr(kind, "__metadata__"):
        return _part(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return _part(next(inner for inner in get_args(kind) if inner is not type(None)))
    return kind


def _inner(kind: object, step: str | int) -> object:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if step == (field.alias or name):
                return field.annotation
        return None
    arguments = get_args(kind)
    if not arguments:
        return None
    return arguments[0] if isinstance(step, int) else arguments[1]
