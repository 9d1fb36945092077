"""One request under way, and what is recorded of it when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.loadtest.connection import Connection, Exchange, Failure
from ops.loadtest.plan import Kind
from ops.loadtest.recording import Measure, Recorder
from ops.loadtest.streams import Stream

INTENDED, OK, LATE, CUT, DROPPED, TOKENS, EVENTS = "intended", "ok", "late", "failed.cut", "dropped", "tokens", "events"
"""Names of counts; besides them ``failed.`` with a ``Failure``, and ``status.`` with an HTTP status that is not 200."""
BROKEN = "failed.broken"
"""Streams with an error among their events, or with what is no event."""
UNRECONCILED = "unreconciled"
"""Whole streams without usage, or with another number of tokens than came."""
_FAILURES = ("failed.", "status.", DROPPED)


def failures(counts: Mapping[str, int]) -> dict[str, int]:
    """Those of the counts that stand for requests without a good answer."""
    return {name: count for name, count in counts.items() if name.startswith(_FAILURES) and count}


@dataclass(slots=True, eq=False)
class Call:
    """A request, from when it is due until it is over. Times in seconds of ``time.perf_counter``."""

    intended: float
    kind: Kind
    request: bytes
    recorder: Recorder
    ended: Callable[[Connection | None], None]
    """Called once, when it is recorded, with the connection that it leaves."""
    deadline: float
    stream: Stream | None = None
    connection: Connection | None = None
    """While it is under way."""
    over: bool = False

    def use(self, connection: Connection) -> None:
        self.connection = connection
        if self.kind.stream:
            self.stream = Stream()
        connection.send(self.request, self._done, self.stream)

    def fail(self, failure: Failure) -> None:
        """It was never sent."""
        self.over = True
        self.recorder.counts[f"failed.{failure}"] += 1
        self.ended(None)

    def _done(self, connection: Connection, exchange: Exchange) -> None:
        self.over = True
        record(self, exchange)
        self.connection = self.stream = None  # it may stay on a list for a while
        self.ended(connection)


def record(call: Call, exchange: Exchange) -> None:
    """A request that failed, came too late or with another status misses its target; it is never a fast answer."""
    recorder, intended, stream = call.recorder, call.intended, call.stream
    counts = recorder.counts
    recorder.add(Measure.SEND_LAG, exchange.sent - intended)
    if exchange.failure is not None:
        counts[f"failed.{exchange.failure}"] += 1
    elif exchange.status != 200:
        counts[f"status.{exchange.status}"] += 1
    elif stream is not None and (stream.broken or not stream.whole):
        counts[BROKEN if stream.broken else CUT] += 1
    else:
        latency = exchange.ended - intended
        counts[OK] += 1
        counts[LATE] += latency > call.kind.target_seconds
        recorder.add(Measure.LATENCY, latency)
        recorder.add(Measure.SERVICE, exchange.ended - exchange.sent)
        if stream is not None:
            counts[UNRECONCILED] += not stream.reconciled
            if stream.events:
                _record_stream(call, stream)


def _record_stream(call: Call, stream: Stream) -> None:
    recorder = call.recorder
    first = stream.first - call.intended
    recorder.counts[TOKENS] += stream.tokens
    recorder.counts[EVENTS] += stream.events
    recorder.add(Measure.FIRST_TOKEN, first)
    for seconds in stream.intervals:
        recorder.add(Measure.TOKEN_INTERVAL, seconds)
    if stream.tokens > 1:
        recorder.add(Measure.TIME_PER_TOKEN, (stream.last - stream.first) / (stream.tokens - 1))
