"""Rule tests taken apart: the tests of each rule, and of all rules those alone that it reads.

promtool evaluates every rule that it is given at every step of every test. What an alert does depends on its own rule
and on the recordings that it reads, so with those alone the same tests give the same answers in a quarter of the time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
OF_ALERTS = {"ALERTS", "ALERTS_FOR_STATE"}
"""Series that every alert writes: what reads them reads all rules."""
OF_ONE_ALERT = re.compile(r'ALERTS{alertname="(\w+)"}')
"""Of one of them alone, by its name."""


def taken_apart(file: Path, folder: Path) -> Iterator[Path]:
    """The test file as several in ``folder``, each with the rules that it needs; JSON, which is YAML."""
    whole = _read(file)
    groups = [group for name in whole["rule_files"] for group in _read(file.parent / name)["groups"]]
    reads: dict[str, set[str]] = {}
    for rule in (rule for group in groups for rule in group["rules"]):
        reads.setdefault(_name(rule), set()).update(WORD.findall(OF_ONE_ALERT.sub(r"\1", rule["expr"])))
    apart: dict[frozenset[str], list[Any]] = {}
    for test in whole["tests"]:
        apart.setdefault(_needed(test, reads), []).append(test)
    for number, (needed, tests) in enumerate(apart.items()):
        kept = [{**group, "rules": [one for one in group["rules"] if _name(one) in needed]} for group in groups]
        rules, own = folder / f"rules-{number}.yml", folder / f"{file.stem}-{number}.yml"
        rules.write_text(json.dumps({"groups": [group for group in kept if group["rules"]]}))
        own.write_text(json.dumps({**whole, "rule_files": [rules.name], "tests": tests}))
        yield own


def _read(file: Path) -> Any:
    return yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)


def _name(rule: Mapping[str, str]) -> str:
    return rule["alert"] if "alert" in rule else rule["record"]


def _needed(test: Mapping[str, Any], reads: Mapping[str, set[str]]) -> frozenset[str]:
    """The rules that the test asks for, and what they read, through others too."""
    new = {look["alertname"] for look in test.get("alert_rule_test", ())}
    new = new.union(*(WORD.findall(look["expr"]) for look in test.get("promql_expr_test", ())))
    seen: set[str] = set()
    while new:
        seen |= new
        new = set().union(*(reads.get(name, ()) for name in new)) - seen
    return frozenset(reads if seen & OF_ALERTS else seen & reads.keys())
