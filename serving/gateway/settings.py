"""What a worker is started with: the command line, the configuration, the secrets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from serving.contract import ServingConfig

Secret = Annotated[str, msgspec.Meta(min_length=8)]


class SettingsError(Exception):
    """The worker cannot start; the message is one line with its mend."""


class Secrets(msgspec.Struct, frozen=True):
    admin_key: Secret
    synthetic_token: Secret


@dataclass(frozen=True)
class Settings:
    config: Path
    worker: str
    host: str
    port: int
    admin_port: int
    state_dir: Path
    secrets_file: Path
    peers: tuple[str, ...]
    """Admin URLs of the workers that share the port."""
    controller_url: str | None


def parse_arguments(arguments: Sequence[str]) -> Settings:
    """Exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m serving.gateway", description="One worker of the gateway.")
    parser.add_argument("--config", type=Path, required=True, help="JSON of a ServingConfig (ops spec compile)")
    parser.add_argument("--worker", required=True, help="this worker's name: letters, digits, dashes")
    parser.add_argument("--host", default="127.0.0.1", help="address of both ports")
    parser.add_argument("--port", type=int, required=True, help="public port; several workers share it")
    parser.add_argument("--admin-port", type=int, required=True, help="its own port: routes, counters, metrics")
    parser.add_argument("--state-dir", type=Path, required=True, help="folder for the stable route; one per worker")
    parser.add_argument("--secrets-file", type=Path, required=True, help="JSON with admin_key and synthetic_token")
    parser.add_argument("--peer", action="append", default=[], metavar="ADMIN_URL", help="another worker; repeatable")
    parser.add_argument("--controller-url", help="where deploy and rollback are forwarded")
    given = parser.parse_args(arguments)
    return Settings(
        given.config,
        given.worker,
        given.host,
        given.port,
        given.admin_port,
        given.state_dir,
        given.secrets_file,
        tuple(url.rstrip("/") for url in given.peer),
        given.controller_url.rstrip("/") if given.controller_url else None,
    )


def load_config(path: Path) -> ServingConfig:
    """Raises SettingsError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=ServingConfig)
    except (OSError, msgspec.DecodeError) as e:
        raise SettingsError(f"{path} is no gateway configuration: {e}; write it with `ops spec compile`") from e
    for task in config.tasks:
        if task.task_class not in config.classes or task.tier not in config.tiers:
            raise SettingsError(f"{path}: task {task.name} names a class or a tier that is not there")
    return config


def load_secrets(path: Path) -> Secrets:
    """Raises SettingsError, whose message never holds a secret."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except OSError as e:
        raise SettingsError(f"{path} cannot be read: {e.strerror}") from e
    except msgspec.DecodeError as e:
        raise SettingsError(f"{path} needs admin_key and synthetic_token of 8 characters or more each") from e
