"""``ops alerts apply``: rules to a Prometheus, the configuration to an Alertmanager, or nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Annotated

import typer

from ops.adapters.alert_destinations import ConfigurationFile, Destination, RulesFolder
from ops.adapters.alert_installation import (
    Installed,
    InvalidFiles,
    NotLoaded,
    check_valid,
    install,
    plan,
    secrets_lacking,
)
from ops.adapters.alertmanager_api import AlertmanagerApi
from ops.adapters.installed_files import InstallError, changes, check_writable
from ops.adapters.installed_files import apply as write
from ops.adapters.monitoring_http import MonitoringError
from ops.adapters.prometheus_rules import RuleServer
from ops.adapters.rule_checks import ChecksUnavailable, check_configuration_text, check_texts
from ops.adapters.spec_file import load_spec
from ops.alerting.files import rule_texts
from ops.alerting.integrations import secrets_needed
from ops.alerting.kubernetes import cluster_configuration, object_name, objects
from ops.alerting.routing import configuration
from ops.cli.alerts_options import Json, SpecFile, queries_checked
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
Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Of --target kubernetes: where to write objects.")
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Of the objects.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="By which Prometheus finds rules; repeat it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check all, show the difference, write nothing.")]


class Target(StrEnum):
    FILES = "files"
    """Where a Prometheus and an Alertmanager read, and reload when told."""
    KUBERNETES = "kubernetes"
    """A folder with objects of the Prometheus operator; ``kubectl apply`` brings them into the cluster."""


Where = Annotated[Target, typer.Option("--target", help="Servers' own files, or objects of the Prometheus operator.")]


def apply(
    target: Where = Target.FILES,
    spec: SpecFile = DEFAULT_FILE,
    rules_folder: RulesOption = None,
    prometheus: PrometheusUrl = None,
    alertmanager_config: ConfigOption = None,
    alertmanager: AlertmanagerUrl = None,
    secrets: Secrets = None,
    folder: Folder = None,
    namespace: Namespace = None,
    label: Labels = None,
    replace: Replace = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Bring rules and configuration to where they run, and see that they are loaded.

    All is checked before anything is written: the servers, the files by promtool and amtool, the receivers' secrets.
    Where a server does not load what was written, the former files come back. Files of others stay as they are.
    """
    loaded = load_spec(spec)
    of_servers = (rules_folder, prometheus, alertmanager_config, alertmanager, secrets)
    if target is Target.KUBERNETES:
        if folder is None or any(of_servers):
            fail_usage("--target kubernetes needs --folder, and no server: `kubectl apply` brings the objects there")
        with queries_checked():
            wanted = objects(loaded, namespace, _labels(label or ()))
        _answer(_carried_out(lambda: _kubernetes(loaded, folder, wanted, replace, dry_run)), dry_run, json)
        return
    if folder or namespace or label:
        fail_usage("--folder, --namespace and --label are of --target kubernetes")
    destinations: list[Destination] = []
    if (rules_folder is None) != (prometheus is None):
        fail_usage("--rules-folder and --prometheus go together: where the rules lie, and who is to load them")
    if (alertmanager_config is None) != (alertmanager is None):
        fail_usage("--alertmanager-config and --alertmanager go together: the file, and who is to load it")
    if rules_folder is not None and prometheus is not None:
        with queries_checked():
            texts = rule_texts(loaded)
        destinations.append(RulesFolder(rules_folder, RuleServer(prometheus), loaded.service, texts))
    if alertmanager_config is not None and alertmanager is not None:
        destinations.append(_configuration(loaded, alertmanager_config, alertmanager, secrets))
    if not destinations:
        fail_usage("nowhere to: name --rules-folder and --prometheus, --alertmanager-config and --alertmanager, or all")
    run = plan if dry_run else install
    _answer(_carried_out(lambda: asyncio.run(run(destinations, replace=replace))), dry_run, json)


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := next((key for key, value in found.items() if not key or not value), None):
        fail_usage(f"--label {wrong} is no KEY=VALUE")
    return found


def _kubernetes(
    spec: Spec, folder: Path, wanted: Mapping[PurePath, str], replace: bool, dry_run: bool
) -> Installed:
    check_valid(check_texts({f"{name}.yml": text for name, text in rule_texts(spec).items()}))
    check_valid(check_configuration_text(cluster_configuration(spec)))
    own = f"prometheusrule-{object_name(spec)}-*.yaml"
    leftovers = [path for path in folder.glob(own) if PurePath(path.name) not in wanted]
    changed = changes({folder / name: text for name, text in wanted.items()}, leftovers)
    check_writable(changed, replace=replace)
    if not dry_run:
        write(changed)
    return Installed(tuple(changed), ())


def _configuration(spec: Spec, file: Path, url: str, secrets: Path | None) -> ConfigurationFile:
    folder = secrets.absolute() if secrets else Path(spec.alerting.secrets_folder)
    lacking = secrets_lacking(folder, secrets_needed(spec.alerting))
    if lacking:
        fail_usage("receivers lack their secrets, and nothing was written:\n" + "\n".join(lacking))
    return ConfigurationFile(file, AlertmanagerApi(url), configuration(spec.alerting, str(folder)))


def _carried_out(act: Callable[[], Installed]) -> Installed:
    try:
        return act()
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
    files = "1 file" if count == 1 else f"{count} files"
    if not count and not done.loaded:
        return "all is as the spec has it, and loaded"
    if dry_run:
        return f"{files} would change; not loaded yet: {len(done.loaded)}"
    return f"{files} changed"
