"""The files of fixed texts: the product's own, a user's beside the spec, and faulty ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.adapters.quality_texts import TextsError, load_texts
from ops.adapters.spec_file import load_spec

ROOT = Path(__file__).parents[2]


def test_the_texts_that_the_reference_spec_names_are_enough_for_it(tmp_path: Path) -> None:
    quality = load_spec(ROOT / "gratefulgpt.yaml").rollout.quality
    texts = load_texts(quality.texts, tmp_path)
    assert len(texts.passages) >= quality.likelihood.passages_min
    assert len(texts.prompts) >= 8
    assert all(200 <= len(passage.text) <= 400 for passage in texts.passages)


def test_the_tiny_models_have_texts_of_their_own_domain(tmp_path: Path) -> None:
    assert len(load_texts("manual", tmp_path).passages) >= 20


def test_a_file_beside_the_spec_goes_before_the_products(tmp_path: Path) -> None:
    (tmp_path / "quality").mkdir()
    mine = {"prompts": [{"name": "a", "text": "once"}], "passages": []}
    (tmp_path / "quality" / "concerts.json").write_text(json.dumps(mine))
    assert [prompt.text for prompt in load_texts("concerts", tmp_path).prompts] == ["once"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "faulty"),
        ('{"prompts": [], "passages": []}', "faulty"),
        ('{"prompts": [{"name": "a", "text": "xx"}, {"name": "a", "text": "yy"}], "passages": []}', "twice"),
        ('{"prompts": [{"name": "a", "text": "xx", "more": 1}], "passages": []}', "faulty"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality" / "mine.json").write_text(content)
    with pytest.raises(TextsError, match=words):
        load_texts("mine", tmp_path)


def test_texts_that_are_nowhere_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TextsError, match="no fixed texts 'nowhere'"):
        load_texts("nowhere", tmp_path)
