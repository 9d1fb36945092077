"""Histograms keep 0.1 %, add up without loss, and do not let failures look fast."""

from __future__ import annotations

import gc
import sys
import weakref
from math import ceil

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.loadtest.recording import BUFFERED_MAX, SECONDS_MAX, Histogram, Measure, Recorder, percentile

SECONDS = st.floats(1e-6, SECONDS_MAX)
PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


def of(seconds) -> Histogram:
    histogram = Histogram()
    for one in seconds:
        histogram.add(one)
    return histogram


def exact(seconds, percent: float) -> float:
    ordered = sorted(seconds)
    return ordered[max(1, ceil(percent / 100 * len(ordered) - 1e-9)) - 1]


@given(st.lists(SECONDS, min_size=1, max_size=300))
@settings(deadline=None)
def test_percentiles_are_within_a_thousandth_and_a_microsecond_of_the_truth(seconds):
    histogram = of(seconds)
    for percent in PERCENTS:
        assert histogram.percentile(percent) == pytest.approx(exact(seconds, percent), rel=1e-3, abs=1.1e-6)


@given(st.lists(st.lists(SECONDS, max_size=50), min_size=1, max_size=5))
@settings(deadline=None)
def test_merging_loses_nothing(parts):
    merged = Histogram()
    for part in parts:
        merged.merge(of(part).encoded())
    together = of([one for part in parts for one in part])
    assert merged.count == together.count
    assert merged.encoded() == together.encoded()


@given(st.lists(SECONDS, min_size=1, max_size=100))
@settings(deadline=None)
def test_what_travels_is_as_the_library_itself_would_have_written_it(seconds):
    theirs = HdrHistogram(1, int(SECONDS_MAX * 1e6), 3)
    for one in seconds:
        theirs.record_value(max(1, round(one * 1e6)))
    ours = HdrHistogram.decode(of(seconds).encoded())
    assert list(ours.counts) == list(theirs.counts)
    assert ours.total_count == theirs.total_count


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, SECONDS_MAX, 10 * SECONDS_MAX])
def test_what_lies_outside_counts_at_the_edge(seconds):
    histogram = of([seconds])
    assert histogram.count == 1
    assert histogram.percentile(100) == pytest.approx(min(max(seconds, 1e-6), SECONDS_MAX), rel=1e-3)


def test_nothing_recorded_is_nothing():
    assert (Histogram().count, Histogram().percentile(99)) == (0, 0.0)


def test_a_histogram_that_was_emptied_begins_anew():
    histogram = of([100.0])
    histogram.flush()
    histogram.clear()
    histogram.add(0.001)
    assert histogram.encoded() == of([0.001]).encoded()


@pytest.mark.parametrize("garbage", [b"", b"nonsense", b"AAAA", of([1.0]).encoded()[:-8]])
def test_what_is_no_histogram_is_refused(garbage):
    with pytest.raises(ValueError, match="no HDR histogram"):
        Histogram().merge(garbage)


def test_one_of_another_range_is_refused():
    with pytest.raises(ValueError, match="no HDR histogram"):
        Histogram().merge(HdrHistogram(1, 1000, 2).encode())


def test_a_histogram_is_gone_as_soon_as_nobody_holds_it():
    """It is large, and a driver collects its garbage seldom."""
    gc.disable()
    try:
        histogram = of([0.1])
        histogram.merge(of([0.2]).encoded())
        gone = weakref.ref(histogram._kept)
        del histogram
        assert gone() is None
    finally:
        gc.enable()


def test_memory_does_not_grow_with_what_is_recorded():
    histogram = Histogram()
    sizes = set()
    for i in range(3 * BUFFERED_MAX):
        histogram.add(i % 1000 / 1000)
        if i % BUFFERED_MAX == BUFFERED_MAX // 2:
            sizes.add(sys.getsizeof(histogram._buffer))
    assert len(histogram._buffer) < BUFFERED_MAX
    assert len(sizes) == 1


def test_a_recorder_gives_each_figure_once_and_another_adds_them_up():
    recorder, total = Recorder(), Recorder()
    for part in range(3):
        recorder.counts["ok"] += 2
        recorder.add(Measure.LATENCY, 0.1 * (part + 1))
        total.merge(recorder.taken())
    total.merge(recorder.taken())
    assert total.counts == {"ok": 6}
    assert total.histograms[Measure.LATENCY].count == 3
    assert recorder.taken() == Recorder().taken()


@pytest.mark.parametrize(
    ("answers", "failed", "percent", "expected"),
    [
        ([0.1] * 95, 5, 95.0, 0.1),
        ([0.1] * 94, 6, 95.0, None),
        ([], 5, 50.0, None),
        ([], 0, 50.0, None),
        ([0.1] * 50 + [0.2] * 45, 5, 50.0, 0.1),
        ([0.1] * 50 + [0.2] * 45, 5, 51.0, 0.2),
    ],
)
def test_failures_rank_above_every_answer(answers, failed, percent, expected):
    found = percentile(of(answers), failed, percent)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-3))
