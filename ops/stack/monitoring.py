"""Prometheus, Alertmanager and the exporters of a stack: which of them it has, and what they are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ops.adapters import alertmanager_server, exporters, prometheus_server
from ops.adapters.exporters import Exporter
from ops.adapters.prometheus_server import Job
from ops.alerting.files import installed_name
from ops.alerting.integrations import every, secret_files
from ops.alerting.rendering import rule_file
from ops.alerting.routing import configuration
from ops.alerting.rules import families
from ops.spec.model import Spec
from ops.stack import programs
from ops.stack.options import Choice, Counters, Omitted, StackOptions
from ops.stack.state import Secrets, StackError, StackState, write_private


def check(options: StackOptions) -> None:
    """Raises StackError if what is asked for is not here."""
    wanted: tuple[tuple[Choice, str, Path | None], ...] = (
        (options.prometheus, "prometheus", prometheus_server.find_prometheus()),
        (options.alertmanager, "alertmanager", alertmanager_server.find_alertmanager()),
        *((options.exporters, f"{one.value}_exporter", exporters.find_exporter(one)) for one in Exporter),
    )
    for choice, name, found in wanted:
        if choice is Choice.ON and found is None:
            option = "exporters" if name.endswith("_exporter") else name
            raise StackError(f"there is no {name} on the PATH: install it, or use --{option} auto or off")
    if Choice.ON in (options.alertmanager, options.exporters) and not has_prometheus(options):
        raise StackError("Alertmanager and exporters without Prometheus tell nobody: install it, or leave them off")
    if options.counters is Counters.PROMETHEUS:
        if options.prometheus is Choice.OFF:
            raise StackError("--counters prometheus needs Prometheus, and --prometheus off leaves it out")
        if prometheus_server.find_prometheus() is None:
            raise StackError("--counters prometheus needs Prometheus, and there is none on the PATH: install it")
        if find_spec("prometheus_api_client") is None:
            raise StackError(f"--counters prometheus needs a package: {prometheus_server.CLIENT_MEND}")


def has_prometheus(options: StackOptions) -> bool:
    return options.prometheus is not Choice.OFF and prometheus_server.find_prometheus() is not None


def has_alertmanager(options: StackOptions) -> bool:
    off = options.alertmanager is Choice.OFF or not has_prometheus(options)
    return not off and alertmanager_server.find_alertmanager() is not None


def exporters_of(options: StackOptions) -> Iterator[Exporter]:
    if options.exporters is Choice.OFF or not has_prometheus(options):
        return
    without_database = Omitted.DATABASE in options.without and options.database_url is None
    for exporter in Exporter:
        if exporters.find_exporter(exporter) and not (exporter is Exporter.POSTGRES and without_database):
            yield exporter


def parts(options: StackOptions, spec: Spec, state: StackState, secrets: Secrets) -> Iterator[programs.Part]:
    """Writes what each of them reads."""
    yield from _prometheus(options, spec, state)
    yield from _alertmanager(options.run_dir, spec, state)
    for name, url in state.exporter_urls.items():
        exporter = Exporter(name)
        binary = exporters.find_exporter(exporter)
        if binary is not None:
            environment = _database(options.run_dir, state, secrets) if exporter is Exporter.POSTGRES else {}
            yield programs.exporter(name, url, exporters.command(exporter, binary, _port(url)), environment)


def _prometheus(options: StackOptions, spec: Spec, state: StackState) -> Iterator[programs.Part]:
    binary = prometheus_server.find_prometheus()
    if binary is None or state.prometheus_url is None:
        return
    folder = options.run_dir / "prometheus"
    state.targets_file.parent.mkdir(parents=True, exist_ok=True)
    _write_rules(folder / "rules", spec, state.exporter_urls)
    scrape_seconds = prometheus_server.scrape_seconds(
        look_seconds=spec.environments[options.environment].pace.look_seconds,
        age_seconds_max=spec.rollout.analysis.samples_age_seconds_max,
    )
    config = folder / "prometheus.yml"
    config.write_text(
        prometheus_server.render_config(
            _jobs(options, spec, state),
            state.targets_file,
            scrape_seconds,
            evaluation_seconds=spec.alerting.evaluation_seconds,
            rules=folder / "rules" / "*.yml",
            alertmanager=_address(state.alertmanager_url) if state.alertmanager_url else None,
        )
    )
    command = prometheus_server.command(
        binary,
        config,
        folder / "data",
        _port(state.prometheus_url),
        spec.retention.metrics_days,
        resend_seconds=spec.alerting.evaluation_seconds,
    )
    yield programs.prometheus(state.prometheus_url, command)


def _jobs(options: StackOptions, spec: Spec, state: StackState) -> Iterator[Job]:
    """The service's own parts as often as the judge wants samples, all others as often as alerts are evaluated, unless
    an exporter takes longer to answer."""
    slowly = spec.alerting.evaluation_seconds
    if Omitted.GATEWAY not in options.without:
        yield Job(prometheus_server.GATEWAY_JOB, tuple(_address(worker.admin_url) for worker in state.workers))
    if Omitted.CONTROLLER not in options.without:
        yield Job(programs.CONTROLLER, (_address(state.controller_url),))
    for name, address in state.exporter_urls.items():
        yield Job(name, (_address(address),), max(slowly, exporters.SCRAPE_SECONDS_MIN.get(Exporter(name), 0)))
    others = {
        programs.PROMETHEUS: state.prometheus_url,
        programs.ALERTMANAGER: state.alertmanager_url,
    }
    for name, url in others.items():
        if url is not None:
            yield Job(name, (_address(url),), slowly)


def rules_of_stack(spec: Spec, exporter_names: Iterable[str]) -> dict[str, str]:
    """Rule files by name: the spec's, without those on what the stack has no exporter of: these would only tell of its
    absence."""
    here = tuple(name for name in spec.alerting.exporters if name in set(exporter_names))
    alerting = spec.alerting.model_copy(update={"exporters": here})
    # Named as `ops alerts apply` does, which would otherwise bring every rule a second time.
    made = families(spec.model_copy(update={"alerting": alerting}))
    return {installed_name(spec.service, name): rule_file(groups, spec) for name, groups in made.items()}


def _write_rules(folder: Path, spec: Spec, exporter_names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yml"):
        old.unlink()
    for name, text in rules_of_stack(spec, exporter_names).items():
        (folder / name).write_text(text)


def _alertmanager(run_dir: Path, spec: Spec, state: StackState) -> Iterator[programs.Part]:
    """It tells those of the spec's receivers whose secrets lie in the run folder: a stack on a laptop pages nobody."""
    binary = alertmanager_server.find_alertmanager()
    if binary is None or state.alertmanager_url is None:
        return
    folder = run_dir / "alertmanager"
    secrets = folder / "secrets"
    secrets.mkdir(parents=True, exist_ok=True)
    secrets.chmod(0o700)
    here = [
        receiver.name
        for receiver in every(spec.alerting.receivers)
        if all((secrets / file).is_file() for file in secret_files(receiver))
    ]
    config = folder / "alertmanager.yml"
    write_private(config, configuration(spec.alerting, str(secrets), here).encode())
    command = alertmanager_server.command(binary, config, folder / "data", _port(state.alertmanager_url))
    yield programs.alertmanager(state.alertmanager_url, command)


def _database(run_dir: Path, state: StackState, secrets: Secrets) -> dict[str, str]:
    password_file = run_dir / "postgres-exporter" / "password"
    password_file.parent.mkdir(parents=True, exist_ok=True)
    write_private(password_file, secrets.database_password.encode())
    return exporters.postgres_environment(state.database_url, password_file)


def _address(url: str) -> str:
    return urlsplit(url).netloc


def _port(url: str) -> int:
    return urlsplit(url).port or 0
