"""From raw counters to what happened since the last look, or why that cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ops.judge.counting import Counts, Difference, counts_by_cell, difference
from serving.contract import Arm, BadEvent, CounterCell, CounterSnapshot

Snapshot = Callable[..., CounterSnapshot]
CELL = ("query/p0o0", Arm.CANARY)


def read(bases: dict[str, CounterSnapshot], *snapshots: CounterSnapshot, workers: str = "w1", now: float = 100.0,
         epoch: int = 7) -> Difference:
    return difference(
        bases, snapshots, workers=workers.split(), tier="production", epoch=epoch, now=now, age_seconds_max=5
    )


def test_a_worker_without_a_base_starts_from_nothing(snapshot: Snapshot) -> None:
    found = read({}, snapshot(assigned=5, bad={BadEvent.SLOW: 2}))
    assert found.increments == {CELL: Counts(5, 0, 0, {BadEvent.SLOW: 2})}
    assert found.blind == ()


def test_what_was_read_before_is_not_read_again(snapshot: Snapshot) -> None:
    first = read({}, snapshot(assigned=5, bad={BadEvent.SLOW: 2}))
    second = read(first.bases, snapshot(assigned=9, finished=3, bad={BadEvent.SLOW: 2, BadEvent.FAILED: 1}))
    assert second.increments == {CELL: Counts(4, 3, 0, {BadEvent.FAILED: 1})}


def test_workers_are_summed(snapshot: Snapshot) -> None:
    found = read({}, snapshot("w1", assigned=5), snapshot("w2", assigned=7), workers="w1 w2")
    assert found.increments[CELL].assigned == 12


def test_other_tiers_and_epochs_are_left_out(snapshot: Snapshot) -> None:
    assert read({}, snapshot(assigned=5, tier="edge")).increments == {}
    assert read({}, snapshot(assigned=5, epoch=6)).increments == {}


def test_a_missing_worker_blinds_and_the_gap_is_read_later_for_all_alike(snapshot: Snapshot) -> None:
    start = read({}, snapshot("w1", assigned=1), snapshot("w2", assigned=1), workers="w1 w2")
    gap = read(start.bases, snapshot("w1", assigned=10), workers="w1 w2")
    assert gap.increments == {}
    assert gap.blind == ("w2 gave no counters",)
    clear = read(gap.bases, snapshot("w1", assigned=12), snapshot("w2", assigned=20), workers="w1 w2")
    assert clear.blind == ()
    assert clear.increments[CELL].assigned == 11 + 19


def test_stale_samples_blind(snapshot: Snapshot) -> None:
    found = read({}, snapshot(assigned=5, at=94.0))
    assert found.increments == {}
    assert found.blind == ("the counters of w1 are 6 s old",)


def test_a_restart_blinds_once_and_then_counts_from_zero(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50))
    restarted = read(start.bases, snapshot(assigned=3, instance="b"))
    assert restarted.increments == {}
    assert "restarted" in restarted.blind[0]
    after = read(restarted.bases, snapshot(assigned=8, instance="b"))
    assert after.blind == ()
    assert after.increments[CELL].assigned == 8


def test_a_restart_is_seen_even_if_the_counts_have_grown_past_the_old_ones(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=5))
    assert read(start.bases, snapshot(assigned=500, instance="b")).blind


def test_counters_that_went_backwards_blind_and_are_the_next_base(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50))
    backwards = read(start.bases, snapshot(assigned=40))
    assert backwards.increments == {}
    assert backwards.blind == ("the counters of w1 went backwards",)
    assert read(backwards.bases, snapshot(assigned=44)).increments[CELL].assigned == 4


def test_one_bad_event_that_went_backwards_is_enough_to_blind(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50, bad={BadEvent.SLOW: 3}))
    assert read(start.bases, snapshot(assigned=60, bad={BadEvent.SLOW: 2})).blind


def with_levels(build: Snapshot, levels: tuple[int, ...], **given: Any) -> CounterSnapshot:
    snapshot = build(**given)
    return replace(snapshot, cells=tuple(replace(cell, levels={BadEvent.SLOW: levels}) for cell in snapshot.cells))


def test_levels_are_differenced_and_summed_level_by_level(snapshot: Snapshot) -> None:
    one, other = with_levels(snapshot, (5, 2, 1)), with_levels(snapshot, (1, 1, 1), worker="w2")
    start = read({}, one, other, workers="w1 w2")
    assert start.increments[CELL].levels == {BadEvent.SLOW: (6, 3, 2)}
    grown = with_levels(snapshot, (7, 2, 4))
    assert read(start.bases, grown, other, workers="w1 w2").increments[CELL].levels == {BadEvent.SLOW: (2, 0, 3)}


def test_levels_that_only_one_worker_counts_are_kept(snapshot: Snapshot) -> None:
    found = read({}, with_levels(snapshot, (5, 2, 1)), snapshot("w2", assigned=3), workers="w1 w2")
    assert found.increments[CELL].levels == {BadEvent.SLOW: (5, 2, 1)}


def test_a_level_that_went_backwards_blinds(snapshot: Snapshot) -> None:
    start = read({}, with_levels(snapshot, (5, 2, 1)))
    assert read(start.bases, with_levels(snapshot, (9, 1, 1))).blind == ("the counters of w1 went backwards",)


def test_levels_that_vanished_blind(snapshot: Snapshot) -> None:
    start = read({}, with_levels(snapshot, (5, 2, 1)))
    assert read(start.bases, snapshot()).blind


def test_a_cell_that_vanished_blinds(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50))
    assert read(start.bases, CounterSnapshot("w1", "a", 100.0, (), ())).blind


def test_no_worker_at_all_is_clear_and_empty() -> None:
    # Zero workers are zero requests, which never advance; who should be there is the caller's knowledge.
    assert difference({}, (), workers=(), tier="production", epoch=7, now=0.0, age_seconds_max=5).increments == {}


def test_cells_of_the_same_class_and_stratum_are_merged(snapshot: Snapshot) -> None:
    cells = (*snapshot(assigned=1).cells, *snapshot(assigned=2).cells)
    assert counts_by_cell(cells, "production", 7)[CELL].assigned == 3


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from(["seen", "missing", "stale"])), min_size=1, max_size=30
    )
)
def test_blind_looks_lose_nothing_but_time(steps: list[tuple[int, str]]) -> None:
    bases: dict[str, CounterSnapshot] = {}
    read_in_all, counted = 0, 0
    for grown, how in [*steps, (0, "seen")]:
        counted += grown
        cell = CounterCell("production", Arm.CANARY, 7, "query", "p0o0", counted, 0, 0, {})
        current = CounterSnapshot("w1", "a", 100.0 if how != "stale" else 0.0, (cell,), ())
        found = read(bases, *([] if how == "missing" else [current]))
        assert bool(found.blind) == (how != "seen")
        bases = found.bases
        read_in_all += sum(counts.assigned for counts in found.increments.values())
    assert read_in_all == counted


@given(restart_at=st.integers(1, 9), grown=st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_a_restart_never_counts_anything_twice(restart_at: int, grown: list[int]) -> None:
    bases: dict[str, CounterSnapshot] = {}
    read_in_all, counted, instance = 0, 0, "a"
    for i, more in enumerate(grown):
        counted = more if i == restart_at else counted + more
        instance = "b" if i >= restart_at else "a"
        cell = CounterCell("production", Arm.CANARY, 7, "query", "p0o0", counted, 0, 0, {})
        found = read(bases, CounterSnapshot("w1", instance, 100.0, (cell,), ()))
        bases = found.bases
        read_in_all += sum(counts.assigned for counts in found.increments.values())
    assert read_in_all <= sum(grown)
    assert read_in_all >= sum(grown) - (grown[restart_at] if restart_at == len(grown) - 1 else 0)


def test_counters_from_before_those_already_read_blind_and_leave_the_base(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50, at=99.0))
    before = read(start.bases, snapshot(assigned=40, at=97.0))
    assert before.blind == ("the counters of w1 are older than those that were read before",)
    assert read(before.bases, snapshot(assigned=52, at=100.0)).increments[CELL].assigned == 2


def test_a_clock_that_was_put_back_does_not_blind_until_it_comes_round_again(snapshot: Snapshot) -> None:
    start = read({}, snapshot(assigned=50, at=3_700.0), now=3_700.0)
    assert read(start.bases, snapshot(assigned=52, at=101.0), now=101.0).increments[CELL].assigned == 2


def test_samples_of_the_future_blind(snapshot: Snapshot) -> None:
    assert read({}, snapshot(assigned=5, at=106.0)).blind == (
        "the counters of w1 are 6 s in the future: a clock is wrong",
    )
    assert read({}, snapshot(assigned=5, at=104.0)).blind == ()


def test_the_source_says_why_counters_are_lacking_or_old(snapshot: Snapshot) -> None:
    def why(*snapshots: CounterSnapshot) -> tuple[str, ...]:
        return difference(
            {}, snapshots, workers=("w1",), tier="production", epoch=7, now=100.0, age_seconds_max=5,
            faults={"w1": "no scrape"},
        ).blind

    assert why() == ("w1 gave no counters: no scrape",)
    assert why(snapshot(at=90.0)) == ("the counters of w1 are 10 s old: no scrape",)
    assert why(snapshot()) == ()


@dataclass
class Counting:
    """A worker, and what truly happened at it."""

    name: str
    instance: int = 0
    count: int = 0
    truly: int = 0
    seen: int = 0
    """What had truly happened when it was last read clearly, or began anew."""
    lost_at_most: int = 0


HAPPENINGS = st.tuples(
    st.sampled_from(["w1", "w2"]),
    st.integers(0, 50),
    st.sampled_from(
        ["counts", "counts", "restarts", "resets", "is missing", "is stale", "is read twice", "is old news"]
    ),
)


@given(happenings=st.lists(HAPPENINGS, min_size=1, max_size=40))
def test_resets_gaps_and_duplicates_cost_data_and_never_count_anything_twice(
    happenings: list[tuple[str, int, str]],
) -> None:
    workers = {name: Counting(name) for name in ("w1", "w2")}
    bases: dict[str, CounterSnapshot] = {}
    history: dict[str, list[CounterSnapshot]] = {name: [] for name in workers}
    counted, now = 0, 100.0

    def look(how: Mapping[str, str]) -> None:
        nonlocal bases, counted, now
        now += 1.0
        told = []
        for worker in workers.values():
            cell = CounterCell("production", Arm.CANARY, 7, "query", "p0o0", worker.count, 0, 0, {})
            at = 0.0 if how.get(worker.name) == "is stale" else now
            told += [CounterSnapshot(worker.name, str(worker.instance), at, (cell,), ())]
            told += told[-1:] if how.get(worker.name) == "is read twice" else []
            history[worker.name] += told[-1:] if at else []
            if how.get(worker.name) == "is old news":
                # A second Prometheus that lags behind the first, or the source changed under way.
                told[-1] = history[worker.name][-min(3, len(history[worker.name]))]
        told = [one for one in told if how.get(one.worker) != "is missing"]
        found = read(bases, *told, workers="w1 w2", now=now)
        bases = found.bases
        grown = [counts.assigned for counts in found.increments.values()]
        assert all(count >= 0 for count in grown)
        counted += sum(grown)
        if not found.blind and "is old news" not in how.values():
            for worker in workers.values():
                worker.seen = worker.truly

    for name, grown, how in happenings:
        worker = workers[name]
        if how in ("restarts", "resets"):
            # Between two clear looks is what can be lost, and what comes until the next one with it.
            worker.lost_at_most += worker.truly - worker.seen + grown
            worker.instance += how == "restarts"
            worker.count = 0
        worker.count += grown
        worker.truly += grown
        look({name: how})
        truly = sum(one.truly for one in workers.values())
        assert counted <= truly, "something was counted twice"
    look({})
    look({})  # the one before may have been blind for a reset; after this one nothing is outstanding
    truly, lost = (sum(getattr(one, what) for one in workers.values()) for what in ("truly", "lost_at_most"))
    assert truly - lost <= counted <= truly
