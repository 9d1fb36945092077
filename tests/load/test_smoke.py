"""The smoke suite from end to end: the command, Locust, the driver, a gateway, an engine, and the verdict."""

from __future__ import annotations

import json

import pytest

from .conftest import Loads, Service

pytestmark = pytest.mark.server


def test_a_good_service_passes_the_smoke_suite_and_the_report_says_what_was_measured(
    service: Service, loads: Loads
) -> None:
    done = loads.run("smoke", "--url", service.url, "--metrics-url", service.metrics_url, "--json")
    assert done.returncode in (0, 3), done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"]["evidence"], done.stderr
