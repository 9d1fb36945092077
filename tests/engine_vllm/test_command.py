"""What a vLLM server is started with: pure, no server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from serving.engine import vllm
from serving.engine.vllm_command import (
    PYTHON_VARIABLE,
    Build,
    Device,
    VllmMissing,
    command,
    environment,
    find_python,
    given,
    probe,
)

CPU = Build(Path("/v/bin/python"), "0.32.0", Device.CPU)
GPU = Build(Path("/v/bin/python"), "0.32.0", Device.GPU)


def line(build: Build, *arguments: str) -> tuple[str, ...]:
    return command(build, "/models/a", "gratefulgpt-7b", "127.0.0.1", 8001, arguments)


def value(arguments: tuple[str, ...], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def interpreter(folder: Path, text: str) -> Path:
    path = folder / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("build", [CPU, GPU])
def test_the_server_gets_model_name_and_address(build: Build) -> None:
    arguments = line(build)
    assert arguments[0] == "/v/bin/python"
    assert Path(arguments[1]).exists()
    assert value(arguments, "--model") == "/models/a"
    assert value(arguments, "--served-model-name") == "gratefulgpt-7b"
    assert (value(arguments, "--host"), value(arguments, "--port")) == ("127.0.0.1", "8001")
    assert int(value(arguments, "--shutdown-timeout")) > 0


def test_only_a_cpu_gets_the_settings_of_a_cpu() -> None:
    only_cpu = {"--enforce-eager", "--kv-cache-memory-bytes", "--distributed-executor-backend"}
    assert only_cpu <= set(line(CPU))
    assert not only_cpu & set(line(GPU))


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("--no-enforce-eager",), "--enforce-eager"),
        (("--kv-cache-memory-bytes=5",), "--kv-cache-memory-bytes"),
        (("--gpu-memory-utilization", "0.5"), "--kv-cache-memory-bytes"),
        (("--tensor-parallel-size", "2"), "--distributed-executor-backend"),
        (("-tp", "2"), "--distributed-executor-backend"),
        (("--shutdown-timeout=0",), "--shutdown-timeout"),
        (("--structured-outputs-config={}",), "--structured-outputs-config"),
    ],
)
def test_the_callers_argument_takes_the_place_of_a_default(arguments: tuple[str, ...], absent: str) -> None:
    built = line(CPU, *arguments)
    assert absent not in built[: len(built) - len(arguments)]
    assert built[-len(arguments) :] == arguments


def test_an_option_counts_as_given_in_both_spellings_and_not_by_its_prefix() -> None:
    assert given(["--a", "1"], "--a")
    assert given(["--a=1"], "--a")
    assert not given(["--abc=1"], "--a")


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (4, "1"), (16, "4")])
def test_an_engine_on_the_cpu_takes_a_quarter_of_the_cores(cores: int, threads: str) -> None:
    variables = environment(CPU, {}, (), cores, 7)
    assert variables["OMP_NUM_THREADS"] == threads
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"


def test_what_was_inherited_wins_over_defaults_and_nothing_over_the_rules_that_keep_it_safe() -> None:
    inherited = {"OMP_NUM_THREADS": "9", "HF_HUB_OFFLINE": "0", "PYTHONSAFEPATH": "", "GRATEFULGPT_PARENT_PID": "1"}
    variables = environment(CPU, inherited, (), 2, 7)
    assert (variables["OMP_NUM_THREADS"], variables["HF_HUB_OFFLINE"]) == ("9", "0")
    assert (variables["PYTHONSAFEPATH"], variables["GRATEFULGPT_PARENT_PID"]) == ("1", "7")


def test_no_usage_is_sent_and_no_model_is_fetched_unless_asked_for() -> None:
    variables = environment(GPU, {}, (), 2, 7)
    assert (variables["HF_HUB_OFFLINE"], variables["VLLM_NO_USAGE_STATS"], variables["DO_NOT_TRACK"]) == ("1",) * 3
    assert "OMP_NUM_THREADS" not in variables


def test_core_and_worker_share_a_process_only_where_nothing_is_parallel() -> None:
    assert environment(CPU, {}, (), 2, 7)["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in environment(CPU, {}, ("--tensor-parallel-size=2",), 2, 7)


def test_the_named_python_comes_first_then_the_first_folder_that_has_one(tmp_path: Path) -> None:
    first = interpreter(tmp_path / "first" / ".venv-vllm", "#!/bin/sh\n")
    named = interpreter(tmp_path / "named", "#!/bin/sh\n")
    folders = (tmp_path / "none", tmp_path / "first")
    assert find_python({}, folders) == first
    assert find_python({PYTHON_VARIABLE: str(named)}, folders) == named


def test_no_vllm_anywhere_is_answered_with_the_places_and_the_mend(tmp_path: Path) -> None:
    with pytest.raises(VllmMissing, match=r"\.venv-vllm/bin/python.*make vllm"):
        find_python({}, (tmp_path,))


def test_a_named_python_that_is_no_program_is_an_error_even_where_another_would_do(tmp_path: Path) -> None:
    interpreter(tmp_path / ".venv-vllm", "#!/bin/sh\n")
    with pytest.raises(VllmMissing, match=r"/no/such/python.*make vllm"):
        find_python({PYTHON_VARIABLE: "/no/such/python"}, (tmp_path,))


@pytest.mark.parametrize(
    ("says", "device"),
    [("vllm-cpu 0.32.0", Device.CPU), ("vllm 0.32.0+cpu", Device.CPU), ("vllm 0.32.0", Device.GPU)],
)
def test_the_installed_package_decides_the_device(tmp_path: Path, says: str, device: Device) -> None:
    build = probe(interpreter(tmp_path, f"#!/bin/sh\necho {says}\n"))
    assert (build.version, build.device) == (says.split()[1], device)


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\n", "no program at all"])
def test_a_python_without_vllm_is_answered_with_the_mend(tmp_path: Path, program: str) -> None:
    with pytest.raises(VllmMissing, match="make vllm"):
        probe(interpreter(tmp_path, program))


def test_a_missing_vllm_is_a_configuration_error_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)  # our own environment holds no vLLM
    assert vllm.run("/models/a", "tiny", "127.0.0.1", 1) == 2
    assert "make vllm" in capsys.readouterr().err
