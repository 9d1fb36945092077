"""Waking on time, without turning in circles."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter, process_time

from ops.loadtest.alarm import GRAIN_SECONDS, Alarm


async def test_it_is_never_early_and_finer_than_the_loops_timers():
    alarm, late = Alarm(), []
    try:
        for i in range(200):
            moment = perf_counter() + 0.0005 + i % 10 * 0.0003
            while perf_counter() < moment:
                await alarm.until(moment)
            late.append(perf_counter() - moment)
    finally:
        alarm.close()
    assert min(late) >= 0
    assert median(late) < 0.0005  # what the loop's milliseconds would give; a busy machine makes some late


async def test_a_moment_that_is_past_returns_soon():
    alarm = Alarm()
    try:
        await asyncio.wait_for(alarm.until(perf_counter() - 5), 5.0)
        await asyncio.wait_for(alarm.until(0.0), 5.0)
    finally:
        alarm.close()


async def test_waiting_costs_next_to_nothing():
    alarm, cpu, began = Alarm(), process_time(), perf_counter()
    try:
        while perf_counter() < began + 0.5:
            await alarm.until(perf_counter() + 5 * GRAIN_SECONDS)
    finally:
        alarm.close()
    assert process_time() - cpu < 0.5 * (perf_counter() - began)
