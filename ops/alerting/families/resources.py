"""Alerts on the machines' resources, as node_exporter and NVIDIA's dcgm-exporter tell of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ops.alerting.cases import Share, Values, count_cases, counter, gauge, level_cases, near, share_cases
from ops.alerting.families.common import (
    ANSWERED,
    EXHAUSTED,
    FREEZE,
    PARTS,
    PRESSED,
    alert,
    ask,
    levels,
    share,
    timing,
)
from ops.alerting.families.storage import storage
from ops.alerting.model import Alert, Group, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec

NODE = 'job="node",instance="10.0.0.3:9100"'
MACHINE = {"job": "node", "instance": "10.0.0.3:9100"}
INSTANCE = {"instance": "10.0.0.3:9100"}
GPU = 'job="dcgm",instance="10.0.0.3:9400",gpu="0"'
IDLE = "idle|iowait"
TOTAL_BYTES = 2.0**36
TOP = Step("On that machine: which programs take it?", ("top -b -n 1 | head -20",))
MEMORY = Step("On that machine: how much is left?", ("free -h",))
GPUS = Step("On that machine: what does the GPU itself say?", ("nvidia-smi",))
MOVE = Step(
    "Give the machine less to do: stop what does not belong there, or move a replica to another one. The way back: "
    "start it again once the cause is found."
)


def groups(spec: Spec) -> tuple[Group, ...]:
    made = (*_cpu(spec), *_memory(spec), *_open_files(spec), *_disk(spec), *storage(spec), *_gpu(spec))
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


def _gpu(spec: Spec) -> Iterator[Alert]:
    held, at_once, thresholds = timing(spec, spec.alerting.timing.hold_seconds), timing(spec), spec.alerting.thresholds
    one = {"instance": "10.0.0.3:9400", "gpu": "0"}
    where = "GPU {{ $labels.gpu }} of {{ $labels.instance }} "
    for name, kind, percent in levels(thresholds.gpu_memory_percent, ("GpuMemoryFull", PRESSED)):
        used, free = (f"max by (instance, gpu) (DCGM_FI_DEV_FB_{state})" for state in ("USED", "FREE"))
        yield alert(
            name, kind, f"100 * {used} / ({used} + {free}) > {percent:.10g}", held, ("infrastructure", "gpu_memory"),
            (where + "has hardly memory left", f"More than {percent:g} % of its memory is in use."),
            Runbook(
                meaning="Something besides vLLM's own share (--gpu-memory-utilization) takes memory of the GPU.",
                impact="An allocation that fails ends the engine, with all its requests.",
                diagnosis=(GPUS, ask("How full is the KV cache itself?", "vllm:kv_cache_usage_perc")),
                mitigation=(
                    Step("End what else runs on the GPU, or give vLLM a smaller share in the release's engine "
                         "arguments. The way back is the former release."),
                ),
                verification=(ask("There is memory.", "DCGM_FI_DEV_FB_FREE"), ANSWERED),
            ),
            level_cases(_gpu_memory, *near(percent, 100), held, (one,)),
        )  # fmt: skip
    for name, kind, bound in levels(thresholds.gpu_celsius, ("GpuHot", PRESSED)):
        yield alert(
            name, kind, f"max by (instance, gpu) (DCGM_FI_DEV_GPU_TEMP) > {bound:.10g}", held,
            ("infrastructure", "gpu_temperature"),
            (where + "is hot", f"It is above {bound:g} °C."),
            Runbook(
                meaning=f"The GPU is hotter than {bound:g} °C.",
                impact="It slows itself down to cool: tokens take longer. Hotter still it turns itself off.",
                diagnosis=(GPUS, ask("Are its neighbours hot too (the room, a fan)?", "DCGM_FI_DEV_GPU_TEMP")),
                mitigation=(MOVE, Step("Have the machine's cooling looked at.")),
                verification=(ask("It is cooler.", "DCGM_FI_DEV_GPU_TEMP"), ANSWERED),
            ),
            level_cases(_single("DCGM_FI_DEV_GPU_TEMP"), *near(bound), held, (one,)),
        )  # fmt: skip
    yield alert(
        "GpuFault", PRESSED, "max by (instance, gpu) (DCGM_FI_DEV_XID_ERRORS) > 0", at_once,
        ("infrastructure", "gpu_xid"),
        (where + "reported a fault", "Its driver logged an XID error; the value is the error's number."),
        Runbook(
            meaning="The driver reported an error of the GPU. NVIDIA's list of XID errors tells what the number means: "
            "13, 31 and 43 come from programs; 48, 63, 64, 79 and 94 from the hardware.",
            impact="The engine on this GPU has probably died, or gives wrong answers.",
            diagnosis=(ask("Which number?", "DCGM_FI_DEV_XID_ERRORS"), GPUS, PARTS),
            mitigation=(
                Step("A fault of the hardware: take the machine out of service and reset or replace the GPU. The way "
                     "back: take it in again when `nvidia-smi` shows no error."),
            ),
            verification=(Step("The exporter starts again from 0 once the GPU was reset."), ANSWERED),
        ),
        level_cases(_single("DCGM_FI_DEV_XID_ERRORS"), 1, 0, at_once, (one,)),
    )  # fmt: skip


def _single(metric: str) -> Callable[[Values], tuple[Series, ...]]:
    return lambda values: (gauge(f"{metric}{{{GPU}}}", values),)


def _processor(bad: Sequence[float], every: Sequence[float]) -> tuple[Series, ...]:
    halves = [one / 2 for one in bad], [(b - a) / 2 for a, b in zip(bad, every, strict=True)]
    modes = zip(("user", "system", *IDLE.split("|")), (halves[0], halves[0], halves[1], halves[1]), strict=True)
    return tuple(counter(f'node_cpu_seconds_total{{{NODE},cpu="0",mode="{mode}"}}', one) for mode, one in modes)


def _part(values: Values, total: float, left: bool) -> Values:
    """What these percentages of the total are, or what is left of it."""
    return [None if value is None else total * (1 - value / 100 if left else value / 100) for value in values]


def _used(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"node_memory_MemAvailable_bytes{{{NODE}}}", _part(values, TOTAL_BYTES, left=True)),
        gauge(f"node_memory_MemTotal_bytes{{{NODE}}}", [TOTAL_BYTES] * len(values)),
    )


def _files(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"process_open_fds{{{NODE}}}", _part(values, 1024, left=False)),
        gauge(f"process_max_fds{{{NODE}}}", [1024] * len(values)),
    )


def _gpu_memory(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"DCGM_FI_DEV_FB_USED{{{GPU}}}", _part(values, 81920, left=False)),
        gauge(f"DCGM_FI_DEV_FB_FREE{{{GPU}}}", _part(values, 81920, left=True)),
    )


def _io_time(seconds: Sequence[float]) -> tuple[Series, ...]:
    return (counter(f'node_disk_io_time_seconds_total{{{NODE},device="nvme0n1"}}', seconds),)
