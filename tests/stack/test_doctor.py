"""The doctor: what is there, what is not, and one line to mend each lack."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cli.main import main
from ops.stack import machine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(ROOT)

    def run(*arguments: str) -> tuple[int, dict[str, dict]]:  # type: ignore[type-arg]
        code = main(["doctor", "--json", "--run-dir", str(tmp_path / "run"), *arguments])
        answer = json.loads(capsys.readouterr().out)
        assert answer["schema"] == "gratefulgpt.doctor/1"
        assert answer["healthy"] == (code == 0)
        return code, {finding["name"]: finding for finding in answer["findings"]}

    return run


def test_where_all_is_there_it_says_so(doctor) -> None:  # type: ignore[no-untyped-def]
    code, findings = doctor()
    assert code == 0, [finding for finding in findings.values() if not finding["ok"]]
    assert findings["package supervisor"]["ok"]
    assert not [finding for finding in findings.values() if finding["ok"] and finding["mend"]]


def test_what_is_optional_may_be_missing_and_each_lack_has_its_mend(  # type: ignore[no-untyped-def]
    doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(machine.VLLM_PYTHON_VARIABLE, "/nowhere/python")
    code, findings = doctor()
    assert code == 0
    missing = [finding for finding in findings.values() if not finding["ok"]]
    assert {"program prometheus", "program chromium", "vLLM"} <= {finding["name"] for finding in missing}
    assert all(finding["mend"] and "\n" not in finding["mend"] for finding in missing)


def test_a_faulty_spec_is_counted_and_fails(doctor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    code, findings = doctor("--spec", str(tmp_path / "bad.yaml"))
    assert code == 1
    assert "fault" in findings["spec"]["found"]
    assert findings["spec"]["mend"].startswith("ops spec check")


def test_a_run_folder_that_cannot_be_made_fails(doctor, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").touch()
    code, findings = doctor("--run-dir", str(tmp_path / "file" / "run"))
    assert code == 1
    assert not findings["run folder"]["ok"]


def test_a_taken_port_is_told_but_can_be_chosen_away(doctor) -> None:  # type: ignore[no-untyped-def]
    with socket.create_server(("127.0.0.1", 0)) as server:
        code, findings = doctor("--port", str(server.getsockname()[1]))
    assert code == 0
    assert f"(pid {os.getpid()})" in findings["public port"]["found"]


def test_it_can_look_where_no_package_is_installed() -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    program += "from ops.stack import machine as m; print({f.ok for f in m.packages()}, m.python().ok)"
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "{False} True"


def test_versions_are_compared_as_numbers() -> None:
    assert not machine._package("pip", "9999", "mend").ok
    assert machine._package("pip", "1.9", "mend").ok
    assert machine._package("no-such-package-anywhere", "1", "mend").mend == "mend"


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["doctor"]) == 0
    assert "What this machine has" in capsys.readouterr().out
