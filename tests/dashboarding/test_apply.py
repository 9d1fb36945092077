"""``ops dashboards apply`` against a Grafana that keeps what it is given, and against ones that fail."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ops.cli.main import main
from ops.dashboarding.registry import BOARDS
from ops.dashboarding.rendering import MARK_TAG

from .conftest import ROOT
from .fake_grafana import TOKEN, FakeGrafana, serving

SPEC = str(ROOT / "gratefulgpt.yaml")
UID = "gratefulgpt-overview"


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGrafana]:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    with serving(FakeGrafana()) as fake:
        yield fake


def run(verb: str, grafana: FakeGrafana, *options: str) -> int:
    return main(["dashboards", verb, "--spec", SPEC, "--grafana", grafana.url, *options])


def test_all_dashboards_arrive_in_the_services_folder(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    assert len(grafana.boards) == len(BOARDS)
    (folder,) = grafana.folders
    assert {one["meta"]["folderUid"] for one in grafana.boards.values()} == {folder}


def test_a_second_run_changes_nothing(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    kept, writes = copy.deepcopy(grafana.boards), grafana.writes
    assert run("diff", grafana) == 0
    assert run("apply", grafana) == 0
    assert (grafana.boards, grafana.writes) == (kept, writes)


def test_keys_that_grafana_adds_by_itself_are_no_difference(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    for one in grafana.boards.values():
        one["dashboard"]["weekStart"] = "monday"
        one["dashboard"]["panels"][1]["pluginVersion"] = grafana.version
    assert run("diff", grafana) == 0


def test_a_dry_run_prints_the_difference_and_writes_nothing(
    grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("apply", grafana, "--dry-run") == 0
    assert "+++ gratefulgpt-overview (spec)" in capsys.readouterr().out
    assert (grafana.writes, grafana.boards, grafana.folders) == (0, {}, {})
    assert run("apply", grafana) == 0
    grafana.boards[UID]["dashboard"]["panels"][1]["title"] = "By hand"
    capsys.readouterr()
    assert run("diff", grafana) == 1
    out = capsys.readouterr().out
    assert '-   "title": "By hand",' in out
    assert len([line for line in out.splitlines() if line.startswith("+") and not line.startswith("+++")]) == 1


def test_what_was_changed_by_hand_is_put_right(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    wanted = copy.deepcopy(grafana.boards[UID]["dashboard"])
    grafana.boards[UID]["dashboard"]["panels"].pop()
    assert run("apply", grafana) == 0
    found = grafana.boards[UID]["dashboard"]
    assert found["version"] == wanted["version"] + 1
    assert found["panels"] == wanted["panels"]


def test_a_dashboard_that_we_did_not_make_is_not_overwritten(
    grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]
) -> None:
    grafana.foreign(UID, "Somebody's own")
    kept = copy.deepcopy(grafana.boards)
    assert run("apply", grafana) == 2
    assert "Somebody's own) was not made by us" in capsys.readouterr().err
    assert (grafana.boards, grafana.writes) == (kept, 0)


def test_a_dashboard_from_grafanas_own_files_is_left_to_them(
    grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]
) -> None:
    grafana.foreign(UID, "Provisioned", provisioned=True)
    grafana.boards[UID]["dashboard"]["tags"] = [MARK_TAG]
    assert run("apply", grafana) == 2
    assert "provisioning folder" in capsys.readouterr().err
    assert grafana.writes == 0


def test_ours_that_the_spec_no_longer_has_goes_only_when_asked_and_others_never(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    for uid, tags in (("old", ["gratefulgpt", MARK_TAG]), ("theirs", ["gratefulgpt"]), ("other", ["x", MARK_TAG])):
        grafana.foreign(uid, uid)
        grafana.boards[uid]["dashboard"]["tags"] = tags
    assert run("apply", grafana) == 0
    assert {"old", "theirs", "other"} <= set(grafana.boards)
    assert run("apply", grafana, "--prune") == 0
    assert {"old", "theirs", "other"} & set(grafana.boards) == {"theirs", "other"}


@pytest.mark.parametrize("at", range(len(BOARDS) + 1))
def test_a_write_that_fails_takes_back_those_before(
    grafana: FakeGrafana, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    grafana.fail_at_write = at
    assert run("apply", grafana) == 4
    assert "database is locked" in capsys.readouterr().err
    assert (grafana.boards, grafana.folders) == ({}, {})


def test_an_update_that_fails_leaves_the_dashboards_as_they_were(grafana: FakeGrafana) -> None:
    assert run("apply", grafana) == 0
    for one in grafana.boards.values():
        one["dashboard"]["refresh"] = "5m"
    before = copy.deepcopy(grafana.boards)
    grafana.fail_at_write = grafana.writes + 3
    assert run("apply", grafana) == 4
    assert _without_numbers(grafana.boards) == _without_numbers(before)


def _without_numbers(boards: dict[str, dict]) -> dict[str, dict]:
    return {uid: {**one["dashboard"], "version": 0, "id": 0} for uid, one in boards.items()}


def test_what_could_not_be_put_back_is_named(grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]) -> None:
    grafana.fail_at_write, grafana.fail_all_after = 2, True
    assert run("apply", grafana) == 2
    err = capsys.readouterr().err
    assert "could not be put back" in err
    assert all(uid in err for uid in grafana.boards)


def test_somebody_who_was_quicker_is_not_overwritten(grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("apply", grafana) == 0
    grafana.boards[UID]["dashboard"]["refresh"] = "5m"

    def quicker() -> None:
        grafana.boards[UID]["dashboard"] |= {"refresh": "1h", "version": 99}

    grafana.before_write = quicker
    assert run("apply", grafana) == 4
    assert "somebody else changed" in capsys.readouterr().err
    assert grafana.boards[UID]["dashboard"]["refresh"] == "1h"


@pytest.mark.parametrize(
    ("trouble", "code", "words"),
    [
        ({"version": "11.6.1"}, 2, "Grafana 11.6.1 at"),
        ({"version": ""}, 4, "is no Grafana"),
        ({"rubbish": True}, 4, "is no Grafana"),
        ({"viewer": True}, 2, "it needs the role Editor"),
    ],
)
def test_a_grafana_that_will_not_do_is_named_and_nothing_is_written(
    grafana: FakeGrafana, trouble: dict[str, object], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in trouble.items():
        setattr(grafana, key, value)
    assert run("apply", grafana) == code
    assert words in capsys.readouterr().err
    assert (grafana.boards, grafana.folders) == ({}, {})


def test_a_wrong_token_is_refused_and_never_shown(
    grafana: FakeGrafana, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", "glsa_wrong_secret")
    assert run("apply", grafana) == 2
    said = capsys.readouterr()
    assert "does not accept the token" in said.err
    assert "glsa_wrong_secret" not in said.err + said.out


def test_without_a_token_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    assert main(["dashboards", "apply", "--spec", SPEC]) == 2
    assert "--token-file" in capsys.readouterr().err


def test_a_grafana_that_is_down_is_named(grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "apply", "--spec", SPEC, "--grafana", "http://127.0.0.1:9"]) == 4
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_as_json_the_changes_are_listed(grafana: FakeGrafana, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("apply", grafana, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "gratefulgpt.dashboards/1"
    assert {one["action"] for one in told["changes"]} == {"create"}
    assert {one["uid"] for one in told["changes"]} == set(grafana.boards)


# --- Folders ----------------------------------------------------------------------------------------------------


def apply_to(folder: Path, target: str, *options: str) -> int:
    return main(["dashboards", "apply", "--spec", SPEC, "--target", target, "--folder", str(folder), *options])


@pytest.mark.parametrize("target", ["files", "kubernetes"])
def test_files_are_written_once_and_foreign_ones_left_alone(tmp_path: Path, target: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert apply_to(tmp_path, target) == 0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) >= len(BOARDS) + 1
    assert apply_to(tmp_path, target) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("target", ["files", "kubernetes"])
def test_a_foreign_file_in_the_way_stops_all(
    tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "gratefulgpt.yaml" if target == "files" else "gratefulgpt-dashboard-overview.yaml"
    (tmp_path / name).write_text("mine")
    assert apply_to(tmp_path, target) == 2
    assert "was not made by us" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == [name]


def test_the_provider_leads_grafana_to_the_dashboards(tmp_path: Path) -> None:
    assert apply_to(tmp_path, "files") == 0
    (provider,) = yaml.safe_load((tmp_path / "gratefulgpt.yaml").read_text())["providers"]
    home = Path(provider["options"]["path"])
    assert len(list(home.iterdir())) == len(BOARDS)
    assert all(json.loads(path.read_text())["uid"] == f"gratefulgpt-{path.stem}" for path in home.glob("*.json"))


def test_config_maps_hold_the_dashboards_and_fit_into_the_cluster(tmp_path: Path) -> None:
    assert apply_to(tmp_path, "kubernetes", "--namespace", "monitoring") == 0
    for path in tmp_path.iterdir():
        found = yaml.safe_load(path.read_text())
        assert (found["kind"], found["metadata"]["namespace"]) == ("ConfigMap", "monitoring")
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, content),) = found["data"].items()
        assert name.endswith(".json")
        assert json.loads(content)["uid"] in name.removesuffix(".json")
        assert len(path.read_bytes()) < 1024 * 1024  # Kubernetes' limit
