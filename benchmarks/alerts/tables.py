"""The benchmark's tables, and which targets are missed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Replay = Mapping[str, Any]
OUTAGES = ("all fail", "all hang, and time out after 30 s", "all tiers fail")
HALF = "half late"
HALF_MINUTES_MAX, OUTAGE_MEDIAN_MAX, OUTAGE_P95_MAX, RESET_MINUTES_MAX, RENDERING_SECONDS_MAX = 8, 2, 3, 10, 2


def quantile(values: Iterable[float | None], share: float) -> float | None:
    """The smallest value that so many are not above; None where it is among those that never came."""
    ordered = sorted((value is None, value or 0.0) for value in values)
    if not ordered:
        return None
    never, value = ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
    return None if never else value


def tables(result: Mapping[str, Any]) -> str:
    parts = []
    if "incidents" in result:
        parts.append(_by_row(result["incidents"]))
    if "steps" in result:
        parts.append(_compared(result["steps"]))
    if "quiet" in result:
        parts.append(_quiet(result["quiet"]))
    if "floors" in result:
        parts.append(_floors(result["floors"]["ours"]))
    if seconds := result.get("rendering", {}).get("ours"):
        parts.append(f"Rendering everything: median {quantile(seconds, 0.5):.2f} s of CPU")
    return "\n\n".join(parts)


def _by_row(replays: Mapping[str, Sequence[Replay]]) -> str:
    """Ours in full; of the peers the median alone."""
    peers = [name for name in replays if name != "ours"]
    lines = [
        "|incident|replays|paged|minutes to page: median|95 %|reset: median|worst|pages: most|grouped by tier|"
        + "|".join(f"{name}: paged|median" for name in peers) + "|",
        "|-|" + "-|" * (8 + 2 * len(peers)),
    ]
    for row, ours in _rows(replays["ours"]):
        paged, reset = ([one[key] for one in ours] for key in ("paged_minutes", "reset_minutes"))
        cells = [
            row + ("" if ours[0]["should_page"] else " (no page wanted)"),
            str(len(ours)),
            str(sum(one["pages"] > 0 for one in ours)),
            _text(quantile(paged, 0.5)),
            _text(quantile(paged, 0.95)),
            _text(quantile([one for one in reset if one is not None], 0.5)),
            _text(max((one for one in reset if one is not None), default=None)),
            str(max(one["pages"] for one in ours)),
            str(max(one["pages_by_tier"] for one in ours)),
        ]
        for name in peers:
            theirs = dict(_rows(replays[name]))[row]
            cells += [str(sum(one["pages"] > 0 for one in theirs))]
            cells += [_text(quantile([one["paged_minutes"] for one in theirs], 0.5))]
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def _compared(steps: Mapping[str, Sequence[Replay]]) -> str:
    lines = ["|late, 8 h|" + "|".join(steps) + "|", "|-|" + "-|" * len(steps)]
    for row, _ in _rows(next(iter(steps.values()))):
        found = [quantile([one["paged_minutes"] for one in dict(_rows(steps[name]))[row]], 0.5) for name in steps]
        lines.append(f"|{row}|{'|'.join(map(_text, found))}|")
    return "\n".join(lines)


def _quiet(quiet: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = [
        "|rules|requests a minute|quiet days|looked at each|replayed by the rule engine|pages|a 30 days|by|",
        "|-|" + "-|" * 7,
    ]
    for name, rows in quiet.items():
        for one in rows:
            each = one["pages"] * 30 / one["days"]
            by = ", ".join(one["alerts"])
            looks = f"{one['step_seconds']} s|{one['replayed_minutes'] / 60:.1f} h"
            lines.append(f"|{name}|{one['per_minute']:g}|{one['days']}|{looks}|{one['pages']}|{each:.3g}|{by}|")
    return "\n".join(lines)


def _floors(tried: Sequence[Mapping[str, Any]]) -> str:
    """Quiet days: false pages a year. Incidents: when they page, how many paged twice, how many ended late."""
    lines = ["|figure|value|traffic|of|pages|minutes to page: median|95 %|paged twice|reset late|", "|-|" + "-|" * 8]
    for one in tried:
        of = f"{one['count']} {'days' if one['traffic'] == 'quiet' else 'replays'}"
        cells = [one["figure"], f"{one['value']:g}", f"{one['traffic']}, {one['per_minute']:g}/min", of]
        cells.append(f"{one['pages']:.2f}" + (" a year" if one["traffic"] == "quiet" else ""))
        if one["traffic"] == "quiet":
            cells += [""] * 4
        else:
            cells += [_text(one["paged_minutes"]), _text(one["paged_minutes_95"])]
            cells += [str(one["paged_twice"]), str(one["reset_late"])]
        lines.append(f"|{'|'.join(cells)}|")
    return "\n".join(lines)


def _rows(replays: Sequence[Replay]) -> Iterator[tuple[str, list[Replay]]]:
    rows: dict[str, list[Replay]] = {}
    for one in sorted(replays, key=lambda one: one["seed"]):
        rows.setdefault(one["row"], []).append(one)
    return iter(rows.items())


def _text(minutes: float | None) -> str:
    return "none" if minutes is None else f"{minutes:.1f}"


def missed_targets(result: Mapping[str, Any]) -> list[str]:
    """Of ours. Only what was measured is judged."""
    replays: Sequence[Replay] = result.get("incidents", {}).get("ours", [])
    return [
        *(_outages(replays) if replays else ()),
        *(_others(replays) if replays else ()),
        *(
            f"{one['pages']} pages in {one['days']} quiet days at {one['per_minute']:g} requests a minute"
            for one in result.get("quiet", {}).get("ours", [])
            if one["pages"]
        ),
        *(
            f"rendering took {seconds:.1f} s"
            for seconds in [quantile(result.get("rendering", {}).get("ours", []), 0.5)]
            if seconds is not None and seconds >= RENDERING_SECONDS_MAX
        ),
    ]


def _outages(replays: Sequence[Replay]) -> Iterator[str]:
    for row, found in _rows([one for one in replays if one["kind"] in OUTAGES]):
        for share, most in ((0.5, OUTAGE_MEDIAN_MAX), (0.95, OUTAGE_P95_MAX)):
            minutes = quantile([one["paged_minutes"] for one in found], share)
            if minutes is None or minutes > most:
                yield f"{row}: {share:.0%} paged within {_text(minutes)} minutes, wanted {most}"


def _others(replays: Sequence[Replay]) -> Iterator[str]:
    for row, found in _rows(replays):
        if found[0]["kind"] == HALF:
            minutes = quantile([one["paged_minutes"] for one in found], 0.5)
            if minutes is None or minutes > HALF_MINUTES_MAX:
                yield f"{row}: paged within {_text(minutes)} minutes in the median, wanted {HALF_MINUTES_MAX}"
        late = [one["reset_minutes"] for one in found if (one["reset_minutes"] or 0) > RESET_MINUTES_MAX]
        if late:
            yield f"{row}: {len(late)} of {len(found)} reset after {max(late):.1f} minutes, wanted {RESET_MINUTES_MAX}"
        if (most := max(one["pages"] for one in found)) > 1:
            yield f"{row}: {most} pages"
        if found[0]["should_page"] is False and any(one["pages"] for one in found):
            yield f"{row}: paged, and should not"
        if found[0]["should_page"] and (silent := sum(one["paged_minutes"] is None for one in found)):
            yield f"{row}: {silent} of {len(found)} paged nobody"
