"""Types are strict, unknown keys are refused with the nearest known one, and what was read is frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from pydantic import ValidationError

from ops.rollout import plan
from ops.spec.faults import Fault
from ops.spec.model import Spec
from ops.spec.rollout import Role, Then

Edited = Callable[..., bytes]
FaultsOf = Callable[[bytes], list[Fault]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("in_flight_max: 2048", "in_flight_max: '2048'", "wrong type (found '2048', expected a whole number)"),
        ("in_flight_max: 2048", "in_flight_max: 2048.0", "wrong type (found 2048, expected a whole number)"),
        ("in_flight_max: 2048", "in_flight_max: true", "wrong type (found true, expected a whole number)"),
        ("in_flight_max: 2048", "in_flight_max:", "wrong type (found nothing (null), expected a whole number)"),
        ("in_flight_max: 2048", "in_flight_max: [1]", "wrong type (found a list of 1, expected a whole number)"),
        ("in_flight_max: 2048", "in_flight_max: 0", "value not allowed (found 0, expected at least 1)"),
        ("in_flight_max: 2048", "in_flight_max: 10000000000000", "value not allowed (found 10000000000000, "
         "expected at most 1000000000000)"),
        ("lease_seconds: 15", "lease_seconds: .nan", "value not allowed (found nan, expected a finite number)"),
        ("lease_seconds: 15", "lease_seconds: .inf", "value not allowed (found inf, expected a finite number)"),
        ("lease_seconds: 15", "lease_seconds: true", "wrong type (found true, expected a number)"),
        ("replicated_across_regions: true", "replicated_across_regions: yes", "wrong type (found 'yes', expected "
         "true or false)"),
        ("service: gratefulgpt", "service: 7", "wrong type (found 7, expected text)"),
        ("service: gratefulgpt", "service: A B", "value not allowed (found 'A B', expected text like "
         "^[a-z][a-z0-9_-]*$)"),
        ("version: 1", "version: 2", "value not allowed (found 2, expected 1)"),
        ("kind: openai_chat", "kind: openai_chta", "value not allowed (found 'openai_chta', expected 'openai_chat', "
         "'openai_completion', 'text' or 'structured'; did you mean 'openai_chat'?)"),
        ("  generation:\n", "  Generation:\n", "key not allowed (found 'Generation', expected text like "
         "^[a-z][a-z0-9_-]*$)"),
        ("queue_max:", "queue_mx:", "unknown key (expected one of body_bytes_max, body_read_timeout_seconds, "
         "prompt_chars_max, in_flight_max, queue_max, queue_timeout_seconds, connect_timeout_seconds, attempts_max, "
         "drain_timeout_seconds, epochs_kept_max; did you mean 'queue_max'?)"),
        ("  description: Lookups", "  colour: red\n    description: Lookups", "unknown key (expected one of "
         "latency_p95_ms, first_token_p95_ms, token_interval_p95_ms, timeout_seconds, output_tokens_max, description)"),
        ("    queue_max: 100 # the strategy's queue depth\n", "", "missing key 'queue_max'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_was_found_and_expected(
    edited: Edited, faults_of: FaultsOf, old: str, new: str, message: str
) -> None:
    found = [str(fault).split(": ", 2)[2] for fault in faults_of(edited((old, new)))]
    assert message in found


def test_a_missing_key_is_placed_at_the_mapping_that_lacks_it(
    reference_text: str, edited: Edited, faults_of: FaultsOf
) -> None:
    (fault,) = faults_of(edited(("    queue_max: 100 # the strategy's queue depth\n", "")))
    line = next(i for i, text in enumerate(reference_text.splitlines(), 1) if text.strip().startswith("limits:"))
    assert (fault.path, fault.line, fault.column) == ("api.limits", line + 1, 5)


def test_a_misspelt_key_is_one_fault_and_not_a_missing_one_too(edited: Edited, faults_of: FaultsOf) -> None:
    (fault,) = faults_of(edited(("queue_max:", "queue_mx:")))
    assert fault.nearest == "queue_max"


def test_a_key_that_is_misspelt_beside_the_right_one_is_no_replacement(edited: Edited, faults_of: FaultsOf) -> None:
    (fault,) = faults_of(edited(("queue_max: 100", "queue_max: 100\n    queue_mx: 0")))
    assert (fault.message, fault.path) == ("unknown key", "api.limits.queue_mx")


def test_a_spec_is_frozen(reference: Spec) -> None:
    with pytest.raises(ValidationError):
        reference.service = "other"


def test_a_spec_survives_its_own_json(reference: Spec) -> None:
    assert Spec.model_validate_json(reference.model_dump_json(by_alias=True)) == reference


def test_the_choices_written_here_are_those_of_the_rollout_plan() -> None:
    assert set(get_args(Role)) == {role.value for role in plan.Role}
    assert set(get_args(Then)) == {then.value for then in plan.Then}
