"""The dashboards against Grafana's own types, by TypeScript's compiler. ``make node`` installs both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parents[2] / "build" / "node"
COMPILE_SECONDS_MAX = 60
PLAIN = """
import type { AnnotationQuery, Dashboard, DataQuery } from '@grafana/schema';
/** What JSON holds: an enum's strings instead of its members. */
export type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
/** What the data source for Prometheus adds to Grafana's own; Grafana publishes no type of it. */
interface Query extends DataQuery { expr: string; interval?: string }
interface Annotation extends AnnotationQuery<Query> {
  titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean;
}
export type Board = Plain<Omit<Partial<Dashboard>, 'annotations'>> & { annotations: { list: Annotation[] } };
"""
PANELS = {
    "timeseries": "TimeSeries",
    "stat": "Stat",
    "bargauge": "BarGauge",
    "heatmap": "Heatmap",
    "table": "Table",
    "state-timeline": "StateTimeline",
}
"""By our types of panels, Grafana's name of their options' module."""


def program(board: dict[str, Any]) -> str:
    """TypeScript in which the dashboard, and each panel's options and custom fields, have Grafana's types."""
    lines = ["import type { Board, Plain } from './plain';"]
    for name in PANELS.values():
        module = f"@grafana/schema/dist/esm/raw/composable/{name.lower()}/panelcfg/x/{name}PanelCfg_types.gen"
        lines.append(f"import type * as {name} from '{module}';")
    lines.append(f"export const board: Board = {json.dumps(board, indent=1)};")
    for place, panel in enumerate(board["panels"]):
        if (name := PANELS.get(panel["type"])) is None:
            assert panel["type"] == "row"
            continue
        lines.append(f"export const o{place}: Plain<{name}.Options> = {json.dumps(panel['options'])};")
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            lines.append(f"export const c{place}: Plain<{name}.FieldConfig> = {json.dumps(custom)};")
    return "\n".join(lines)


def complaints(folder: Path, boards: dict[str, dict[str, Any]]) -> str:
    (folder / "plain.ts").write_text(PLAIN)
    (folder / "node_modules").symlink_to(NODE / "node_modules")
    for name, board in boards.items():
        (folder / f"{name}.ts").write_text(program(board))
    options = ["--noEmit", "--strict", "--skipLibCheck"]
    options += ["--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    command = [str(NODE / "node_modules" / ".bin" / "tsc"), *options, *(f"{name}.ts" for name in boards)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX).stdout


@pytest.fixture(autouse=True)
def _node() -> None:
    assert (NODE / "node_modules" / ".bin" / "tsc").exists(), "run `make node` first"


def test_grafanas_types_take_every_dashboard(boards: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert complaints(tmp_path, boards) == ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("fieldConfig", "defaults", "thresholds", "mode"), "absolut"),
        (("gridPos", "h"), "8"),
        (("options", "tooltip", "mode"), "both"),
        (("fieldConfig", "defaults", "custom", "lineWidth"), "thin"),
    ],
)
def test_grafanas_types_refuse_a_wrong_value(
    boards: dict[str, dict[str, Any]], tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    board = json.loads(json.dumps(boards["overview"]))
    panel = next(one for one in board["panels"] if one["title"] == "Requests")
    for key in path[:-1]:
        panel = panel[key]
    panel[path[-1]] = value
    found = complaints(tmp_path, {"overview": board})
    assert found.count("error") == 1
    assert "is not assignable" in found
