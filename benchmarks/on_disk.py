"""Benchmarks that measure a disk: which one it is, and that it is one."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from report import Row, print_rows

NOT_A_DISK = ("tmpfs", "ramfs", "devtmpfs")


def run(name: str, parser: argparse.ArgumentParser, compare: Callable[[Path, argparse.Namespace], list[Row]]) -> int:
    """The exit code of benchmark `name`: its rows, of a new folder on the disk that was asked for, are printed."""
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter runs")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure (default: here)")
    arguments = parser.parse_args()
    kind = file_system(arguments.folder)
    if kind in NOT_A_DISK:
        print(f"{name}: {arguments.folder.resolve()} is in memory ({kind}); give --folder on a disk", file=sys.stderr)
        return os.EX_USAGE
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=arguments.folder) as folder:
        rows = compare(Path(folder).resolve(), arguments)
    for row in rows:
        row["case"] = f"{kind}: {row['case']}"
    print_rows(name, rows, arguments.json)
    return 0 if all(row["ok"] for row in rows) else 1


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`, as the kernel names it."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0]
    return "unknown"
