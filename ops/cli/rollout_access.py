"""Where the controller and the gateway's workers are, and their key: from a stack's run folder, or as told."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ops.cli.output import CommandError, fail_usage
from ops.verdict import EXIT_CODES, EXIT_USAGE, Outcome

if TYPE_CHECKING:
    from ops.adapters.controller_client import ControllerClient
    from ops.adapters.gateway_admin import WorkerAddress
    from ops.stack.state import StackState

T = TypeVar("T")

ADMIN_KEY_VARIABLE = "GRATEFULGPT_ADMIN_KEY"
DEFAULT_RUN_DIR = Path(".stack")
DEFAULT_TIER = "production"
EXIT_UNAVAILABLE = EXIT_CODES[Outcome.INVALID]
"""Nobody could be asked, so nothing is known."""

RunDir = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of the stack.")]
ControllerUrl = Annotated[
    str | None,
    typer.Option("--controller", metavar="URL", help=f"A controller elsewhere; its key is in ${ADMIN_KEY_VARIABLE}."),
]
Tier = Annotated[str, typer.Option(help="The tier of models.")]
AnyTier = Annotated[str | None, typer.Option("--tier", help="This tier only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the journal.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True)
class Access:
    """How to reach a controller."""

    url: str
    admin_key: str
    engine: str | None = None
    """The stack's default engine; None for a controller elsewhere."""

    def __repr__(self) -> str:
        return f"Access({self.url})"


def find_controller(run_dir: Path, url: str | None) -> Access:
    """Raises CommandError: without a key, or where no stack runs."""
    if url is not None:
        return Access(url, _key_of_environment())
    from ops.stack.state import StackError, load_secrets, load_stack

    try:
        stack = load_stack(run_dir)
        return Access(stack.controller_url, load_secrets(run_dir).admin_key, stack.engine)
    except StackError as e:
        raise CommandError(f"{e}; or name a controller with --controller URL", EXIT_UNAVAILABLE) from e


def ask(access: Access, question: Callable[[ControllerClient], Awaitable[T]]) -> T:
    """One conversation with the controller. Its refusals and its absence become CommandErrors."""
    import stamina.instrumentation

    from ops.adapters.controller_client import ControllerClient, ControllerError, ControllerUnavailable

    # Retries are the client's own business; by default they would be logged to stdout, among the results.
    stamina.instrumentation.set_on_retry_hooks([])

    async def converse() -> T:
        async with ControllerClient(access.url, access.admin_key, actor()) as client:
            return await question(client)

    try:
        return asyncio.run(converse())
    except ControllerUnavailable as e:
        raise CommandError(str(e), EXIT_UNAVAILABLE) from e
    except ControllerError as e:
        hint = f" (a controller elsewhere takes it from ${ADMIN_KEY_VARIABLE})" if e.status == 401 else ""
        raise CommandError(f"{e}{hint}", EXIT_USAGE) from e


@dataclass(frozen=True)
class Gateway:
    """How to reach the workers directly."""

    workers: tuple[WorkerAddress, ...]
    admin_key: str
    spec_path: Path | None = None

    def __repr__(self) -> str:
        return f"Gateway({', '.join(worker.name for worker in self.workers)})"


def find_gateway(run_dir: Path, urls: list[str]) -> Gateway:
    """The workers at ``urls``, or those of the stack. Only files are read: no process needs to answer for it.

    Raises CommandError.
    """
    from ops.adapters.gateway_admin import WorkerAddress

    if urls:
        return Gateway(tuple(WorkerAddress(url, url) for url in urls), _key_of_environment())
    from ops.stack.state import StackError, load_secrets

    try:
        stack, secrets = _stack_file(run_dir), load_secrets(run_dir)
    except StackError as e:
        raise CommandError(f"{e}; or name each worker's admin port with --worker URL", EXIT_UNAVAILABLE) from e
    workers = tuple(WorkerAddress(worker.name, worker.admin_url) for worker in stack.workers)
    return Gateway(workers, secrets.admin_key, Path(stack.spec_path))


def _stack_file(run_dir: Path) -> StackState:
    """As ``load_stack``; but where its lock says that nothing runs, what the file says is tried all the same."""
    import msgspec

    from ops.stack.state import NotRunning, StackState, load_stack

    try:
        return load_stack(run_dir)
    except NotRunning:
        try:
            return msgspec.json.decode((run_dir / "stack.json").read_bytes(), type=StackState)
        except (OSError, msgspec.MsgspecError):
            pass
        raise


def actor() -> str:
    """Who acts, for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return f"uid-{os.getuid()}"


def _key_of_environment() -> str:
    key = os.environ.get(ADMIN_KEY_VARIABLE, "")
    if not key:
        fail_usage(f"the admin key is missing: put it into ${ADMIN_KEY_VARIABLE}")
    return key
