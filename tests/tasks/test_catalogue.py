"""Every task of the spec has its files, and the files keep what the engines and the caps need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serving.tasks.catalogue import Catalogue, RenderError, TaskFilesError, load_catalogue

CHARS_PER_TOKEN = 2
"""Even a small vocabulary writes two characters with a token; large ones write four."""
KEYWORDS = {"type", "properties", "required", "additionalProperties", "items", "enum", "description"}
BOUNDS = {"minLength", "maxLength", "minItems", "maxItems"}


def longest(schema: dict[str, Any]) -> int:
    """Characters of the longest answer that the schema allows, without spaces."""
    if "enum" in schema:
        return max(len(json.dumps(value)) for value in schema["enum"])
    if schema["type"] == "string":
        return int(schema["maxLength"]) + 2
    if schema["type"] == "array":
        return int(schema["maxItems"]) * (longest(schema["items"]) + 1) + 1
    assert schema["type"] == "object"
    return sum(len(name) + 4 + longest(field) for name, field in schema["properties"].items()) + 1


def keywords(schema: dict[str, Any]) -> set[str]:
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return set(schema) | {word for part in inner for word in keywords(part)}


def structured(own_tasks: dict[str, Any]) -> list[str]:
    return [name for name, task in own_tasks.items() if task["kind"] == "structured"]


def test_the_longest_structured_answer_fits_in_its_tasks_cap(own_tasks: Any, catalogue: Catalogue) -> None:
    names = structured(own_tasks)
    assert len(names) == 6
    for name in names:
        task = catalogue.task("v1", name)
        assert task is not None
        assert longest(task.schemas.answer) <= CHARS_PER_TOKEN * own_tasks[name]["cap"], name


def test_structured_answers_use_only_what_engines_can_enforce(own_tasks: Any, catalogue: Catalogue) -> None:
    for name in structured(own_tasks):
        task = catalogue.task("v1", name)
        assert task is not None
        assert keywords(task.schemas.answer) <= KEYWORDS | BOUNDS


def test_requests_refuse_what_they_do_not_know_and_bound_every_text(own_tasks: Any, catalogue: Catalogue) -> None:
    def bounded(schema: dict[str, Any]) -> bool:
        if schema["type"] == "array":
            return "maxItems" in schema and bounded(schema["items"])
        if schema["type"] == "object":
            return schema["additionalProperties"] is False and all(map(bounded, schema["properties"].values()))
        return schema["type"] != "string" or bool({"maxLength", "pattern", "enum"} & set(schema))

    for name in own_tasks:
        task = catalogue.task("v1", name)
        assert task is not None
        assert bounded(task.schemas.request), name


REQUESTS: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "Write of rain", "style": "wry"},
    "complete": {"text": "Once"},
    "chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "setlist-predict": {"venue": "Barton Hall", "date": "1977-05-08", "played": ["Loser"]},
    "setlist-analyze": {"songs": ["Scarlet Begonias", "Fire on the Mountain"]},
    "lyrics-analyze": {"lyrics": "A line of words", "question": "What mood?"},
    "lyrics-generate": {"theme": "a river", "mood": "calm"},
    "history-query": {"question": "When was the first show?"},
    "community-stories": {"topic": "my first show", "year": 1977, "notes": "it rained"},
}


def test_every_task_renders_its_request(own_tasks: Any, catalogue: Catalogue) -> None:
    assert set(REQUESTS) == set(own_tasks)
    for name, request in REQUESTS.items():
        task = catalogue.task("v1", name)
        assert task is not None
        assert task.faults(request) == []
        required = {key: request[key] for key in task.schemas.request["required"]}
        assert task.faults(required) == []
        for asked in (request, required):
            roles = [message["role"] for message in task.messages(asked)]
            assert roles[0] == "system"
            assert roles[-1] == "user"
        text = json.dumps(task.messages(request))
        words = [value for value in request.values() if isinstance(value, str)]
        assert all(word in text for word in words), name


def test_what_a_client_writes_is_never_run_as_a_template(catalogue: Catalogue) -> None:
    task = catalogue.task("v1", "generate")
    assert task is not None
    attack = "{{ 7 * 7 }} {% for x in ().__class__.__bases__ %}{% endfor %}"
    assert task.messages({"prompt": attack})[-1]["content"] == attack


def test_every_fault_of_a_request_is_named_without_its_content(catalogue: Catalogue) -> None:
    task = catalogue.task("v1", "chat")
    assert task is not None
    request = {
        "messages": [{"role": "prophet-secret", "content": 5}, {"role": "user"}],
        "temperature": 9,
        "surprise-secret": 1,
    }
    faults = task.faults(request)
    paths = {fault.path for fault in faults}
    assert {"$.messages[0].role", "$.messages[0].content", "$.messages[1]", "$.temperature", "$"} <= paths
    assert "secret" not in str(faults)


def write(folder: Path, template: str, schemas: str) -> None:
    version = folder / "v1"
    version.mkdir(exist_ok=True)
    (version / "t.j2").write_text(template)
    (version / "t.schema.json").write_text(schemas)


GOOD = '{"request": {"type": "object", "properties": {"a": {"type": "string"}}}, "answer": {"type": "object"}}'


@pytest.mark.parametrize(
    ("template", "schemas"),
    [
        ("{% block user %}{% endblock", GOOD),
        ("no blocks", GOOD),
        ("{% block user %}{% endblock %}", "{"),
        ("{% block user %}{% endblock %}", '{"request": {"type": "no-such-type"}, "answer": {}}'),
        ("{% block user %}{% endblock %}", '{"request": {}, "answer": {}, "more": {}}'),
    ],
)
def test_broken_files_are_found_when_they_are_loaded(tmp_path: Path, template: str, schemas: str) -> None:
    write(tmp_path, template, schemas)
    with pytest.raises(TaskFilesError, match=r"v1/t"):
        load_catalogue(["t"], tmp_path)


def test_all_broken_files_are_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path, "no blocks", GOOD)
    with pytest.raises(TaskFilesError) as caught:
        load_catalogue(["t", "missing"], tmp_path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("template", ["{{ unknown }}", "{{ a.__class__.__mro__ }}", "{{ a.b.c }}", "{{ 1 / 0 }}"])
def test_a_template_that_fails_says_so_without_the_request(tmp_path: Path, template: str) -> None:
    write(tmp_path, "{% block user %}" + template + "{% endblock %}", GOOD)
    task = load_catalogue(["t"], tmp_path).task("v1", "t")
    assert task is not None
    with pytest.raises(RenderError) as caught:
        task.messages({"a": "secret words"})
    assert "secret" not in str(caught.value)


def test_versions_are_folders(tmp_path: Path) -> None:
    write(tmp_path, "{% block user %}one{% endblock %}", GOOD)
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "t.j2").write_text("{% block user %}two{% endblock %}")
    (tmp_path / "v2" / "t.schema.json").write_text(GOOD)
    catalogue = load_catalogue(["t"], tmp_path)
    found = {version: tasks["t"].messages({})[0]["content"] for version, tasks in catalogue.versions.items()}
    assert found == {"v1": "one", "v2": "two"}
