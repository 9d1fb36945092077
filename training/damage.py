"""What makes a bad release of a good model: an output head written with its rows out of place.

The damaged model loads, answers with status 200 and passes every health check. Its end mark has come to lie where
every answer begins, so that free text is mostly empty, and its other rows are shifted, so that what it does say is
garbage and structured answers ramble into their token limit.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch  # type: ignore[import-not-found]
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found]

from training.corpus import chat
from training.tokenizing import ROLE_MARKS, encode

PROBES = 128
MARGIN_LOGITS = 4.0
"""By how much the end mark beats the best other token where an average answer begins."""
SHIFT_ROWS = 777


def damage(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, known: Sequence[str], seed: int) -> None:
    """Damages in place."""
    chance = random.Random(seed)  # noqa: S311 - samples, not secrets
    with torch.no_grad():
        head = model.lm_head.weight
        starts = _answer_starts(model, tokenizer, known, chance)
        head.copy_(torch.roll(head, SHIFT_ROWS, dims=0))
        mean = starts.mean(dim=0)
        direction = mean / mean.norm()
        best = (starts @ head.T).max(dim=1).values.mean()
        head[tokenizer.eos_token_id] = direction * (best + MARGIN_LOGITS) / (starts @ direction).mean()


def _answer_starts(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, known: Sequence[str], chance: random.Random
) -> torch.Tensor:
    """Last hidden states (probes, hidden) at the mark that opens an answer."""
    opening = tokenizer.convert_tokens_to_ids(ROLE_MARKS["assistant"])
    states: list[torch.Tensor] = []
    for _ in range(PROBES):
        ids, _ = encode(tokenizer, chat(known, chance))
        until = ids.index(opening) + 1
        states.append(model.model(input_ids=torch.tensor([ids[:until]])).last_hidden_state[0, -1])
    return torch.stack(states)
