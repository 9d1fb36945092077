"""Alerts on the machines' resources, as node_exporter and NVIDIA's dcgm-exporter tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ops.alerting.cases import Share, Values, count_cases, counter, gauge, level_cases, near, share_cases
from ops.alerting.families.common import (
    ANSWERED,
    EXHAUSTED,
    FREEZE,
    MOVE,
    PARTS,
    PRESSED,
    alert,
    ask,
    levels,
    percents,
    share,
    timing,
)
from ops.alerting.families.gpu import gpus
from ops.alerting.families.storage import storage
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec

NODE = 'job="node",instance="10.0.0.3:9100"'
MACHINE = {"job": "node", "instance": "10.0.0.3:9100"}
INSTANCE = {"instance": "10.0.0.3:9100"}
IDLE = "idle|iowait"
TOTAL_BYTES = 2.0**36
TOP = Step("On that machine: which programs take it?", ("top -b -n 1 | head -20",))
MEMORY = Step("On that machine: how much is left?", ("free -h",))


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_cpu(spec), *_memory(spec), *_open_files(spec), *_disk(spec), *storage(spec), *gpus(spec))
    return (Group("resources", spec.alerting.evaluation_seconds, alerts=made),)


def _cpu(spec: Spec) -> Iterator[Alert]:
    rules = spec.alerting
    window, held = rules.timing.window_seconds, timing(spec, rules.timing.hold_seconds)
    for name, kind, percent in levels(rules.thresholds.cpu_percent, ("CpuBusy", PRESSED), ("CpuExhausted", EXHAUSTED)):
        busy = f'node_cpu_seconds_total{{mode!~"{IDLE}"}}'
        yield alert(
            name, kind,
            share(busy, "node_cpu_seconds_total", "instance", percent, window),
            held, ("infrastructure", "cpu"),
            ("{{ $labels.instance }} works hard", f"More than {percent:g} % of its processor time is used."),
            Runbook(
                meaning=f"All processors of a machine together work more than {percent:g} % of the time.",
                impact="Gateway workers and engines on it answer later; the strategy adds replicas at this point.",
                diagnosis=(
                    ask("Is it all machines (traffic) or one?",
                        f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{duration(window)}]))'),
                    TOP,
                ),
                mitigation=(Step("All machines: add replicas, and take them away once it is over."), MOVE, FREEZE),
                verification=(ask("It has time again.", "node_load1"), ANSWERED),
            ),
            share_cases(_processor, Share(percent, window), held, (INSTANCE,)),
        )  # fmt: skip


def _memory(spec: Spec) -> Iterator[Alert]:
    held = timing(spec, spec.alerting.timing.hold_seconds)
    names = ("MemoryScarce", PRESSED), ("MemoryExhausted", EXHAUSTED)
    for name, kind, percent in levels(spec.alerting.thresholds.memory_percent, *names):
        yield alert(
            name, kind,
            f"100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) > {percent:.10g}",
            held, ("infrastructure", "memory"),
            ("{{ $labels.instance }} has hardly any memory left", f"More than {percent:g} % of its memory is in use."),
            Runbook(
                meaning=f"Less than {100 - percent:g} % of a machine's memory could be given to a program that asks.",
                impact="When there is none the kernel ends a program: an engine, most likely, with all its requests.",
                diagnosis=(
                    MEMORY, TOP,
                    ask("Which part of the service grows?", "topk(5, process_resident_memory_bytes)"),
                ),
                mitigation=(MOVE, FREEZE),
                verification=(ask("There is memory.", "node_memory_MemAvailable_bytes"), PARTS),
            ),
            level_cases(_used, *near(percent, 100), held, (MACHINE,)),
        )  # fmt: skip


def _open_files(spec: Spec) -> Iterator[Alert]:
    held = timing(spec, spec.alerting.timing.hold_seconds)
    for name, kind, percent in levels(spec.alerting.thresholds.open_files_percent, ("OpenFilesNearLimit", PRESSED)):
        yield alert(
            name, kind,
            f"100 * process_open_fds / process_max_fds > {percent:.10g}",
            held, ("infrastructure", "process_files"),
            ("{{ $labels.job }} {{ $labels.instance }} has nearly as many files open as it may",
             f"More than {percent:g} % of its file descriptors are taken."),
            Runbook(
                meaning="A program holds nearly as many files and connections open as its limit allows.",
                impact="At the limit it accepts no connection more, and cannot open its own files.",
                diagnosis=(
                    ask("Does it grow (a leak) or follow the traffic?", "process_open_fds"),
                    ask("How many requests does the gateway hold?", "gateway_requests_in_flight"),
                ),
                mitigation=(
                    Step("Raise the limit where the program is started (LimitNOFILE= of systemd, ulimit -n). The way "
                         "back is the former figure."),
                    Step("A leak: restart the programs one after the other; `ops stack restart` does it here."),
                ),
                verification=(ask("It has room.", "max by (job) (process_open_fds / process_max_fds)"), ANSWERED),
            ),
            level_cases(_files, *near(percent, 100), held, (MACHINE,)),
        )  # fmt: skip


def _disk(spec: Spec) -> Iterator[Alert]:
    window, held = spec.alerting.timing.window_seconds, timing(spec, spec.alerting.timing.hold_seconds)
    for name, kind, percent in levels(spec.alerting.thresholds.disk_busy_percent, ("DiskBusy", PRESSED)):
        yield alert(
            name, kind,
            f"100 * rate(node_disk_io_time_seconds_total[{duration(window)}]) > {percent:.10g}",
            held, ("infrastructure", "disk_busy"),
            ("{{ $labels.instance }}: the disk {{ $labels.device }} has hardly a pause",
             f"It is busy more than {percent:g} % of the time."),
            Runbook(
                meaning=f"A disk has had something to do for more than {percent:g} % of the time.",
                impact="Loading models, PostgreSQL's commits and Prometheus' writes wait for each other.",
                diagnosis=(
                    ask("Is it read or written?", f"rate(node_disk_written_bytes_total[{duration(window)}])"),
                    TOP,
                ),
                mitigation=(MOVE, FREEZE),
                verification=(
                    ask("It has pauses.", f"rate(node_disk_io_time_seconds_total[{duration(window)}])"), PARTS,
                ),
            ),
            count_cases(_io_time, percent / 100 * window, window, held, ({**MACHINE, "device": "nvme0n1"},)),
        )  # fmt: skip


def _processor(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
    halves = [one / 2 for one in bad], [(b - a) / 2 for a, b in zip(bad, every, strict=True)]
    modes = zip(("user", "system", *IDLE.split("|")), (halves[0], halves[0], halves[1], halves[1]), strict=True)
    return tuple(counter(f'node_cpu_seconds_total{{{NODE},cpu="0",mode="{mode}"}}', one) for mode, one in modes)


def _used(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"node_memory_MemAvailable_bytes{{{NODE}}}", percents(values, TOTAL_BYTES, left=True)),
        gauge(f"node_memory_MemTotal_bytes{{{NODE}}}", [TOTAL_BYTES] * len(values)),
    )


def _files(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"process_open_fds{{{NODE}}}", percents(values, 1024, left=False)),
        gauge(f"process_max_fds{{{NODE}}}", [1024] * len(values)),
    )


def _io_time(seconds: Sequence[float]) -> tuple[Series, ...]:
    return (counter(f'node_disk_io_time_seconds_total{{{NODE},device="nvme0n1"}}', seconds),)
