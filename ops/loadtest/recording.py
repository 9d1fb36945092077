"""What is measured: counts and HDR histograms of one kind of request, merged without loss over time and workers.

Values are buffered as they come and recorded in bulk, equal ones together, so that measuring costs the generator
little. Memory does not grow with the number of requests. A failed request is in no histogram of answers: it is counted,
and ranks above every answer in a percentile.
"""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from math import ceil

import msgspec
import numpy as np
from hdrh.codec import HdrHistogramEncoder
from hdrh.histogram import HdrHistogram

SECONDS_MAX = 3600.0
_MICROSECONDS = 1e6
_DIGITS = 3
"""Significant digits kept: a relative error of 0.1 %."""
_SIGNIFICANT_BITS = 11
"""As many as the histogram tells apart at three digits."""
_HALF_BUCKET = 1 << (_SIGNIFICANT_BITS - 1)
_ROUNDING = 1e-9
"""Of a rank: 99.9 % of 1,000 is the 999th, however the product is rounded."""
BUFFERED_MAX = 32_768


class Measure(StrEnum):
    """Times in seconds, each from the intended start unless it says otherwise."""

    LATENCY = "latency"
    """To the last byte."""
    SERVICE = "service"
    """From the sending to the last byte: what a server's own clock might show."""
    SEND_LAG = "send_lag"
    """To the sending: the generator's own delay, and the wait for a connection."""
    FIRST_TOKEN = "first_token"
    TOKEN_INTERVAL = "token_interval"
    """Between two events of a stream that carry content, however many tokens they bring (ITL)."""
    TIME_PER_TOKEN = "time_per_token"
    """Of a whole stream: from the first token to the last, by the tokens after the first (TPOT)."""


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured, in a form that travels and adds up."""

    counts: dict[str, int]
    histograms: dict[Measure, bytes]
    """In HdrHistogram's V2 encoding, microseconds."""


class Histogram:
    """Durations in seconds, to 0.1 %. The counts are an HdrHistogram's own, written to in bulk."""

    def __init__(self) -> None:
        self._kept = HdrHistogram(1, int(SECONDS_MAX * _MICROSECONDS), _DIGITS)
        # The library's own reference back would keep each, of 180 KiB, until the garbage collector comes by.
        self._kept.encoder.histogram = weakref.proxy(self._kept)
        self._counts = np.frombuffer(self._kept.counts, dtype=np.int64)
        self._buffer = array("d")

    def add(self, seconds: float) -> None:
        self._buffer.append(seconds)
        if len(self._buffer) >= BUFFERED_MAX:
            self.flush()

    def flush(self) -> None:
        if not self._buffer:
            return
        micros = np.clip(np.rint(np.frombuffer(self._buffer) * _MICROSECONDS), 1, SECONDS_MAX * _MICROSECONDS)
        values = micros.astype(np.int64)
        unseen_bits = np.maximum(np.frexp(micros)[1] - _SIGNIFICANT_BITS, 0).astype(np.int64)
        # HdrHistogram's index: buckets of twice the width each, of which all but the first use their upper half.
        added = np.bincount(((unseen_bits + 1) << (_SIGNIFICANT_BITS - 1)) + (values >> unseen_bits) - _HALF_BUCKET)
        self._counts[: len(added)] += added
        self._kept.total_count += len(values)
        self._kept.min_value = min(self._kept.min_value, int(values.min()))
        self._kept.max_value = max(self._kept.max_value, int(values.max()))
        self._buffer = array("d")

    @property
    def count(self) -> int:
        return len(self._buffer) + int(self._kept.total_count)

    def percentile(self, percent: float) -> float:
        """Seconds; 0 where nothing was recorded."""
        self.flush()
        if not self._kept.total_count:
            return 0.0
        rank = max(1, ceil(percent / 100 * self._kept.total_count - _ROUNDING))
        index = int(np.searchsorted(np.cumsum(self._counts), rank))
        value = self._kept.get_highest_equivalent_value(self._kept.get_value_from_index(index))
        return float(value) / _MICROSECONDS

    def over(self, seconds: float) -> int:
        """How many took longer; one that cannot be told from it did."""
        self.flush()
        micros = int(min(seconds, SECONDS_MAX) * _MICROSECONDS + 0.5)
        unseen_bits = max(micros.bit_length() - _SIGNIFICANT_BITS, 0)
        index = ((unseen_bits + 1) << (_SIGNIFICANT_BITS - 1)) + (micros >> unseen_bits) - _HALF_BUCKET
        # Where a bucket holds more values than this one, some of it may lie beyond.
        return int(self._counts[index + (unseen_bits == 0) :].sum())

    def encoded(self) -> bytes:
        self.flush()
        kept, largest = self._kept, self._kept.max_value
        # Whole buckets: the library makes a type of ctypes for each length that it writes, and they are never freed.
        last = kept.get_counts_array_index(largest) | (_HALF_BUCKET - 1)
        kept.max_value = kept.get_value_from_index(min(last, kept.counts_len - 1))
        encoded: bytes = kept.encode()
        kept.max_value = largest
        return encoded

    def clear(self) -> None:
        self._buffer = array("d")
        self._counts[:] = 0  # as its own reset does, one by one
        self._kept.total_count, self._kept.min_value, self._kept.max_value = 0, sys.maxsize, 0

    def merge(self, encoded: bytes) -> None:
        """Raises ValueError for what is no histogram."""
        self.flush()
        kept = self._kept
        try:
            other = HdrHistogramEncoder.decode(encoded)
            found = other.init_counts(kept.counts_len)
            same = other.payload.highest_trackable_value == kept.highest_trackable_value
            if not same or other.payload.significant_figures != _DIGITS:
                raise ValueError("of another range")
        except Exception as e:
            raise ValueError("no HDR histogram") from e  # the library raises of its own, of zlib and of base64
        if found["total"]:
            self._counts += np.frombuffer(other.counts, dtype=np.int64)
            kept.total_count += found["total"]
            kept.min_value = min(kept.min_value, kept.get_value_from_index(found["min_nonzero_index"]))
            kept.max_value = max(kept.max_value, kept.get_value_from_index(found["max_nonzero_index"]))


class Recorder:
    """Counts and histograms of one kind of request in one phase."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._histograms: dict[Measure, Histogram] = {}

    def add(self, measure: Measure, seconds: float) -> None:
        histogram = self._histograms.get(measure)
        if histogram is None:
            histogram = self._histograms[measure] = Histogram()
        histogram.add(seconds)

    def taken(self) -> Recorded:
        """All since the last call; begins anew."""
        used = {measure: histogram for measure, histogram in self._histograms.items() if histogram.count}
        found = Recorded(dict(self.counts), {measure: histogram.encoded() for measure, histogram in used.items()})
        for histogram in used.values():  # making one costs more than emptying it; those that nobody used can go
            histogram.clear()
        self.counts.clear()
        self._histograms = used
        return found

    def merge(self, recorded: Recorded) -> None:
        """Adds what another has measured. Raises ValueError."""
        self.counts.update(recorded.counts)
        for measure, encoded in recorded.histograms.items():
            self._histograms.setdefault(measure, Histogram()).merge(encoded)

    @property
    def histograms(self) -> Mapping[Measure, Histogram]:
        return self._histograms


def percentile(answers: Histogram, failed: int, percent: float) -> float | None:
    """Of all requests, those that failed above every answer; None where it falls on one that failed, or on nothing."""
    total = answers.count + failed
    rank = percent / 100 * total
    if not total or rank > answers.count:
        return None
    return answers.percentile(100 * rank / answers.count)
