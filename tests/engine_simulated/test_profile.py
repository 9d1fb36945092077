"""The profile, the engine's arguments and the faults: strict, complete in what they complain of."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.engine.simulated.arguments import parse_arguments
from serving.engine.simulated.faulting import Fault, choose_fault
from serving.engine.simulated.profile import Faults, Profile, ProfileError, load_profile


def write(folder: Path, text: str) -> Path:
    (folder / "simulated.json").write_text(text)
    return folder


def test_an_empty_profile_is_the_default_one(tmp_path: Path) -> None:
    assert load_profile(write(tmp_path, "{}")) == Profile()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"slowdwn": 2}', "slowdwn"), ('{"slowdown": "2"}', "slowdown"), ('{"slowdown": 0}', "above 0"),
        ("{", "simulated.json"), ("[]", "object"), ('{"faults": {"error_rate": 0.6, "cut_rate": 0.6}}', "at most 1"),
        ('{"faults": {"error_rat": 0.6}}', "error_rat"), ('{"kv_blocks": 10}', "cannot hold"),
        ('{"max_num_seqs": 0}', "max_num_seqs"), ('{"step_jitter": 1}', "step_jitter"),
    ],
)  # fmt: skip
def test_a_bad_profile_is_refused_with_the_reason(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        load_profile(write(tmp_path, text))


def test_a_missing_profile_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"simulated\.json is needed"):
        load_profile(tmp_path)


def test_arguments_of_vllm_are_laid_over_the_profile() -> None:
    arguments = [
        "--max-model-len", "512", "--max_num_seqs=4", "--no-enable-prefix-caching", "--enforce-eager",
        "--dtype", "auto", "--shutdown-timeout", "3", "--num-gpu-blocks-override", "99",
    ]  # fmt: skip
    options = parse_arguments(Profile(slowdown=1.5), arguments)
    profile = options.profile
    assert (profile.max_model_len, profile.max_num_seqs, profile.prefix_caching) == (512, 4, False)
    assert (profile.kv_blocks, profile.slowdown, options.shutdown_timeout_seconds) == (99, 1.5, 3)


@pytest.mark.parametrize(
    "arguments",
    [["--bogus"], ["--max-num-seqs", "many"], ["--max-num-seqs", "0"], ["--max-model-len", "999999"], ["stray"],
     ["--shutdown-timeout", "-1"]],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(ProfileError):
        parse_arguments(Profile(), arguments)


def test_each_fault_has_its_share_of_chance() -> None:
    faults = Faults(
        error_rate=0.1, refuse_rate=0.1, hang_rate=0.1, cut_rate=0.1, empty_rate=0.1, repeat_rate=0.1,
        decline_rate=0.1, reject_rate=0.1,
    )  # fmt: skip
    met = [choose_fault(faults, (chance + 0.5) / 100) for chance in range(100)]
    assert {fault: met.count(fault) for fault in Fault} == {
        Fault.ERROR: 10, Fault.REFUSE: 10, Fault.HANG: 10, Fault.CUT: 10, Fault.EMPTY: 10, Fault.REPEAT: 10,
        Fault.DECLINE: 10, Fault.REJECT: 10, Fault.NONE: 20,
    }  # fmt: skip


def test_a_rate_of_one_meets_every_request() -> None:
    assert {choose_fault(Faults(hang_rate=1), chance / 100) for chance in range(100)} == {Fault.HANG}
    assert choose_fault(Faults(), 0.0) is Fault.NONE
