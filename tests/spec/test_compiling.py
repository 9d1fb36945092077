"""The gateway's configuration follows from the spec, and its digest from the values alone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from ops.adapters.spec_file import parse_spec
from ops.spec.compiling import compile_serving, spec_digest
from ops.spec.model import Spec
from serving.contract import ServingConfig

Edited = Callable[..., bytes]


def test_every_target_of_a_class_is_a_bound_of_its_histogram(reference: Spec) -> None:
    config = compile_serving(reference)
    for found in config.classes.values():
        assert found.target_seconds in config.latency_bounds_seconds
        assert found.first_token_target_seconds in config.first_token_bounds_seconds
        assert found.token_interval_target_seconds in config.token_interval_bounds_seconds


def test_classes_hold_the_targets_and_time_outs_of_the_spec(reference: Spec) -> None:
    config = compile_serving(reference)
    assert set(config.classes) == set(reference.task_classes)
    for name, found in config.classes.items():
        assert found.target_seconds * 1000 == reference.task_classes[name].latency_p95_ms
        assert found.timeout_seconds == reference.task_classes[name].timeout_seconds
        assert found.first_token_target_seconds * 1000 == reference.task_classes[name].first_token_p95_ms
        assert found.token_interval_target_seconds * 1000 == reference.task_classes[name].token_interval_p95_ms


def test_a_task_without_a_cap_of_its_own_has_that_of_its_class(reference: Spec) -> None:
    tasks = {task.name: task for task in compile_serving(reference).tasks}
    assert set(tasks) == set(reference.api.tasks)
    assert tasks["generate"].output_tokens_max == reference.task_classes["generation"].output_tokens_max
    for name, task in tasks.items():
        written = reference.api.tasks[name]
        assert (task.path, task.kind, task.tier) == (written.path, written.kind, written.tier)
        assert task.task_class == written.task_class
        assert task.output_tokens_max <= reference.task_classes[task.task_class].output_tokens_max


def test_a_tasks_own_cap_counts(edited: Edited) -> None:
    spec = parse_spec(edited(("production, output_tokens_max: 64", "production, output_tokens_max: 50")), "f")
    caps = {task.name: task.output_tokens_max for task in compile_serving(spec).tasks}
    assert caps["history-query"] == 50


def test_a_worker_gets_every_limit_of_the_spec(reference: Spec) -> None:
    assert msgspec.to_builtins(compile_serving(reference).limits) == reference.api.limits.model_dump()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latency_p95_ms: 2000", "latency_p95_ms: 1600"),
        ("timeout_seconds: 15", "timeout_seconds: 16"),
        ("queue_max: 100", "queue_max: 101"),
        ("prompt_chars: [512, 4096]", "prompt_chars: [512, 4097]"),
        ("first_token_bounds_ms: [5,", "first_token_bounds_ms: [6,"),
        ("latency_bounds_ms: [10,", "latency_bounds_ms: [11,"),
        ("context_tokens_max: 8192", "context_tokens_max: 8193"),
        ("output_tokens_max: 512", "output_tokens_max: 513"),
        ("model: gratefulgpt-7b", "model: gratefulgpt-8b"),
        ("path: /api/v1/generate", "path: /api/v1/generate2"),
        ("service: gratefulgpt", "service: other"),
    ],
)
def test_no_figure_is_written_anywhere_but_in_the_spec(reference: Spec, edited: Edited, old: str, new: str) -> None:
    """Changing a value in its one place changes the configuration, apart from its digest."""
    changed = compile_serving(parse_spec(edited((old, new)), "f"))
    unchanged = compile_serving(reference)
    assert msgspec.structs.replace(changed, spec_digest=unchanged.spec_digest) != unchanged
    assert changed.spec_digest != unchanged.spec_digest


def test_the_configuration_survives_its_json(reference: Spec) -> None:
    config = compile_serving(reference)
    assert msgspec.json.decode(msgspec.json.encode(config), type=ServingConfig) == config


def test_neither_comments_nor_order_nor_the_way_of_writing_change_the_digest(reference: Spec, edited: Edited) -> None:
    same = parse_spec(
        edited(
            ("service: gratefulgpt\n", "service: 'gratefulgpt' # a word\n"),
            ("{ min: 10, max: 50 }", "{ max: 50, min: 10 }"),
            ("lease_seconds: 15", "lease_seconds: 15.0"),
            ("notifications:", "notifications: {}\nunused: &unused"),
        ).replace(b"unused: &unused\n", b"").replace(b"  webhooks: []\n", b""),
        "f",
    )  # fmt: skip
    assert spec_digest(same) == spec_digest(reference)
    assert compile_serving(same) == compile_serving(reference)


def test_the_order_of_tasks_changes_neither_digest_nor_configuration(reference: Spec) -> None:
    values = reference.model_dump(mode="json", by_alias=True)
    values["api"]["tasks"] = dict(reversed(values["api"]["tasks"].items()))
    other = Spec.model_validate_json(msgspec.json.encode(values))
    assert spec_digest(other) == spec_digest(reference)
    assert msgspec.json.encode(compile_serving(other)) == msgspec.json.encode(compile_serving(reference))
