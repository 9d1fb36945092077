"""A line every few seconds on stderr while a suite runs without its UI."""

from __future__ import annotations

import sys

import gevent

from ops.loadtest.calls import DROPPED, INTENDED, LATE, OK
from ops.loadtest.locusting.leading import Leading

SECONDS = 2.0


def show_progress(leading: Leading) -> None:
    """Until the process ends."""
    before = 0
    while True:
        gevent.sleep(SECONDS)
        collecting, ready = leading.collecting, leading.ready
        if collecting is None or ready is None:
            before = 0
            continue
        counts = collecting.counts()
        intended, elapsed = counts[INTENDED], leading.elapsed_seconds
        failed = sum(count for name, count in counts.items() if name.startswith(("failed.", "status.")))
        print(
            f"{elapsed:6.0f} s of {ready.plan.seconds:.0f}  {ready.phase_at(elapsed).name:<14}"
            f"{(intended - before) / SECONDS:8.1f} requests/s  {counts[OK]:,} answered, {counts[LATE]:,} late, "
            f"{failed:,} failed, {counts[DROPPED]:,} dropped",
            file=sys.stderr,
            flush=True,
        )
        before = intended
