"""benchmarks/ingest.py runs all its parts and prints what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "ingest.py"
FIELDS = {"row", "case", "ours", "other", "other_name", "unit", "ratio", "goal", "ok"}


@pytest.mark.full
def test_rows_of_the_required_shape(tmp_path):
    """Of a run of hardly any size: P7 on SQLite, and on PostgreSQL or the word that it is not installed."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--tiny", "--json", "--folder", str(tmp_path)],
        capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr  # 1: a goal was missed, which so few events decide by chance
    printed = json.loads(done.stdout)
    assert (set(printed), printed["benchmark"]) == ({"benchmark", "machine", "rows"}, "ingest")
    assert {row["row"] for row in printed["rows"]} == {"P7"}
    assert all(set(row) == FIELDS for row in printed["rows"])
    names = [row["case"].partition(":")[0] for row in printed["rows"] if row["goal"] == 0.5]
    assert names == ["SQLite", "PostgreSQL"]
    assert all(row["ours"] > 0 for row in printed["rows"] if row["ours"] is not None)
