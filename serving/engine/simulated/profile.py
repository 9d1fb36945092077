"""What a simulated model is: the profile in its folder's ``simulated.json``, and the faults it can have.

A profile is a release artefact: it is read once, never written. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

PROFILE_FILE = "simulated.json"


class ProfileError(Exception):
    """The profile or the engine's arguments are wrong. The message says what to mend."""


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the engine misbehaves. Rates are shares of new requests; each request has at most one of them."""

    slowdown: float = 1.0
    """Factor on every step's duration, on top of the profile's own."""
    error_rate: float = 0.0
    """Answered 500 at once."""
    refuse_rate: float = 0.0
    """Answered 503, as vLLM does when its queue is full."""
    hang_rate: float = 0.0
    """Never answered; ends when the client leaves."""
    cut_rate: float = 0.0
    """The connection is closed midway through the answer."""
    empty_rate: float = 0.0
    """Answered 200 with no content: the first token ends the sequence."""
    repeat_rate: float = 0.0
    """One word again and again up to the token limit, structured or not."""
    decline_rate: float = 0.0
    """Answered 200 with no content and the finish reason ``content_filter``."""
    reject_rate: float = 0.0
    """Answered 400 at once, though nothing is wrong with the request."""
    damaged: float = 0.0
    """Nats by which a token's log-probability falls on the average, as with damaged weights. Answers read as ever."""
    stalled: bool = False
    """No step ends while this holds: requests are taken in, and nothing comes out."""
    cold_start_seconds: float = 0.0
    """At start: so long until it listens. While running: so long not ready (health and requests 503)."""
    crash_after_seconds: float | None = None
    """The process dies (exit code 70) so long after these faults took effect; 0 is at once."""

    def __post_init__(self) -> None:
        rates = (
            self.error_rate, self.refuse_rate, self.hang_rate, self.cut_rate, self.empty_rate, self.repeat_rate,
            self.decline_rate, self.reject_rate,
        )  # fmt: skip
        if any(rate < 0 for rate in rates) or sum(rates) > 1 + 1e-9:
            raise ValueError("the fault rates must be at least 0 and sum to at most 1")
        if self.slowdown <= 0 or self.damaged < 0:
            raise ValueError("slowdown must be above 0, damaged at least 0")
        if self.cold_start_seconds < 0 or (self.crash_after_seconds or 0) < 0:
            raise ValueError("a fault's seconds must be at least 0")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A simulated model. Defaults: a 7B model on one data-centre GPU, fast enough for the reference spec's targets."""

    seed: int = 0
    slowdown: float = 1.0
    """Factor on every step's duration."""
    step_base_ms: float = 2.4
    """A step costs this ..."""
    step_sequence_ms: float = 0.008
    """... plus this for each sequence that decodes in it ..."""
    step_prefill_token_ms: float = 0.02
    """... plus this for each prompt token that is computed in it."""
    step_jitter: float = 0.03
    """A step's duration varies uniformly by up to this share."""
    kv_blocks: int = 4096
    block_size: int = 16
    """Tokens in a block of the KV cache (vLLM's default on GPUs)."""
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    max_model_len: int = 8192
    max_num_queued_reqs: int = 4096
    """Unfinished requests beyond which new ones are refused with 503. vLLM's own default has no end."""
    prefix_caching: bool = True
    stream_interval: int = 1
    """A stream gets an event for its first token, then each time so many more are there (vLLM's --stream-interval)."""
    tick_ms: float = 4.0
    """What is produced within a tick is delivered together: fewer wake-ups. 0 delivers after every step."""
    output_tokens_mean: float = 120.0
    """Free text ends by itself after about so many tokens (geometric), or at the request's limit."""
    faults: Faults = Faults()

    def __post_init__(self) -> None:
        for name in ("kv_blocks", "block_size", "max_num_seqs", "max_num_batched_tokens", "max_model_len",
                     "max_num_queued_reqs", "stream_interval"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("step_base_ms", "step_sequence_ms", "step_prefill_token_ms", "tick_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0")
        if self.slowdown <= 0 or self.step_base_ms <= 0 or self.output_tokens_mean < 1:
            raise ValueError("slowdown and step_base_ms must be above 0, output_tokens_mean at least 1")
        if not 0 <= self.step_jitter < 1:
            raise ValueError("step_jitter must be in [0, 1)")
        if self.kv_blocks * self.block_size < self.max_model_len:
            raise ValueError(
                f"the KV cache ({self.kv_blocks} blocks of {self.block_size} tokens) cannot hold one request of "
                f"max_model_len={self.max_model_len} tokens: raise kv_blocks or lower max_model_len"
            )


def load_profile(folder: Path) -> Profile:
    """Reads ``simulated.json`` of a model's folder. Raises ProfileError, with the mend."""
    path = folder / PROFILE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Profile)
    except FileNotFoundError as error:
        raise ProfileError(f"{path}: no such file; a folder with a {PROFILE_FILE} is needed, {{}} will do") from error
    except (OSError, msgspec.DecodeError) as error:
        raise ProfileError(f"{path}: {error}") from error
