"""Alerts on file systems: full, soon full, without inodes. Part of the resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from ops.alerting.cases import Timing, Values, case, gauge, level_cases, near
from ops.alerting.families.common import EXHAUSTED, PARTS, PRESSED, alert, ask, levels, timing
from ops.alerting.model import Alert, Case, Runbook, Series, Step
from ops.alerting.windows import duration
from ops.spec.model import Spec

NOT_REAL = ("tmpfs", "squashfs", "iso9660")
"""They are in memory, or full by nature."""
REAL = f'fstype!~"{"|".join(NOT_REAL)}"'
PLACE = {"job": "node", "instance": "10.0.0.3:9100", "device": "/dev/nvme0n1p1", "mountpoint": "/var"}
TOTAL_BYTES = 2.0**40
SLOW_STEP_SECONDS = 60
"""Of cases of a forecast, whose window is of hours."""
LARGEST = Step(
    "On that machine: what is large? Models of old releases, Prometheus' blocks and logs are the usual ones.",
    ('df -h "$MOUNTPOINT"', 'du -x -d 2 -h "$MOUNTPOINT" | sort -h | tail -20'),
)
ROOM = Step(
    "Make room: delete what `retention` of the spec no longer asks for, or enlarge the volume. What is deleted does "
    "not come back: of a release's files make sure first that no rollout within its rollback window needs them "
    "(`ops release list`)."
)


def storage(spec: Spec) -> Iterator[Alert]:
    held, thresholds = timing(spec, spec.alerting.timing.hold_seconds), spec.alerting.thresholds
    left = f"node_filesystem_avail_bytes{{{REAL}}} / node_filesystem_size_bytes"
    verification = (ask("There is room.", left), PARTS)
    impact = "Without room PostgreSQL stops, Prometheus loses samples, and no model can be fetched."
    where = "{{ $labels.instance }}: {{ $labels.mountpoint }} "
    names = ("StorageFilling", PRESSED), ("StorageFull", EXHAUSTED)
    for name, kind, percent in levels(thresholds.storage_percent, *names):
        yield alert(
            name, kind, f"100 * (1 - {left}) > {percent:.10g}", held, ("infrastructure", "disk"),
            (where + "fills up", f"More than {percent:g} % of it is used."),
            Runbook(f"A file system is more than {percent:g} % full.", impact, (LARGEST, PARTS), (ROOM,), verification),
            level_cases(_filled("avail_bytes", "size_bytes"), *near(percent, 100), held, (_labels("ext4"),)),
        )  # fmt: skip
    for name, kind, percent in levels(thresholds.inodes_percent, ("InodesScarce", PRESSED)):
        free = f"node_filesystem_files_free{{{REAL}}} / node_filesystem_files"
        yield alert(
            name, kind, f"100 * (1 - {free}) > {percent:.10g}", held, ("infrastructure", "inodes"),
            (where + "has hardly inodes left", f"More than {percent:g} % of its inodes are taken."),
            Runbook(
                f"More than {percent:g} % of a file system's inodes are taken: it holds very many small files.",
                "At the end no file can be created, however much room there is.",
                (Step("On that machine: how many are left?", ('df -i "$MOUNTPOINT"',)), PARTS),
                (ROOM,),
                (ask("There are inodes.", free), PARTS),
            ),
            level_cases(_filled("files_free", "files"), *near(percent, 100), held, (_labels("ext4"),)),
        )  # fmt: skip
    fixed = f"max by (instance, mountpoint) (node_filesystem_readonly{{{REAL}}})"
    yield alert(
        "StorageReadOnly", PRESSED, f"{fixed} == 1", held, ("infrastructure", "disk"),
        (where + "can only be read", "The kernel mounted it so, most often after a fault of the disk."),
        Runbook(
            "A file system takes no writes: it was mounted so, or the kernel found its disk faulty.",
            impact,
            (Step("On that machine: how is it mounted?", ('df -h "$MOUNTPOINT"',)), PARTS),
            (Step("Move what writes there to another machine, then check the disk. The way back: move it here again."),
             Step("If it is meant to be so, the exporter can leave it out: "
                  "--collector.filesystem.mount-points-exclude.")),
            (ask("It takes writes.", fixed), PARTS),
        ),
        level_cases(_readonly, 1, 0, held, ({"instance": PLACE["instance"], "mountpoint": PLACE["mountpoint"]},)),
    )  # fmt: skip
    ahead, window = spec.alerting.timing.forecast_seconds, spec.alerting.timing.forecast_window_seconds
    available = f"node_filesystem_avail_bytes{{{REAL}}}"
    yield alert(
        "StorageFullSoon", PRESSED, f"predict_linear({available}[{duration(window)}], {ahead:.10g}) < 0",
        held, ("infrastructure", "disk"),
        (where + f"will be full within {duration(ahead)}", f"It grows as it did in the last {duration(window)}."),
        Runbook(
            f"Drawn out, the growth of the last {duration(window)} fills the file system within {duration(ahead)}.",
            impact,
            (ask("How fast does it grow, in bytes a second?", f"-deriv({available}[{duration(window)}])"), LARGEST),
            (Step("Stop what writes, if it does not belong there. The way back: start it again."), ROOM),
            verification,
        ),
        _forecast_cases(window, ahead, held.slower(SLOW_STEP_SECONDS)),
    )  # fmt: skip


def _labels(fstype: str) -> dict[str, str]:
    return {**PLACE, "fstype": fstype}


def _series(metric: str, fstype: str) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in _labels(fstype).items())
    return f"node_filesystem_{metric}{{{labels}}}"


def _filled(left: str, total: str) -> Callable[[Values], tuple[Series, ...]]:
    """A file system with these percentages used, beside others that are full by nature."""

    def inputs(values: Values) -> tuple[Series, ...]:
        free = [None if value is None else TOTAL_BYTES * (1 - value / 100) for value in values]
        none, whole = [0.0] * len(values), [TOTAL_BYTES] * len(values)
        return (
            gauge(_series(left, "ext4"), free),
            *(gauge(_series(left, fstype), none) for fstype in NOT_REAL),
            *(gauge(_series(total, fstype), whole) for fstype in ("ext4", *NOT_REAL)),
        )

    return inputs


def _readonly(values: Values) -> tuple[Series, ...]:
    always = [1.0] * len(values)
    others = (gauge(_series("readonly", fstype).replace("/var", f"/{fstype}"), always) for fstype in NOT_REAL)
    return (gauge(_series("readonly", "ext4"), values), *others)


def _forecast_cases(window_seconds: float, ahead_seconds: float, pace: Timing) -> tuple[Case, ...]:
    """Steady; then three hours' growth; then steady again. The forecast is least squares over the window."""
    quiet, growth = pace.steps(window_seconds), pace.steps(window_seconds / 2)

    def made(name: str, fall_bytes: float) -> Case:
        falls = [0.0] * (quiet // 4) + [fall_bytes] * growth + [0.0] * (quiet + 2 * pace.steps(pace.for_seconds))
        left = [TOTAL_BYTES]
        for fall in falls:
            left.append(left[-1] - fall)
        samples, ahead = np.array(left), ahead_seconds / pace.step_seconds
        truth = [_forecast(samples, k, quiet, ahead) < 0 for k in range(len(left))]
        inputs = tuple(Series(_series("avail_bytes", fstype), _line(left)) for fstype in ("ext4", *NOT_REAL))
        return case(name, inputs, truth, pace, (_labels("ext4"),))

    steps_ahead = ahead_seconds / pace.step_seconds
    enough = round(TOTAL_BYTES / steps_ahead)
    return made("grows fast for hours, then no more", 1.5 * enough), made("grows slowly", enough // 4)


def _forecast(values: np.ndarray, k: int, width: int, ahead: float) -> float:
    """Least squares over the samples of a window, drawn out; infinite with fewer than two samples."""
    seen = values[max(0, k - width) : k + 1]
    if len(seen) < 2:
        return float("inf")
    times = np.arange(1.0 - len(seen), 1.0)
    times_off = times - times.mean()
    slope = times_off @ (seen - seen.mean()) / (times_off @ times_off)
    return float(seen.mean() + slope * (ahead - times.mean()))


def _line(values: list[float]) -> str:
    """Runs of equal differences."""
    parts, run = [f"{values[0]:.0f}"], list(pairwise(values))
    i = 0
    while i < len(run):
        step = run[i][1] - run[i][0]
        j = i
        while j < len(run) and run[j][1] - run[j][0] == step:
            j += 1
        parts.append(f"{run[i][1]:.0f}{step:+.0f}x{j - i - 1}")
        i = j
    return " ".join(parts)
