"""The whole spec: the one place where a target, a threshold or a step is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ops.spec.alerting import Alerting, Notifications
from ops.spec.base import ENTRIES_MAX, Name, Part
from ops.spec.business import Plan, Recovery, Retention
from ops.spec.environments import Environment
from ops.spec.loadtest import Load
from ops.spec.rollout import Rollout
from ops.spec.serving import Api, Measuring, Targets, TaskClass, Tier

Entries = Field(min_length=1, max_length=ENTRIES_MAX)


class Spec(Part):
    """A service, its promises, its environments and how its releases go out.

    Comes from ``ops.spec.reading.read_spec``, which also refuses what contradicts itself; validating a ``Spec`` by
    pydantic alone checks types and ranges only.
    """

    version: Literal[1]
    """Of the spec's format."""
    service: Name
    tiers: Annotated[Mapping[Name, Tier], Entries]
    task_classes: Annotated[Mapping[Name, TaskClass], Entries]
    api: Api
    targets: Targets
    measuring: Measuring
    environments: Annotated[Mapping[Name, Environment], Entries]
    rollout: Rollout
    alerting: Alerting
    notifications: Notifications = Notifications()
    load: Load
    plans: Annotated[Mapping[Name, Plan], Entries]
    recovery: Recovery
    retention: Retention
