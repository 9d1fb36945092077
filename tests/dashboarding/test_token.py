"""The token by which the controller draws into Grafana."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.adapters.annotations import TokenError, annotations_of
from ops.spec.alerting import GrafanaAnnotations
from ops.spec.model import Spec


def told(spec: Spec, folder: Path) -> Spec:
    wanted = GrafanaAnnotations(token_file="grafana-token")
    alerting = spec.alerting.model_copy(update={"secrets_folder": str(folder)})
    notifications = spec.notifications.model_copy(update={"grafana": wanted})
    return spec.model_copy(update={"alerting": alerting, "notifications": notifications})


def test_a_spec_that_names_none_draws_nothing(spec: Spec) -> None:
    assert annotations_of(spec) is None


def test_the_token_comes_from_its_file_and_the_address_from_the_links(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "grafana-token").write_text("glsa_x\n")
    found = annotations_of(told(spec, tmp_path))
    assert found is not None
    assert (found.token, found.url) == ("glsa_x", spec.alerting.links.grafana)


@pytest.mark.parametrize("content", [None, "", "two\nlines"])
def test_without_a_token_it_is_said_where_it_should_be(spec: Spec, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "grafana-token").write_text(content)
    with pytest.raises(TokenError, match="grafana-token"):
        annotations_of(told(spec, tmp_path))
