"""Panels of machines (node_exporter) and of GPUs (dcgm-exporter)."""

from __future__ import annotations

from collections.abc import Iterator

from ops.dashboarding.boards.bounds import bounds, ratios
from ops.dashboarding.model import Bound, Panel, Query, Unit
from ops.dashboarding.querying import rate, select, share
from ops.spec.model import Spec

REAL_FILES = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'
"""What is no disk fills up by design."""
REAL_NETWORK = 'device!="lo"'


def machine_panels(spec: Spec) -> Iterator[Panel]:
    thresholds = spec.alerting.thresholds
    busy = share(
        rate("node_cpu_seconds_total", 'mode!~"idle|iowait|steal"', by="instance"),
        rate("node_cpu_seconds_total", by="instance"),
    )
    yield _share("cpu", "CPU", "Share of the time that all cores worked.", busy, ratios(thresholds.cpu_percent))
    used = f"1 - {select('node_memory_MemAvailable_bytes')} / {select('node_memory_MemTotal_bytes')}"
    full = ratios(thresholds.memory_percent)
    yield _share("memory", "Memory", "Share of the memory that is not available.", used, full)
    yield Panel(
        "load",
        "Load",
        "Processes that run or wait, mean of a minute.",
        Unit.NUMBER,
        (Query(select("node_load1"), "{{instance}}"),),
        least=0,
        width=6,
    )
    swap = f"{select('node_memory_SwapTotal_bytes')} - {select('node_memory_SwapFree_bytes')}"
    yield Panel(
        "swap",
        "Swap in use",
        "An engine that is swapped out answers late.",
        Unit.BYTES,
        (Query(swap, "{{instance}}"),),
        least=0,
        width=6,
    )
    yield from _storage(spec)
    yield Panel(
        "files",
        "Open files",
        "Share of the machine's limit of open files.",
        Unit.RATIO,
        (Query(f"{select('node_filefd_allocated')} / {select('node_filefd_maximum')}", "{{instance}}"),),
        bounds=ratios(thresholds.open_files_percent),
        least=0,
        width=6,
    )
    yield Panel(
        "uptime",
        "Since the machine started",
        "It falls to 0 where a machine was started anew.",
        Unit.SECONDS,
        (Query(f"{select('node_time_seconds')} - {select('node_boot_time_seconds')}", "{{instance}}"),),
        least=0,
        width=6,
    )
    yield from _transfers(spec)


def _storage(spec: Spec) -> Iterator[Panel]:
    thresholds = spec.alerting.thresholds
    for key, title, free, whole, what, limits in (
        ("disk", "Storage", "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "bytes",
         thresholds.storage_percent),
        ("inodes", "Inodes", "node_filesystem_files_free", "node_filesystem_files", "inodes",
         thresholds.inodes_percent),
    ):  # fmt: skip
        taken = f"1 - {select(free, REAL_FILES)} / {select(whole, REAL_FILES)}"
        yield Panel(
            key,
            f"{title} in use",
            f"Share of each file system's {what} that is used.",
            Unit.RATIO,
            (Query(taken, "{{instance}} {{mountpoint}}"),),
            bounds=ratios(limits),
            least=0,
            most=1,
            width=6,
        )


def _transfers(spec: Spec) -> Iterator[Panel]:
    yield Panel(
        "disk_bytes",
        "Disk",
        "Bytes read and written per second.",
        Unit.BYTES_PER_SECOND,
        (
            Query(rate("node_disk_read_bytes_total", by="instance"), "{{instance}} read"),
            Query(rate("node_disk_written_bytes_total", by="instance"), "{{instance}} written"),
        ),
        least=0,
        width=6,
    )
    yield Panel(
        "disk_busy",
        "Disk busy",
        "Share of the time in which a disk worked.",
        Unit.RATIO,
        (Query(rate("node_disk_io_time_seconds_total", by="instance, device"), "{{instance}} {{device}}"),),
        bounds=ratios(spec.alerting.thresholds.disk_busy_percent),
        least=0,
        width=6,
    )
    yield Panel(
        "network_bytes",
        "Network",
        "Bytes received and sent per second, loopback excepted.",
        Unit.BYTES_PER_SECOND,
        (
            Query(rate("node_network_receive_bytes_total", REAL_NETWORK, by="instance"), "{{instance}} in"),
            Query(rate("node_network_transmit_bytes_total", REAL_NETWORK, by="instance"), "{{instance}} out"),
        ),
        least=0,
        width=6,
    )
    yield Panel(
        "network_errors",
        "Network errors",
        "Packets with errors per second.",
        Unit.PER_SECOND,
        (
            Query(rate("node_network_receive_errs_total", by="instance"), "{{instance}} in"),
            Query(rate("node_network_transmit_errs_total", by="instance"), "{{instance}} out"),
        ),
        least=0,
        width=6,
    )


def _share(key: str, title: str, description: str, expression: str, bounds: tuple[Bound, ...]) -> Panel:
    query = Query(expression, "{{instance}}")
    return Panel(key, title, description, Unit.RATIO, (query,), bounds=bounds, least=0, most=1, width=6)


def gpu_panels(spec: Spec) -> Iterator[Panel]:
    used, free = select("DCGM_FI_DEV_FB_USED"), select("DCGM_FI_DEV_FB_FREE")
    thresholds = spec.alerting.thresholds
    full, hot = ratios(thresholds.gpu_memory_percent), bounds(thresholds.gpu_celsius)
    for key, title, what, unit, expression, lines in (
        ("gpu_busy", "GPU", "Share of the time in which a GPU worked.", Unit.PERCENT, "DCGM_FI_DEV_GPU_UTIL", ()),
        ("gpu_memory", "GPU memory in use", "Share that is used. vLLM takes most of it at its start.",
         Unit.RATIO, f"{used} / ({used} + {free})", full),
        ("gpu_memory_busy", "GPU memory bus", "Share of the time in which a GPU's memory was read or written.",
         Unit.PERCENT, "DCGM_FI_DEV_MEM_COPY_UTIL", ()),
        ("gpu_temperature", "GPU temperature", "Above its limit a GPU slows itself down.", Unit.CELSIUS,
         "DCGM_FI_DEV_GPU_TEMP", hot),
        ("gpu_power", "GPU power", "What each GPU draws.", Unit.WATTS, "DCGM_FI_DEV_POWER_USAGE", ()),
        ("gpu_xid", "GPU errors (XID)", "The last error of each GPU; 0 is none. NVIDIA's list says which.",
         Unit.NUMBER, "DCGM_FI_DEV_XID_ERRORS", ()),
    ):  # fmt: skip
        selected = expression if "{" in expression else select(expression)
        yield Panel(
            key, title, what, unit, (Query(selected, "{{Hostname}} GPU {{gpu}}"),), bounds=lines,
            least=0,
            most=100 if unit is Unit.PERCENT else None,
        )
