"""What is put on trial: releases, traffic and faults, with what a judge should answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.judge.imagining import Imagined
from ops.judge.simulating import Outage
from serving.contract import GRADED, BadEvent

FOR_EVER = Outage(60.0, 1e9)
TIMES = frozenset({"slow", "slow_first_token", "slow_tokens", "latency"})
"""What may rightly be blamed for slowness; the last is the peers' word."""
ERRORS = frozenset({"failed", "unanswered", "cut", "errors"})


@dataclass(frozen=True)
class Scenario:
    key: str
    name: str
    good: bool
    """Whether the release is no worse than stable. Telemetry may still forbid to promote it."""
    release: Imagined = field(default_factory=Imagined)
    traffic: tuple[tuple[str, float], ...] = ()
    blame: frozenset[str] = TIMES
    """Of a bad one: the right reasons."""
    outage: Outage | None = None
    restarts: tuple[float, ...] = ()
    unseen: frozenset[BadEvent] = frozenset()
    stable: bool = False
    """Compared with stable under like load, not with a baseline."""
    rates: tuple[float, ...] = (20.0,)


def _like(**traffic: float) -> tuple[tuple[str, float], ...]:
    return tuple(traffic.items())


_ALL_RATES = (20.0, 0.5, 2.0, 200.0)
_LOW_TOO = (20.0, 2.0)

AA = Scenario("aa", "A/A", True, rates=_ALL_RATES)
SLOW_12 = Scenario("x1.2", "1.2 times as slow", False, Imagined(slower=1.2), rates=_ALL_RATES)
SLOW_15 = Scenario("x1.5", "1.5 times as slow", False, Imagined(slower=1.5), rates=_ALL_RATES)
SLOW_2 = Scenario("x2", "2 times as slow", False, Imagined(slower=2.0), rates=_ALL_RATES)
NOISE_10 = Scenario("aa-noise-0.1", "A/A, replica noise 0.1", True, traffic=_like(replica_sigma=0.1))
NOISE_20 = Scenario("aa-noise-0.2", "A/A, replica noise 0.2", True, traffic=_like(replica_sigma=0.2))
FAILING = Scenario(
    "errors-10", "errors 0.05 to 10 %", False, Imagined(failed_rate=0.1), blame=ERRORS | TIMES, rates=_LOW_TOO
)

SCENARIOS = (
    AA,
    NOISE_10,
    NOISE_20,
    Scenario("cold", "both cold for 60 s, 2 times as slow", True, Imagined(cold_seconds=60.0)),
    Scenario(
        "cold-alone",
        "canary alone cold for 20 s, 1.5 times as slow",
        True,
        Imagined(cold_seconds=20.0, cold_slower=1.5, cold_alone=True),
    ),
    Scenario(
        "diurnal", "A/A, load swings by half in an hour", True, traffic=_like(daily_swing=0.5, day_seconds=3600.0)
    ),
    Scenario("surge", "A/A, all 1.5 times as slow after 90 s", True, traffic=_like(surge=1.5, surge_at_seconds=90.0)),
    Scenario("sessions", "A/A, sessions of 5 on one arm", True, traffic=_like(session_sigma=0.3)),
    Scenario("stable-aa", "A/A, against stable", True, stable=True),
    Scenario("outage-45", "A/A, metrics gone for 45 s", True, outage=Outage(60.0, 105.0)),
    Scenario("restart", "A/A, gateway restarts twice", True, restarts=(40.0, 130.0)),
    Scenario("outage", "A/A, metrics gone for ever", True, outage=FOR_EVER),
    Scenario("missing", "A/A, no latency metrics", True, unseen=GRADED),
    SLOW_12,
    SLOW_15,
    SLOW_2,
    Scenario("stable-x1.2", "1.2 times, against stable", False, Imagined(slower=1.2), stable=True),
    Scenario("stable-x1.5", "1.5 times, against stable", False, Imagined(slower=1.5), stable=True),
    Scenario("stable-x2", "2 times, against stable", False, Imagined(slower=2.0), stable=True),
    Scenario("x1.2-noise-0.1", "1.2 times, replica noise 0.1", False, Imagined(slower=1.2), _like(replica_sigma=0.1)),
    Scenario("x1.5-noise-0.1", "1.5 times, replica noise 0.1", False, Imagined(slower=1.5), _like(replica_sigma=0.1)),
    Scenario("x2-noise-0.1", "2 times, replica noise 0.1", False, Imagined(slower=2.0), _like(replica_sigma=0.1)),
    Scenario("x2-restart", "2 times, gateway restarts twice", False, Imagined(slower=2.0), restarts=(10.0, 25.0)),
    Scenario("x2-outage", "2 times, metrics gone for ever", False, Imagined(slower=2.0), outage=Outage(5.0, 1e9)),
    Scenario("x2-missing", "2 times, no latency metrics", False, Imagined(slower=2.0), unseen=GRADED),
    Scenario("tail", "5 % of answers 5 s later", False, Imagined(tail_rate=0.05), rates=_LOW_TOO),
    Scenario(
        "errors-1",
        "errors 0.1 to 1 %",
        False,
        Imagined(failed_rate=0.009),
        _like(failed_rate=0.001),
        blame=ERRORS | TIMES,
        rates=_LOW_TOO,
    ),
    Scenario(
        "errors-2",
        "errors 0.5 to 2 %",
        False,
        Imagined(failed_rate=0.015),
        _like(failed_rate=0.005),
        blame=ERRORS | TIMES,
        rates=_LOW_TOO,
    ),
    FAILING,
    Scenario("longer", "answers 1.5 times as long", False, Imagined(longer=1.5), blame=TIMES | {"output_length"}),
    Scenario("long-prompts", "2 times as slow for long prompts", False, Imagined(long_prompts_slower=2.0)),
    Scenario("later", "2 times as slow after 90 s", False, Imagined(slower=2.0, worse_after_seconds=90.0)),
    Scenario("dead", "never answers", False, Imagined(dead=True), blame=ERRORS | TIMES, rates=_LOW_TOO),
    Scenario(
        "empty", "20 % empty answers", False, Imagined(empty_rate=0.2), blame=frozenset({"empty"}), rates=_LOW_TOO
    ),
)
