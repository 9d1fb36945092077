"""The programs of a stack, in the order of their start, and how each is seen to be healthy. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

from ops.adapters.supervisord_files import Program
from ops.stack.state import StackState
from serving.contract import ADMIN_HEALTH_PATH

POSTGRES = "postgres"
CONTROLLER = "controller"
PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
EXPORTER_SUFFIX = "-exporter"
GATEWAY_PREFIX = "gateway-"
REPLICA_PREFIX = "replica-"

DATABASE_STOP_SECONDS = 30.0
CONTROLLER_STOP_SECONDS = 10.0
METRICS_STOP_SECONDS = 10.0
DRAIN_MARGIN_SECONDS = 5.0
# A program of the stack itself is worth many tries (with growing pauses: 55 s in all) before it is given up.
START_RETRIES = 10


class Stage(IntEnum):
    """The order of the end: the lowest ends first, those of one stage together. Also supervisord's priorities,
    turned round, should it have to end them by itself."""

    GATEWAY = 0
    CONTROLLER = 1
    ENGINES = 2
    METRICS = 3
    DATABASE = 4

    @property
    def priority(self) -> int:
        return 900 - 100 * self.value


def stage_of(program: str) -> Stage:
    if program.startswith(GATEWAY_PREFIX):
        return Stage.GATEWAY
    if program.startswith(REPLICA_PREFIX):
        return Stage.ENGINES
    if program == CONTROLLER:
        return Stage.CONTROLLER
    if program in (PROMETHEUS, ALERTMANAGER) or program.endswith(EXPORTER_SUFFIX):
        return Stage.METRICS
    return Stage.DATABASE if program == POSTGRES else Stage.ENGINES


class Check(StrEnum):
    HTTP = "http"
    """``where`` answers 200."""
    DATABASE = "database"
    """It lets us in."""


@dataclass(frozen=True)
class Part:
    """A program, how to see that it is healthy, and where people reach it."""

    program: Program
    check: Check
    where: str
    """A URL, never with a password."""


@dataclass(frozen=True)
class Files:
    serving_config: Path
    gateway_secrets: Path
    gateway_state: Path


def gateways(state: StackState, files: Files, drain_seconds: float) -> tuple[Part, ...]:
    """One program per worker; all share the public port."""
    host, _, port = state.gateway_url.rpartition("//")[2].partition(":")
    parts = []
    for worker in state.workers:
        command = [sys.executable, "-m", "serving.gateway", "--config", str(files.serving_config)]
        admin_port = worker.admin_url.rpartition(":")[2]
        command += ["--worker", worker.name, "--host", host, "--port", port, "--admin-port", admin_port]
        command += ["--state-dir", str(files.gateway_state / worker.name), "--secrets-file", str(files.gateway_secrets)]
        for peer in state.workers:
            command += ["--peer", peer.admin_url] if peer != worker else []
        command += ["--controller-url", state.controller_url]
        program = Program(
            worker.name,
            tuple(command),
            stop_seconds=drain_seconds + DRAIN_MARGIN_SECONDS,
            start_retries=START_RETRIES,
            priority=Stage.GATEWAY.priority,
        )
        parts.append(Part(program, Check.HTTP, worker.admin_url + ADMIN_HEALTH_PATH))
    return tuple(parts)


def controller(state: StackState) -> Part:
    program = Program(
        CONTROLLER,
        (sys.executable, "-m", "ops.cli.main", "controller", "run", "--run-dir", state.run_dir),
        stop_seconds=CONTROLLER_STOP_SECONDS,
        start_retries=START_RETRIES,
        priority=Stage.CONTROLLER.priority,
    )
    return Part(program, Check.HTTP, state.controller_url + "/health")


def database(state: StackState, command: tuple[str, ...], user: str | None, stop_signal: str) -> Part:
    program = Program(
        POSTGRES,
        command,
        stop_signal=stop_signal,
        stop_seconds=DATABASE_STOP_SECONDS,
        user=user,
        start_retries=START_RETRIES,
        priority=Stage.DATABASE.priority,
    )
    return Part(program, Check.DATABASE, state.database_url)


def prometheus(url: str, command: tuple[str, ...]) -> Part:
    return Part(_metrics(PROMETHEUS, command), Check.HTTP, url + "/-/ready")


def alertmanager(url: str, command: tuple[str, ...]) -> Part:
    return Part(_metrics(ALERTMANAGER, command), Check.HTTP, url + "/-/ready")


def exporter(job: str, url: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Part:
    """``job`` is its name in Prometheus."""
    return Part(_metrics(exporter_name(job), command, environment), Check.HTTP, url + "/")


def exporter_name(job: str) -> str:
    return job + EXPORTER_SUFFIX


def _metrics(name: str, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> Program:
    return Program(
        name,
        command,
        environment=environment or {},
        stop_seconds=METRICS_STOP_SECONDS,
        start_retries=START_RETRIES,
        priority=Stage.METRICS.priority,
    )
