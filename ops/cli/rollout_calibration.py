"""What ``ops canary calibrate`` shows: the history, the noise in it, the margins that follow, the power left."""

from __future__ import annotations

from ops.cli.output import emit_json, emit_table
from ops.judge.foretelling import Foretold, named
from ops.judge.margins import Margin
from ops.rollout.precautions import Calibration, foretold_demands, margin_words
from ops.verdict import Evidence, Outcome, Verdict

SCHEMA = "gratefulgpt.canary.calibration/1"


def report_calibration(tier: str, found: Calibration, json: bool) -> Verdict:
    """Shows it; the verdict is on what is known."""
    verdict = calibration_verdict(found.margins)
    power = tuple(foretold_demands(found.plan, found.traffic)) if found.traffic else ()
    if json:
        margins = [{"event": margin.event, "margin": margin, "why": margin_words(margin)} for margin in found.margins]
        data = {"tier": tier, "margins": margins, "traffic": found.traffic, "power": power}
        emit_json(SCHEMA, {**data, "verdict": verdict.to_json()})
        return verdict
    columns = ("event", "noise", "90 % interval", "memory s", "blocks", "rollouts", "spec's margin", "margin")
    emit_table(f"replica noise and margins of {tier}", columns, [_row(margin) for margin in found.margins])
    print(f"{verdict.outcome.value}:")
    for item in verdict.evidence:
        print(f"  {item.text}")
    for one in power:
        print(f"  {_power(one)}")
    return verdict


def calibration_verdict(margins: tuple[Margin, ...]) -> Verdict:
    evidence = tuple(
        Evidence(f"{margin.event.replace('_', ' ')}: {margin_words(margin)}", {"margin": margin.calibrated})
        for margin in margins
    )
    if any(margin.capped for margin in margins):
        return Verdict(Outcome.FAIL, evidence)
    known = margins and all(margin.enough for margin in margins if margin.noise is not None)
    seen = any(margin.enough for margin in margins)
    return Verdict(Outcome.PASS if known and seen else Outcome.INCONCLUSIVE, evidence)


def _row(margin: Margin) -> tuple[object, ...]:
    noise = margin.noise
    of_noise: tuple[object, ...] = ("-", "-", "-", 0, 0)
    if noise is not None:
        interval = f"{noise.sigma_low:g} to {noise.sigma_high:g}"
        of_noise = (f"{noise.sigma:g}", interval, f"{noise.seconds:g}", noise.blocks, noise.rollouts)
    return (margin.event.replace("_", " "), *of_noise, f"{margin.own:g}", f"{margin.calibrated:g}")


def _power(one: Foretold) -> str:
    return f"with these margins a release {named(one.demand)} is rolled back in time in {one.in_time:.0%} of rollouts"
