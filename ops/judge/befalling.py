"""What a look adds to the evidence of yes/no events: on which arm they fell.

All of them are one array: a row is one cell of one event.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ops.judge.cells import EVERY, Recent, Seen, Whole, opportunities
from ops.judge.counting import Counts
from ops.judge.evidence import better_than, worse_than, yes_no_gains
from ops.judge.growing import grown_by, profile_of
from ops.rollout.plan import AnalysisPlan, Role
from serving.contract import GRADED, BadEvent

_RATE_GUESS, _RATE_GUESS_REQUESTS = 0.25, 2
"""The reference's rate of a yes/no event before anything is known: a guess that a few real requests outweigh."""


def gather_yes_no(whole: Whole, recent: Recent, seen: Seen, plan: AnalysisPlan) -> None:
    places = _places(seen)
    rules = [rule for rule in plan.events if rule.role is not Role.OFF and rule.event in places]
    if not rules:
        return
    rows = [(rule, i) for rule in rules for i in places[rule.event]]
    shares = {rule.event: seen.share(rule.event).tolist() for rule in rules}
    columns = np.array([_row(rule.event, seen, i, shares[rule.event][i]) for rule, i in rows]).T[:, :, None]
    canary, total, share, rates = columns
    of_people = np.concatenate([canary, total, total * share], axis=1)
    worse = np.array([worse_than(rule.margin, False).logs for rule, _ in rows])
    against = np.concatenate([yes_no_gains(worse, canary, total, share, rates), of_people], axis=1)
    harmful = np.array([better_than(rule.harm).logs for rule, _ in rows])
    in_favour = np.concatenate([yes_no_gains(harmful, canary, total, share, rates), of_people], axis=1)

    members: dict[tuple[BadEvent, str], list[int]] = defaultdict(list)
    for row, (rule, i) in enumerate(rows):
        members[rule.event, EVERY].append(row)
        members[rule.event, seen.groups[i]].append(row)
    before = [profile_of(whole.get(event, {}).get(group), 0) for event, group in members]
    sums = np.array([against[own].sum(axis=0) for own in members.values()])
    for (event, group), profile in zip(members, grown_by(before, sums, 1), strict=True):
        whole[event] = {**whole.get(event, {}), group: (profile,)}
    before = [profile_of(recent.get(rule.event), 0) for rule in rules]
    sums = np.array([in_favour[members[rule.event, EVERY]].sum(axis=0) for rule in rules])
    for rule, profile in zip(rules, grown_by(before, sums, 1), strict=True):
        recent[rule.event] = (profile,)


def _places(seen: Seen) -> dict[BadEvent, list[int]]:
    """By event, the cells in which it happened on either arm."""
    found: dict[BadEvent, list[int]] = defaultdict(list)
    for i, (canary, reference) in enumerate(zip(seen.canary, seen.reference, strict=True)):
        for event in canary.bad.keys() | reference.bad.keys():
            if event not in GRADED:
                found[event].append(i)
    return found


def _row(event: BadEvent, seen: Seen, i: int, share: float) -> tuple[int, int, float, float]:
    """What fell on the canary, on both, the canary's share, the reference's rate as known before."""
    canary = seen.canary[i].bad.get(event, 0)
    return canary, canary + seen.reference[i].bad.get(event, 0), share, _event_rate(event, seen.earlier[i])


def _event_rate(event: BadEvent, reference: Counts) -> float:
    could = opportunities(reference, event)
    bad = min(reference.bad.get(event, 0), could)
    return (bad + _RATE_GUESS * _RATE_GUESS_REQUESTS) / (could + _RATE_GUESS_REQUESTS)
