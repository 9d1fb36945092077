"""A fake Grafana: a real server that keeps folders and dashboards as Grafana's HTTP API does, and fails on request.

Status codes and bodies after Grafana 12's ``pkg/api/dashboard.go`` and ``folder.go``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]
TOKEN = "glsa_for_tests"


@dataclass
class FakeGrafana:
    url: str = ""
    version: str = "12.3.0"
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By uid: ``dashboard`` and ``meta`` as GET answers them."""
    annotations: list[dict[str, Any]] = field(default_factory=list)
    viewer: bool = False
    """The token may only read."""
    fail_at_write: int | None = None
    """The number of the write that answers 500, the first being 0."""
    fail_all_after: bool = False
    """And every write after it."""
    rubbish: bool = False
    writes: int = 0
    log: list[str] = field(default_factory=list)
    """Method and path of each write."""
    before_write: Any = None
    """Called once before the next write: somebody else is quicker."""

    def foreign(self, uid: str, title: str, **meta: object) -> None:
        self.boards[uid] = {
            "dashboard": {"uid": uid, "title": title, "tags": [], "id": 1, "version": 7},
            "meta": {"folderUid": "", "provisioned": False, **meta},
        }

    # --- Requests -----------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, list[str]], token: str, body: Any) -> Answer:
        if self.rubbish:
            return 200, None
        if path == "/api/health":
            return 200, {"database": "ok", "version": self.version, "commit": "x"}
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        if method == "GET":
            return self._read(path, query)
        if self.before_write is not None:
            first, self.before_write = self.before_write, None
            first()
        if self.viewer:
            return 403, {"message": "You'll need additional permissions to perform this action."}
        self.log.append(f"{method} {path}")
        number, self.writes = self.writes, self.writes + 1
        if self.fail_at_write is not None and (
            number == self.fail_at_write or (self.fail_all_after and number > self.fail_at_write)
        ):
            return 500, {"message": "database is locked"}
        return self._write(method, path, body)

    def _read(self, path: str, query: dict[str, list[str]]) -> Answer:
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        if kind == "folders":
            found = self.folders.get(uid)
            return (200, found) if found else (404, {"message": "folder not found", "status": "not-found"})
        if kind == "dashboards/uid":
            board = self.boards.get(uid)
            return (200, board) if board else (404, {"message": "Dashboard not found", "status": "not-found"})
        if path == "/api/search":
            tags = set(query.get("tag", []))
            boards = [one["dashboard"] for one in self.boards.values() if tags <= set(one["dashboard"].get("tags", []))]
            return 200, [{key: one[key] for key in ("uid", "title", "tags")} | {"type": "dash-db"} for one in boards]
        return 404, {"message": "Not found"}

    def _write(self, method: str, path: str, body: Any) -> Answer:
        kind, _, uid = path.removeprefix("/api/").rpartition("/")
        if (method, path) == ("POST", "/api/folders"):
            if body["uid"] in self.folders:
                return 409, {"message": "a folder with that uid exists"}
            self.folders[body["uid"]] = body
            return 200, body
        if (method, path) == ("POST", "/api/dashboards/db"):
            return self._save(body)
        if (method, path) == ("POST", "/api/annotations"):
            self.annotations.append(body)
            return 200, {"message": "Annotation added", "id": len(self.annotations)}
        if (method, kind) == ("DELETE", "dashboards/uid"):
            gone = self.boards.pop(uid, None)
            return (200, {"message": "deleted"}) if gone else (404, {"message": "Dashboard not found"})
        if (method, kind) == ("DELETE", "folders"):
            return (200, {}) if self.folders.pop(uid, None) else (404, {"message": "folder not found"})
        return 404, {"message": "Not found"}

    def _save(self, body: dict[str, Any]) -> Answer:
        content, uid = dict(body["dashboard"]), body["dashboard"]["uid"]
        if body["folderUid"] not in self.folders and body["folderUid"] != "":
            return 400, {"message": "folder not found"}
        there = self.boards.get(uid)
        if there is not None:
            if there["meta"]["provisioned"]:
                return 400, {"message": "Cannot save provisioned dashboard"}
            if not body["overwrite"] and content.get("version") != there["dashboard"]["version"]:
                return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        version = there["dashboard"]["version"] + 1 if there else 1
        content |= {"id": len(self.boards) + 1, "version": version}
        self.boards[uid] = {"dashboard": content, "meta": {"folderUid": body["folderUid"], "provisioned": False}}
        return 200, {"uid": uid, "version": version, "status": "success"}


@contextmanager
def serving(fake: FakeGrafana) -> Iterator[FakeGrafana]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _go(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            token = self.headers.get("authorization", "")
            status, said = fake.answer(self.command, parts.path, parse_qs(parts.query), token, body)
            text = b"<html>hello</html>" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "text/html" if said is None else "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _go

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
