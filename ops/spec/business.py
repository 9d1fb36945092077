"""Who pays what, how the service comes back, and how long data are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ops.spec.base import NUMBER_MAX, Amount, Count, Days, Name, Part, Seconds


class Plan(Part):
    """What a customer pays and gets."""

    price_usd_per_month: Annotated[float, Field(ge=0, le=NUMBER_MAX)] | None
    """Null: by contract."""
    requests_per_month: Count | None
    """Null: unlimited."""
    support: Name
    models: Name


class Recovery(Part):
    rto_seconds: Seconds
    """Recovery time objective: from the disaster to service."""
    rpo_seconds: Seconds
    """Recovery point objective: how much of the newest data may be lost."""
    snapshot_interval_hours: Amount
    retention_days: Days
    replicated_across_regions: bool


class Retention(Part):
    model_versions_days: Days
    logs_days: Days
    metrics_days: Days
    journal_days: Days
