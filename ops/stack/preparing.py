"""What must be there before the first program starts: folders, secrets, ports, the data folder, configurations."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from ops.adapters import prometheus_server
from ops.adapters.ports import PortBook, PortsError, holder, is_free
from ops.adapters.spec_file import load_spec
from ops.adapters.supervisord import choose_socket
from ops.spec.compiling import compile_serving
from ops.spec.model import Spec
from ops.stack import programs
from ops.stack.options import WORKERS_MAX, Choice, Counters, Omitted, StackOptions
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
    prometheus: programs.Part | None
    database: programs.Part | None
    """None if somebody else runs it, or if there is none."""
    controller: programs.Part | None

    @property
    def parts(self) -> tuple[programs.Part, ...]:
        return tuple(part for part in (*self.gateways, self.prometheus, self.database, self.controller) if part)


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
        prometheus = _prometheus(options, spec, state) if state.prometheus_url else None
    except (PortsError, StoreError) as e:
        raise StackError(str(e)) from e
    files = _gateway_files(run_dir, spec, secrets)
    drain_seconds = spec.api.limits.drain_timeout_seconds
    return Plan(
        state=state,
        secrets=secrets,
        gateways=() if Omitted.GATEWAY in options.without else programs.gateways(state, files, drain_seconds),
        prometheus=prometheus,
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
    if options.prometheus is Choice.ON and prometheus_server.find_prometheus() is None:
        raise StackError("there is no prometheus on the PATH: install it, or use --prometheus auto or off")
    if options.counters is Counters.PROMETHEUS:
        if options.prometheus is Choice.OFF:
            raise StackError("--counters prometheus needs Prometheus, and --prometheus off leaves it out")
        if prometheus_server.find_prometheus() is None:
            raise StackError("--counters prometheus needs Prometheus, and there is none on the PATH: install it")
        if find_spec("prometheus_api_client") is None:
            raise StackError(f"--counters prometheus needs a package: {prometheus_server.CLIENT_MEND}")


def _state(options: StackOptions, book: PortBook, given_url: str, ours: bool) -> StackState:
    def url(name: str) -> str:
        return f"http://{HOST}:{book.claim(name)}"

    database_url = given_url
    if ours:
        database_url = f"postgresql://{server.ROLE}@{HOST}:{book.claim(programs.POSTGRES)}/{server.DATABASE}"
    wanted = options.prometheus is not Choice.OFF and prometheus_server.find_prometheus() is not None
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
        prometheus_url=url(programs.PROMETHEUS) if wanted else None,
        supervisor_pid=0,
        supervisor_socket=str(choose_socket(options.run_dir)),
        started_unix_seconds=time.time(),
        without=tuple(sorted(options.without)),
        counters=options.counters,
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


def _prometheus(options: StackOptions, spec: Spec, state: StackState) -> programs.Part | None:
    binary = prometheus_server.find_prometheus()
    if binary is None or state.prometheus_url is None:
        return None
    folder = options.run_dir / "prometheus"
    state.targets_file.parent.mkdir(parents=True, exist_ok=True)
    workers = tuple(worker.admin_url.rpartition("//")[2] for worker in state.workers)
    config = folder / "prometheus.yml"
    scrape_seconds = prometheus_server.scrape_seconds(
        look_seconds=spec.environments[options.environment].pace.look_seconds,
        age_seconds_max=spec.rollout.analysis.samples_age_seconds_max,
    )
    static = {prometheus_server.GATEWAY_JOB: workers}
    config.write_text(prometheus_server.render_config(static, state.targets_file, scrape_seconds))
    port = int(state.prometheus_url.rpartition(":")[2])
    command = prometheus_server.command(binary, config, folder / "data", port, spec.retention.metrics_days)
    return programs.prometheus(state.prometheus_url, command)
