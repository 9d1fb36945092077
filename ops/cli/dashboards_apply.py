"""``ops dashboards apply`` and ``diff``: the dashboards to where a Grafana finds them, or what that would change."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.adapters import installed_files
from ops.adapters.installed_files import InstallError
from ops.adapters.spec_file import load_spec
from ops.cli.alerts_options import queries_checked
from ops.cli.output import CommandError, emit_json, fail_usage, progress
from ops.cli.spec import DEFAULT_FILE
from ops.dashboarding.deploying import Change, Obstacle
from ops.dashboarding.files import rendered_boards
from ops.dashboarding.provisioning import config_maps, provisioning_files
from ops.spec.model import Spec
from ops.verdict import EXIT_CODES, Outcome

SCHEMA = "gratefulgpt.dashboards/1"
TOKEN_VARIABLE = "GRAFANA_TOKEN"


class Target(StrEnum):
    GRAFANA = "grafana"
    """A server, through its API."""
    FILES = "files"
    """A folder of Grafana's provisioning."""
    KUBERNETES = "kubernetes"
    """A folder with ConfigMaps for the side-car; ``kubectl apply`` brings them into the cluster."""


SpecFile = Annotated[Path, typer.Option("--spec", metavar="FILE", help="The spec's file.")]
Where = Annotated[Target, typer.Option("--target", help="A Grafana server, its provisioning folder, or ConfigMaps.")]
Url = Annotated[str | None, typer.Option("--grafana", metavar="URL", help="The server; else the spec's links.grafana.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help=f"Its token; else ${TOKEN_VARIABLE}.")
]
Folder = Annotated[Path | None, typer.Option("--folder", help="Of files and kubernetes: where to write.")]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Of the ConfigMaps.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete ours that the spec no longer has.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the difference.")]
Json = Annotated[bool, typer.Option("--json", help=f"Print {SCHEMA} instead.")]


def apply(
    target: Where = Target.GRAFANA,
    spec: SpecFile = DEFAULT_FILE,
    grafana: Url = None,
    token_file: TokenFile = None,
    folder: Folder = None,
    namespace: Namespace = None,
    prune: Prune = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring the dashboards to a Grafana. Only what we made is changed; all of it is, or nothing."""
    _run(load_spec(spec), target, grafana, token_file, folder, namespace, prune, write=not dry_run, as_json=as_json)


def diff(
    target: Where = Target.GRAFANA,
    spec: SpecFile = DEFAULT_FILE,
    grafana: Url = None,
    token_file: TokenFile = None,
    folder: Folder = None,
    namespace: Namespace = None,
    prune: Prune = False,
    as_json: Json = False,
) -> None:
    """Print what apply would change. Exit 1 where there is something."""
    changed = _run(load_spec(spec), target, grafana, token_file, folder, namespace, prune, write=False, as_json=as_json)
    if changed:
        raise typer.Exit(EXIT_CODES[Outcome.FAIL])


def _run(
    spec: Spec,
    target: Target,
    url: str | None,
    token_file: Path | None,
    folder: Path | None,
    namespace: str | None,
    prune: bool,
    *,
    write: bool,
    as_json: bool,
) -> int:
    """How many dashboards or files change."""
    if target is Target.GRAFANA:
        if folder is not None:
            fail_usage("--folder is of files and kubernetes; a server has a folder of the service's name")
        return _server(spec, url or spec.alerting.links.grafana, _token(token_file), prune, write, as_json)
    if folder is None:
        fail_usage(f"--target {target} needs --folder")
    with queries_checked():
        boards = rendered_boards(spec)
    place = folder.absolute()
    if target is Target.FILES:
        home = place / spec.service
        texts = {Path(path): text for path, text in provisioning_files(boards, spec.service, place).items()}
        leftovers = [path for path in home.glob("*.json") if path not in texts]
    else:
        texts = {place / name: text for name, text in config_maps(boards, spec.service, namespace).items()}
        leftovers = [path for path in place.glob(f"{spec.service}-dashboard-*.yaml") if path not in texts]
    return _files(texts, leftovers if prune else [], target, write, as_json)


def _files(texts: Mapping[Path, str], leftovers: list[Path], target: Target, write: bool, as_json: bool) -> int:
    try:
        changed = installed_files.changes(texts, leftovers)
        if foreign := next((one.path for one in changed if one.is_foreign), None):
            raise InstallError(f"{foreign} was not made by us: move it away")
        if write:
            for folder in sorted({path.parent for path in texts}):
                folder.mkdir(exist_ok=True)
            installed_files.check_writable(changed, replace=False)
            installed_files.apply(changed)
    except InstallError as e:
        fail_usage(f"{e}; nothing was changed")
    except OSError as e:
        fail_usage(f"{e.filename} cannot be made: {e.strerror}; nothing was changed")
    _tell(target, [{"file": str(one.path), "difference": one.difference.text} for one in changed], write, as_json)
    return len(changed)


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise CommandError(f"the token's file {file} cannot be read: {type(e).__name__}") from e
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token or not token.isprintable():
        fail_usage(f"Grafana wants a token: a service account's, of role Editor, in --token-file or ${TOKEN_VARIABLE}")
    return token


def _server(spec: Spec, url: str, token: str, prune: bool, write: bool, as_json: bool) -> int:
    from ops.adapters import grafana

    server = grafana.Grafana(url, token)
    home = grafana.Folder(f"{spec.service}-ops"[:40], spec.service)
    with queries_checked():
        boards = rendered_boards(spec)
    try:
        planned = server.plan(boards.values(), spec.service, home, prune=prune)
        if write:
            server.apply(planned, home)
    except (grafana.GrafanaUnreachable, grafana.GrafanaConflict) as e:
        raise CommandError(str(e), EXIT_CODES[Outcome.INVALID]) from e
    except (grafana.GrafanaError, Obstacle) as e:
        raise CommandError(str(e)) from e
    _tell(Target.GRAFANA, list(map(_row, planned)), write, as_json)
    return len(planned)


def _row(change: Change) -> dict[str, str]:
    return {"uid": change.uid, "title": change.title, "action": change.action, "difference": change.difference}


def _tell(target: Target, rows: list[dict[str, Any]], written: bool, as_json: bool) -> None:
    if as_json:
        emit_json(SCHEMA, {"target": target, "written": written, "changes": rows})
        return
    for row in rows:
        if not written:
            print(row["difference"], end="")
        else:
            progress(f"wrote {row['file']}" if "file" in row else f"{row['action']}d {row['title']}")
    if not rows:
        progress("all dashboards are as the spec has them")


