"""What a suite found besides its targets: a figure, and what it says of the service."""

from __future__ import annotations

from dataclasses import dataclass

from ops.verdict import Evidence, Outcome, Verdict


@dataclass(frozen=True)
class Found:
    """``value`` is in the unit that the name ends with; None where it is not known."""

    name: str
    value: float | None
    promised: bool
    """False for a mere finding, which passes whatever it is."""
    verdict: Verdict

    @property
    def text(self) -> str:
        return self.verdict.evidence[0].text


def fact(name: str, value: float | None, text: str, outcome: Outcome | None = None) -> Found:
    """Without an outcome it is a mere finding."""
    values: dict[str, float | int | str] = {"found": name}
    if value is not None:
        values["value"] = value
    verdict = Verdict(outcome or Outcome.PASS, (Evidence(text, values),))
    return Found(name, value, outcome is not None, verdict)
