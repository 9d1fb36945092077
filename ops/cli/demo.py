"""``ops demo``: the whole story on this machine, its result as JSON, its report as a page."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ops.cli.output import CommandError, exit_with, progress
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.demo.models import Cast
    from ops.demo.telling import Pacing, Told

app = typer.Typer(help="Promote a good release, roll a bad one back.")

_ENVIRONMENT = "development"
_TIER = "production"


@app.command()
def demo(
    engine: Annotated[str, typer.Option(help="simulated, or vllm for real vLLM with tiny models.")] = "simulated",
    folder: Annotated[Path, typer.Option(help="Where the stack runs and the results go.")] = Path("build/demo"),
    spec: Annotated[Path, typer.Option(help="The spec of the service.")] = Path("gratefulgpt.yaml"),
) -> None:
    """Starts a stack, puts load on it, and lets a good and a bad release go out.

    Writes result.json and report.html into the folder. Exit code 0 only if the good release was promoted and the bad
    one was rolled back.
    """
    if engine not in ("simulated", "vllm"):
        raise CommandError(f"--engine {engine}: it is simulated or vllm")
    asyncio.run(_demo("vllm" if engine == "vllm" else "simulated", folder, spec))


async def _demo(engine: Literal["simulated", "vllm"], folder: Path, spec_path: Path) -> None:
    from ops.adapters.controller_client import ControllerError
    from ops.demo.load import LoadError
    from ops.demo.models import ModelsMissing
    from ops.demo.result import verdict
    from ops.demo.telling import StoryError
    from ops.stack.state import AlreadyRunning, StackError

    started = time.monotonic()
    try:
        told = await _tell(engine, folder, spec_path)
    except (AlreadyRunning, ModelsMissing) as e:
        raise CommandError(str(e)) from e
    except (StoryError, LoadError, ControllerError, StackError) as e:
        raise CommandError(f"the story was not told to its end: {e}", EXIT_CODES[Outcome.INVALID]) from e
    answer = verdict(told)
    _write(told, engine, folder, time.monotonic() - started)
    for item in answer.evidence:
        progress(item.text)
    exit_with(answer)


async def _tell(engine: Literal["simulated", "vllm"], folder: Path, spec_path: Path) -> Told:
    from ops.adapters.controller_client import ControllerClient
    from ops.adapters.spec_file import load_spec
    from ops.cli.demo_view import StoryView
    from ops.demo.models import vllm_spec
    from ops.demo.telling import Stage, tell
    from ops.stack.options import StackOptions
    from ops.stack.running import stack
    from ops.stack.state import AlreadyRunning, is_running, load_secrets

    model = load_spec(spec_path).tiers[_TIER].model
    run_dir = folder / "stack"
    if is_running(run_dir):  # before anything of the other story is touched
        raise AlreadyRunning(run_dir)
    cast = _cast(engine, folder)
    if engine == "vllm":
        spec_path = vllm_spec(spec_path, folder)
    options = StackOptions(run_dir, _ENVIRONMENT, spec_path, engine=engine, port=0, afresh=True)
    with StoryView() as view:
        view.say(f"{cast.stable.name} is stable, {cast.good.name} is good, {cast.bad.name} is bad: {cast.bad_because}")
        async with stack(options, report=view.say) as state:
            secrets = load_secrets(run_dir)
            async with ControllerClient(state.controller_url, secrets.admin_key, actor="demo") as client:
                where = Stage(state.gateway_url, model, _TIER, folder)
                return await tell(client, where, cast, _pacing(engine), view.show)


def _cast(engine: Literal["simulated", "vllm"], folder: Path) -> Cast:
    from ops.demo.models import simulated_cast, vllm_cast

    # Only what an earlier story left: the folder may hold other things.
    shutil.rmtree(folder / "models", ignore_errors=True)
    for left in ("samples.jsonl", "result.json", "report.html", "story.svg"):
        (folder / left).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    return vllm_cast(_TIER) if engine == "vllm" else simulated_cast(folder / "models", _TIER)


def _pacing(engine: Literal["simulated", "vllm"]) -> Pacing:
    from ops.demo.telling import Pacing

    if engine == "simulated":
        return Pacing(rate=200, output_tokens=(16, 32, 48), history_seconds=8, rollout_seconds_max=240)
    # Three engines share two cores: as much load as leaves none of them behind.
    return Pacing(rate=40, output_tokens=(8, 12, 16), history_seconds=20, rollout_seconds_max=900)


def _write(told: Told, engine: str, folder: Path, seconds: float) -> None:
    from ops.demo.result import result
    from ops.report.charts import overview_chart
    from ops.report.page import Chapter, rollout_page

    found = result(told, engine, seconds)
    (folder / "result.json").write_text(json.dumps(found, indent=2) + "\n")
    summary = (
        ("engine", engine),
        ("took", f"{seconds:.0f} s"),
        ("load", f"{told.requests} requests, {told.failed} failed in a user's eyes"),
        ("verdict", found["verdict"]["outcome"]),
    )
    chapters = (
        Chapter("A good release", "promoted", told.good),
        Chapter("A bad release", "rolled_back", told.bad),
    )
    page = folder / "report.html"
    page.write_text(rollout_page("A good release goes out, a bad one comes back", summary, chapters))
    (folder / "story.svg").write_text(overview_chart([told.good, told.bad]))
    progress(f"report: {page}\nresult: {folder / 'result.json'}")
