"""Builds and trains the tiny models: ``python -m training.tiny_models --output build/models``.

Runs under vLLM's Python, which has torch and transformers. Three models come out: ``tiny-a``, ``tiny-b`` (other
weights, equally good) and ``tiny-damaged`` (``tiny-a``, spoilt). A model whose manifest matches its recipe and its
files is left as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import torch  # type: ignore[import-not-found]
import transformers  # type: ignore[import-not-found]
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training import card, corpus, damage, llama, tokenizing

THREADS = 1
"""Fixed: sums in another order would be other weights. One, because a second hardly helps a model this small, and
on a busy machine two that wait for each other take several times as long."""
MANIFEST = "manifest.json"
TEMPERATURE = 0.8
TOP_P = 0.9


class Way(StrEnum):
    """How a model comes into being."""

    TRAINED = "trained from nothing"
    TRAINED_FURTHER = "trained further from"
    DAMAGED = "damaged from"


@dataclass(frozen=True)
class Recipe:
    """What decides a model's weights, together with the code in this folder."""

    name: str
    purpose: str
    way: Way
    seed: int
    parent: str = ""
    """The model it starts from; built before it."""
    steps: int = 0

    def __str__(self) -> str:
        return f"{self.way} {self.parent}".strip() + f", seed {self.seed}, {self.steps} steps"


RECIPES = (
    Recipe("tiny-a", "The stable release of the demo and the tests.", Way.TRAINED, seed=1, steps=420),
    Recipe("tiny-b", "A good new release: other weights, equally good.", Way.TRAINED_FURTHER, 2, "tiny-a", steps=80),
    Recipe("tiny-damaged", "A bad new release: tiny-a with a spoilt head.", Way.DAMAGED, 3, "tiny-a"),
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.tiny_models", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("build/models"), help="folder (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="build again what is there already")
    options = parser.parse_args(argv)
    torch.set_num_threads(THREADS)
    transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    known = corpus.sentences()
    source = _source_digest(known)
    built: set[str] = set()
    for recipe in RECIPES:
        folder = options.output / recipe.name
        wanted = options.force or recipe.parent in built or not _is_built(folder, recipe, source)
        print(f"{recipe.name}: {'building' if wanted else 'is there'} ({folder})", file=sys.stderr, flush=True)
        if wanted:
            _build(options.output, recipe, known, source)
            built.add(recipe.name)
    return 0


def _build(output: Path, recipe: Recipe, known: Sequence[str], source: str) -> None:
    """Builds one model beside its place and moves it there when it is whole."""
    output.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizing.train_tokenizer(known)
    model, loss = _weights(output, recipe, tokenizer, known)
    with tempfile.TemporaryDirectory(prefix=f".{recipe.name}-", dir=output) as scratch:
        folder = Path(scratch) / recipe.name
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").write_text(card.text(recipe.name, recipe.purpose, str(recipe), loss), "utf-8")
        manifest = {"recipe": asdict(recipe), "source_sha256": source, "loss": loss, "files": _digests(folder)}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", "utf-8")
        for path in folder.iterdir():
            path.chmod(0o644)  # weights are saved for their owner alone, but engines may run as another user
        shutil.rmtree(output / recipe.name, ignore_errors=True)
        folder.rename(output / recipe.name)


def _weights(
    output: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, known: Sequence[str]
) -> tuple[LlamaForCausalLM, float]:
    """The model and the last loss of its training, which a damaged model takes over from its parent."""
    if recipe.way is Way.TRAINED:
        model = llama.build(tokenizer, recipe.seed)
        loss = llama.train(model, tokenizer, known, recipe.seed, recipe.steps)
    else:
        model = LlamaForCausalLM.from_pretrained(output / recipe.parent, dtype=torch.float32)
        loss = float(json.loads((output / recipe.parent / MANIFEST).read_text("utf-8"))["loss"])
    if recipe.way is Way.TRAINED_FURTHER:
        loss = llama.train(model, tokenizer, known, recipe.seed, recipe.steps, llama.FURTHER_LEARNING_RATE)
    if recipe.way is Way.DAMAGED:
        damage.damage(model, tokenizer, known, recipe.seed)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model, loss


def _is_built(folder: Path, recipe: Recipe, source: str) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    wanted = {"recipe": asdict(recipe), "source_sha256": source, "files": _digests(folder)}
    return isinstance(manifest, dict) and all(manifest.get(key) == value for key, value in wanted.items())


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _source_digest(known: Sequence[str]) -> str:
    """Of the text, this folder's code and the libraries' versions."""
    digest = hashlib.sha256(f"torch {torch.__version__} transformers {transformers.__version__}".encode())
    for name in ("corpus", "tokenizing", "llama", "damage"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    for sentence in known:
        digest.update(sentence.encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
