"""What the commands of runbooks answer: the exit codes that tell something, besides 0. Pages state them, so that a
reader, and whoever proves the pages, takes no other for an answer. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ops.alerting.model import Step

CODES: Mapping[str, Mapping[int, str]] = {
    "ops stack status": {1: "a part is not well"},
    "ops route show": {1: "a worker cannot be reached, or they disagree"},
    "ops canary status": {1: "the last rollout was rolled back or refused"},
    "ops probe": {1: "users are not answered as they should be", 3: "too few requests to tell"},
    "ops alerts check": {1: "the files are not those of the spec"},
}
"""By how a command begins. What is not here must exit with 0."""


def codes(command: str) -> Mapping[int, str]:
    """Those that the command may exit with, besides 0, and what they say."""
    return next((found for begin, found in CODES.items() if command.startswith(begin)), {})


def answers(step: Step) -> Iterator[str]:
    """For the page: what the step's commands may answer besides showing something and exiting with 0."""
    if step.silent:
        yield f"No answer: {step.silent}"
    found = {code: meaning for command in step.commands for code, meaning in codes(command).items()}
    for code in sorted(found):
        yield f"Exit code {code}: {found[code]}"
