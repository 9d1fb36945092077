"""``ops probe``: the public API, asked as a user would."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from ops.cli.output import CommandError, emit_json, emit_table, exit_with, fail_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.probing.asking import Target
    from ops.probing.judging import Sample
    from ops.spec.model import Spec

ROUNDS_MAX = 100_000
app = typer.Typer(help="Ask the public API as a user would.")


@app.command()
def probe(
    url: Annotated[str | None, typer.Option(help="The service's base URL; without it, the stack's.")] = None,
    run_dir: Annotated[Path, typer.Option(help="The stack's folder: its URL and its secrets.")] = Path(".stack"),
    spec: Annotated[Path, typer.Option(help="The spec, for tasks and targets.")] = Path("gratefulgpt.yaml"),
    tier: Annotated[str, typer.Option(help="The tier whose model is asked.")] = "production",
    count: Annotated[int, typer.Option(help="How many rounds.", min=1, max=ROUNDS_MAX)] = 1,
    seconds: Annotated[float | None, typer.Option(help="Rounds for so long, instead of --count.", min=0)] = None,
    interval_seconds: Annotated[float, typer.Option(help="From the start of a round to the next.", min=0)] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="For machines: gratefulgpt.probe/1.")] = False,
) -> None:
    """Ask for health, models, a chat and a structured task, marked as synthetic, and judge the answers.

    Exit 0 pass; 1 fail (an answer is wrong, or a latency target is shown to be missed); 2 usage; 3 inconclusive (too
    few answers to tell of a p95); 4 invalid (the prober itself could not ask, or was late).
    """
    from ops.adapters.spec_file import load_spec
    from ops.probing.judging import judge

    loaded = load_spec(spec)
    target = _target(loaded, tier, url, run_dir)
    samples = asyncio.run(_rounds(target, count, seconds, interval_seconds))
    targets = {name: task_class.latency_p95_ms / 1000 for name, task_class in loaded.task_classes.items()}
    verdict = judge(samples, targets)
    if json:
        report = {"url": target.url, **verdict.to_json(), "probes": _summary(samples)}
        emit_json("gratefulgpt.probe/1", report)
    else:
        rows = [list(row.values()) for row in _summary(samples)]
        emit_table(f"{target.url}", ("probe", "class", "asked", "wrong", "median s", "longest s"), rows)
        emit_table(f"verdict: {verdict.outcome}", ("evidence",), [(item.text,) for item in verdict.evidence])
    exit_with(verdict)


def _target(spec: Spec, tier: str, url: str | None, run_dir: Path) -> Target:
    from ops.probing.asking import CHAT_PATH, Target, Task
    from ops.stack.state import StackError, load_secrets, load_stack

    if tier not in spec.tiers:
        fail_usage(f"the spec has no tier {tier!r}: it has {', '.join(spec.tiers)}")
    try:
        base = (url or load_stack(run_dir).gateway_url).rstrip("/")
        token = load_secrets(run_dir).synthetic_token
    except StackError as e:
        raise CommandError(f"{e} (the token that marks probes is in the stack's folder: --run-dir)") from e
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
        fail_usage(f"{base!r} is no URL: http://HOST:PORT")

    tasks = {}
    for task in spec.api.tasks.values():
        task_class = spec.task_classes[task.task_class]
        entry = Task(task.path, task.task_class, task_class.timeout_seconds)
        if task.path == CHAT_PATH:
            tasks["chat"] = entry
        # The strictest target of them all.
        elif task.kind == "structured" and (
            "structured" not in tasks or entry.timeout_seconds < tasks["structured"].timeout_seconds
        ):
            tasks["structured"] = entry
    if "chat" not in tasks:
        fail_usage(f"the spec has no task at {CHAT_PATH}, which is what is asked")
    return Target(base, token, spec.tiers[tier].model, tasks["chat"], tasks.get("structured"))


async def _rounds(target: Target, count: int, seconds: float | None, interval_seconds: float) -> list[Sample]:
    import aiohttp

    from ops.probing.asking import ask_round

    samples: list[Sample] = []
    began = time.monotonic()
    async with aiohttp.ClientSession() as session:
        for number in range(ROUNDS_MAX if seconds is not None else count):
            wait = began + number * interval_seconds - time.monotonic()
            if seconds is not None and number and time.monotonic() + max(wait, 0) >= began + seconds:
                break
            await asyncio.sleep(max(wait, 0))
            samples += await ask_round(session, target)
    return samples


def _summary(samples: Sequence[Sample]) -> list[dict[str, object]]:
    from statistics import median

    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(sample.probe for sample in samples):
        mine = [sample for sample in samples if sample.probe == name]
        good = [sample.latency_seconds for sample in mine if sample.problem is None and sample.blind is None]
        rows.append(
            {
                "probe": name,
                "class": mine[0].task_class,
                "asked": len(mine),
                "wrong": sum(sample.problem is not None for sample in mine),
                "median_seconds": round(median(good), 4) if good else None,
                "max_seconds": round(max(good), 4) if good else None,
            }
        )
    return rows
