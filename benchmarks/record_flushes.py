"""Flushes of the disk a commit, counted by strace: of a child that commits, and of one that commits twice as often.

The difference of the two leaves out what opening and closing cost. Run as a program it is that child.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import record_sides

SIDES = ("ours", "plain_wal_full", "plain_defaults", "append_only")


def a_commit(side: str, folder: Path, commits: int) -> float | None:
    """fsync and fdatasync calls of one commit; None where strace cannot be used."""
    few, many = (_count(side, folder / f"{side}-{times}", times * commits) for times in (1, 2))
    return None if few is None or many is None else (many - few) / commits


def _count(side: str, folder: Path, commits: int) -> int | None:
    if shutil.which("strace") is None:
        return None
    folder.mkdir()
    counted = folder / "strace"
    command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(counted)]
    command += [sys.executable, __file__, side, str(folder), str(commits)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120).returncode:
        return None
    return len(re.findall(r"\b(?:fsync|fdatasync)\(", counted.read_text()))


def main() -> None:
    side, folder, commits = sys.argv[1:]
    with getattr(record_sides, side)(Path(folder)) as commit:
        for number in range(int(commits)):
            commit(number)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    main()
