"""A release's reference transcript in words, and waiting for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ops.cli.output import progress
from ops.cli.rollout_access import Access, ask
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.quality.model import TranscriptStatus

WAIT_SECONDS_MAX = 3600.0
"""A model of hundreds of gigabytes loads in minutes, and others may come first."""
POLL_SECONDS = 1.0
SAY_AGAIN_SECONDS = 30.0


def wait_for_transcript(access: Access, release: str) -> TranscriptStatus:
    """Until it is there, or can't be, or the longest time is over; tells on stderr what it waits for."""
    from ops.quality.model import TranscriptState

    deadline = time.monotonic() + WAIT_SECONDS_MAX
    said_at, said = 0.0, None
    while True:
        status = ask(access, lambda client: client.transcript_status(release))
        now = time.monotonic()
        if status.state is not TranscriptState.PENDING or now >= deadline:
            return status
        if (words := transcript_words(status)) != said or now - said_at >= SAY_AGAIN_SECONDS:
            progress(f"{words}; it goes on without you (Ctrl-C)")
            said_at, said = now, words
        time.sleep(POLL_SECONDS)


def transcript_words(status: TranscriptStatus) -> str:
    tries = f", {status.attempts} tries so far" if status.attempts and status.state == "pending" else ""
    reason = f": {status.reason}" if status.reason else ""
    words = {
        "pending": f"the reference transcript is being recorded{tries}{reason}",
        "recorded": f"the reference transcript is there{reason}",
        "failed": f"the reference transcript could not be recorded{reason}",
        "off": "no reference transcript: the spec has both judgements off",
    }
    return words[status.state.value]


def exit_code(status: TranscriptStatus) -> int:
    outcomes = {"failed": Outcome.FAIL, "pending": Outcome.INCONCLUSIVE}
    return EXIT_CODES[outcomes.get(status.state.value, Outcome.PASS)]


def transcript_json(status: TranscriptStatus) -> dict[str, object]:
    return {
        "state": status.state.value,
        "reason": status.reason,
        "attempts": status.attempts,
        "texts_digest": status.texts_digest or None,
        "recorded_at_unix_seconds": status.recorded_at,
    }
