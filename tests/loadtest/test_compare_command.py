"""``ops load compare``: exit codes, table, JSON, and files that are no reports."""

import json

import pytest

from ops.cli.main import main
from ops.loadtest.reporting_document import document_bytes
from tests.loadtest.simulated_runs import simulated


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, document in {"a": simulated(1), "b": simulated(2), "slow": simulated(4, slower=1.4)}.items():
        (folder / name).mkdir()
        (folder / name / "report.json").write_bytes(document_bytes(document))
    return folder


def test_folders_and_files_are_taken_and_no_worse_is_0(reports, capsys):
    assert main(["load", "compare", str(reports / "a"), str(reports / "b" / "report.json")]) == 0
    assert capsys.readouterr().out.startswith("smoke: no worse")


def test_worse_is_1_and_the_json_says_by_how_much(reports, capsys):
    assert main(["load", "compare", "--json", str(reports / "a"), str(reports / "slow")]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "gratefulgpt.load-comparison/1"
    assert answer["verdict"]["outcome"] == "fail"
    (p95,) = [one for one in answer["figures"] if (one["task_class"], one["figure"]) == ("query", "p95 of latency")]
    assert p95["change_low"] > p95["margin"]
    assert p95["change"] == pytest.approx(40, abs=12)


def test_a_file_that_is_no_report_is_2(reports, tmp_path, capsys):
    (tmp_path / "report.json").write_text('{"schema": "gratefulgpt.rollout/1"}')
    assert main(["load", "compare", str(reports / "a"), str(tmp_path)]) == 2
    assert "is of the schema gratefulgpt.rollout/1, not gratefulgpt.load/1" in capsys.readouterr().err
