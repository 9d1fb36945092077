"""Alerts on GPUs, as NVIDIA's dcgm-exporter tells of them. Part of the resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ops.alerting.cases import Values, gauge, level_cases, near
from ops.alerting.families.common import ANSWERED, MOVE, PARTS, PRESSED, alert, ask, levels, percents, timing
from ops.alerting.model import Alert, Runbook, Series, Step
from ops.spec.model import Spec

GPU = 'job="dcgm",instance="10.0.0.3:9400",gpu="0"'
GPUS = Step("On that machine: what does the GPU itself say?", ("nvidia-smi",))


def gpus(spec: Spec) -> Iterator[Alert]:
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


def _gpu_memory(values: Values) -> tuple[Series, ...]:
    return (
        gauge(f"DCGM_FI_DEV_FB_USED{{{GPU}}}", percents(values, 81920, left=False)),
        gauge(f"DCGM_FI_DEV_FB_FREE{{{GPU}}}", percents(values, 81920, left=True)),
    )
