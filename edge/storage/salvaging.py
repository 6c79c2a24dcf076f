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
from edge.storage.errors import DamagedError, StorageError, from_sqlite
from edge.storage.migrations import EVENTS as TABLES
from edge.storage.migrations import bring_up
from edge.storage.opening import lenient, open_file, sync_folder

_DAMAGED = re.compile(rf"^{re.escape(EVENTS)}(?:\.closed-\d+)?\.damaged-\d+$")
_READ = ".read"  # the ending of an empty file beside a damaged one that was looked through
_WINDOW = 256
_MOST_UNSENT = 1_000_000  # several times what a log holds unsent (event_log.py): a head that says more is damaged
_HEAD = "log_id, acked, dropped, chain_head, chain_seal, acked_head, acked_proof, dropped_noted, marked, purged_to"
_OF_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY)

Values = tuple[Any, ...]


class Salvaged(NamedTuple):
    """path: the damaged file. read, lost: of its unsent events. trouble: why nothing could be read, or ""."""

    path: Path
    read: int
    lost: int
    trouble: str


def salvage(data: Path) -> list[Salvaged]:
    """Look through every damaged log in `data`, and in what restores put aside there, that nobody looked through yet;
    blocks. Where the disk takes no copy of one, that is its trouble, and it is done another time. OSError."""
    found = []
    for path in [*sorted(data.iterdir()), *sorted(data.glob(f"before-restore-*/{EVENTS}.damaged-*"))]:
        done = path.with_name(path.name + _READ)
        if not _DAMAGED.match(path.name) or done.exists():
            continue
        try:
            found.append(_salvage_beside(data, path))
            done.touch(0o600)
        except (OSError, StorageError) as error:
            found.append(Salvaged(path, 0, 0, f"it could not be looked through yet, the next start tries it: {error}"))
    return found


def _salvage_beside(data: Path, path: Path) -> Salvaged:
    check_room(data, (path, path))
    folder = Path(tempfile.mkdtemp(prefix=COPIES, dir=data))  # cleared away like those, should this be cut off
    try:
        return _salvage(data, path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _salvage(data: Path, path: Path, folder: Path) -> Salvaged:
    """StorageError, OSError: the disk's, not the damaged file's."""
    copied, draft = folder / "damaged", folder / EVENTS
    for ending in ("", "-wal"):
        if path.with_name(path.name + ending).exists():
            shutil.copyfile(path.with_name(path.name + ending), copied.with_name(copied.name + ending))
    try:
        with closing(sqlite3.connect(copied, isolation_level=None)) as source:
            source.text_factory = lenient
            bring_up(source, TABLES, copied)
            acked, up_to, last = _span(source)
            target, _ = open_file(draft, TABLES, check=False, busy_timeout_ms=2000)
            with closing(target):
                target.execute("PRAGMA foreign_keys = OFF")  # an event counts although its boot cannot be read
                _write(target, "BEGIN IMMEDIATE")
                read = _copy(source, target, acked, up_to)
                _write(target, "COMMIT")
    except (sqlite3.Error, DamagedError, TypeError) as error:  # without its head nobody knows whose events they are
        _raise_of_disk(error, path)
        return Salvaged(path, 0, 0, str(error))
    if read:
        _look_again(draft, read)
        draft.rename(_free_name(data))
        sync_folder(data)
    return Salvaged(path, read, last - acked - read, "")


def _span(source: sqlite3.Connection) -> tuple[int, int, int]:
    """(acknowledged, the last event that is there, the last number given). DamagedError where they cannot be."""
    acked, last = source.execute("SELECT acked, last_seq FROM head").fetchone()
    try:
        highest = source.execute("SELECT max(seq) FROM event").fetchone()[0] or 0
    except sqlite3.Error as error:
        _raise_of_disk(error, Path(EVENTS))
        highest = last
    if last - acked > _MOST_UNSENT:
        last = highest
    if not 0 <= acked <= last <= acked + _MOST_UNSENT:
        raise DamagedError(f"its head says acknowledged up to {acked} of {last} events, which cannot be")
    return acked, min(last, highest), last


def _look_again(draft: Path, count: int) -> None:
    """The file alone, without its journal, has what was written. StorageError."""
    try:
        with closing(sqlite3.connect(f"file:{draft}?mode=ro&immutable=1", uri=True)) as connection:
            there = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    except sqlite3.Error as error:
        raise from_sqlite(error, draft) from error
    if there != count:
        raise StorageError(f"{draft}: {there} of {count} events are in it; check that the disk has room")


def _raise_of_disk(error: Exception, path: Path) -> None:
    """StorageError where it is the disk that refused, and not the content of the file."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_DISK:
        raise from_sqlite(error, path) from error


def _write(target: sqlite3.Connection, statement: str, values: Values = ()) -> None:
    """StorageError where the disk takes it not. sqlite3.Error where damage made the values what no row has."""
    try:
        target.execute(statement, values)
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:  # as many values as that table has not
            raise
        raise from_sqlite(error, Path(EVENTS)) from error


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, acked: int, last: int) -> int:
    """Everything that belongs to the unsent events, as far as it can be read; how many events."""
    seqs = [row[0] for above in range(acked, last, _WINDOW) for row in _events(source, target, above, last)]
    if seqs:
        head = source.execute(f"SELECT {_HEAD} FROM head").fetchone()  # noqa: S608 (constants)
        changes = ", ".join(f"{name} = ?" for name in _HEAD.split(", "))
        _write(target, f"UPDATE head SET {changes}, last_seq = ?", (*head, seqs[-1]))  # noqa: S608 (constants)
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
    except sqlite3.Error as error:
        _raise_of_disk(error, Path(EVENTS))
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
    except sqlite3.Error as error:
        _raise_of_disk(error, Path(EVENTS))
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
            _write(target, f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 (constants)
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
