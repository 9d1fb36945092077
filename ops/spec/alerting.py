"""Whom to call when: alert categories and thresholds, and who is told of a rollout's transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ops.spec.base import ENTRIES_MAX, Amount, Count, Name, Part, Percent, Seconds, Text
from ops.spec.receiving import AlertRoute, Heartbeat, Links, Maintenance, Receivers, SecretFile, Severity
from ops.spec.web import WebAddress

Names = Annotated[tuple[Name, ...], Field(max_length=ENTRIES_MAX)]
DIRECT_SECONDS_MAX = 3600
"""Windows up to it are read from the counters at every evaluation; longer ones are sums of recorded increments."""
Exporter = Literal["node", "dcgm", "postgres"]


class Categories(Part):
    """Alerts by severity: critical pages, warning makes a ticket, info is kept."""

    critical: Names
    warning: Names
    info: Names


class PercentLevels(Part):
    warning: Percent | None = None
    critical: Percent | None = None


class DepthLevels(Part):
    warning: Amount | None = None
    critical: Amount | None = None


class Thresholds(Part):
    """Beyond these a level or a share is an alert; a level that is not set makes none."""

    error_rate_percent: PercentLevels = PercentLevels()
    cpu_percent: PercentLevels = PercentLevels()
    memory_percent: PercentLevels = PercentLevels()
    queue_depth: DepthLevels = DepthLevels()
    kv_cache_percent: PercentLevels = PercentLevels()
    preemptions: DepthLevels = DepthLevels()
    """Of one engine, in a window."""
    engine_rejections: DepthLevels = DepthLevels()
    """Of one engine, in a window."""
    refused_percent: PercentLevels = PercentLevels()
    """Of the requests that reach the gateway: turned away because all slots and the queue are taken."""
    in_flight_percent: PercentLevels = PercentLevels()
    """Of ``api.limits.in_flight_max``."""
    storage_percent: PercentLevels = PercentLevels()
    inodes_percent: PercentLevels = PercentLevels()
    open_files_percent: PercentLevels = PercentLevels()
    gpu_memory_percent: PercentLevels = PercentLevels()
    gpu_celsius: DepthLevels = DepthLevels()
    disk_busy_percent: PercentLevels = PercentLevels()
    database_connections_percent: PercentLevels = PercentLevels()
    database_deadlocks: DepthLevels = DepthLevels()
    """In a window."""
    database_rollback_percent: PercentLevels = PercentLevels()
    """Of transactions."""
    database_cache_miss_percent: PercentLevels = PercentLevels()
    """Of blocks read."""
    tick_failure_percent: PercentLevels = PercentLevels()
    """Of the controller's passes."""
    tick_age_seconds: DepthLevels = DepthLevels()
    """Since the controller's last whole pass."""
    notifications_pending: DepthLevels = DepthLevels()
    notification_failure_percent: PercentLevels = PercentLevels()
    """Of what Prometheus and Alertmanager send."""
    engines_lost_percent: PercentLevels = PercentLevels()
    """Of the engines that Prometheus knows."""
    traffic_times: DepthLevels = DepthLevels()
    """So many times as much, or as little, as at the same time ``timing.compare_offset_seconds`` before."""
    milestone_percent: Percent | None = None
    """Of a throughput target."""


class Timing(Part):
    """How long things are looked at before an alert says anything of them."""

    window_seconds: Seconds
    """Over which counts and shares are taken."""
    hold_seconds: Seconds
    """For so long a level must be beyond its bound."""
    down_seconds: Seconds
    """For so long a part must be gone."""
    waits_seconds: Seconds
    """After so long whoever should act on a rollout is reminded."""
    event_seconds: Seconds
    """For so long an event stays to be seen: a promotion, a change of the number of engines."""
    compare_seconds: Seconds
    """The hour that is compared with an earlier one."""
    compare_offset_seconds: Seconds
    """How much earlier that is."""
    forecast_window_seconds: Seconds
    """From which the growth of what is stored is read."""
    forecast_seconds: Seconds
    """As far ahead it is drawn out."""


class Floors(Part):
    """With fewer of what is counted, no share of it is an alert: of three requests one may well fail."""

    events: Count
    """Of what is bad, in ``timing.window_seconds``."""
    database_blocks: Count
    """Read from outside the database's cache, in the same."""
    requests_compared: Count
    """In the earlier of two hours that are compared."""


class Outage(Part):
    """Most requests go wrong: found soonest, at any traffic."""

    bad_percent: Percent
    window_seconds: Seconds
    bad_events_min: Count
    """With fewer nothing is said: a single failure at night is no outage."""
    gateways_down_seconds: Seconds
    """So long no worker of the gateway could be scraped: what counts requests is gone, too."""


class Windows(Part):
    """An alert fires where the misses exceed its bound over both windows: the long one makes it sure, the short one
    ends it soon after the misses end."""

    long_seconds: Seconds
    short_seconds: Seconds
    bad_events_min: Count
    """In the long window."""
    short_bad_events_min: Count
    """In the short one: while an incident that is over is still in the long window, a lone miss of few requests is not
    its return."""
    release_percent: Annotated[float, Field(gt=0, lt=100)] | None = None
    """Of the bound: an alert that fires ends when the short window's share has fallen to it, so that a share that
    hovers at the bound pages once. None: it ends with what began it."""


class Burn(Windows):
    """A budget that is used up ``factor`` times as fast as it may be."""

    speed: Literal["fast", "steady", "slow"]
    """The last word of the alert's name."""
    factor: Annotated[float, Field(gt=0, le=1000)]
    severity: Severity


class Share(Windows):
    """Of a percentile objective: more than ``bad_percent`` of the requests miss it."""

    bad_percent: Percent
    severity: Literal["critical", "warning"]


Shares = Annotated[tuple[Share, ...], Field(max_length=2)]
"""One of each severity at most: the alert's name tells them apart."""


class Budget(Part):
    """When the error budget of ``targets.window_days`` is nearly used up."""

    remaining_percent_min: Percent
    bad_events_min: Count


class Objectives(Part):
    """How misses of what is promised become alerts."""

    outage: Outage
    errors: Windows
    """Of ``thresholds.error_rate_percent``."""
    burn: Annotated[tuple[Burn, ...], Field(max_length=ENTRIES_MAX)]
    """For availability, whose budget is small. From the fastest to the slowest."""
    share: Shares
    """For the p95 targets: their budget of 5 % makes burn rates late (14.4 times is 72 % of requests)."""
    goodput: Shares
    """For requests that miss any of the targets, of which each may be missed by 5 %."""
    budget: Budget
    keep_firing_seconds: Seconds
    """For so long after it an alert is kept firing: what comes back within pages once."""


class Alerting(Part):
    categories: Categories
    thresholds: Thresholds
    timing: Timing
    floors: Floors
    without_alerts: Annotated[Mapping[Name, Text], Field(max_length=ENTRIES_MAX, default_factory=dict)]
    """Categories that have no alert, and why."""
    evaluation_seconds: Seconds
    """Between two evaluations of the rules that page."""
    exporters: Annotated[tuple[Exporter, ...], Field(max_length=ENTRIES_MAX)] = ()
    """What Prometheus scrapes besides the service's own parts; without one its rules are left out."""
    objectives: Objectives
    secrets_folder: Annotated[str, StringConstraints(pattern=r"^/[^\s]*$", max_length=500)]
    """On the machine where Alertmanager runs: the files that receivers name."""
    receivers: Receivers
    routes: Annotated[tuple[AlertRoute, ...], Field(min_length=1, max_length=ENTRIES_MAX)]
    heartbeat: Heartbeat
    links: Links
    maintenance: Maintenance


class Webhook(Part):
    name: Name
    url: Annotated[WebAddress, Field(repr=False)]
    """Gets each transition of a rollout as a POST. Often a secret: no message and no table shows more than its host."""


class GrafanaAnnotations(Part):
    """Each transition of a rollout as an annotation in the Grafana of ``alerting.links``."""

    token_file: SecretFile
    """Holds the token of a service account that may write annotations."""


class Notifications(Part):
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=ENTRIES_MAX)] = ()
    grafana: GrafanaAnnotations | None = None
