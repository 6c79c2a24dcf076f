"""What a list costs before it decides: its bytes, opening it, and a process's way to its first decision (row P3)."""

import json
import mmap
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from decide_here import Place, open_table
from report import Row, ahead, as_much

from edge.decision.index import Index
from edge.decision.policy import compile_image

ROOT = Path(__file__).resolve().parents[1]
GOAL_BYTES, GOAL_OPEN_MS, GOAL_FLAT, GOAL_JSON = 12.0, 2.0, 1.5, 8.0
MANY, MOST = 100_000, 1_000_000  # the fixed part of an image counts below the first; goals are set at the second

# What the agent does at its start, as far as the decision goes: map the image, check it, open it, decide.
_OURS = """
import mmap, sys, zlib
sys.path.insert(0, sys.argv[2])
from edge.decision.authorize import QUIET, authorize
from edge.decision.index import Index
from edge.decision.model import Moment, Presented
with open(sys.argv[1], "rb") as file:
    index = Index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
assert index.verify(zlib.crc32)
print(authorize(index, {presented}, QUIET, {moment}).reason)
"""
_JSON = """
import json, sys
with open(sys.argv[1], "rb") as file:
    table = {(row[0], row[1]): row for row in json.load(file)}
print(table.get((1, int(sys.argv[2]))))
"""


def rows_of_image(place: Place) -> list[Row]:
    """The image's size, and the time to compile it and to open it."""
    credentials = len(place.residence.credentials)
    count = f"{credentials:,} credentials"
    goal = 1.0 if credentials >= MANY else None
    size = len(place.image) / credentials
    packed = list(place.residence.packed())
    started = time.perf_counter()
    compile_image(packed, (1, 1), bytes(32), zlib.crc32)
    compiled_ms = (time.perf_counter() - started) * 1000
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "list.db"
        started = time.perf_counter()
        open_table(place, str(table)).close()
        filled_ms = (time.perf_counter() - started) * 1000
        table_size = table.stat().st_size / credentials
        image = Path(folder) / "image"
        image.write_bytes(place.image)
        open_ms, verify_ms = _open(image)
    return [
        as_much("P3", f"{count}, bytes a credential", size, GOAL_BYTES, "the goal", "B", goal),
        as_much("P3", f"{count}, bytes a credential", size, table_size, "SQLite table WITHOUT ROWID", "B", None),
        as_much("P3", f"{count}, bytes a credential", size, _dict_size(place), "plain dict, values shared", "B", None),
        ahead("P3", f"{count}, compile the rows", compiled_ms, filled_ms, "fill a SQLite table", "ms", None),
        as_much("P3", f"{count}, open the image", open_ms, GOAL_OPEN_MS, "the goal", "ms", 1.0),
        as_much("P3", f"{count}, check its crc32", verify_ms, open_ms, "open the image", "ms", None),
    ]


def _dict_size(place: Place) -> float:
    """Bytes a credential that a dict takes: its table, key tuples and numbers; the values are shared."""
    table = place.credentials()
    keys = sum(sys.getsizeof(key) + sys.getsizeof(key[1]) for key in table)
    return (sys.getsizeof(table) + keys) / len(table)


def _open(path: Path) -> tuple[float, float]:
    """Milliseconds to map and open an image, and to check it; medians."""
    opened, verified = [], []
    for _ in range(15):
        started = time.perf_counter()
        with path.open("rb") as file:
            index = Index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        opened.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        index.verify(zlib.crc32)
        verified.append((time.perf_counter() - started) * 1000)
    return median(opened), median(verified)


def rows_of_start(places: Iterable[Place], starts: int) -> list[Row]:
    """Process start to first decision: the largest list beside the smallest, and beside the same list in JSON."""
    places = list(places)
    small, large = places[0], places[-1]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "small": _ours(small, Path(folder) / "small"),
            "large": _ours(large, Path(folder) / "large"),
            "json": _json(large, Path(folder) / "json"),
            "nothing": [sys.executable, "-c", "pass"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(starts + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                taken[name].append((time.perf_counter() - started) * 1000)
    ms = {name: median(values[1:]) for name, values in taken.items()}
    most, least = (f"{len(place.residence.credentials):,}" for place in (large, small))
    goal = GOAL_JSON if len(large.residence.credentials) >= MOST else None
    return [
        as_much("P3", f"{most}, process start to decision", ms["large"], ms["small"], f"{least}", "ms", GOAL_FLAT),
        ahead("P3", f"{most}, process start to decision", ms["large"], ms["json"], "JSON into a dict", "ms", goal),
        as_much("P3", f"{most}, process start to decision", ms["large"], ms["nothing"], "python -c pass", "ms", None),
    ]


def _ours(place: Place, path: Path) -> list[str]:
    path.write_bytes(place.image)
    program = _OURS.format(presented=place.asks[0].presented, moment=place.asks[0].moment)
    return [sys.executable, "-c", program, str(path), str(ROOT)]


def _json(place: Place, path: Path) -> list[str]:
    path.write_text(json.dumps([row[:8] for row in place.residence.credentials]))
    return [sys.executable, "-c", _JSON, str(path), str(place.asks[0].presented.number)]
