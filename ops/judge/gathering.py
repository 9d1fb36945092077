"""What a look adds to what the judge remembers: shares and rates by cell, and evidence by event."""

from __future__ import annotations

import numpy as np

from ops.judge.befalling import happened, yes_no_sums
from ops.judge.cells import Seen, seen_cells
from ops.judge.evidence import above_bounds
from ops.judge.grading import Floats
from ops.judge.keeping import CANARY_STEP, REFERENCE_STEP, REFERENCE_WHOLE, Kept
from ops.judge.ledger import Ledger, grouped
from ops.judge.model import Situation
from ops.judge.rules import Rules
from ops.judge.spreading import graded_sums, shown
from ops.judge.tables import Table, widened


def gathered(kept: Kept, table: Table, now: Situation, rules: Rules, quantiles: tuple[float, ...]) -> Kept:
    """``table``: what was counted since the look before."""
    table = Table(table.keys_of_rows, widened(table.rows, kept.totals.shape[1]))
    seen = seen_cells(kept, table, now.reference)
    canary, reference = seen.canary.sum(axis=0), seen.reference.sum(axis=0)
    cells, compared, whole, recent = kept.cells, kept.compared, kept.whole, kept.recent
    if now.reference is not None:
        cells, compared = seen.cells, seen.so_far
        whole, recent = _grown(kept, seen, now, rules, quantiles)
    absolute, held = _absolute(kept, canary, rules)
    totals = kept.totals.copy()
    totals[: CANARY_STEP + 1] += canary
    totals[REFERENCE_STEP:] += reference
    return Kept(cells, compared, whole, recent, absolute, held, totals)


Ledgers = tuple[Ledger, Ledger]


def _grown(
    kept: Kept, seen: Seen, now: Situation, rules: Rules, quantiles: tuple[float, ...]
) -> tuple[Ledgers, Ledgers]:
    """The evidence since the rollout began, and that since the step did."""
    (graded, yes_no), (graded_step, yes_no_step) = kept.whole, kept.recent
    if rules.graded.sides and shown(seen):
        graded = _with_groups(graded, seen)
        cuts = list(map(now.levels_of, seen.cells))
        whole, step = graded_sums(seen, rules.graded, graded.groups, cuts, quantiles)
        graded, graded_step = graded.plus(whole), graded_step.plus(step)
    if rules.yes_no.sides and happened(seen, rules.yes_no):
        yes_no = _with_groups(yes_no, seen)
        whole, step = yes_no_sums(seen, rules.yes_no, yes_no.groups)
        yes_no, yes_no_step = yes_no.plus(whole), yes_no_step.plus(step)
    return (graded, yes_no), (graded_step, yes_no_step)


def _with_groups(ledger: Ledger, seen: Seen) -> Ledger:
    """With those of the cells too."""
    if {*ledger.groups}.issuperset(seen.groups):
        return ledger
    return ledger.laid_out(ledger.sides, grouped((*ledger.groups, *seen.groups)))


def _absolute(kept: Kept, canary: Floats, rules: Rules) -> tuple[Floats, Floats]:
    """Against "the canary's rate is within its budget", or within the margin of the reference's where that is higher:
    a service that is past its budget anyway is not saved by rolling back a release that is no worse."""
    budget, at, reference = rules.budget, rules.budgeted_at, kept.totals[REFERENCE_WHOLE]
    bad, total = canary[budget.column], canary[budget.could]
    # The budget is also what is believed of the reference until its own requests outweigh it.
    believed = (reference[budget.column] + 1) / (reference[budget.could] + 1 / budget.rate)
    bounds = np.minimum(np.maximum(budget.rate, budget.margin * believed), (1 + budget.rate) / 2)
    absolute, held = kept.absolute.copy(), kept.held.copy()
    absolute[at] = above_bounds(kept.absolute[at], bounds, bad=bad, total=total)  # without any requests as before
    held[at] += bad + total
    return absolute, held
