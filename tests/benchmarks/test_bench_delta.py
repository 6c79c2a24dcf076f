"""benchmarks/delta.py runs all its parts, prints what it promises, and refuses to measure memory as a disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "delta.py"
FIELDS = {"row", "case", "ours", "other", "other_name", "unit", "ratio", "goal", "ok"}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL)


def test_rows_of_the_required_shape(tmp_path):
    """P6 with its goal, and how much of it is verifying, storing and indexing."""
    done = run("--tiny", "--json", "--folder", str(tmp_path))
    assert done.returncode in (0, 1), done.stderr  # 1: the goal was missed, which so few rows decide by chance
    printed = json.loads(done.stdout)
    assert (set(printed), printed["benchmark"]) == ({"benchmark", "machine", "rows"}, "delta")
    rows = printed["rows"]
    assert all(set(row) == FIELDS and row["row"] == "P6" for row in rows)
    assert [row["goal"] for row in rows] == [3.0, None, None, None]
    parts = [row["case"].partition(": ")[2].partition(";")[0] for row in rows[1:]]
    assert parts == ["of it verify", "of it store", "of it index"]
    assert sum(row["ours"] for row in rows[1:]) > 0


def test_memory_is_no_disk():
    """Where flushing costs nothing, the ratio would be another one."""
    if Path("/dev/shm").is_dir():
        done = run("--tiny", "--folder", "/dev/shm")
        assert done.returncode == os.EX_USAGE
        assert "is in memory (tmpfs)" in done.stderr
