"""Which alerts keep others silent: the cause over its consequences, the worse over the milder.

One incident sets off several alerts. All of them fire, and are shown; told is the one that says most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ops.alerting.model import Severity

WATCHDOG = "Watchdog"
SERVICE_OUTAGE = "ServiceOutage"
TIER_OUTAGE = "TierOutage"
ALL_GONE = ("NoGateway", "NoEngine")
FEW_ENGINES = "MostEnginesLost"
ENGINE_DOWN = "EngineDown"
DATABASE_DOWN = "DatabaseDown"
WITHOUT_DATABASE = ("ControllerDatabaseLost", "ControllerTicksFail")
HIGH_ERROR_RATE = "HighErrorRate"
BURN = "ErrorBudgetBurnFast"
SLOWNESS = ("SlowAnswers", "SlowFirstToken", "SlowTokens")
LOW_GOODPUT = "LowGoodput"
PROMISES = ("service-downtime", "high-error-rate", "missed-target", "performance-degradation")
"""Categories of the spec that users' requests make: what an outage brings along."""


@dataclass(frozen=True)
class Inhibition:
    """``targets`` are silent while an alert like ``sources`` fires that has the same value of each label in ``equal``.
    Matchers are in Alertmanager's notation."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    equal: tuple[str, ...] = ()


def named(*names: str) -> str:
    return f'alertname=~"{"|".join(names)}"' if len(names) > 1 else f'alertname="{names[0]}"'


def _none_of(*names: str) -> str:
    return f'alertname!~"{"|".join(names)}"'


def inhibitions() -> tuple[Inhibition, ...]:
    """From the widest cause to the narrowest. None of them silences the Watchdog."""
    never = f'alertname!="{WATCHDOG}"'
    return tuple(replace(one, targets=(*one.targets, never)) for one in (*_by_cause(), *_by_severity()))


def _by_cause() -> tuple[Inhibition, ...]:
    promises = f'category=~"{"|".join(PROMISES)}"'
    of_engine = 'category=~"performance-degradation|resource-pressure"'
    return (
        Inhibition((named(*ALL_GONE),), (promises, _none_of(*ALL_GONE))),
        Inhibition((named(SERVICE_OUTAGE),), (promises, _none_of(*ALL_GONE, SERVICE_OUTAGE))),
        Inhibition((named(TIER_OUTAGE),), (promises, _none_of(SERVICE_OUTAGE, TIER_OUTAGE)), ("tier",)),
        Inhibition((named(FEW_ENGINES),), (named(ENGINE_DOWN),)),
        Inhibition((named(ENGINE_DOWN),), (of_engine, _none_of(ENGINE_DOWN)), ("instance",)),
        Inhibition((named(DATABASE_DOWN),), (named(*WITHOUT_DATABASE),)),
        # A request that fails misses its targets too; one that misses a target is no goodput.
        Inhibition((named(HIGH_ERROR_RATE),), (named(BURN),), ("tier",)),
        Inhibition(('category="high-error-rate"', 'tier=~".+"'), ('category="missed-target"',), ("tier",)),
        Inhibition((named(*SLOWNESS),), (named(LOW_GOODPUT),), ("tier", "task_class")),
    )


def _by_severity() -> tuple[Inhibition, ...]:
    """Of one tier, and of one machine's resources: elsewhere a warning may tell of another thing."""
    critical, warning, info = (f'severity="{one.value}"' for one in Severity)
    milder = ((critical, f'severity=~"{Severity.WARNING.value}|{Severity.INFO.value}"'), (warning, info))
    tier = tuple(Inhibition((worse, 'tier=~".+"'), (mild, 'tier=~".+"'), ("tier",)) for worse, mild in milder)
    return (
        *tier,
        Inhibition(
            (critical, 'category="resource-exhaustion"', 'instance=~".+"'),
            (f'severity=~"{Severity.WARNING.value}|{Severity.INFO.value}"', 'category="resource-pressure"'),
            ("instance",),
        ),
    )
