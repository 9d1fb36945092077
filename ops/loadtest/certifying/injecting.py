"""Breaks the engines as a breach wants it, and takes it back whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from ops.adapters.hanging import HangingError, go_on, hang
from ops.adapters.simulated_faults import FaultsError, faults_of, set_faults
from ops.adapters.supervisord import Supervisor
from ops.loadtest.certifying.breaches import Breach

TRIES = 5
PAUSE_SECONDS = 0.5


class CannotInject(Exception):
    """An engine did not take the breach; those that had are well again, unless the message says otherwise."""


@dataclass(frozen=True)
class Engines:
    """Simulated ones, by their base URLs, with the faults that they had before; these come back."""

    former: Mapping[str, Mapping[str, Any]]
    programs: Sequence[str] = ()
    """Their names under the supervisor, for breaches that stop their processes."""
    supervisor: Supervisor | None = None
    _stopped: list[psutil.Process] = field(default_factory=list)

    @property
    def urls(self) -> Sequence[str]:
        return tuple(self.former)

    def break_(self, breach: Breach) -> None:
        """Blocks for a moment. Raises CannotInject."""
        try:
            if breach.hang:
                self._hang()
            else:
                for url, former in self.former.items():
                    set_faults(url, {**former, **breach.faults})
        except (FaultsError, HangingError) as e:
            stuck = self.mend()
            raise CannotInject(f"{e}{f'; {stuck}' if stuck else ''}") from e

    def _hang(self) -> None:
        if self.supervisor is None or not self.programs:
            raise HangingError("no supervisor knows the engines' processes")
        for program in self.programs:
            self._stopped.extend(hang(self.supervisor, program))

    def mend(self) -> str:
        """Why it failed, with what to do by hand; empty where it has not. Blocks for some seconds at most."""
        go_on(self._stopped)
        self._stopped.clear()
        stuck = {url: why for url, former in self.former.items() if (why := _mended(url, former))}
        if not stuck:
            return ""
        words = "; ".join(stuck.values())
        return f"{words}. `ops stack restart --unhealthy`, or --tier TIER, starts engines anew, without it"


def engines(urls: Sequence[str], programs: Sequence[str] = (), supervisor: Supervisor | None = None) -> Engines:
    """Asks each for its faults. Raises FaultsError, NotSimulated."""
    return Engines({url: faults_of(url) for url in urls}, programs, supervisor)


def _mended(url: str, former: Mapping[str, Any]) -> str:
    why = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            set_faults(url, former)
        except FaultsError as e:
            why = str(e)
        else:
            return ""
    return why
