"""What can still be read of a damaged log, and was not sent, becomes a closed log: it goes out under its old id.

The damaged file itself stays as it is. Numbers that cannot be read become a note of lost ones, so that the manager sees
the hole; where the chain does not hold any more, he sees the events as not proven (edge/decision/chain.py).
"""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from edge.decision.chain import LOST
from edge.storage.archive import EVENTS
from edge.storage.backup import COPIES, check_room
from edge.storage.chain_rows import LINK
from edge.storage.errors import StorageError
from edge.storage.migrations import EVENTS as TABLES
from edge.storage.migrations import bring_up
from edge.storage.opening import lenient, open_file, sync_folder

_DAMAGED = re.compile(rf"^{re.escape(EVENTS)}(?:\.closed-\d+)?\.damaged-\d+$")
_READ = ".read"  # the ending of an empty file beside a damaged one that was looked through
_WINDOW = 256
_HEAD = "log_id, acked, dropped, chain_head, chain_seal, acked_head, acked_proof, dropped_noted, marked, purged_to"

Values = tuple[Any, ...]


class Salvaged(NamedTuple):
    """path: the damaged file. read, lost: of its unsent events. trouble: why nothing could be read, or ""."""

    path: Path
    read: int
    lost: int
    trouble: str


def salvage(data: Path) -> list[Salvaged]:
    """Look through every damaged log in `data` that nobody looked through yet; blocks. OSError, StorageError where the
    disk takes no copy: then it is done another time."""
    found = []
    for path in sorted(data.iterdir()):
        done = path.with_name(path.name + _READ)
        if not _DAMAGED.match(path.name) or done.exists():
            continue
        check_room(data, (path, path))
        folder = Path(tempfile.mkdtemp(prefix=COPIES, dir=data))  # cleared away like those, should this be cut off
        try:
            found.append(_salvage(path, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        done.touch(0o600)
    return found


def _salvage(path: Path, folder: Path) -> Salvaged:
    copied, draft = folder / "damaged", folder / EVENTS
    for ending in ("", "-wal"):
        if path.with_name(path.name + ending).exists():
            shutil.copyfile(path.with_name(path.name + ending), copied.with_name(copied.name + ending))
    try:
        with closing(sqlite3.connect(copied, isolation_level=None)) as source:
            source.text_factory = lenient
            bring_up(source, TABLES, copied)
            last = source.execute("SELECT last_seq FROM head").fetchone()[0]
            acked = source.execute("SELECT acked FROM head").fetchone()[0]
            target, _ = open_file(draft, TABLES, check=False, busy_timeout_ms=2000)
            with closing(target):
                target.execute("PRAGMA foreign_keys = OFF")  # an event counts although its boot cannot be read
                target.execute("BEGIN IMMEDIATE")
                read = _copy(source, target, acked, last)
                target.execute("COMMIT")
    except (sqlite3.Error, StorageError, TypeError) as error:  # without its head nobody knows whose events they are
        return Salvaged(path, 0, 0, str(error))
    if read:
        draft.rename(_free_name(path.parent))
        sync_folder(path.parent)
    return Salvaged(path, read, last - acked - read, "")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, acked: int, last: int) -> int:
    """Everything that belongs to the unsent events, as far as it can be read; how many events."""
    seqs = [row[0] for above in range(acked, last, _WINDOW) for row in _events(source, target, above, last)]
    if seqs:
        head = source.execute(f"SELECT {_HEAD} FROM head").fetchone()  # noqa: S608 (constants)
        changes = ", ".join(f"{name} = ?" for name in _HEAD.split(", "))
        target.execute(f"UPDATE head SET {changes}, last_seq = ?", (*head, seqs[-1]))  # noqa: S608 (constants)
        for table in ("boot", "secret", "gap", "kept"):
            _put(target, table, _rows(source, table, ""))
        _put_notes(source, target, _holes(seqs, acked))
    return len(seqs)


def _events(source: sqlite3.Connection, target: sqlite3.Connection, above: int, last: int) -> Iterator[Values]:
    for row in _between(source, above, min(above + _WINDOW, last)):
        if _put(target, "event", [row]):
            yield row


def _between(source: sqlite3.Connection, above: int, up_to: int) -> Iterator[Values]:
    """The events that can be read; where some cannot, half as many at a time, down to one."""
    try:
        found = _rows(source, "event", f"WHERE seq > {above} AND seq <= {up_to} ORDER BY seq", is_sure=True)
    except sqlite3.Error:
        if up_to - above > 1:
            middle = (above + up_to) // 2
            yield from _between(source, above, middle)
            yield from _between(source, middle, up_to)
    else:
        yield from found


def _rows(source: sqlite3.Connection, table: str, where: str, is_sure: bool = False) -> Sequence[Values]:
    """Rows of a table; none where it cannot be read, unless that must be known for sure."""
    try:
        found: list[Values] = source.execute(f"SELECT * FROM {table} {where}").fetchall()  # noqa: S608 (constants)
    except sqlite3.Error:
        if is_sure:
            raise
        return ()
    return found


def _put(target: sqlite3.Connection, table: str, found: Sequence[Values]) -> int:
    """Rows into the same table; how many fit there. What damage made of a row may not."""
    fitting = 0
    for row in found:
        places = ",".join("?" * len(row))
        try:
            target.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 (constants)
        except (sqlite3.IntegrityError, OverflowError):
            continue
        fitting += 1
    return fitting


def _holes(seqs: Sequence[int], acked: int) -> list[tuple[int, int]]:
    """(first, last) of the numbers that are missing among those above `acked`."""
    return [(before + 1, seq - 1) for before, seq in zip([acked, *seqs[:-1]], seqs, strict=True) if seq > before + 1]


def _put_notes(source: sqlite3.Connection, target: sqlite3.Connection, holes: Sequence[tuple[int, int]]) -> None:
    """The notes in their order, those of the holes among them, and the starts that belong to them."""
    own = [
        (after, number, kind, first, last, link) for number, after, kind, first, last, link in _rows(source, "note", "")
    ]
    lost = [(first - 1, 1 << 62, LOST, first, last, bytes(LINK)) for first, last in holes]
    numbers = {}
    for renumbered, (after, number, *values) in enumerate(sorted([*own, *lost]), 1):
        numbers[number] = renumbered
        _put(target, "note", [(renumbered, after, *values)])
    starts = [(numbers[number], *values) for number, *values in _rows(source, "start", "") if number in numbers]
    _put(target, "start", starts)


def _free_name(data: Path) -> Path:
    """Of a closed log behind all that are there."""
    numbers = [
        int(path.name.rpartition("-")[2]) for path in data.glob(f"{EVENTS}.closed-*") if path.suffix[8:].isdigit()
    ]
    return data / f"{EVENTS}.closed-{max(numbers, default=0) + 1}"
