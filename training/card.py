"""The model card that lies beside each tiny model's weights."""

from __future__ import annotations

_TEXT = """\
# {name}

{purpose}

A Llama of 2 layers and hidden size 128 (0.9 million weights, bfloat16), trained in about a minute on one machine.
It is made for exercising a serving stack with real weights. It knows nothing: its sentences look like the reference
it was trained on and mean nothing.

- Text: the language reference that comes with Python (`pydoc_data`), as chats, as JSON answers and as plain text.
- Tokenizer: byte-level BPE of 2,048 tokens, trained on the same text, with a chat template.
- Context: 2,048 tokens; trained on 320.
- Recipe: {recipe}; last loss {loss:.3f} nats per token.
- Made by `python -m training.tiny_models`; `manifest.json` holds the digest of each file.
- Licence: the text is under the licence of Python (PSF); the weights under this project's.
"""


def text(name: str, purpose: str, recipe: str, loss: float) -> str:
    """The card, in Markdown."""
    return _TEXT.format(name=name, purpose=purpose, recipe=recipe, loss=loss)
