"""How likely the simulated model finds a text: log-probabilities that follow from its seed and the text alone.

Two models (two seeds) differ in every token and are equally good on the average; one agrees with itself in every
process. Damage lowers each token by another amount, as a spoilt weight does. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serving.engine.simulated.answers import PromptLogprobs
from serving.engine.simulated.planning import Model

CONTEXT_TOKENS = 4
"""So many tokens before a token decide its log-probability."""
NATS_BEST, NATS_RANGE = 0.05, 5.0
"""Log-probabilities lie evenly below the best: 2.55 nats per token on the average, as a small model's on plain text."""
SEED_SHARE = 0.1
"""How much of it is the model's own; the rest is the text's, alike for all models."""
RANKS_PER_NAT = 2
_STEPS = 1 << 16
_DAMAGE = 0x0DA3A6E


def token_logprobs(prompt: Sequence[int], seed: int, damaged: float) -> Iterator[float]:
    """Nats, from the second token on; ``damaged`` is the fault of that name."""
    for at in range(1, len(prompt)):
        before = tuple(prompt[max(0, at - CONTEXT_TOKENS) : at + 1])
        text, own = _chance(before), _chance((seed, *before))
        worse = damaged * 2 * _chance((_DAMAGE, *before)) if damaged else 0.0
        yield -(NATS_BEST + NATS_RANGE * ((1 - SEED_SHARE) * text + SEED_SHARE * own) + worse)


def prompt_logprobs(prompt: Sequence[int], model: Model, damaged: float) -> PromptLogprobs:
    """In the shape of vLLM's ``prompt_logprobs=0``."""
    found: PromptLogprobs = [None]
    for token, logprob in zip(prompt[1:], token_logprobs(prompt, model.profile.seed, damaged), strict=True):
        rank = 1 + int(-logprob * RANKS_PER_NAT)
        found.append({str(token): {"logprob": logprob, "rank": rank, "decoded_token": model.tokenizer.decode([token])}})
    return found


def _chance(key: tuple[int, ...]) -> float:
    """In [0, 1), the same in every process: hashes of integers have no salt."""
    return hash(key) % _STEPS / _STEPS
