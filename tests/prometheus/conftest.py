"""The fake Prometheus on a port, and a snapshot of a gateway worker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from .fake import FakePrometheus

sys.path.insert(0, str(Path(__file__).parents[2]))  # the simulated world stands beside the benchmarks


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    found = FakePrometheus()
    server = ThreadingHTTPServer(("127.0.0.1", 0), found.handler())
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] - a client that left is what the test wants
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        for event in (found.stall, found.drip):
            if event is not None:
                event.set()
        server.shutdown()
        thread.join()
        server.server_close()
