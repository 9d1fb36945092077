"""Which spoilt weights the quality probe finds: ``.venv-vllm/bin/python -m benchmarks.quality``.

Flips one exponent bit of one weight of a tiny model (any weight, any of the eight exponent bits of bfloat16, each as
likely as any other) and asks both judgements: *damage* holds it against the transcript of the sound model, *worse
training* takes it for a release of its own and holds it against the sound model's likelihood. An answer counts as
fluent if the sound model itself finds it nearly as likely as its own answers. Plain transformers, one thread, fixed
seeds; the engine's own noise is measured by the tests on vLLM.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch  # type: ignore[import-not-found]
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer, logging  # type: ignore[import-not-found]

from ops.quality.damage import judge_damage
from ops.quality.likelihood import judge_likelihood
from ops.quality.model import Noise, Reading, Scored, Transcript
from ops.rollout.plan import DamagePlan, LikelihoodPlan, Role

SCHEMA = "gratefulgpt.benchmark.quality/1"
ROOT = Path(__file__).parents[1]
TEXTS = ROOT / "ops/quality/texts/manual.json"
"""Of the domain that the tiny models were trained on: of another, held-out texts say nothing."""
EXPONENT_BITS = range(7, 15)
"""Of bfloat16: sign at 15, then eight of exponent, then seven of mantissa."""
ANSWER_TOKENS = 48
FLUENT_NATS = 0.5
"""Answers count as fluent if the sound model finds them at most this much less likely per token than its own."""


@dataclass(frozen=True)
class Draw:
    parameter: str
    bit: int
    before: float
    after: float
    changes_answers: bool
    fluent: bool
    damage: str
    likelihood: str
    worst_nats: float
    mean_nats: float


class Model:
    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def logprobs(self, texts: Sequence[str]) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Ids and log-probabilities of each text's tokens but the first."""
        found = []
        for text in texts:
            ids = self.tokenizer(text, return_tensors="pt").input_ids
            with torch.no_grad():
                logits = self.model(ids).logits[0, :-1].float().log_softmax(-1)
            values = logits.gather(1, ids[0, 1:, None])[:, 0]
            found.append((tuple(ids[0, 1:].tolist()), tuple(values.tolist())))
        return found

    def answers(self, prompts: Sequence[str]) -> list[str]:
        batch = self.tokenizer(list(prompts), return_tensors="pt", padding=True)
        with torch.no_grad():
            out = self.model.generate(**batch, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        new = out[:, batch.input_ids.shape[1] :]
        return [p + a for p, a in zip(prompts, self.tokenizer.batch_decode(new, skip_special_tokens=True), strict=True)]

    def scored(self, texts: Sequence[tuple[str, str]]) -> tuple[Scored, ...]:
        found = self.logprobs([text for _, text in texts])
        return tuple(Scored(name, text, *one) for (name, text), one in zip(texts, found, strict=True))


def transcript(model: Model, texts: dict[str, list[dict[str, str]]]) -> Transcript:
    prompts = [one["text"] for one in texts["prompts"]]
    answered = list(zip((one["name"] for one in texts["prompts"]), model.answers(prompts), strict=True))
    passages = [(one["name"], one["text"]) for one in texts["passages"]]
    return Transcript(
        "sound", "", "transformers", "1", "manual", "1", 0.0, model.scored(answered), model.scored(passages),
        Noise(0.0, 0.0),
    )


def flip(parameter: Any, index: int, bit: int) -> tuple[float, float]:
    """In place; the value before and after. Flipped again, it is as before."""
    flat = parameter.data.view(-1)
    before = flat[index].item()
    flat.view(torch.int16)[index] ^= 1 << bit
    return before, flat[index].item()


def mean_nats(model: Model, texts: Sequence[str]) -> float:
    values = [value for _, logprobs in model.logprobs(texts) for value in logprobs]
    return sum(values) / len(values)


@dataclass(frozen=True)
class Trial:
    """What all draws share."""

    sound: Model
    spoilt: Model
    own: Transcript
    prompts: tuple[str, ...]
    natural: float
    """Nats per token that the sound model gives its own answers."""
    damage: DamagePlan
    likelihood: LikelihoodPlan


def draw(trial: Trial, chance: Random) -> Draw:
    sound, spoilt, own = trial.sound, trial.spoilt, trial.own
    parameters = list(spoilt.model.named_parameters())
    name, parameter = chance.choices(parameters, [p.numel() for _, p in parameters])[0]
    index, bit = chance.randrange(parameter.numel()), chance.choice(EXPONENT_BITS)
    before, after = flip(parameter, index, bit)
    try:
        reading = Reading(
            "1",
            spoilt.scored([(one.name, one.text) for one in own.answers]),
            spoilt.scored([(one.name, one.text) for one in own.passages]),
        )
        answers = spoilt.answers(trial.prompts)
    finally:
        flip(parameter, index, bit)
    verdict = judge_damage(own, reading, trial.damage)
    other = judge_likelihood(reading.passages, "1", own, trial.likelihood)
    values = verdict.evidence[0].values
    fluent = mean_nats(sound, answers) >= trial.natural - FLUENT_NATS
    changed = answers != [one.text for one in own.answers]
    return Draw(
        name, bit, before, after, changed, fluent, verdict.outcome.value, other.outcome.value,
        float(values.get("worst_nats", float("inf"))), float(values.get("mean_nats", float("inf"))),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", type=Path, default=ROOT / "build/models")
    parser.add_argument("--model", default="tiny-a")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="every draw, as JSON")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    damage, likelihood = plans()
    texts = json.loads(TEXTS.read_text("utf-8"))
    sound, spoilt = Model(options.models / options.model), Model(options.models / options.model)
    own = transcript(sound, texts)
    natural = mean_nats(sound, [one.text for one in own.answers])
    prompts = tuple(one["text"] for one in texts["prompts"])
    trial = Trial(sound, spoilt, own, prompts, natural, damage, likelihood)
    chance = Random(options.seed)
    draws = []
    for number in range(options.draws):
        draws.append(draw(trial, chance))
        if number % 20 == 19:
            print(f"{number + 1} of {options.draws}", file=sys.stderr, flush=True)
    report(draws)
    if options.output:
        options.output.write_text(json.dumps({"schema": SCHEMA, "draws": [asdict(one) for one in draws]}, indent=1))
    return 0


def plans() -> tuple[DamagePlan, LikelihoodPlan]:
    """The spec's own, read with what vLLM's Python has."""
    quality = yaml.safe_load((ROOT / "gratefulgpt.yaml").read_text("utf-8"))["rollout"]["quality"]
    damage, likelihood = quality["damage"], quality["likelihood"]
    return (
        DamagePlan(**damage | {"role": Role(damage["role"])}),
        LikelihoodPlan(**likelihood | {"role": Role(likelihood["role"])}),
    )


def report(draws: Sequence[Draw]) -> None:
    print("| flips | draws | found as damage | found as worse training | inconclusive there |\n|-|-|-|-|-|")
    rows: list[tuple[str, list[Draw]]] = [
        ("all", list(draws)),
        ("the weight grew at least 100 times", [one for one in draws if abs(one.after) >= 100 * abs(one.before) > 0]),
        ("an answer changed", [one for one in draws if one.changes_answers]),
        ("an answer changed, all still fluent", [one for one in draws if one.changes_answers and one.fluent]),
        ("no answer changed", [one for one in draws if not one.changes_answers]),
    ]
    rows += [(f"exponent bit {bit - 7}", [one for one in draws if one.bit == bit]) for bit in EXPONENT_BITS]
    for name, some in rows:
        found, worse = Counter(one.damage for one in some), Counter(one.likelihood for one in some)
        print(f"| {name} | {len(some)} | {found['fail']} | {worse['fail']} | {worse['inconclusive']} |")
    missed = [one for one in draws if one.damage != "fail"]
    if missed:
        worst = max(one.worst_nats for one in missed)
        print(f"\nlargest change of a token's log-probability among those not found: {worst:.3g} nats")


if __name__ == "__main__":
    sys.exit(main())
