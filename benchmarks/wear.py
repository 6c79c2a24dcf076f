"""What a passage costs the card: bytes that are written for it, beside what a user would pick instead.

Counted by the kernel for this process (proc(5), /proc/pid/io): what was passed to write calls, and what that made of
pages that go to the disk. Nothing is timed. A run has several thousand passages, so that copying back from the
write-ahead log is in it. With --alone the sectors that the whole disk took are shown as well: the file system's own
journal is in them, and whatever anybody else writes there.
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import on_disk
import record_sides
from record import NAMES
from report import Row, as_much, missing

from edge.storage.chaining import LogKeys
from edge.storage.event_log import EventLog

DOORS = 16
BATCH = 100  # events that the cloud acknowledges at once
SECTOR = 512  # of /sys/…/stat, whatever the disk's own are
Work = Callable[[Path, int], None]


class Written(NamedTuple):
    """Bytes: passed to write calls; in pages that became due to be written; taken by the disk."""

    called: int
    pages: int
    disk: int


def written(folder: Path) -> Written:
    """What was written so far, by this process and to the disk of `folder`."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    device = os.stat(folder).st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    sectors = int(stat.read_text().split()[6]) if stat.exists() else 0
    return Written(int(fields["wchar"]), int(fields["write_bytes"]), sectors * SECTOR)


def opened(folder: Path) -> EventLog:
    """A log as the agent has it."""
    folder.mkdir()
    return EventLog.open(
        folder / "events.db", boot_id="benchmark", max_unsent=10_000_000, keys=LogKeys(bytes(32)), mark=folder / "mark"
    )


def one_by_one(folder: Path, passages: int) -> None:
    """Each passage waits for its own commit, as where one person comes at a time."""
    log = opened(folder)
    for number in range(passages):
        log.record([record_sides.passage(number)], 1).result()
    log.close()


def doors_at_once(folder: Path, passages: int) -> None:
    """Sixteen doors at the same moment, again and again."""
    log = opened(folder)
    for number in range(0, passages, DOORS):
        batches = [log.record([record_sides.passage(number + door, f"door-{door}")], 1) for door in range(DOORS)]
        for batch in batches:
            batch.result()
    log.close()


def whole_life(folder: Path, passages: int) -> None:
    """Recorded one by one, acknowledged in hundreds, gone again when acknowledged."""
    log = opened(folder)
    for number in range(passages):
        log.record([record_sides.passage(number)], 1).result()
        if (number + 1) % BATCH == 0:
            log.acknowledge(log.last_seq).result()
            log.prune(BATCH).result()
    log.close()


def side(name: str) -> Work:
    """One of record.py's other sides, one by one."""

    def work(folder: Path, passages: int) -> None:
        folder.mkdir()
        with ExitStack() as stack:
            commit = stack.enter_context(getattr(record_sides, name)(folder))
            for number in range(passages):
                commit(number)

    return work


OURS = {
    "one passage at a time": one_by_one,
    f"{DOORS} doors at once": doors_at_once,
    "its whole life, acknowledged and gone": whole_life,
}
OTHERS = ("append_only", "plain_wal_full", "plain_defaults")


def of_one(work: Work, folder: Path, passages: int) -> list[float]:
    """Bytes for one passage, as Written: of a run, less those of one a quarter as long: opening is not in it."""
    few, many = (_of_run(work, folder / str(count), count) for count in (passages // 4, passages))
    return [(more - less) / (passages - passages // 4) for less, more in zip(few, many, strict=True)]


def _of_run(work: Work, folder: Path, passages: int) -> list[int]:
    os.sync()
    before = written(folder.parent)
    work(folder, passages)
    os.sync()
    return [after - was for was, after in zip(before, written(folder.parent), strict=True)]


def compare(folder: Path, passages: int, alone: bool) -> list[Row]:
    """A row for each of ours beside each other side, and what the calls alone are."""
    cost = {}
    for name, work in {**OURS, **{name: side(name) for name in OTHERS}}.items():
        (folder / name.replace(" ", "-")).mkdir()
        cost[name] = of_one(work, folder / name.replace(" ", "-"), passages)
    found = []
    for ours in OURS:
        for other in OTHERS:
            found += _rows(f"bytes a passage, {ours}", cost[ours], cost[other], NAMES[other], alone)
    return found


def _rows(case: str, ours: list[float], other: list[float], name: str, alone: bool) -> list[Row]:
    kinds = ("passed to write calls", "in pages written") + (("taken by the disk",) if alone else ())
    return [
        as_much("wear", f"{case}, {kind}", mine, theirs, name, "B", None)
        if mine > 0 and theirs > 0
        else missing("wear", f"{case}, {kind}", "not counted by this kernel or file system", "B", None)
        for kind, mine, theirs in zip(kinds, ours, other, strict=False)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="bytes written for each passage, beside sqlite3 and a plain file")
    parser.add_argument("--alone", action="store_true", help="nobody else writes to that disk: show what it took")
    return on_disk.run(
        "wear", parser, lambda folder, asked: compare(folder, 1_600 if asked.quick else 8_000, asked.alone)
    )


if __name__ == "__main__":
    sys.exit(main())
