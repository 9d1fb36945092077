"""By which tags the controller's annotations are found again."""

from __future__ import annotations


def annotation_tags(service: str) -> tuple[str, ...]:
    return (service, "rollout")
