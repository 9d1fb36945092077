"""The engine as a process: start, refusal, and every kind of end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server


def test_a_taken_port_is_one_clear_line_and_exit_code_2(start_engine: Any) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        engine = start_engine({}, wait=False, port=holder.getsockname()[1])
        assert engine.process.wait(30) == 2
    lines = engine.log.read_text().splitlines()
    assert len(lines) == 1
    assert f"cannot listen on 127.0.0.1:{engine.port}" in lines[0]


@pytest.mark.parametrize(
    ("profile", "arguments", "says"),
    [({"bogus": 1}, (), "bogus"), ({}, ("--bogus",), "--bogus"), ({"slowdown": -1}, (), "slowdown")],
)
def test_a_wrong_profile_or_argument_is_one_line_and_exit_code_2(
    start_engine: Any, profile: dict[str, Any], arguments: tuple[str, ...], says: str
) -> None:
    engine = start_engine(profile, *arguments, wait=False)
    assert engine.process.wait(30) == 2
    lines = engine.log.read_text().splitlines()
    assert len(lines) == 1
    assert says in lines[0]


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "serving.engine", "--engine", "x", "--model", str(tmp_path), "--model-name", "m"]
    done = subprocess.run([*command, "--port", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_sigterm_ends_the_engine_with_0_and_cuts_running_streams(start_engine: Any) -> None:
    engine = start_engine({"step_base_ms": 50})
    with socket.create_connection(("127.0.0.1", engine.port)) as client:
        client.settimeout(30)
        client.sendall(chat_request(b'"stream":true,"max_tokens":5000,"ignore_eos":true'))
        seen = b""
        while b"data: " not in seen:
            seen += client.recv(65536)
        assert engine.stop() == 0
        while part := client.recv(65536):
            seen += part
    assert b"[DONE]" not in seen


def test_with_a_shutdown_timeout_sigterm_lets_streams_finish(start_engine: Any) -> None:
    engine = start_engine({"step_base_ms": 20}, "--shutdown-timeout", "25")
    with socket.create_connection(("127.0.0.1", engine.port)) as client:
        client.settimeout(30)
        client.sendall(chat_request(b'"stream":true,"max_tokens":40,"ignore_eos":true'))
        seen = client.recv(65536)
        engine.process.terminate()
        while b"[DONE]" not in seen:
            part = client.recv(65536)
            assert part, "the stream was cut"
            seen += part
    assert engine.process.wait(30) == 0


def test_a_cold_engine_refuses_connections_until_it_is_warm(start_engine: Any) -> None:
    started = time.monotonic()
    engine = start_engine({"faults": {"cold_start_seconds": 2.0}}, wait=False)
    assert not engine.is_up()
    engine.wait_until("the cold start", engine.is_up)
    assert time.monotonic() - started >= 2.0


def test_a_cold_engine_can_be_stopped(start_engine: Any) -> None:
    engine = start_engine({"faults": {"cold_start_seconds": 600.0}}, wait=False)
    with socket.socket() as probe:  # it holds the port without listening on it
        engine.wait_until("the port is held", lambda: is_held(engine.port))
        assert probe.connect_ex(("127.0.0.1", engine.port)) != 0
    assert engine.stop() == 0


def is_held(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_of_two_cold_engines_on_one_port_the_later_one_ends_with_2(start_engine: Any) -> None:
    slow = start_engine({"faults": {"cold_start_seconds": 5.0}}, wait=False)
    slow.wait_until("the port is held", lambda: is_held(slow.port))
    quick = start_engine({}, port=slow.port)
    assert slow.process.wait(30) == 2
    assert "cannot listen" in slow.log.read_text()
    assert quick.stop() == 0


def test_a_crash_ends_the_process_at_once(start_engine: Any) -> None:
    engine = start_engine({})
    engine.set_faults(crash_after_seconds=0.2)
    assert engine.process.wait(30) == 70


def test_a_crash_can_be_called_off(start_engine: Any) -> None:
    engine = start_engine({"faults": {"crash_after_seconds": 600.0}})
    engine.set_faults()
    assert b'"crash_after_seconds":null' in engine.get("/simulated/faults")
    assert engine.stop() == 0


def test_nothing_of_a_request_is_ever_logged(start_engine: Any) -> None:
    engine = start_engine({})
    with socket.create_connection(("127.0.0.1", engine.port)) as client:
        client.settimeout(30)
        client.sendall(chat_request(b'"max_tokens":3'))
        assert b"200 OK" in client.recv(65536)
    assert engine.stop() == 0
    log = engine.log.read_text()
    assert "engine_started" in log
    assert "engine_stopped" in log
    assert "secret words" not in log


def chat_request(fields: bytes) -> bytes:
    body = b'{"model":"sim","messages":[{"role":"user","content":"secret words"}],%b}' % fields
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\n"
    return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
