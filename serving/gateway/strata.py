"""In which stratum a request falls: known before its outcome, and the same whichever arm it gets."""

from __future__ import annotations

from bisect import bisect_left

from serving.contract import StrataConfig


def stratum(strata: StrataConfig, prompt_chars: int, output_tokens: int) -> str:
    """``p{i}o{j}``: how many prompt bounds the prompt exceeds, and how many output bounds the requested output."""
    return f"p{bisect_left(strata.prompt_chars, prompt_chars)}o{bisect_left(strata.output_tokens, output_tokens)}"
