"""Whether a server has loaded what was rendered: rules by Prometheus, a configuration by Alertmanager.

A server answers in its own spelling, with defaults filled in, so both sides are brought to one form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import promql_parser as promql
import yaml

from ops.alerting.windows import seconds

HIDDEN = "<secret>"
"""What Alertmanager shows in place of a secret: it can be compared with nothing."""


@dataclass(frozen=True)
class LoadedRule:
    """A rule as Prometheus reports it."""

    file: str
    group: str
    interval_seconds: float
    name: str
    expression: str
    for_seconds: float
    keep_firing_seconds: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def rules_not_loaded(files: Mapping[str, str], loaded: Iterable[LoadedRule]) -> list[str]:
    """In words, what of the rule files (text by name of file) Prometheus lacks, has otherwise, or has beside them."""
    have = [rule for rule in loaded if PurePath(rule.file).name in files]
    found = []
    for name, text in files.items():
        wanted = [form for group in yaml.safe_load(text)["groups"] for form in _wanted(group)]
        there = [_there(rule) for rule in have if PurePath(rule.file).name == name]
        found += [f"{name}: {_named(one)} is not loaded" for one in wanted if one not in there]
        found += [f"{name}: {_named(one)} is loaded, and is not of the file" for one in there if one not in wanted]
    return found


def _named(form: Mapping[str, Any]) -> str:
    return f"{form['name']} of group {form['group']}"


def _wanted(group: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for rule in group["rules"]:
        yield _form(
            group["name"],
            seconds(group["interval"]),
            rule.get("alert") or rule["record"],
            rule["expr"],
            seconds(rule.get("for", "0s")),
            seconds(rule.get("keep_firing_for", "0s")),
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )


def _there(rule: LoadedRule) -> dict[str, Any]:
    return _form(
        rule.group,
        rule.interval_seconds,
        rule.name,
        rule.expression,
        rule.for_seconds,
        rule.keep_firing_seconds,
        rule.labels,
        rule.annotations,
    )


def _form(
    group: str,
    interval_seconds: float,
    name: str,
    expression: str,
    for_seconds: float,
    keep_seconds: float,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    try:
        expression = promql.parse(expression).prettify()
    except ValueError:  # newer syntax than the parser's: compared as text
        expression = " ".join(expression.split())
    return {
        "group": group,
        "interval": interval_seconds,
        "name": name,
        "expression": expression,
        "for": for_seconds,
        "keep": keep_seconds,
        "labels": dict(labels),
        "annotations": {key: text.strip() for key, text in annotations.items()},
    }


def configuration_not_loaded(wanted: str, loaded: str) -> list[str]:
    """The places of the rendered configuration at which Alertmanager's own has something else."""
    return list(_lacking(yaml.safe_load(wanted), yaml.safe_load(loaded), ""))


def _lacking(wanted: object, loaded: object, place: str) -> Iterator[str]:
    if loaded == HIDDEN:
        return
    if isinstance(wanted, dict):
        there = loaded if isinstance(loaded, dict) else {}
        for key, value in wanted.items():
            yield from _lacking(value, there.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(wanted, list) and place.rpartition(".")[2].endswith("matchers"):
        # Alertmanager sorts them.
        if sorted(wanted) != sorted(loaded if isinstance(loaded, list) else []):
            yield place
    elif isinstance(wanted, list):
        there_list = loaded if isinstance(loaded, list) else []
        if len(wanted) != len(there_list):
            yield place
            return
        for i, (one, other) in enumerate(zip(wanted, there_list, strict=True)):
            yield from _lacking(one, other, f"{place}[{i}]")
    elif str(wanted or "").strip() != str(loaded or "").strip() and bool(wanted or loaded):
        yield place
