"""The judge's evidence in words with their numbers."""

from __future__ import annotations

from math import isfinite

from ops.judge.model import Decision, EventEvidence, Look, Situation
from ops.rollout.plan import AnalysisPlan, Role
from ops.verdict import Evidence
from serving.contract import BadEvent

_E_SHOWN_MAX = 1e12


def number(e_value: float) -> str:
    """An e-value for people: never ``inf``, never more digits than matter."""
    if not isfinite(e_value) or e_value > _E_SHOWN_MAX:
        return "over 1e12"
    if e_value >= 100:
        return f"{e_value:,.0f}"
    return f"{e_value:.2g}"


def describe_event(event: EventEvidence) -> Evidence:
    name = _name(event)
    values: dict[str, float | int | str] = {
        "event": event.event.value,
        "canary": event.canary,
        "total": event.total,
        "expected": round(event.expected, 2),
        "e_worse": min(event.e_worse, _E_SHOWN_MAX),
        "e_worse_needed": event.e_worse_needed,
        "e_harmless": min(event.e_harmless, _E_SHOWN_MAX),
        "e_harmless_needed": event.e_harmless_needed,
        "canary_rate": event.canary_rate,
        **({} if event.past_quantile is None else {"past_quantile": event.past_quantile}),
    }
    if not event.observable:
        return Evidence(f"{name}: no request of this step could show it", values)
    if event.total:
        counted = (
            f"of {event.total} {_counted(event)} {event.canary} fell on the canary, "
            f"{event.expected:.0f} expected if it were no worse"
        )
    else:
        counted = f"no '{name}' event beside the reference; {event.canary_rate:.1%} of the canary's requests"
    against = _compared(event.e_worse, event.e_worse_needed)
    in_favour = _compared(event.e_harmless, event.e_harmless_needed)
    return Evidence(f"{counted}; evidence against it e = {against}, for it e = {in_favour}", values)


_PAST = {
    BadEvent.SLOW: "answers slower than",
    BadEvent.SLOW_FIRST_TOKEN: "first tokens later than",
    BadEvent.SLOW_TOKENS: "streams with slower tokens than",
    BadEvent.OUTPUT_LENGTH: "answers longer than",
}


def _counted(event: EventEvidence) -> str:
    """``'failed' events``, ``answers slower than the usual p75``."""
    where = f" (prompts {event.group})" if event.group else ""
    if event.past_quantile is None:
        return f"'{_name(event)}' events{where}"
    return f"{_PAST[event.event]} the usual p{event.past_quantile * 100:g}{where}"


def describe_together(together: float, needed: float) -> Evidence:
    return Evidence(
        f"all critical events together speak against it: e = {_compared(together, needed)}",
        {"e_together": min(together, _E_SHOWN_MAX), "e_worse_needed": needed},
    )


def _name(event: EventEvidence) -> str:
    return event.event.replace("_", " ")


def _compared(e_value: float, needed: float) -> str:
    return f"{number(e_value)} {'>=' if e_value >= needed else '<'} {needed:,.0f}"


def describe_blind(reason: str) -> Evidence:
    return Evidence(reason, {"blind": 1})


def describe_step(now: Situation, canary: int, reference: int, plan: AnalysisPlan) -> Evidence:
    """``canary``, ``reference``: requests assigned to them at this step."""
    compared = f", {reference} to {now.reference}" if now.reference else ", alone"
    return Evidence(
        f"step {now.step + 1}: {canary} requests to the canary (at least {plan.requests_per_step_min})"
        f"{compared}, {now.seconds_in_step:.0f} s (at least {now.step_seconds_min:g})",
        {
            "canary_assigned": canary,
            "reference_assigned": reference,
            "seconds_in_step": round(now.seconds_in_step, 1),
        },
    )


def summary(look: Look) -> str:
    """One line on why: what decided, or how the bad events fell where nothing stood against the canary."""
    evidence = look.verdict.evidence
    if look.decision is not Decision.ADVANCE:
        return "; ".join(item.text for item in evidence)
    critical = [event for event in look.events if event.role is Role.CRITICAL]
    fell = [
        f"{event.canary} of {event.total} {_counted(event)} ({event.expected:.0f} expected)"
        for event in critical
        if event.total
    ]
    quiet = [_name(event) for event in critical if not event.total]
    parts = [evidence[0].text, *(["on the canary fell " + ", ".join(fell)] if fell else [])]
    return "; ".join([*parts, *([f"nothing {', '.join(quiet)} beside the reference"] if quiet else [])])
