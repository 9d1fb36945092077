"""The load generator's benchmarks measure what they say: in small, without their targets."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from benchmarks.load.endurance import reported
from benchmarks.load.running import Driven, plan, serving
from benchmarks.load.tokens import at
from benchmarks.load.truth import LEAD_SECONDS, due, off, percentiles
from ops.loadtest.arrivals import Process
from ops.loadtest.calls import INTENDED, OK
from ops.loadtest.recording import Recorder


@pytest.mark.server
@pytest.mark.parametrize("process", list(Process))
def test_the_times_reckoned_with_are_those_at_which_the_driver_sends(process):
    with serving("answer") as server:
        driven = Driven(plan(server.port, 1.0, 100.0, process, lead_seconds=LEAD_SECONDS))
        driven.wait()
    assert driven.total.counts[OK] == driven.total.counts[INTENDED] == len(due(process, 1.0, 100.0, seed=1))
    assert server.summary["requests"] == driven.total.counts[OK]


@pytest.mark.server
def test_each_event_that_a_server_streams_is_counted():
    found = at(1280, seconds=1.0)
    assert found["exact"]
    assert found["events"] == {"ours": 6 * 1280, "server": 6 * 1280}


def test_percentiles_and_deviations_are_as_one_would_reckon_by_hand():
    assert percentiles([float(i) for i in range(1, 1001)]) == [500, 750, 900, 950, 990, 999]
    assert off([1.0, 2.0], [1.0, 1.6]) == pytest.approx(0.25)


def test_endurances_requests_are_all_good_ones():
    recorder = Recorder()
    report = reported(recorder, 0, 50, plan(1, 1.0, 1.0).kinds[0], Random(1))
    counts = report.cells[0].recorded.counts
    assert (counts["ok"], counts["tokens"], counts["events"], counts["unreconciled"]) == (50, 40, 40, 0)


def test_the_parts_are_named_where_one_asks():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "truth,cost,alone,tokens,endurance,scale" in done.stdout
