"""From raw samples to the very snapshot that the worker would have given, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.adapters.prometheus import SERIES_MAX, range_selector, read
from ops.rollout.counted import CountersError, Scrape, counted
from serving import contract
from serving.contract import Arm, BadEvent, CounterCell, CounterSnapshot

from .fake import AnySeries, series_of

BAD = f"{contract.METRIC_BAD}_total"
ASSIGNED = f"{contract.METRIC_ASSIGNED}_total"


def snapshot(assigned: int = 9, *, at: float = 100.0, instance: str = "a", worker: str = "w1") -> CounterSnapshot:
    """One cell, with three bad events."""
    bad = {BadEvent.FAILED: 2, BadEvent.SLOW: 1}
    cell = CounterCell("production", Arm.CANARY, 7, "query", "p0o1", assigned, 5, 3, bad)
    return CounterSnapshot(worker, instance, at, (cell,), ())


def only(series: list[AnySeries]) -> Scrape:
    (found,) = read(series)
    return found


def found(series: list[AnySeries], name: str) -> AnySeries:
    return next(one for one in series if one["metric"]["__name__"] == name)


COUNTS = st.integers(0, 2**40)
CELLS = st.dictionaries(
    st.tuples(
        st.sampled_from(["production", "edge"]),
        st.sampled_from(Arm),
        st.integers(1, 9),
        st.sampled_from(["query", "generation"]),
        st.sampled_from(["p0o0", "p1o0"]),
    ),
    st.tuples(
        COUNTS,
        COUNTS,
        COUNTS,
        st.dictionaries(st.sampled_from(BadEvent), COUNTS),
        st.dictionaries(
            st.sampled_from(sorted(contract.GRADED)), st.lists(COUNTS, min_size=2, max_size=12).map(tuple)
        ),
    ),
)


@given(cells=CELLS)
def test_whatever_a_worker_counts_comes_back_as_it_was(
    cells: dict[tuple[str, Arm, int, str, str], tuple[Any, ...]],
) -> None:
    whole = tuple(CounterCell(*key, *counts) for key, counts in cells.items())
    told = CounterSnapshot("w1", "a", 100.0, whole, ())
    assert only(series_of(told)) == Scrape("10.0.0.1:9001", "w1", "a", told)


def test_the_last_scrape_is_taken_with_its_own_time() -> None:
    last = snapshot(12, at=104.0)
    assert only(series_of(snapshot(9, at=102.0), last)).snapshot == last


def test_a_series_that_is_lacking_in_the_last_scrape_makes_the_one_before_it_the_last() -> None:
    before = snapshot(9, at=102.0)
    series = series_of(before, snapshot(12, at=104.0))
    found(series, BAD)["values"].pop()
    scrape = only(series)
    assert scrape.snapshot == before
    assert scrape.fault == (
        "the last scrape of 10.0.0.1:9001 is not whole: its counters sum up to 25, and the worker says 28"
    )


def test_a_series_that_was_never_stored_leaves_nothing_to_read() -> None:
    # Relabelling may drop whole metrics: without the control sum a canary's failures would be none.
    series = [one for one in series_of(snapshot()) if one["metric"]["__name__"] != BAD]
    scrape = only(series)
    assert scrape.snapshot is None
    assert "is not whole" in scrape.fault


@pytest.mark.parametrize("name", [contract.METRIC_CONTROL_SUM, contract.METRIC_INSTANCE])
def test_a_scrape_without_its_frame_is_not_whole(name: str) -> None:
    before = snapshot(9, at=102.0)
    series = series_of(before, snapshot(12, at=104.0))
    found(series, name)["values"].pop()
    assert only(series).snapshot == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "is nan, which is no count"),
        ("+Inf", "is inf, which is no count"),
        ("7.5", "is 7.5, which is no count"),
        ("-1", "is -1, which is no count"),
        ("1e+300", "is 1e+300, which is no count"),
        ("many", "is no number"),
    ],
)
def test_what_is_no_count_is_refused_and_no_older_scrape_is_taken_for_it(text: str, words: str) -> None:
    series = series_of(snapshot(9, at=102.0), snapshot(12, at=104.0))
    found(series, ASSIGNED)["values"][-1][1] = text
    scrape = only(series)
    assert scrape.snapshot is None
    assert scrape.fault == f"the scrape of 10.0.0.1:9001 cannot be used: {ASSIGNED} {words}"


@pytest.mark.parametrize("label", ["arm", "epoch", "event"])
def test_a_label_that_means_nothing_is_refused(label: str) -> None:
    series = series_of(snapshot())
    found(series, BAD)["metric"][label] = "other"
    assert only(series).snapshot is None


@pytest.mark.parametrize("number", ["0", "1", "2"])
def test_a_level_that_is_lacking_makes_the_scrape_not_whole_even_if_it_was_empty(number: str) -> None:
    (cell,) = snapshot().cells
    cell = CounterCell(*(getattr(cell, name) for name in cell.__struct_fields__[:-1]), {BadEvent.SLOW: (3, 0, 0)})
    series = series_of(CounterSnapshot("w1", "a", 100.0, (cell,), ()))
    assert only(series).fault == ""
    lacking = only([one for one in series if one["metric"].get("level") != number])
    assert lacking.snapshot is None
    assert "sum up to" in lacking.fault


def test_the_same_series_twice_is_refused() -> None:
    series = series_of(snapshot())
    scrape = only([*series, found(series, ASSIGNED)])
    assert scrape.snapshot is None
    assert "is there twice" in scrape.fault


def test_two_workers_at_one_address_are_refused() -> None:
    second = found(series_of(snapshot(worker="w2")), contract.METRIC_INSTANCE)
    scrape = only([*series_of(snapshot()), second])
    assert scrape.snapshot is None
    assert "two workers answer at one address" in scrape.fault


def test_after_a_restart_at_the_same_address_the_new_process_is_read() -> None:
    restarted = snapshot(1, at=104.0, instance="b")
    scrape = only([*series_of(snapshot(9, at=102.0)), *series_of(restarted)])
    assert scrape == Scrape("10.0.0.1:9001", "w1", "b", restarted)


def test_a_target_that_names_no_worker_is_nobodys() -> None:
    assert read([one for one in series_of(snapshot()) if one["metric"]["__name__"] != contract.METRIC_INSTANCE]) == ()


def test_labels_of_the_target_that_hide_the_gateways_are_refused() -> None:
    series = series_of(snapshot())
    for one in series:
        one["metric"] |= {"tier": "backend", "exported_tier": "production"}
    with pytest.raises(CountersError, match="hide those of the gateway: exported_tier"):
        read(series)


def test_honoured_labels_are_refused_with_their_name() -> None:
    series = series_of(snapshot())
    named = found(series, contract.METRIC_INSTANCE)["metric"]
    named["instance"] = named.pop("exported_instance")
    with pytest.raises(CountersError, match="does the job set honor_labels"):
        read(series)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ([], "no recent samples"),
        ({}, "something else than series"),
        ([{"metric": {"__name__": ASSIGNED}, "value": [1.0, "2"]}], "something else than raw samples"),
        ([{"metric": {"__name__": "up"}, "values": [[1.0, "2"]]}], "a series that was not asked for: up"),
        ([{}] * (SERIES_MAX + 1), "50,001 series, and 50,000 are the limit"),
    ],
    ids=["empty", "no-list", "an-instant", "another-name", "too-many"],
)
def test_what_is_no_answer_to_the_question_is_refused(result: object, words: str) -> None:
    with pytest.raises(CountersError, match=words):
        read(result)


def test_one_question_asks_for_raw_samples_of_the_job_alone() -> None:
    asked = range_selector('a"b', 10)
    assert asked.endswith(',job="a\\"b"}[10000ms]')
    assert ASSIGNED in asked


# --- Which scrape is a worker's -------------------------------------------------------------------------------------


def scrape(instance: str = "a", *, target: str = "one", fault: str = "") -> Scrape:
    return Scrape(target, "w1", instance, None if fault else snapshot(instance=instance), fault)


def test_a_workers_scrape_is_the_one_of_the_process_that_answers() -> None:
    told = counted({"w1": "a"}, [scrape("other", target="another namespace"), scrape("a")])
    assert [one.instance for one in told.snapshots] == ["a"]
    assert told.faults == {}


@pytest.mark.parametrize(
    ("scrapes", "words"),
    [
        (lambda: [], "Prometheus has no recent scrape of it"),
        (lambda: [scrape("before")], "Prometheus has not yet scraped the process that runs now"),
        (lambda: [scrape(), scrape(target="two")], "Prometheus scrapes it more than once, as one and two"),
        (lambda: [scrape(fault="not whole")], "not whole"),
    ],
    ids=["none", "before-its-restart", "twice", "faulty"],
)
def test_a_worker_without_a_scrape_that_is_surely_its_own_has_a_reason(
    scrapes: Callable[[], list[Scrape]], words: str
) -> None:
    told = counted({"w1": "a"}, scrapes())
    assert told.snapshots == ()
    assert told.faults == {"w1": words}


def test_a_worker_that_did_not_answer_is_not_read_from_elsewhere() -> None:
    assert counted({}, [scrape()]).snapshots == ()
