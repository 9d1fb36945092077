"""Pictures of a load run as SVG text, to be put into a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ops.loadtest.recording import Measure
from ops.loadtest.reporting_document import Document, Moment
from ops.report.load_style import PALETTE, WIDTH_INCHES, bare, coloured, legend, log_scale
from ops.report.svg import picture_style, rendered

_WARM_UP = "#dddddd"
_BAD = "#cc3311"
_ROW_INCHES = 2.1
_MS = 1000

Draw = Callable[[Axes, Document], None]


def time_chart(document: Document) -> str:
    """All that changes over a run, on one axis of time."""
    rows: list[tuple[str, Draw]] = [
        ("Requests a second, as they came in", _draw_throughput),
        ("Latency from the intended start, p50 (thin) and p95; dotted: the p95 target", _draw_latency),
    ]
    if any(Measure.FIRST_TOKEN in moment.percentiles for moment in document.moments):
        rows += [
            ("Time to first token, p50 (thin) and p95; dotted: the p95 target", _draw_first_token),
            ("Time per output token, p50 (thin) and p95; dotted: the p95 target", _draw_token_interval),
            ("Tokens a second, of streams", _draw_tokens),
        ]
    rows.append(("Late and failed, share of what came in", _draw_misses))
    return _stacked(document, rows)


def health_chart(document: Document) -> str:
    """The generator and, where it told, the gateway."""
    rows: list[tuple[str, Draw]] = [
        ("Send lag, p95", _draw_lag),
        ("CPU of each generator, share of its core", _draw_cpu),
        ("Requests under way, and waiting for a connection (dotted)", _draw_in_flight),
        ("Memory of each generator", _draw_memory),
    ]
    if document.server.pulses:
        rows += [
            ("Memory of each process of the gateway", _draw_server_memory),
            ("Open files of each process of the gateway: connections, mostly", _draw_server_files),
        ]
    return _stacked(document, rows)


# --- Rows of the chart over time --------------------------------------------------------------------------------


def _draw_throughput(axes: Axes, document: Document) -> None:
    answered = _summed(document, lambda moment: moment.answered)
    in_time = _summed(document, lambda moment: moment.answered - moment.late)
    failed = _summed(document, lambda moment: moment.failed)
    begin = 0.0
    for rate in document.rates:
        line, label = [rate.start, rate.end], "" if begin else "offered"
        axes.plot([begin, begin + rate.seconds], line, color="black", linestyle=":", linewidth=1, label=label)
        begin += rate.seconds
    axes.plot(*answered, label="answered", color=PALETTE[0])
    axes.plot(*in_time, label="in time", color=PALETTE[2])
    axes.plot(*failed, label="failed", color=_BAD)
    axes.set_ylabel("requests/s")


def _draw_tokens(axes: Axes, document: Document) -> None:
    axes.plot(*_summed(document, lambda moment: moment.tokens), color=PALETTE[0])
    axes.set_ylabel("tokens/s")


def _summed(document: Document, value: Callable[[Moment], int]) -> tuple[list[float], list[float]]:
    """Of all classes, a second."""
    seconds = _step(document)
    sums: dict[int, float] = dict.fromkeys(range(0, int(_length(document)) or 1, seconds), 0.0)
    for moment in document.moments:
        sums[moment.at] = sums.get(moment.at, 0.0) + value(moment) / moment.seconds
    ordered = sorted(sums.items())
    return [at + seconds / 2 for at, _ in ordered], [rate for _, rate in ordered]


def _draw_latency(axes: Axes, document: Document) -> None:
    _draw_times(axes, document, Measure.LATENCY, "latency")


def _draw_first_token(axes: Axes, document: Document) -> None:
    _draw_times(axes, document, Measure.FIRST_TOKEN, "first token")


def _draw_token_interval(axes: Axes, document: Document) -> None:
    _draw_times(axes, document, Measure.TIME_PER_TOKEN, "time per token")


def _draw_times(axes: Axes, document: Document, measure: Measure, target: str) -> None:
    bounds = {one.task_class: one.seconds for phase in document.judged for one in phase.targets if one.target == target}
    for task_class, colour in coloured(document):
        moments = [one for one in document.moments if one.task_class == task_class and measure in one.percentiles]
        if not moments:
            continue
        times = [one.at + one.seconds / 2 for one in moments]
        axes.plot(times, _at(moments, measure, "50"), color=colour, linewidth=0.7)
        axes.plot(times, _at(moments, measure, "95"), color=colour, label=task_class, marker=".", markersize=3)
        if (bound := bounds.get(task_class)) is not None:
            axes.axhline(_MS * bound, color=colour, linestyle=":", linewidth=1)
    log_scale(axes, vertical=True)
    axes.set_ylabel("ms")


def _at(moments: Sequence[Moment], measure: Measure, percent: str) -> list[float]:
    """Milliseconds; where it falls on a failed request the line is broken."""
    values = [one.percentiles[measure].get(percent) for one in moments]
    return [nan if value is None else _MS * value for value in values]


def _draw_misses(axes: Axes, document: Document) -> None:
    for task_class, colour in coloured(document):
        moments = [one for one in document.moments if one.task_class == task_class and one.answered + one.failed]
        times = [one.at + one.seconds / 2 for one in moments]
        shares = [100 * (one.late + one.failed) / (one.answered + one.failed) for one in moments]
        axes.plot(times, shares, color=colour, label=f"{task_class}")
        failed = [100 * one.failed / (one.answered + one.failed) for one in moments]
        if any(failed):
            axes.plot(times, failed, color=colour, linestyle=":", label=f"{task_class}, failed")
    axes.axhline(5, color="black", linestyle=":", linewidth=1)
    axes.set_ylabel("%")
    axes.set_ylim(bottom=0)


# --- Rows of the chart of health --------------------------------------------------------------------------------


def _draw_lag(axes: Axes, document: Document) -> None:
    for task_class, colour in coloured(document):
        moments = [
            one for one in document.moments if one.task_class == task_class and Measure.SEND_LAG in one.percentiles
        ]
        times = [one.at + one.seconds / 2 for one in moments]
        axes.plot(times, _at(moments, Measure.SEND_LAG, "95"), color=colour, label=task_class)
    axes.set_ylabel("ms")
    axes.set_ylim(bottom=0)


def _draw_cpu(axes: Axes, document: Document) -> None:
    for generator, colour in zip(document.generators, cycle(PALETTE), strict=False):
        times = [one.at for one in generator.pulses]
        axes.plot(times, [100 * one.cpu_share for one in generator.pulses], color=colour, label=generator.name)
    axes.set_ylabel("%")
    axes.set_ylim(bottom=0)


def _draw_in_flight(axes: Axes, document: Document) -> None:
    for generator, colour in zip(document.generators, cycle(PALETTE), strict=False):
        times = [one.at for one in generator.pulses]
        axes.plot(times, [one.in_flight for one in generator.pulses], color=colour, label=generator.name)
        axes.plot(times, [one.waiting for one in generator.pulses], color=colour, linestyle=":")
    axes.set_ylabel("requests")
    axes.set_ylim(bottom=0)


def _draw_memory(axes: Axes, document: Document) -> None:
    for generator, colour in zip(document.generators, cycle(PALETTE), strict=False):
        times = [one.at for one in generator.pulses]
        axes.plot(times, [one.memory_bytes / 2**20 for one in generator.pulses], color=colour, label=generator.name)
    axes.set_ylabel("MiB")
    axes.set_ylim(bottom=0)


def _draw_server_memory(axes: Axes, document: Document) -> None:
    _draw_server(axes, document, lambda memory, _: memory / 2**20, "MiB")


def _draw_server_files(axes: Axes, document: Document) -> None:
    _draw_server(axes, document, lambda _, files: float(files), "open files")


def _draw_server(axes: Axes, document: Document, value: Callable[[int, int], float], label: str) -> None:
    names = sorted({one.name for one in document.server.pulses})
    for name, colour in zip(names, cycle(PALETTE), strict=False):
        told = [one for one in document.server.pulses if one.name == name]
        values = [value(one.memory_bytes, one.open_files) for one in told]
        axes.plot([one.at for one in told], values, color=colour, label=name, marker=".")
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)


# --- What all of them share -------------------------------------------------------------------------------------


def _stacked(document: Document, rows: Sequence[tuple[str, Draw]]) -> str:
    with picture_style():
        figure = Figure(figsize=(WIDTH_INCHES, _ROW_INCHES * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), 1, sharex=True, squeeze=False)
        for (title, draw), (axes,) in zip(rows, grid, strict=True):
            draw(axes, document)
            axes.set_xlim(0, _length(document))
            _draw_phases(axes, document)
            bare(axes)
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
            axes.tick_params(labelbottom=True)
            legend(axes)
        grid[-1][0].set_xlabel("seconds since the start; grey: a warm-up, which is not measured")
        return rendered(figure)


def _length(document: Document) -> float:
    return max(
        sum(phase.seconds for phase in document.phases), *(one.at + one.seconds for one in document.moments), 1.0
    )


def _step(document: Document) -> int:
    return document.moments[0].seconds if document.moments else 1


def _draw_phases(axes: Axes, document: Document) -> None:
    begin = 0.0
    for phase in document.phases:
        if not phase.measured:
            axes.axvspan(begin, begin + phase.seconds, color=_WARM_UP, linewidth=0, zorder=0)
        begin += phase.seconds
        axes.axvline(begin, color="black", linewidth=0.4, alpha=0.4)
