"""Contradictions among receivers, routes and maintenance windows of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ops.spec.contradictions.common import at_least, reference, unique
from ops.spec.draft import Draft
from ops.spec.faults import Finding, Path, nearest, one_of, quoted
from ops.spec.receiving import Receivers

RECEIVERS, ROUTES = ("alerting", "receivers"), ("alerting", "routes")
WINDOWS = ("alerting", "maintenance", "windows")
HEARTBEAT = ("alerting", "heartbeat")


def notifying_contradictions(draft: Draft) -> Iterator[Finding]:
    names = [
        ((*RECEIVERS, kind, i, "name"), name)
        for kind in Receivers.model_fields
        for i in draft.indices(*RECEIVERS, kind)
        if (name := draft.text(*RECEIVERS, kind, i, "name"))
    ]
    yield from unique(names, "the name")
    yield from _webhooks(draft)
    known = [name for _, name in names]
    for i in draft.indices(*ROUTES):
        yield from _known_receivers(draft, (*ROUTES, i, "receivers"), known)
        yield from _route(draft, i)
    yield from _every_severity(draft)
    yield from _known_receivers(draft, (*HEARTBEAT, "receivers"), known)
    windows = draft.indices(*WINDOWS)
    named = [((*WINDOWS, i, "name"), name) for i in windows if (name := draft.text(*WINDOWS, i, "name"))]
    yield from unique(named, "the name")
    for i in windows:
        yield from _window(draft, (*WINDOWS, i))


def _known_receivers(draft: Draft, path: Path, known: list[str]) -> Iterator[Finding]:
    for i, name in draft.texts(*path):
        if name not in known:
            yield Finding((*path, i), "no such receiver", quoted(name), one_of(known), nearest(name, known))
    yield from unique((((*path, i), name) for i, name in draft.texts(*path)), "the receiver")


def _webhooks(draft: Draft) -> Iterator[Finding]:
    place = (*RECEIVERS, "webhook")
    for i in draft.indices(*place):
        both = [draft.at(*place, i, key) is not None for key in ("url", "url_file")]
        if all(both) or (not any(both) and not any((*place, i, key) in draft.faulty for key in ("url", "url_file"))):
            yield Finding((*place, i), "an address once", "both" if all(both) else "none", "url or url_file")


def _route(draft: Draft, i: int) -> Iterator[Finding]:
    place = (*ROUTES, i)
    severity = draft.text(*place, "severity")
    if severity is None:
        return
    known = [name for _, name in draft.texts("alerting", "categories", severity)]
    for j, name in draft.texts(*place, "categories"):
        if name not in known:
            why = f"no such category of {severity}"
            yield Finding((*place, "categories", j), why, quoted(name), one_of(known), nearest(name, known))
    if severity == "critical":
        wait = (*place, "grouping", "wait_seconds")
        # One incident's alerts begin within one evaluation of each other: a shorter wait tells of it twice.
        yield from at_least(draft, wait, ("alerting", "evaluation_seconds"), "one incident would page more than once")
    grouping = (*place, "grouping")
    yield from at_least(
        draft, (*grouping, "repeat_seconds"), (*grouping, "interval_seconds"), "repeated sooner than changes are told"
    )


def _every_severity(draft: Draft) -> Iterator[Finding]:
    """One route without categories for each severity, and every category in one route at most."""
    routes = draft.indices(*ROUTES)
    if not routes or any((*ROUTES, i, "severity") in draft.faulty for i in routes):
        return
    rests = [
        ((*ROUTES, i, "severity"), severity)
        for i in routes
        if (severity := draft.text(*ROUTES, i, "severity")) and not draft.indices(*ROUTES, i, "categories")
    ]
    yield from unique(rests, "the severity")
    for severity in ("critical", "warning", "info"):
        if severity not in {found for _, found in rests}:
            yield Finding(ROUTES, f"a severity without a route: {severity}", expected="a route without categories")
    chosen = [
        ((*ROUTES, i, "categories", j), name) for i in routes for j, name in draft.texts(*ROUTES, i, "categories")
    ]
    yield from unique(chosen, "the category")


def _window(draft: Draft, place: Path) -> Iterator[Finding]:
    kinds = [kind for kind in ("weekly", "once") if draft.at(*place, kind) is not None]
    if len(kinds) != 1 and not any((*place, kind) in draft.faulty for kind in ("weekly", "once")):
        yield Finding(place, "a time once", " and ".join(kinds) or "none", "weekly or once")
    for i, _ in draft.texts(*place, "tiers"):
        yield from reference(draft, (*place, "tiers", i), "tiers")
    longest = draft.number("alerting", "maintenance", "silence_seconds_max")
    begin, end = draft.text(*place, "once", "begin"), draft.text(*place, "once", "end")
    if begin is None or end is None:
        return
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    if seconds <= 0:
        yield Finding((*place, "once", "end"), "ends before it begins", quoted(end), f"a time after {begin}")
    if longest is not None and seconds > longest:
        why = "longer than alerting.maintenance.silence_seconds_max"
        yield Finding((*place, "once", "end"), why, f"{seconds:.0f} s", f"at most {longest:.0f} s")
