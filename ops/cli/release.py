"""``ops release``: what can go out: a model's files by digest, the engine that runs them, its arguments, prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.output import emit_json, emit_table, fail_usage
from ops.cli.rollout_access import DEFAULT_RUN_DIR, AnyTier, ControllerUrl, Json, RunDir, ask, find_controller
from ops.verdict import EXIT_CODES, Outcome

if TYPE_CHECKING:
    from ops.rollout.record import Release
    from ops.store.rollouts import Loaded

app = typer.Typer(no_args_is_help=True)

TRANSCRIPT_SCHEMA = "gratefulgpt.release-transcript/1"
VERIFY_SCHEMA = "gratefulgpt.release-verify/1"
_DIGEST_SHOWN = 12

Name = Annotated[str, typer.Argument(metavar="NAME", help="The release's name.")]


@app.command()
def add(
    name: Name,
    model: Annotated[str, typer.Option(metavar="FOLDER", help="The folder with the model's files, or file://.")],
    engine: Annotated[
        str | None, typer.Option(help="simulated or vllm; by default what the stack runs.")
    ] = None,
    tier: Annotated[str, typer.Option(help="The tier of models.")] = "production",
    arg: Annotated[
        list[str] | None, typer.Option(metavar="ARGUMENT", help="Of the engine; repeat it: --arg=--seed --arg=7.")
    ] = None,
    template_version: Annotated[str, typer.Option(help="Which prompts go with it.")] = "v1",
    engine_version: Annotated[str, typer.Option(help="Which version of the engine it is meant for.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait for its reference transcript, which takes one start of it.")] = True,
    json: Json = False,
    run_dir: RunDir = DEFAULT_RUN_DIR,
    controller: ControllerUrl = None,
) -> None:
    """Register a release: each of its files is hashed, and what was changed since is refused before it serves.

    It is run once, and what its model makes of fixed texts is recorded. Exit 1 if that failed: it is registered then,
    and a rollout of it would be rolled back.
    """
    from ops.cli.release_transcript import exit_code, transcript_json, transcript_words, wait_for_transcript
    from ops.cli.rollout_json import RELEASE_SCHEMA, release_json
    from ops.rollout.operating import ReleaseRequest

    access = find_controller(run_dir, controller)
    engine = engine or access.engine
    if engine is None:
        fail_usage("say which engine runs it: --engine simulated or --engine vllm")
    request = ReleaseRequest(
        name=name,
        tier=tier,
        engine=engine,
        model=_absolute(model),
        engine_version=engine_version,
        arguments=tuple(arg or ()),
        template_version=template_version,
    )
    release = ask(access, lambda client: client.add_release(request))
    if not json:
        print(f"release {release.name} for {release.tier}: {_size(release)}, digest {release.digest[:_DIGEST_SHOWN]}")
    status = wait_for_transcript(access, name) if wait else ask(access, lambda client: client.transcript_status(name))
    if json:
        emit_json(RELEASE_SCHEMA, {"release": release_json(release), "transcript": transcript_json(status)})
    else:
        print(transcript_words(status))
    if wait and (code := exit_code(status)):
        raise typer.Exit(code)


@app.command("list")
def list_(
    tier: AnyTier = None, json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, controller: ControllerUrl = None
) -> None:
    """List the releases, the newest first, and which of them serve."""
    from ops.cli.rollout_json import RELEASES_SCHEMA, release_json
    from ops.cli.rollout_words import moment, plain

    access = find_controller(run_dir, controller)
    releases = ask(access, lambda client: client.releases(tier))
    tiers = ask(access, lambda client: client.tiers())
    if json:
        shown = [{**release_json(release), "role": _role(release, tiers) or None} for release in releases]
        emit_json(RELEASES_SCHEMA, {"releases": shown})
        return
    rows = [
        (
            release.name,
            release.tier,
            _role(release, tiers),
            release.engine,
            release.digest[:_DIGEST_SHOWN],
            moment(release.created_at),
            plain(release.created_by),
        )
        for release in releases
    ]
    emit_table("releases", ("name", "tier", "role", "engine", "digest", "added", "by"), rows)


@app.command()
def show(
    name: Name, json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, controller: ControllerUrl = None
) -> None:
    """Show a release with its files and their digests, and whether its reference transcript is there."""
    from ops.cli.release_transcript import transcript_json, transcript_words
    from ops.cli.rollout_json import RELEASE_SCHEMA, release_json
    from ops.cli.rollout_words import moment, plain

    access = find_controller(run_dir, controller)
    release = ask(access, lambda client: client.release(name))
    status = ask(access, lambda client: client.transcript_status(name))
    if json:
        emit_json(RELEASE_SCHEMA, {"release": release_json(release), "transcript": transcript_json(status)})
        return
    facts = (
        ("tier", release.tier),
        ("engine", f"{release.engine} {release.engine_version}".strip()),
        ("arguments", " ".join(release.arguments)),
        ("prompts", release.template_version),
        ("model", release.model_path),
        ("digest", release.digest),
        ("transcript", plain(transcript_words(status))),
        ("added", f"{moment(release.created_at)} by {plain(release.created_by)}"),
    )
    emit_table(f"release {release.name}", ("field", "value"), facts)
    files = [(file.path, file.sha256, file.size_bytes) for file in release.files]
    emit_table(_size(release), ("path", "sha256", "bytes"), files)


@app.command()
def record(
    name: Name, json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, controller: ControllerUrl = None
) -> None:
    """Record a release's reference transcript anew: after an upgrade of the engine, say. Exit 0 once it is there."""
    from ops.cli.release_transcript import exit_code, transcript_json, transcript_words, wait_for_transcript

    access = find_controller(run_dir, controller)
    ask(access, lambda client: client.record_again(name))
    status = wait_for_transcript(access, name)
    if json:
        emit_json(TRANSCRIPT_SCHEMA, {"release": name, "transcript": transcript_json(status)})
    else:
        print(transcript_words(status))
    if code := exit_code(status):
        raise typer.Exit(code)


@app.command()
def verify(
    name: Name, json: Json = False, run_dir: RunDir = DEFAULT_RUN_DIR, controller: ControllerUrl = None
) -> None:
    """Hash a release's files again. Exit 0 if they are those registered, 1 if not."""
    checked = ask(find_controller(run_dir, controller), lambda client: client.verify_release(name))
    if json:
        emit_json(VERIFY_SCHEMA, {"release": name, "ok": checked.ok, "reason": checked.reason})
    else:
        print(f"release {name}: {checked.reason}")
    if not checked.ok:
        raise typer.Exit(EXIT_CODES[Outcome.FAIL])


def _absolute(model: str) -> str:
    """A path as seen from here; a URI as it is."""
    return model if "://" in model else str(Path(model).expanduser().absolute())


def _size(release: Release) -> str:
    total = sum(file.size_bytes for file in release.files)
    count = len(release.files)
    return f"{count} file{'s' if count != 1 else ''}, {total:,} bytes"


def _role(release: Release, tiers: dict[str, Loaded]) -> str:
    loaded = tiers.get(release.tier)
    if loaded is None:
        return ""
    tier, active = loaded.tier, loaded.active
    if tier.stable and tier.stable.release.name == release.name:
        return "stable"
    if active and active.release.name == release.name:
        return "canary" if active.baseline_release else "coming"
    return "retained" if tier.retained and tier.retained.fleet.release.name == release.name else ""
