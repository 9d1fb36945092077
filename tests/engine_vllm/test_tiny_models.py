"""The tiny models as they lie on the disk, and their builder run again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from serving.engine.vllm_command import find_python

pytestmark = pytest.mark.vllm

PROJECT = Path(__file__).resolve().parents[2]
MODELS = PROJECT / "build" / "models"
NAMES = ("tiny-a", "tiny-b", "tiny-damaged")
MEND = "run `make vllm tiny-model` first"


def build(output: Path) -> str:
    """Runs the builder and returns what it says."""
    python = find_python(os.environ, (PROJECT,))
    line = [str(python), "-m", "training.tiny_models", "--output", str(output)]
    done = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_whole_and_brings_its_card(name: str) -> None:
    folder = MODELS / name
    assert folder.is_dir(), MEND
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    files = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == files
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md"} <= files
    for path, digest in manifest["files"].items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest
    assert f"# {name}" in (folder / "README.md").read_text("utf-8")


def test_the_models_share_a_tokenizer_and_no_weights() -> None:
    assert len({(MODELS / name / "tokenizer.json").read_bytes() for name in NAMES}) == 1
    assert len({(MODELS / name / "model.safetensors").read_bytes() for name in NAMES}) == len(NAMES)


def test_the_builder_leaves_whole_models_and_mends_the_one_that_was_changed(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "models")
    weights = tmp_path / "models" / "tiny-damaged" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = build(tmp_path / "models")
    assert said.count("is there") == 2
    assert "tiny-damaged: building" in said
    assert weights.read_bytes() == whole
