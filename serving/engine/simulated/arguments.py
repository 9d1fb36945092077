"""The engine's own arguments: vLLM's names, laid over the profile, so that a release's arguments suit both engines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from serving.engine.simulated.profile import Profile, ProfileError

# vLLM's arguments that have no meaning without a GPU: taken and ignored.
WITHOUT_EFFECT = ("--dtype", "--gpu-memory-utilization", "--tensor-parallel-size", "--quantization", "--kv-cache-dtype")


@dataclass(frozen=True)
class Options:
    profile: Profile
    shutdown_timeout_seconds: int
    """How long running requests may go on after SIGTERM (vLLM's default: 0, they are aborted)."""
    server_load_tracking: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ProfileError(f"engine arguments: {message}")


def _parser() -> _Parser:
    parser = _Parser(prog="simulated engine", allow_abbrev=False, add_help=False, argument_default=argparse.SUPPRESS)
    for option, field in (
        ("--max-model-len", "max_model_len"), ("--max-num-seqs", "max_num_seqs"),
        ("--max-num-batched-tokens", "max_num_batched_tokens"), ("--block-size", "block_size"),
        ("--num-gpu-blocks-override", "kv_blocks"), ("--stream-interval", "stream_interval"),
        ("--max-num-queued-reqs", "max_num_queued_reqs"), ("--seed", "seed"),
    ):  # fmt: skip
        parser.add_argument(option, dest=field, type=int)
    parser.add_argument("--enable-prefix-caching", dest="prefix_caching", action=argparse.BooleanOptionalAction)
    parser.add_argument("--shutdown-timeout", dest="shutdown_timeout", type=int, default=0)
    parser.add_argument("--enable-server-load-tracking", dest="load_tracking", action="store_true", default=False)
    parser.add_argument("--enforce-eager", action="store_true")
    for option in WITHOUT_EFFECT:
        parser.add_argument(option)
    return parser


def parse_arguments(profile: Profile, arguments: Sequence[str]) -> Options:
    """Lays vLLM's arguments over the profile. Raises ProfileError for what is unknown or out of bounds."""
    # vLLM takes underscores in option names as well as dashes.
    spelled = [
        name.replace("_", "-") + (equals + value) if name.startswith("--") else argument
        for argument in arguments
        for name, equals, value in [argument.partition("=")]
    ]
    values = vars(_parser().parse_args(spelled))
    changes = {name: values[name] for name in Profile.__struct_fields__ if name in values}
    try:
        merged = msgspec.structs.replace(profile, **changes)
    except ValueError as error:
        raise ProfileError(f"engine arguments: {error}") from error
    if values["shutdown_timeout"] < 0:
        raise ProfileError("engine arguments: --shutdown-timeout must be at least 0")
    return Options(merged, values["shutdown_timeout"], values["load_tracking"])
