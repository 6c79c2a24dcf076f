"""benchmarks/record.py runs all its parts, prints what it promises, and refuses to measure memory as a disk."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "benchmarks" / "record.py"
FIELDS = {"row", "case", "ours", "other", "other_name", "unit", "ratio", "goal", "ok"}
SIDES = ("sqlite3, WAL, synchronous=FULL", "sqlite3, defaults", "append-only file, fdatasync")

sys.path.append(str(PROGRAM.parent))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[dict[str, Any]]:
    """Of a run of hardly any size."""
    done = run("--tiny", "--json", "--folder", str(tmp_path_factory.mktemp("disk")))
    assert done.returncode in (0, 1), done.stderr  # 1: a goal was missed, which so few commits decide by chance
    printed = json.loads(done.stdout)
    assert (set(printed), printed["benchmark"]) == ({"benchmark", "machine", "rows"}, "record")
    return printed["rows"]


def test_rows_of_the_required_shape(rows):
    """All of P4, with the fields of requirements.md and the file system that they are from."""
    for row in rows:
        assert set(row) == FIELDS, row
        assert row["row"] == "P4"
        assert row["case"].partition(": ")[0].isalnum(), row
        assert row["goal"] is None or row["goal"] > 0, row


def test_every_side_is_measured(rows):
    """Each peer beside ours; sixteen doors beside one; busy beside idle; with the goals that requirements.md names."""
    goals = [(row["other_name"].partition(" (")[0], row["goal"]) for row in rows if row["goal"] is not None]
    assert goals == [(SIDES[0], 0.9), (SIDES[1], 3.0), goals[2], ("one door", 4.0), ("idle", 3.0)]
    assert {row["other_name"] for row in rows if "single commit" in row["case"]} == set(SIDES)


def test_one_flush_a_commit(rows):
    """Counted by strace, where it may trace: ours and plain WAL need one, sqlite3's defaults several."""
    flushes = {row["case"].partition("flushes a commit: ")[2].partition(";")[0]: row for row in rows}
    ours, wal, defaults = (flushes[name] for name in ("EventLog.record", *SIDES[:2]))
    if ours["ours"] is None:
        assert "not measured" in ours["other_name"]
        return
    assert ours["ours"] == pytest.approx(1, abs=0.05)
    assert wal["ours"] == pytest.approx(1, abs=0.05)
    assert defaults["ours"] >= 3


def test_memory_is_no_disk():
    """Where flushing costs nothing, every ratio would be another one."""
    if not Path("/dev/shm").is_dir():
        return
    done = run("--tiny", "--folder", "/dev/shm")
    assert done.returncode == os.EX_USAGE
    assert "is in memory (tmpfs)" in done.stderr
