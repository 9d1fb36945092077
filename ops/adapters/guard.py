"""Runs one command and leaves no orphan: the parent of every supervised process.

``guard.py [options] -- COMMAND…`` or ``guard.py --program FILE`` (JSON, see ``Order``). It owns the life of its
command and of everything the command starts: it forwards stop signals, and when its own parent dies, by ``kill -9``
too, it ends them all: the stop signal, a bounded wait, then SIGKILL. As a child subreaper it also adopts and ends
what the command leaves behind. It can drop privileges for the command, since PostgreSQL refuses to run as root.

It starts with every process, so it imports only the light half of the standard library and runs as a plain file
under ``python -I -S``. Linux only.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pwd
import select
import signal
import sys
import time
from typing import Any, NamedTuple, NoReturn

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
# <linux/capability.h>; the first reads anything and nothing more, the second is what plain containers have.
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522

STOP_SECONDS_DEFAULT = 10.0
KILL_SECONDS_MAX = 5.0
"""How long to wait for what SIGKILL has hit (a process in uninterruptible sleep may stay)."""
EXIT_CANNOT_RUN = 126
EXIT_PARENT_GONE = 125
PARENT_DIED = signal.SIGRTMIN
"""Sent by the kernel when the parent's thread ends; no program uses it to ask for anything."""
OPTIONS = frozenset({"--stop-signal", "--stop-seconds", "--user", "--lock", "--parent"})
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
FORWARDED_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Order(NamedTuple):
    """What to run, and how to end it."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Added to the guard's own."""
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = STOP_SECONDS_DEFAULT
    """From the stop signal to SIGKILL."""
    user: str | None = None
    """Run the command as this user; only root can."""
    lock: str | None = None
    """A file on which a shared lock is held while anything of this guard lives."""
    parent: int | None = None
    """The pid that the parent must have, if known; 0 means that the guard outlives its parent."""
    stdin_is_parents: bool = False
    """Stdin is a pipe whose other end only the parent holds, as under supervisord."""


def main() -> int:
    try:
        order = parse(sys.argv[1:])
    except (ValueError, OSError) as error:
        complain(str(error))
        return EXIT_CANNOT_RUN
    parent = os.getppid()
    if order.parent != 0:
        prctl(PR_SET_PDEATHSIG, PARENT_DIED)
        if parent_is_gone(order, parent):
            complain("the parent died before the command started")
            return EXIT_PARENT_GONE
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited "ignore" would lose the exit status
    keep_descriptors_private()
    if order.lock:
        fcntl.flock(os.open(order.lock, os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_SH)
    # Blocked before the fork, so that no signal is lost between the start of the command and the wait for it.
    waited = {signal.SIGCHLD, PARENT_DIED, *STOP_SIGNALS, *FORWARDED_SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        become(order, guard, before)
    return watch(order, child, waited, parent)


def watch(order: Order, child: int, waited: set[signal.Signals], parent: int) -> int:
    """Waits for the command, forwards signals to it; ends everything when asked to or when the parent is gone."""
    deadline: float | None = None
    while True:
        status = reap(child)
        if status is not None:
            sweep(order.stop_seconds)
            return status
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            end_tree(child)
            return reap_all(child)
        info = signal.sigwaitinfo(waited) if left is None else signal.sigtimedwait(waited, left)
        number = 0 if info is None else info.si_signo
        if number in FORWARDED_SIGNALS:
            tell(child, number)
        elif number in STOP_SIGNALS or (number == PARENT_DIED and os.getppid() != parent):
            # (The kernel also signals the end of the parent's thread that forked us, which means nothing.)
            # A second request means "at once".
            deadline = time.monotonic() + (order.stop_seconds if deadline is None else 0)
            tell(child, order.stop_signal)


def become(order: Order, guard: int, mask: set[signal.Signals] | set[int]) -> NoReturn:
    """In the child: drops privileges, ties its life to the guard's, and turns into the command."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        environment = {**os.environ, **dict(order.environment)}
        if order.user is not None:
            drop_privileges(order.user, order.command, environment)
        # After the change of user, which clears it. The guard asks politely; this is for a guard killed by -9.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(EXIT_PARENT_GONE)
        os.execvpe(order.command[0], order.command, environment)  # noqa: S606 - an argument list, no shell wanted
    except BaseException as error:  # noqa: BLE001 - the forked child must never return into the guard's code
        complain(f"cannot run {order.command[0]}: {error}")
    os._exit(EXIT_CANNOT_RUN)


def drop_privileges(user: str, command: tuple[str, ...], environment: dict[str, str]) -> None:
    """Becomes ``user`` for good. If that user cannot even reach the command or the paths that it names (a checkout
    below /root), the right to read and traverse is kept, and nothing else. Raises OSError if that is forbidden."""
    entry = pwd.getpwnam(user)
    environment.update(HOME="/nonexistent", USER=user, LOGNAME=user)
    if entry.pw_uid == os.geteuid():
        return
    paths = [path for path in command if path.startswith("/") and os.path.exists(path)]
    os.setgroups([])
    os.setgid(entry.pw_gid)
    prctl(PR_SET_KEEPCAPS, 1)
    os.setuid(entry.pw_uid)
    prctl(PR_SET_KEEPCAPS, 0)
    unreachable = [path for path in paths if not os.access(path, os.R_OK)]
    if not unreachable:
        set_capabilities(())
        return
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        try:
            set_capabilities((capability,))
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)
            return
        except OSError:
            continue
    raise PermissionError(f"user {user} cannot reach {unreachable[0]}: make its folders traversable, or move them")


def set_capabilities(kept: tuple[int, ...]) -> None:
    """Sets the permitted, effective and inheritable capabilities (all below 32) of this process to ``kept``."""
    bits = sum(1 << capability for capability in kept)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def prctl(option: int, first: int, second: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if libc.prctl(option, *arguments) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def parent_is_gone(order: Order, parent: int) -> bool:
    """Whether the parent died before it could be watched: another pid, or nobody at the other end of stdin."""
    if order.stdin_is_parents:
        poll = select.poll()
        poll.register(0, 0)
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
            return True
    return os.getppid() != (parent if order.parent is None else order.parent)


def keep_descriptors_private() -> None:
    """What the guard was handed (a lock) is not for the command."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.set_inheritable(int(name), False)
            except OSError:  # the listing's own descriptor is closed by now
                continue


def reap(child: int) -> int | None:
    """Collects whatever has ended; the command's exit status (128 + signal) once it has."""
    status = None
    while True:
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            code = os.waitstatus_to_exitcode(raw)
            status = code if code >= 0 else 128 - code


def reap_all(child: int) -> int:
    """Collects for a bounded time after SIGKILL."""
    deadline = time.monotonic() + KILL_SECONDS_MAX
    found = None
    while children() and time.monotonic() < deadline:
        found = reap(child) if found is None else found
        end_children(signal.SIGKILL)
        time.sleep(0.01)
    return 128 + signal.SIGKILL if found is None else found


def sweep(seconds: float) -> None:
    """Ends what the command left behind."""
    deadline = time.monotonic() + seconds
    end_children(signal.SIGTERM)
    while children() and time.monotonic() < deadline:
        reap(-1)
        time.sleep(0.01)
    if children():
        reap_all(-1)


def end_tree(child: int) -> None:
    """SIGKILL for the command; its own children then become ours, and ``reap_all`` ends them too."""
    tell(child, signal.SIGKILL)


def end_children(number: int) -> None:
    for pid in children():
        tell(pid, number)


def tell(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def children() -> list[int]:
    """The direct children that have not ended, adopted ones included."""
    mine = os.getpid()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == mine and state not in (b"Z", b"X"):
            found.append(int(name))
    return found


def parse(arguments: list[str]) -> Order:
    """Raises ValueError or OSError if the arguments or the program file cannot be understood."""
    if arguments[:1] == ["--program"] and len(arguments) == 2:
        with open(arguments[1], encoding="utf-8") as file:
            return order_of({**json.load(file), "stdin_is_parents": True})
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = dict(zip(arguments[0:cut:2], arguments[1:cut:2], strict=False))
    if cut % 2 or cut >= len(arguments) - 1 or set(options) - OPTIONS:
        raise ValueError(f"usage: guard.py --program FILE | [OPTION VALUE]... -- COMMAND; options: {sorted(OPTIONS)}")
    return order_of(
        {name[2:].replace("-", "_"): value for name, value in options.items()} | {"command": arguments[cut + 1 :]}
    )


def order_of(fields: dict[str, Any]) -> Order:
    parent = fields.get("parent")
    return Order(
        command=tuple(fields["command"]),
        environment=tuple(sorted(fields.get("environment", {}).items())),
        stop_signal=signal.Signals[fields.get("stop_signal", "SIGTERM")],
        stop_seconds=float(fields.get("stop_seconds", STOP_SECONDS_DEFAULT)),
        user=fields.get("user"),
        lock=fields.get("lock"),
        parent=None if parent is None else int(parent),
        stdin_is_parents=fields.get("stdin_is_parents", False),
    )


def complain(message: str) -> None:
    sys.stderr.write(f"guard: {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
