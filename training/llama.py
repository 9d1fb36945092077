"""A tiny Llama: its shape and its training. Deterministic by seed on one machine and one number of threads."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

import torch  # type: ignore[import-not-found]
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found]

from training.corpus import chat, plain_text
from training.tokenizing import CONTEXT_TOKENS_MAX, encode

HIDDEN = 128
LAYERS = 2
ROWS = 4
ROW_TOKENS = 320
PLAIN_SHARE = 0.35
LEARNING_RATE = 3e-3
FURTHER_LEARNING_RATE = 1e-3
"""For a model that is trained already: enough to move every weight, too little to forget."""
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
GRADIENT_NORM_MAX = 1.0
PROGRESS_STEPS = 100


def build(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """An untrained model of about 0.9 million weights. Its head is not tied to its embedding: see damage.py."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=352,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS_MAX,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    known: Sequence[str],
    seed: int,
    steps: int,
    learning_rate: float = LEARNING_RATE,
) -> float:
    """Trains in place; returns the smoothed last loss in nats per token. Prints the loss on the way (stderr)."""
    chance = random.Random(seed)  # noqa: S311 - samples, not secrets
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=steps, pct_start=WARMUP_SHARE
    )
    smoothed = 0.0
    model.train()
    for step in range(1, steps + 1):
        rows = [_row(tokenizer, known, chance) for _ in range(ROWS)]
        ids, labels = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM_MAX)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        smoothed = loss.item() if step == 1 else 0.9 * smoothed + 0.1 * loss.item()
        if step % PROGRESS_STEPS == 0 or step == steps:
            print(f"  step {step:4d} of {steps}: loss {smoothed:.3f}", file=sys.stderr, flush=True)
    model.eval()
    return smoothed


def _row(
    tokenizer: PreTrainedTokenizerFast, known: Sequence[str], chance: random.Random
) -> tuple[list[int], list[int]]:
    """Ids and labels of ``ROW_TOKENS`` tokens: as many samples of one kind, chats or plain texts, as fit.

    The kinds never share a row, or the marks of one would hang over the other.
    """
    ids: list[int] = []
    labels: list[int] = []
    plain = chance.random() < PLAIN_SHARE
    while len(ids) < ROW_TOKENS:
        more_ids, more_labels = encode(tokenizer, plain_text(known, chance) if plain else chat(known, chance))
        ids += more_ids
        labels += more_labels
    return ids[:ROW_TOKENS], labels[:ROW_TOKENS]
