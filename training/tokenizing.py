"""The tiny models' tokenizer: a byte-level BPE with a few marks and a chat template, trained on the corpus."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
from transformers import PreTrainedTokenizerFast  # type: ignore[import-not-found]

from training.corpus import Chat, PlainText, chat

VOCABULARY = 2048
TOKENIZER_CHATS = 3000
TOKENIZER_SEED = 1
"""One tokenizer for all models: equal texts count equal tokens in every release."""
CONTEXT_TOKENS_MAX = 2048
UNSCORED = -100
"""The label of a token that is read but not learnt (PyTorch's cross entropy)."""
PAD = "<|pad|>"
END = "<|end|>"
ROLE_MARKS = {role: f"<|{role}|>" for role in ("system", "user", "assistant")}

JSON_MARK = r'["{}\[\],:]'
"""Tokens of their own. A grammar makes the model write JSON mark by mark; marks merged in training would leave it
without a clue there, and it would fall into whitespace until its token limit."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(known: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of ``VOCABULARY`` tokens; the same sentences give the same one."""
    chance = random.Random(TOKENIZER_SEED)  # noqa: S311 - samples, not secrets
    chats = (chat(known, chance) for _ in range(TOKENIZER_CHATS))
    texts = (message.content for item in chats for message in item.messages)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(JSON_MARK), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, *ROLE_MARKS.values()],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLE_MARKS.values()),
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS_MAX,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, item: Chat | PlainText) -> tuple[list[int], list[int]]:
    """Token ids and labels of a sample, of equal length.

    The end mark is learnt after answers alone. Were it learnt after prompts too, plain completions of a whole
    sentence would end before they began.
    """
    if isinstance(item, PlainText):
        plain = _ids(tokenizer, item.text)
        return plain, list(plain)
    end = tokenizer.convert_tokens_to_ids(END)
    ids: list[int] = []
    labels: list[int] = []
    for message in item.messages:
        content = _ids(tokenizer, message.content)
        ids += [tokenizer.convert_tokens_to_ids(ROLE_MARKS[message.role]), *content, end]
        labels += [UNSCORED, *content, end if message.role == "assistant" else UNSCORED]
    return ids, labels


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
