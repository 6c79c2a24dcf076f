"""What one worker of the cloud stores beside plain batched inserts into the same database (row P7).

Ours opens, verifies and answers signed and sealed batches and follows each log's chain; the other side has the
finished rows, and hands them to the driver's `executemany`, each batch a commit, into a twin of the table in the same
database, with the same indexes and keys. Turn by turn in one run; medians. On SQLite, and on PostgreSQL where it is
installed (both flush every commit).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from postgres_process import Postgres, programs
from report import Row, missing, print_rows, rate

GOAL = 0.5
BATCH = 500  # events of a batch after an outage; a live one often has one
SIDE = Path(__file__).parent / "ingest_side.py"
OTHER = "executemany of the same rows"


def rates_of(url: str, folder: Path, batch: int, messages: int, rounds: int) -> tuple[float, float]:
    """Events a second, ours and the other's."""
    command = [sys.executable, SIDE, "--database", url, "--folder", folder, "--batch", batch]
    command += ["--messages", messages, "--rounds", rounds]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    rates = json.loads(done.stdout)
    return median(rates["ours"]), median(rates["plain"])


def rows_of(name: str, urls: tuple[str, str], folder: Path, size: tuple[int, int]) -> list[Row]:
    """urls: an empty database for each part. size: messages a round, rounds."""
    messages, rounds = size
    full = rates_of(urls[0], folder, BATCH, messages, rounds)
    live = rates_of(urls[1], folder, 1, messages * 4, rounds)
    return [
        rate("P7", f"{name}: events a second in batches of {BATCH}", *full, OTHER, "1/s", GOAL),
        rate("P7", f"{name}: batches of one event, live", *live, OTHER, "1/s", None),
    ]


def compare(folder: Path, size: tuple[int, int]) -> list[Row]:
    """Everything."""
    rows = rows_of("SQLite", ("", ""), folder, size)
    if programs() is None:
        case = f"PostgreSQL: events a second in batches of {BATCH}"
        return [*rows, missing("P7", case, "not measured: PostgreSQL is not installed", "1/s", GOAL)]
    with Postgres() as server:
        server.run("CREATE DATABASE live")
        return [*rows, *rows_of("PostgreSQL", (server.url(), server.url("live")), folder, size)]


def main() -> int:
    parser = argparse.ArgumentParser(description="a worker of the cloud beside plain inserts (P7)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure (default: here)")
    parser.add_argument("--tiny", action="store_true", help="hardly any: whether every part works, not how fast")
    arguments = parser.parse_args()
    size = (2, 1) if arguments.tiny else (16, 5) if arguments.quick else (32, 15)
    with tempfile.TemporaryDirectory(prefix=".ingest-", dir=arguments.folder) as folder:
        rows = compare(Path(folder).resolve(), size)
    print_rows("ingest", rows, arguments.json)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
