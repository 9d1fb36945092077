"""The verdict on one alert, from what was recorded while it was put to the proof. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from ops.alerting.model import Severity
from ops.loadtest.causes import cause
from ops.loadtest.certifying.breaches import Bad, share_seen
from ops.loadtest.certifying.observed import Counted, Held, Look, Observed, between
from ops.loadtest.verdicts import CONFIDENCE, P95_SHARE, Misses, beta_least, lower_bound
from ops.verdict import Evidence, Outcome, Verdict

REQUESTS_MIN = ceil(beta_least(P95_SHARE, CONFIDENCE))
"""Before the breach: fewer could not show that the targets hold."""


@dataclass(frozen=True)
class Figures:
    """Of one trial. Seconds from the breach on, ``resolved_seconds`` from its end on; None for what did not happen."""

    injected_unix_seconds: float | None
    prometheus_seconds: float | None
    alertmanager_seconds: float | None
    resolved_seconds: float | None
    missed_before: Counted
    """Failed or late, whatever the breach is about. Of this and the next three bad ones stand in ``failed``."""
    before: Counted
    during: Counted
    after: Counted
    """Of the later half of the time after the breach's end."""
    runbook_url: str
    instead: tuple[str, ...]
    """Other alerts that paged meanwhile."""
    silent_by: str
    """What kept it silent at the Alertmanager, where it was never told."""


def figures(seen: Observed) -> Figures:
    alert, injected, last = seen.breach.alert, seen.injected, seen.looks[-1].at
    start, none = seen.looks[0].at, Counted()
    missed = _bad(seen, start, last if injected is None else injected, Bad.MISSED)
    if injected is None:
        return Figures(None, None, None, None, missed, none, none, none, "", (), "")
    end = last if seen.taken_back is None else seen.taken_back
    breach = [look for look in seen.since(injected) if seen.taken_back is None or look.at <= seen.taken_back]
    told = next((one for look in breach if (one := look.told(alert))), None)
    silent = next((one.silent_by for look in reversed(breach) for one in look.of(alert)), "")
    calm = () if seen.taken_back is None else (look.at for look in seen.since(end) if _is_over(look, alert))
    return Figures(
        injected_unix_seconds=seen.began_unix_seconds + injected,
        prometheus_seconds=_after(injected, next((look.at for look in breach if alert in look.fires), None)),
        alertmanager_seconds=_after(injected, next((look.at for look in breach if look.told(alert)), None)),
        resolved_seconds=_after(end, next(iter(calm), None)),
        missed_before=missed,
        before=_bad(seen, start, injected),
        during=_bad(seen, injected, end),
        after=_bad(seen, (end + last) / 2, last),
        runbook_url=told.runbook_url if told else "",
        instead=tuple(sorted({one.name for look in breach for one in look.held if _pages(one) and one.name != alert})),
        silent_by="" if told else silent,
    )


def judge(seen: Observed) -> Verdict:
    found = figures(seen)
    causes, told = tuple(_causes(seen, found)), tuple(_told(seen, found))
    if seen.stuck or (causes and not seen.interrupted):
        return Verdict(Outcome.INVALID, (*causes, *told))
    if seen.interrupted:
        words = f"{seen.breach.alert}: broken off ({seen.interrupted}), so nothing has been shown"
        return Verdict(Outcome.INCONCLUSIVE, (Evidence(words, {"interrupted": seen.interrupted}), *told))
    faults = tuple(_faults(seen, found))
    return Verdict(Outcome.FAIL if faults else Outcome.PASS, (*faults, *told))


def blind_seconds(looks: Sequence[Look]) -> float:
    """The longest time without a look that saw Prometheus and Alertmanager both."""
    times = [looks[0].at, *(look.at for look in looks if not look.blind), looks[-1].at]
    return max(after - before for before, after in pairwise(times))


def breach_seen(seen: Observed, at: float) -> bool:
    """Whether the client's own requests show it: with confidence as many bad ones as the alert's rule asks for."""
    return seen.injected is not None and _shows(_bad(seen, seen.injected, at), seen.bounds.share)


# --- Invalid ----------------------------------------------------------------------------------------------------


def _causes(seen: Observed, found: Figures) -> Iterator[Evidence]:
    alert, bounds = seen.breach.alert, seen.bounds
    if seen.stuck:
        yield cause("stuck", f"{alert}: the breach could not be taken back: {seen.stuck}")
    yield from seen.hindered
    yield from seen.generator
    away = blind_seconds(seen.looks)
    if away > bounds.blind_seconds:
        why = next((look.blind for look in reversed(seen.looks) if look.blind), "no look was taken")
        words = f"{alert}: for {away:.0f} s it could not be seen which alerts fire: {why}"
        yield cause("monitoring_blind", words, seconds=away)
    if seen.hindered:
        return
    if found.missed_before.requests < REQUESTS_MIN:
        yield cause(
            "no_load",
            f"{alert}: {found.missed_before.requests} requests ended before the breach, and {REQUESTS_MIN} are needed "
            "to show that all was well: is the rate too low (--scale)?",
            requests=found.missed_before.requests,
        )
    elif _share(found.missed_before) > P95_SHARE:
        yield cause(
            "unwell_before",
            f"{alert}: {_percent(found.missed_before)} of requests failed or were late before the breach, "
            f"{P95_SHARE:.0%} may be: what fires then proves nothing; is the machine too busy, or the rate too high "
            "(--scale)?",
            share=_share(found.missed_before),
        )
    if seen.injected is None:
        yield cause("no_breach", f"{alert}: the breach was never begun")
        return
    if not _shows(found.during, bounds.share):
        yield cause(
            "no_breach",
            f"{alert}: the client saw no breach: {_percent(found.during)} of {found.during.requests:,} requests were "
            f"{seen.breach.bad}, and the rule asks for {bounds.share:.0%}",
            share=_share(found.during), requests=found.during.requests,
        )  # fmt: skip
    if found.resolved_seconds is None and _shows(found.after, P95_SHARE):
        yield cause(
            "unwell_after",
            f"{alert}: {_percent(found.after)} of requests were still bad after the breach was taken back: the alert "
            "may well go on",
            share=_share(found.after),
        )


# --- Fail -------------------------------------------------------------------------------------------------------


def _faults(seen: Observed, found: Figures) -> Iterator[Evidence]:
    alert, bounds = seen.breach.alert, seen.bounds
    if found.alertmanager_seconds is None:
        values: dict[str, float | int | str] = {"fault": "not_told", "bound_seconds": bounds.fire_seconds}
        yield Evidence(f"{alert}: {_not_told(found)} within {bounds.fire_seconds:.0f} s{_instead(found)}", values)
        return
    if found.alertmanager_seconds > bounds.fire_seconds:
        words = f"{alert}: it took {found.alertmanager_seconds:.0f} s, {bounds.fire_seconds:.0f} s are its bound"
        yield Evidence(words, {"fault": "late", "seconds": found.alertmanager_seconds})
    if seen.page is None:
        where = found.runbook_url or "it has none"
        yield Evidence(f"{alert}: its link to a runbook leads nowhere: {where}", {"fault": "no_runbook"})
    if found.resolved_seconds is None or found.resolved_seconds > bounds.resolve_seconds:
        words = f"{alert}: it still fired {bounds.resolve_seconds:.0f} s after the breach was taken back"
        yield Evidence(words, {"fault": "not_resolved", "bound_seconds": bounds.resolve_seconds})


def _not_told(found: Figures) -> str:
    if found.prometheus_seconds is None:
        return "it did not fire"
    where = f"kept silent ({found.silent_by})" if found.silent_by else "unknown to Alertmanager"
    return f"it fired in Prometheus after {found.prometheus_seconds:.0f} s and was {where}"


def _instead(found: Figures) -> str:
    return f"; instead paged: {', '.join(found.instead)}" if found.instead else ""


# --- What happened ----------------------------------------------------------------------------------------------


def _told(seen: Observed, found: Figures) -> Iterator[Evidence]:
    """In words with the numbers, whatever the verdict is."""
    alert = seen.breach.alert
    if found.injected_unix_seconds is None:
        return
    yield Evidence(
        f"{alert}: {seen.breach.words}; of the client's requests {_percent(found.before)} were {seen.breach.bad} "
        f"before ({found.before.requests:,}), {_percent(found.during)} during it ({found.during.requests:,})",
        {"share_before": _share(found.before), "share_during": _share(found.during)},
    )
    if seen.despite:
        words = f"{alert}: warnings that fired before the breach were let pass: {', '.join(seen.despite)}"
        yield Evidence(words, {"despite": len(seen.despite)})
    if found.alertmanager_seconds is not None and found.prometheus_seconds is not None:
        also = f"; besides it paged {', '.join(found.instead)}" if found.instead else ""
        yield Evidence(
            f"{alert}: fired in Prometheus after {found.prometheus_seconds:.1f} s, in Alertmanager after "
            f"{found.alertmanager_seconds:.1f} s ({seen.bounds.fire_seconds:.0f} s allowed){also}",
            {"prometheus_seconds": found.prometheus_seconds, "alertmanager_seconds": found.alertmanager_seconds},
        )
    if seen.page is not None:
        yield Evidence(f"{alert}: its runbook is {found.runbook_url}, here {seen.page}", {"runbook": seen.page})
    if found.resolved_seconds is not None:
        yield Evidence(
            f"{alert}: over {found.resolved_seconds:.1f} s after the breach was taken back "
            f"({seen.bounds.resolve_seconds:.0f} s allowed)",
            {"resolved_seconds": found.resolved_seconds},
        )


# --- Reading ----------------------------------------------------------------------------------------------------


def _bad(seen: Observed, begin: float, end: float, bad: Bad | None = None) -> Counted:
    return share_seen(bad or seen.breach.bad, between(seen.look_at(end).requests, seen.look_at(begin).requests))


def _share(counted: Counted) -> float:
    return counted.failed / counted.requests if counted.requests else 0.0


def _percent(counted: Counted) -> str:
    return f"{100 * _share(counted):.1f} %"


def _shows(counted: Counted, share: float) -> bool:
    seen = Misses(counted.requests, counted.failed)
    return bool(counted.failed) and lower_bound(seen) >= share


def _pages(held: Held) -> bool:
    return held.severity == Severity.CRITICAL.value and not held.silent_by


def _is_over(look: Look, alert: str) -> bool:
    return not look.blind and alert not in look.fires and not look.of(alert)


def _after(begin: float, at: float | None) -> float | None:
    return None if at is None else at - begin
