"""Dashboards for a Grafana that reads them itself: from a folder of files, or from ConfigMaps by its side-car."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import yaml

from ops.dashboarding.rendering import MARK, text

PROVIDER_HEADER = f"# {MARK}\n"
SIDECAR_LABEL = "grafana_dashboard"
"""By which the side-car of Grafana's Helm chart finds ConfigMaps, as long as its values say nothing else."""
FOLDER_ANNOTATION = "grafana_folder"
"""Which the side-car reads where its ``folderAnnotation`` says so."""
MANAGER = "gratefulgpt-ops"

Boards = Mapping[str, Mapping[str, Any]]
"""Grafana's JSON by the dashboard's name."""


def provisioning_files(boards: Boards, service: str, folder: PurePath) -> dict[PurePath, str]:
    """For Grafana's provisioning: a provider, which belongs into ``provisioning/dashboards``, and what it reads.

    ``folder`` is where Grafana will see them.
    """
    home = folder / service
    provider = {
        "apiVersion": 1,
        "providers": [
            {
                "name": service,
                "folder": service,
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "options": {"path": str(home)},
            }
        ],
    }
    found = {folder / f"{service}.yaml": PROVIDER_HEADER + yaml.safe_dump(provider, sort_keys=False)}
    return found | {home / f"{name}.json": text(content) for name, content in boards.items()}


def config_maps(boards: Boards, service: str, namespace: str | None) -> dict[PurePath, str]:
    """One ConfigMap a dashboard, as YAML, by file name."""
    return {
        PurePath(f"{service}-dashboard-{name}.yaml"): PROVIDER_HEADER
        + yaml.safe_dump(_config_map(name, content, service, namespace), sort_keys=False, width=1000)
        for name, content in boards.items()
    }


def _config_map(name: str, content: Mapping[str, Any], service: str, namespace: str | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"{service}-dashboard-{name}"}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {
        SIDECAR_LABEL: "1",
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": service,
    }
    metadata["annotations"] = {FOLDER_ANNOTATION: service}
    compact = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {f"{service}-{name}.json": compact},
    }
