"""PromQL in which the choices at the top of a dashboard take effect: every selector carries job and instance."""

from __future__ import annotations

JOB, INSTANCE = 'job=~"$job"', 'instance=~"$instance"'
TIER, TASK_CLASS, MODEL = 'tier=~"$tier"', 'task_class=~"$task_class"', 'model_name=~"$model"'
RATE = "$__rate_interval"
"""At least four scrapes, and no narrower than a pixel."""


def select(series: str, *matchers: str) -> str:
    return f"{series}{{{','.join((JOB, INSTANCE, *matchers))}}}"


def total(expression: str, by: str = "") -> str:
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def rate(series: str, *matchers: str, by: str = "") -> str:
    """Per second."""
    return total(f"rate({select(series, *matchers)}[{RATE}])", by)


def counted(series: str, *matchers: str, by: str) -> str:
    """How many in the time shown: whole ones, which Prometheus makes 1.01 of at the edges of a range."""
    return f"round({total(f'increase({select(series, *matchers)}[$__range])', by)})"


def share(part: str, whole: str, matching: str = "") -> str:
    """Where there is nothing to have a share of, there is none: no line and no entry in a legend, instead of NaN.
    ``matching`` says how series find each other: ``on (...) group_left ()``."""
    return f"{part} / {matching}{' ' if matching else ''}({whole} > 0)"


def mean(histogram: str, *matchers: str, by: str = "") -> str:
    return share(rate(f"{histogram}_sum", *matchers, by=by), rate(f"{histogram}_count", *matchers, by=by))


def quantile(part: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Read from buckets: exact only at their bounds, which include the spec's targets."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part:g}, {rate(f'{histogram}_bucket', *matchers, by=labels)})"


def buckets(histogram: str, *matchers: str) -> str:
    """For a heatmap."""
    return total(f"increase({select(f'{histogram}_bucket', *matchers)}[{RATE}])", "le")


def equal(label: str, value: str) -> str:
    """A matcher."""
    return f'{label}="{value}"'
