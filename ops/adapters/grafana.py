"""A Grafana server: its folder and dashboards of ours, all as the spec has them or all as they were.

``grafana-client`` speaks the API; what it lets through is turned into our errors here. Everything is read and checked
before the first thing is written, and what was written is taken back when a later write fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaServerError

from ops.dashboarding.deploying import Action, Change, Content, Found, changes
from ops.dashboarding.rendering import MARK_TAG

TIMEOUT_SECONDS = 10.0
OLDEST_MAJOR = 12
"""Of its dashboards' schema 42, which ours have."""
SEARCH_MAX = 5000
"""Grafana's own limit."""
MESSAGE = "ops dashboards apply"
"""In each dashboard's history."""
WORDS_MAX = 200
"""Of what Grafana says in an error."""


class GrafanaError(Exception):
    """Grafana did not do what it was asked for. What it held before it still holds, unless the message says more."""


class GrafanaUnreachable(GrafanaError):
    """Down, too slow, or answering something that is no Grafana's. Another try may help."""


class GrafanaRefused(GrafanaError):
    """It does not accept the token, or the token may not do this."""


class GrafanaTooOld(GrafanaError):
    """It would not understand the dashboards."""


class GrafanaConflict(GrafanaError):
    """Somebody else changed a dashboard meanwhile. Look at the difference again."""


@dataclass(frozen=True)
class Folder:
    uid: str
    title: str


class Grafana:
    """``url`` is the server's address, with its path if it has one."""

    def __init__(self, url: str, token: str):
        parts = urlsplit(url)
        self._url = url
        path = parts.path.strip("/")
        self._api = GrafanaApi(
            token,
            host=parts.hostname or "",
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=TIMEOUT_SECONDS,
        )
        # No proxy and no password from the environment: an address in the spec is to be that server.
        self._api.client.s.trust_env = False

    def plan(self, wanted: Iterable[Content], service: str, folder: Folder, *, prune: bool) -> list[Change]:
        """What is to be done. With ``prune``, ours that are no longer wanted go. Raises GrafanaError, Obstacle."""
        self._check_version()
        boards = list(wanted)
        uids = {str(board["uid"]) for board in boards}
        found = {uid: one for uid in sorted(uids) if (one := self._found(uid)) is not None}
        ours = self._asked(lambda: self._api.search.search_dashboards(tag=MARK_TAG, type_="dash-db", limit=SEARCH_MAX))
        left = [one["uid"] for one in _listed(ours) if service in one.get("tags", ()) and one["uid"] not in uids]
        leftovers = [one for uid in sorted(left) if (one := self._found(uid)) is not None and one.ours]
        return changes(boards, found, leftovers if prune else (), folder.uid)

    def apply(self, planned: Iterable[Change], folder: Folder) -> None:
        """Carries out what ``plan`` found. Raises GrafanaError, after what it had written was taken back."""
        todo = list(planned)
        if not todo:
            return
        done: list[Change] = []
        new_folder = False
        try:
            if self._absent(lambda: self._api.folder.get_folder(folder.uid)):
                self._asked(lambda: self._api.folder.create_folder(folder.title, folder.uid))
                new_folder = True
            for change in todo:
                try:
                    self._make(change, folder)
                except GrafanaUnreachable:
                    done.append(change)  # it may have been done before the answer was lost
                    raise
                done.append(change)
        except GrafanaError as e:
            self._take_back(done, folder if new_folder else None, e)
            raise

    def _make(self, change: Change, folder: Folder) -> None:
        if change.content is None:
            self._asked(lambda: self._api.dashboard.delete_dashboard(change.uid))
            return
        content = {**change.content, "id": None}
        if change.before is not None:
            content["version"] = change.before.version
        self._save(content, folder.uid, overwrite=False)

    def _save(self, content: Content, folder_uid: str, *, overwrite: bool) -> None:
        sent = {"dashboard": content, "folderUid": folder_uid, "overwrite": overwrite, "message": MESSAGE}
        self._asked(lambda: self._api.dashboard.update_dashboard(sent))

    def _take_back(self, done: list[Change], folder: Folder | None, reason: GrafanaError) -> None:
        left = []
        for change in reversed(done):
            before = change.before
            try:
                if before is None:
                    self._asked(partial(self._api.dashboard.delete_dashboard, change.uid), absent=None)
                else:
                    content = {key: value for key, value in before.content.items() if key not in ("id", "version")}
                    self._save(content, before.folder_uid, overwrite=change.action is Action.UPDATE)
            except GrafanaError:
                left.append(change.uid)
        if folder is not None and not left:
            try:
                self._asked(lambda: self._api.folder.delete_folder(folder.uid))
            except GrafanaError:
                left.append(f"the folder {folder.uid}")
        if left:
            raise GrafanaError(f"{reason}; and these could not be put back: {', '.join(left)}") from reason

    # --- One question at a time ---------------------------------------------------------------------------------

    def _check_version(self) -> None:
        health = self._asked(self._api.health.check)
        version = str(health.get("version", "")) if isinstance(health, Mapping) else ""
        major = version.split(".")[0]
        if not major.isdigit():
            raise GrafanaUnreachable(f"what answers at {self._url} is no Grafana: it does not tell its version")
        if int(major) < OLDEST_MAJOR:
            raise GrafanaTooOld(f"Grafana {version} at {self._url} is too old: {OLDEST_MAJOR}.0 or newer is needed")

    def _found(self, uid: str) -> Found | None:
        answer = self._asked(lambda: self._api.dashboard.get_dashboard(uid), absent=None)
        if answer is None:
            return None
        try:
            content, meta = answer["dashboard"], answer["meta"]
            version, folder = int(content.get("version", 0)), str(meta.get("folderUid") or "")
            return Found(content, folder, version, bool(meta.get("provisioned")))
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise GrafanaUnreachable(f"{self._url} answers as no Grafana does: {type(e).__name__} {e}") from e

    def _absent(self, ask: Callable[[], Any]) -> bool:
        return self._asked(ask, absent=_ABSENT) is _ABSENT

    def _asked(self, ask: Callable[[], Any], absent: Any = ...) -> Any:
        """The answer; ``absent`` where Grafana knows no such thing, if that is given. Raises GrafanaError."""
        try:
            return ask()
        except GrafanaClientError as e:
            if e.status_code == 404 and absent is not ...:
                return absent
            raise self._refusal(e) from e
        except GrafanaServerError as e:
            raise GrafanaUnreachable(f"Grafana at {self._url} failed: {_words(e)}") from e
        except GrafanaException as e:
            raise GrafanaError(f"Grafana at {self._url}: {_words(e)}") from e
        except requests.JSONDecodeError as e:
            raise GrafanaUnreachable(f"what answers at {self._url} is no Grafana: no JSON") from e
        except requests.RequestException as e:
            raise GrafanaUnreachable(f"Grafana at {self._url} cannot be reached: {type(e).__name__}") from e

    def _refusal(self, e: GrafanaClientError) -> GrafanaError:
        if e.status_code == 401:
            return GrafanaRefused(f"Grafana at {self._url} does not accept the token")
        if e.status_code == 403:
            return GrafanaRefused(f"the token may not do this at {self._url}: it needs the role Editor ({_words(e)})")
        if e.status_code == 412:
            return GrafanaConflict(f"somebody else changed a dashboard at {self._url} meanwhile ({_words(e)})")
        return GrafanaError(f"Grafana at {self._url} refused: {_words(e)}")


_ABSENT = object()


def _listed(answer: Any) -> list[Mapping[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(one, dict) and "uid" in one for one in answer):
        raise GrafanaUnreachable("its search answers as no Grafana's does")
    return answer


def _words(e: GrafanaException) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(e.message))
    return " ".join(text.split())[:WORDS_MAX]
