"""What every benchmark prints: where it ran, its rows as a table or as one JSON object."""

import json
import os
import platform
from pathlib import Path
from typing import Any

Row = dict[str, Any]

AHEAD = "times ahead, at least"
AS_MUCH = "times as much, at most"


def machine() -> str:
    """Name the processor, the cores and the Python that these figures are from."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def ahead(row: str, case: str, ours: float, other: float, other_name: str, unit: str, goal: float | None) -> Row:
    """Make a row of two costs: how many times ours is ahead. `goal` None: a figure."""
    ratio = other / ours
    return _row(row, f"{case}; {AHEAD}", ours, other, other_name, unit, ratio, goal, goal is None or ratio >= goal)


def rate(row: str, case: str, ours: float, other: float, other_name: str, unit: str, goal: float | None) -> Row:
    """Make a row of two rates: how many times ours is ahead. `goal` None: a figure."""
    ratio = ours / other
    return _row(row, f"{case}; {AHEAD}", ours, other, other_name, unit, ratio, goal, goal is None or ratio >= goal)


def as_much(row: str, case: str, ours: float, other: float, other_name: str, unit: str, goal: float | None) -> Row:
    """Make a row of two figures: how many times the other's ours is. `goal` None: a figure."""
    ratio = ours / other
    return _row(row, f"{case}; {AS_MUCH}", ours, other, other_name, unit, ratio, goal, goal is None or ratio <= goal)


def missing(row: str, case: str, other_name: str, unit: str, goal: float | None) -> Row:
    """Make the row of what could not be measured; `other_name` says why. It fails nothing."""
    return {"row": row, "case": case, "ours": None, "other": None, "other_name": other_name} | {
        "unit": unit, "ratio": None, "goal": goal, "ok": True
    }  # fmt: skip


def _row(
    row: str,
    case: str,
    ours: float,
    other: float,
    other_name: str,
    unit: str,
    ratio: float,
    goal: float | None,
    ok: bool,
) -> Row:
    figures = {"ours": _short(ours), "other": _short(other), "other_name": other_name, "unit": unit}
    return {"row": row, "case": case, **figures, "ratio": _short(ratio), "goal": goal, "ok": ok}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def print_rows(benchmark: str, rows: list[Row], as_json: bool) -> None:
    """Print one JSON object, or a table."""
    if as_json:
        print(json.dumps({"benchmark": benchmark, "machine": machine(), "rows": rows}))
        return
    print(machine())
    for row in rows:
        case, _, words = row["case"].rpartition("; ")
        if row["ratio"] is None:
            print(f"{row['row']} {row['case']:62} {row['other_name']}")
            continue
        goal = "" if row["goal"] is None else f"{row['goal']:.3g} {'met' if row['ok'] else 'NOT MET'}"
        print(
            f"{row['row']} {case:62} ours {row['ours']:>10,.7g} {row['unit']:6} {row['other_name']:40}"
            f" {row['other']:>10,.7g} {row['ratio']:>8,.4g} {words.partition(',')[0]:13} {goal}"
        )
