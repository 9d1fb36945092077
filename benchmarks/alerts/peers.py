"""The paging rules of Sloth and Pyrra for the same objectives, after what ``anchors/load-and-slo.md`` says of them.

Both make a ratio of bad to all requests over each window and compare it with a factor times the budget. Sloth joins its
two pages into one alert; Pyrra makes an alert of each, all of one name, that wait before they fire. Rules that make
tickets are left out: they page nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BY = "run, tier, task_class"


@dataclass(frozen=True)
class Slo:
    objective: str
    budget: float


@dataclass(frozen=True)
class Burn:
    factor: float
    long: str
    short: str
    wait: str = ""


SLOTH = (Burn(14.4, "1h", "5m"), Burn(6, "6h", "30m"))
PYRRA = (Burn(14, "1h", "5m", "2m"), Burn(7, "6h", "30m", "15m"))


def sloth(slos: tuple[Slo, ...]) -> dict[str, object]:
    return {"groups": [{"name": slo.objective, "rules": [*_ratios(slo, SLOTH), _sloth_page(slo)]} for slo in slos]}


def pyrra(slos: tuple[Slo, ...]) -> dict[str, object]:
    return {"groups": [{"name": slo.objective, "rules": [*_ratios(slo, PYRRA), *_pyrra_pages(slo)]} for slo in slos]}


def _ratios(slo: Slo, burns: tuple[Burn, ...]) -> Iterator[dict[str, object]]:
    for window in sorted({window for burn in burns for window in (burn.long, burn.short)}):
        bad, every = (
            f'sum by ({BY}) (rate(gateway_objective_{what}_total{{objective="{slo.objective}"}}[{window}]))'
            for what in ("misses", "requests")
        )
        yield {"record": f"slo:{slo.objective}:ratio{window}", "expr": f"{bad} / {every}"}


def _burning(slo: Slo, burn: Burn) -> str:
    bound = f"({burn.factor} * {slo.budget:.10g})"
    return f"slo:{slo.objective}:ratio{burn.short} > {bound} and slo:{slo.objective}:ratio{burn.long} > {bound}"


def _sloth_page(slo: Slo) -> dict[str, object]:
    joined = " or ".join(f"({_burning(slo, burn)})" for burn in SLOTH)
    return {"alert": f"{slo.objective}Page", "expr": joined, "labels": {"severity": "critical"}}


def _pyrra_pages(slo: Slo) -> Iterator[dict[str, object]]:
    for burn in PYRRA:
        labels = {"severity": "critical", "long": burn.long}
        yield {"alert": "ErrorBudgetBurn", "expr": _burning(slo, burn), "for": burn.wait,
               "labels": {**labels, "slo": slo.objective}}  # fmt: skip
