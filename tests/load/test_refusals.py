"""What cannot be run is told in a line, with exit code 2, before any load: and nothing is left in the folder."""

from __future__ import annotations

import json
import resource
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ops.adapters.spec_file import load_spec
from ops.loadtest.preparing import Asked, CannotRun, prepare
from ops.loadtest.suites import Scale

from .conftest import Loads, Service, free_port

pytestmark = pytest.mark.server
OPENAI = {"type": "object", "properties": {"max_tokens": {}, "stream": {}}}


class Odd(BaseHTTPRequestHandler):
    """A server that answers ``status`` to every task, and describes those of ``paths``."""

    status = 200
    paths: tuple[str, ...] = ()

    def do_GET(self) -> None:
        post = {"post": {"requestBody": {"content": {"application/json": {"schema": OPENAI}}}}}
        described = dict.fromkeys(self.paths, post)
        self._answer(200 if self.path == "/openapi.json" and self.paths else 404, {"paths": described})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.status, {"error": {"code": "no_such_luck", "message": "a text that nobody repeats"}})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[tuple[str, type[Odd]]]:
    class Handler(Odd):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", Handler
    server.shutdown()
    server.server_close()


def test_no_server_ends_the_command_with_2_and_leaves_no_report(loads: Loads) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = loads.run("smoke", "--url", url)
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"load: no server at {url}: Connection refused")
    assert not (loads.folder / "reports" / "report.json").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--url", "ftp://x"], "no base URL of a service"),
        (["--url", "http://127.0.0.1:1/api"], "no base URL of a service"),
        (["--url", "http://127.0.0.1:1", "--scale", "0"], "--scale must be more than 0"),
        (["--url", "http://127.0.0.1:1", "--workers", "2", "--master", "2"], "exclude each other"),
        ([], "no stack runs in"),
    ],
)
def test_options_that_make_no_run_end_the_command_with_2(loads: Loads, more: list[str], words: str) -> None:
    done = loads.run("smoke", *more)
    assert done.returncode == 2
    assert words in done.stderr


def refusal(spec: Path, url: str, **asked: object) -> str:
    with pytest.raises(CannotRun) as caught:
        prepare(Asked("smoke", url, spec, **asked))  # type: ignore[arg-type]
    return str(caught.value)


def test_a_server_of_something_else_is_told(short_spec: Path, odd: tuple[str, type[Odd]]) -> None:
    assert refusal(short_spec, odd[0]).startswith(f"{odd[0]}/openapi.json answers 404: is this the service's URL")


@pytest.mark.parametrize(
    ("status", "mend"),
    [(401, "it wants a key: set OPS_API_KEY"), (404, "is this the service's URL"), (422, "not what it takes")],
)
def test_a_service_that_takes_no_request_is_told_by_status_and_code_without_its_text(
    short_spec: Path, odd: tuple[str, type[Odd]], status: int, mend: str
) -> None:
    url, handler = odd
    tasks = load_spec(short_spec).api.tasks.values()
    handler.status, handler.paths = status, tuple(task.path for task in tasks)
    message = refusal(_openai_only(short_spec), url)
    assert f"answers {status} (no_such_luck) to a request for openai-" in message
    assert mend in message
    assert "nobody repeats" not in message


def _openai_only(spec: Path) -> Path:
    path = spec.with_name("openai.yaml")
    text = spec.read_text().replace("find: targets\n", "")
    start = text.index("  mix_percent:", text.index("\nload:"))
    end = text.index("  stream_percent:", start)
    path.write_text(text[:start] + "  mix_percent: {openai-chat: 60, openai-completion: 40}\n" + text[end:])
    return path


def test_a_task_that_the_service_does_not_describe_is_told(short_spec: Path, odd: tuple[str, type[Odd]]) -> None:
    url, handler = odd
    handler.paths = ("/v1/chat/completions",)
    assert refusal(_openai_only(short_spec), url).startswith("the service does not describe /v1/completions")


def test_a_trace_with_broken_lines_is_told_line_by_line(short_spec: Path, service: Service, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    good = {"at": 1, "task": "chat", "prompt_chars": 10, "output_tokens": 5}
    trace.write_text("\n".join([json.dumps(good), "{", json.dumps({**good, "task": "none"})]))
    message = refusal(short_spec, service.url, trace=trace)
    assert f"{trace}: 2 of 3 lines are broken (--skip-broken leaves them out):\n  line 2: no JSON\n  line 3:" in message
    ready = prepare(Asked("smoke", service.url, short_spec, trace=trace, skip_broken=True, arrivals="trace"))
    assert [kind.task for kind in ready.plan.kinds] == ["chat"]
    assert [phase.name for phase in ready.plan.phases] == ["trace"]


def test_a_trace_that_is_not_there_is_told(short_spec: Path, service: Service) -> None:
    assert "cannot be read: No such file" in refusal(short_spec, service.url, trace=Path("nowhere.csv"))
    assert "need the trace" in refusal(short_spec, service.url, arrivals="trace")


def test_a_suite_that_the_spec_has_not_is_told_with_those_it_has(short_spec: Path) -> None:
    with pytest.raises(CannotRun, match="no suite 'stres': did you mean stress\\? it has smoke, stress, spike"):
        prepare(Asked("stres", "http://127.0.0.1:1", short_spec))


def test_a_mispelt_suite_is_told_before_a_missing_stack(loads: Loads) -> None:
    done = loads.run("smok")
    assert done.returncode == 2
    words = "ops: the spec has no suite 'smok': did you mean smoke? it has smoke, stress, spike"
    assert done.stderr.startswith(words)
    assert "no stack" not in done.stderr


def test_a_plan_holds_the_connections_of_users_who_stay(short_spec: Path, service: Service) -> None:
    ready = prepare(Asked("smoke", service.url, short_spec))
    # The warm-up's one second at 3 % of 1,000 requests a second.
    assert ready.plan.connections_held == 30
    closed = prepare(Asked("smoke", service.url, short_spec, arrivals="users"))
    assert closed.plan.connections_held == 300


def test_more_connections_than_open_files_may_be_are_refused_and_a_soft_limit_is_raised_first(
    loads: Loads, service: Service
) -> None:
    limited = ["bash", "-c", 'ulimit -Sn 256 && ulimit -Hn "$0" && exec "$@"']
    line = loads.line("smoke", "--url", service.url, "--scale", "0.1")
    done = subprocess.run([*limited, "280", *line], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2, done.stderr
    assert "100 connections need 300 open files, and this machine allows 280" in done.stderr
    assert "ulimit -Hn 300" in done.stderr


def test_the_soft_limit_of_open_files_is_raised_to_what_is_needed(short_spec: Path, service: Service) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        prepare(Asked("smoke", service.url, short_spec, scale=Scale(0.1)))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
