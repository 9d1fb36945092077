"""Rules and Alertmanager's configuration as objects of the Prometheus operator.

The configuration is a Secret, and no AlertmanagerConfig: that would add a namespace to each matcher and each
inhibition, so that what is tested here would not be what runs there. It holds no secret; the receivers' own are keys of
another Secret, which an operator makes, and which Alertmanager has mounted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from ops.alerting.files import rule_texts
from ops.alerting.rendering import HEADER, dump
from ops.alerting.routing import configuration
from ops.spec.model import Spec

MANAGER = "gratefulgpt-ops"
MOUNTED = "/etc/alertmanager/secrets"
"""Where the operator mounts each Secret of an Alertmanager's ``spec.secrets``."""


def objects(spec: Spec, namespace: str | None, labels: Mapping[str, str]) -> dict[PurePath, str]:
    """YAML by file name. ``labels`` are those by which a Prometheus of the cluster finds rules. Raises QueryError."""
    service = object_name(spec)
    common = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/part-of": service, **labels}
    found = {}
    for kind, name, content in (*_rules(spec), _configuration(spec)):
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": common}
        version = "v1" if kind == "Secret" else "monitoring.coreos.com/v1"
        text = HEADER + dump({"apiVersion": version, "kind": kind, "metadata": metadata, **content})
        found[PurePath(f"{kind.lower()}-{name}.yaml")] = text
    return found


def object_name(spec: Spec) -> str:
    """Of the service: no underscore, unlike names of the spec."""
    return spec.service.replace("_", "-").strip("-")


def secrets_name(spec: Spec) -> str:
    """Of the Secret whose keys are the files that receivers name."""
    return f"{object_name(spec)}-alerting"


def cluster_configuration(spec: Spec) -> str:
    """alertmanager.yaml as the Secret holds it."""
    return configuration(spec.alerting, f"{MOUNTED}/{secrets_name(spec)}")


def _rules(spec: Spec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for family, text in rule_texts(spec).items():
        yield "PrometheusRule", f"{object_name(spec)}-{family.replace('_', '-')}", {"spec": yaml.safe_load(text)}


def _configuration(spec: Spec) -> tuple[str, str, dict[str, Any]]:
    """Named as the operator looks for it: ``alertmanager-`` and the Alertmanager's name."""
    content = {"type": "Opaque", "stringData": {"alertmanager.yaml": cluster_configuration(spec)}}
    return "Secret", f"alertmanager-{object_name(spec)}", content
