"""What must be there before the first program starts: folders, secrets, ports, the data folder, configurations."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ops.adapters.ports import PortBook, PortsError, holder, is_free
from ops.adapters.spec_file import load_spec
from ops.adapters.supervisord import choose_socket
from ops.spec.compiling import compile_serving
from ops.spec.model import Spec
from ops.stack import monitoring, programs
from ops.stack.options import WORKERS_MAX, Omitted, StackOptions
from ops.stack.state import (
    Secrets,
    StackError,
    StackState,
    Worker,
    keep_secrets,
    own_password,
    own_password_path,
    url_without_password,
    write_private,
)
from ops.store import server
from ops.store.errors import StoreError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """All that ``running`` needs to start the stack."""

    state: StackState
    """Without the supervisor's pid, which is not known yet."""
    secrets: Secrets
    gateways: tuple[programs.Part, ...]
    monitoring: tuple[programs.Part, ...]
    database: programs.Part | None
    """None if somebody else runs it, or if there is none."""
    controller: programs.Part | None

    @property
    def parts(self) -> tuple[programs.Part, ...]:
        return tuple(part for part in (*self.gateways, *self.monitoring, self.database, self.controller) if part)


def prepare(options: StackOptions) -> Plan:
    """Writes everything into the run folder, which the caller has locked. Blocking: up to some seconds where a
    database is created. Raises SpecError, StackError."""
    run_dir = options.run_dir
    spec = load_spec(options.spec)
    _check(options, spec)
    given_url, given_password = url_without_password(options.database_url or "")
    ours = options.database_url is None and Omitted.DATABASE not in options.without
    secrets = keep_secrets(run_dir, own_password(run_dir) if ours else given_password)
    book = PortBook(run_dir / "ports.json", random.SystemRandom())
    try:
        state = _state(options, book, given_url, ours)
        database = _database(options, state, secrets.database_password) if ours else None
        monitors = tuple(monitoring.parts(options, spec, state, secrets))
    except (PortsError, StoreError) as e:
        raise StackError(str(e)) from e
    files = _gateway_files(run_dir, spec, secrets)
    drain_seconds = spec.api.limits.drain_timeout_seconds
    return Plan(
        state=state,
        secrets=secrets,
        gateways=() if Omitted.GATEWAY in options.without else programs.gateways(state, files, drain_seconds),
        monitoring=monitors,
        database=database,
        controller=None if Omitted.CONTROLLER in options.without else programs.controller(state),
    )


def _check(options: StackOptions, spec: Spec) -> None:
    if options.environment not in spec.environments:
        known = ", ".join(spec.environments)
        raise StackError(f"{options.spec} has no environment {options.environment!r}: it has {known}")
    if not 1 <= options.workers <= WORKERS_MAX:
        raise StackError(f"{options.workers} workers: a stack has 1 to {WORKERS_MAX}")
    if not 0 <= options.port <= 65_535:
        raise StackError(f"{options.port} is no port")
    if options.port and not is_free(options.port, HOST):
        raise StackError(f"port {options.port} is taken by {holder(options.port)}: end that, or choose another --port")
    monitoring.check(options)


def _state(options: StackOptions, book: PortBook, given_url: str, ours: bool) -> StackState:
    def url(name: str) -> str:
        return f"http://{HOST}:{book.claim(name)}"

    database_url = given_url
    if ours:
        database_url = f"postgresql://{server.ROLE}@{HOST}:{book.claim(programs.POSTGRES)}/{server.DATABASE}"
    names = [f"{programs.GATEWAY_PREFIX}{number}" for number in range(options.workers)]
    return StackState(
        run_dir=str(options.run_dir),
        environment=options.environment,
        spec_path=str(options.spec.absolute()),
        engine=options.engine,
        database_url=database_url,
        database_is_ours=ours,
        gateway_url=f"http://{HOST}:{options.port}" if options.port else url("public"),
        workers=tuple(Worker(name, url(f"{name}-admin")) for name in names),
        controller_url=url(programs.CONTROLLER),
        prometheus_url=url(programs.PROMETHEUS) if monitoring.has_prometheus(options) else None,
        supervisor_pid=0,
        supervisor_socket=str(choose_socket(options.run_dir)),
        started_unix_seconds=time.time(),
        without=tuple(sorted(options.without)),
        counters=options.counters,
        alertmanager_url=url(programs.ALERTMANAGER) if monitoring.has_alertmanager(options) else None,
        exporter_urls={one.value: url(programs.exporter_name(one)) for one in monitoring.exporters_of(options)},
    )


def _database(options: StackOptions, state: StackState, password: str) -> programs.Part:
    binaries = server.find_binaries(options.postgres_bin)
    data = options.run_dir / "postgres" / "data"
    kept = own_password_path(options.run_dir)
    server.prepare(binaries, data, password, password_is_new=not kept.exists())
    # Only now: a death in between sets it once more.
    write_private(kept, password.encode())
    port = int(state.database_url.rpartition(":")[2].partition("/")[0])
    command = server.command(binaries, data, port)
    return programs.database(state, command, server.account(data), server.STOP_SIGNAL)


def _gateway_files(run_dir: Path, spec: Spec, secrets: Secrets) -> programs.Files:
    """What the workers read. Of the secrets they get the two that they need."""
    files = programs.Files(run_dir / "serving.json", run_dir / "gateway" / "secrets.json", run_dir / "gateway")
    files.gateway_state.mkdir(parents=True, exist_ok=True)
    files.serving_config.write_bytes(msgspec.json.format(msgspec.json.encode(compile_serving(spec))))
    known = {"admin_key": secrets.admin_key, "synthetic_token": secrets.synthetic_token}
    write_private(files.gateway_secrets, msgspec.json.encode(known))
    return files
