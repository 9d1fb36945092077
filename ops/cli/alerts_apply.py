"""``ops alerts apply``: rules to a Prometheus, the configuration to an Alertmanager, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ops.adapters.alert_destinations import ConfigurationFile, Destination, RulesFolder
from ops.adapters.alert_installation import (
    Installed,
    InvalidFiles,
    NotLoaded,
    install,
    plan,
    secrets_lacking,
)
from ops.adapters.alertmanager_api import AlertmanagerApi
from ops.adapters.installed_files import InstallError
from ops.adapters.monitoring_http import MonitoringError
from ops.adapters.prometheus_rules import RuleServer
from ops.adapters.rule_checks import ChecksUnavailable
from ops.adapters.spec_file import load_spec
from ops.alerting.files import rule_texts
from ops.alerting.integrations import secrets_needed
from ops.alerting.routing import configuration
from ops.cli.alerts_options import Json, SpecFile
from ops.cli.output import CommandError, emit_json, fail_usage, progress
from ops.cli.spec import DEFAULT_FILE
from ops.spec.model import Spec
from ops.verdict import EXIT_CODES, Evidence, Outcome, Verdict

PrometheusUrl = Annotated[str | None, typer.Option("--prometheus", metavar="URL", help="The Prometheus that reloads.")]
AlertmanagerUrl = Annotated[
    str | None, typer.Option("--alertmanager", metavar="URL", help="The Alertmanager that reloads.")
]
RulesOption = Annotated[
    Path | None, typer.Option("--rules-folder", metavar="FOLDER", help="A folder of its rule_files.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--alertmanager-config", metavar="FILE", help="The file that Alertmanager reads.")
]
Secrets = Annotated[
    Path | None, typer.Option("--secrets", metavar="FOLDER", help="Where the secrets lie, instead of the spec's.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace files that were made by others; a copy of each is kept.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check all, show the difference, write nothing.")]


def apply(
    spec: SpecFile = DEFAULT_FILE,
    rules_folder: RulesOption = None,
    prometheus: PrometheusUrl = None,
    alertmanager_config: ConfigOption = None,
    alertmanager: AlertmanagerUrl = None,
    secrets: Secrets = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Bring rules and configuration to where they run, and see that they are loaded.

    All is checked before anything is written: the servers, the files by promtool and amtool, the receivers' secrets.
    Where a server does not load what was written, the former files come back. Files of others stay as they are.
    """
    loaded = load_spec(spec)
    destinations: list[Destination] = []
    if rules_folder is not None and prometheus is not None:
        destinations.append(RulesFolder(rules_folder, RuleServer(prometheus), loaded.service, rule_texts(loaded)))
    if alertmanager_config is not None and alertmanager is not None:
        destinations.append(_configuration(loaded, alertmanager_config, alertmanager, secrets))
    if (rules_folder is None) != (prometheus is None):
        fail_usage("--rules-folder and --prometheus go together: where the rules lie, and who is to load them")
    if (alertmanager_config is None) != (alertmanager is None):
        fail_usage("--alertmanager-config and --alertmanager go together: the file, and who is to load it")
    if not destinations:
        fail_usage("nowhere to: name --rules-folder and --prometheus, --alertmanager-config and --alertmanager, or all")
    _answer(_carried_out(destinations, replace, dry_run), dry_run, json)


def _configuration(spec: Spec, file: Path, url: str, secrets: Path | None) -> ConfigurationFile:
    folder = secrets.absolute() if secrets else Path(spec.alerting.secrets_folder)
    lacking = secrets_lacking(folder, secrets_needed(spec.alerting))
    if lacking:
        fail_usage("receivers lack their secrets, and nothing was written:\n" + "\n".join(lacking))
    return ConfigurationFile(file, AlertmanagerApi(url), configuration(spec.alerting, str(folder)))


def _carried_out(destinations: Sequence[Destination], replace: bool, dry_run: bool) -> Installed:
    try:
        if dry_run:
            return asyncio.run(plan(destinations, replace=replace))
        return asyncio.run(install(destinations, replace=replace))
    except InstallError as e:
        fail_usage(f"{e}; nothing was written")
    except InvalidFiles as e:
        raise CommandError(f"{e}\nnothing was written", EXIT_CODES[Outcome.FAIL]) from e
    except NotLoaded as e:
        raise CommandError(str(e), EXIT_CODES[Outcome.FAIL]) from e
    except (MonitoringError, ChecksUnavailable) as e:
        raise CommandError(f"{e}; nothing was written", EXIT_CODES[Outcome.INVALID]) from e


def _answer(done: Installed, dry_run: bool, json: bool) -> None:
    files = [str(one.path) for one in done.changes]
    if json:
        verdict = Verdict(Outcome.PASS, (Evidence(_words(done, dry_run)),))
        differences = [{"file": str(one.path), "difference": one.difference.text} for one in done.changes]
        found = {"verdict": verdict.to_json(), "dry_run": dry_run, "changed": differences, "not_loaded": done.loaded}
        emit_json("gratefulgpt.alerts-apply/1", found)
        return
    if dry_run:
        for change in done.changes:
            print(change.difference.text, end="")
    else:
        print("\n".join(files), end="\n" if files else "")
    progress(_words(done, dry_run))


def _words(done: Installed, dry_run: bool) -> str:
    count = len(done.changes)
    if not count and not done.loaded:
        return "all is as the spec has it, and loaded"
    if dry_run:
        return f"{count} files would change; {len(done.loaded)} things are not loaded yet"
    return f"{count} files changed; all of it is loaded"
