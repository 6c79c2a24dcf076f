"""Opening a SQLite file for its one connection, and setting a damaged one aside.

Set aside means renamed with its journal, never erased: what it holds may still be read by hand.
"""

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from edge.storage.errors import DamagedError, StorageError, from_sqlite, is_damage
from edge.storage.journal import is_readable
from edge.storage.migrations import Schema, bring_up

# A group of commits is copied back into the file when the thread is idle; this many pages (16 MiB) is the most
# that the log may grow to before a commit has to do it.
WAL_PAGES = 4000
_COMPANIONS = ("-wal", "-shm", "-journal")


class OpenReport(NamedTuple):
    """How opening went. set_aside: where a damaged file was moved, then `reason` says what was wrong with it.
    created: the file is new and empty."""

    path: Path
    created: bool
    set_aside: Path | None
    reason: str


def open_file(
    path: Path, schema: Schema, *, check: bool, busy_timeout_ms: int
) -> tuple[sqlite3.Connection, OpenReport]:
    """The only connection to the file at `path`, its tables up to date. `check`: look through the whole file
    first (PRAGMA quick_check). A damaged file is set aside and a new one begun; other trouble is a StorageError."""
    aside, reason = None, ""
    try:
        if _is_empty(path) and any(not _is_empty(companion) for companion in _companions(path)):
            # SQLite would erase a journal that has no file; a cut while setting aside leaves exactly this.
            reason = "its journal was there, the file was not"
            aside = _set_aside(path)
        _keep_unreadable_journal(path)
        created = _is_empty(path)
        try:
            connection = _connect(path, schema, check, busy_timeout_ms)
        except DamagedError as damage:
            reason, created = str(damage), True
            aside = _set_aside(path)
            connection = _connect(path, schema, check, busy_timeout_ms)
    except DamagedError as damage:
        raise StorageError(f"{path}: a new file is damaged at once ({damage}): replace the card or disk") from damage
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror}: check that its folder exists and belongs to the agent's user"
        ) from error
    return connection, OpenReport(path, created, aside, reason)


def set_aside_damaged(path: Path) -> Path:
    """Set aside the file at `path`, which turned out damaged while it was open, and is closed now; where it is then.
    StorageError."""
    try:
        return _set_aside(path)
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror}: the damaged file could not be set aside; check the disk"
        ) from error


def open_instead(
    path: Path, schema: Schema, aside: Path, reason: str, *, busy_timeout_ms: int
) -> tuple[sqlite3.Connection, OpenReport]:
    """Begin a new file at `path`, whose own was set aside as `aside` for `reason`. What stands there is a draft that an
    earlier try of the same process left, without any record, and goes. StorageError."""
    try:
        for left in (path, *_companions(path)):
            left.unlink(missing_ok=True)
        connection = _connect(path, schema, False, busy_timeout_ms)
    except DamagedError as damage:
        raise StorageError(f"{path}: a new file is damaged at once ({damage}): replace the card or disk") from damage
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}: no new file could be begun; check the disk") from error
    return connection, OpenReport(path, True, aside, reason)


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _COMPANIONS]


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _connect(path: Path, schema: Schema, check: bool, busy_timeout_ms: int) -> sqlite3.Connection:
    is_new = _is_empty(path)
    # The journal takes over the file's mode: only the agent's user may read who came in.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout_ms / 1000)
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    try:
        if is_new:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table (storage/vacuuming.py)
        _configure(connection, path)
        if check:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise DamagedError(" ".join(found.split()))
        _copy_back(connection)
        bring_up(connection, schema, path)
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise from_sqlite(error, path) from error
    except UnicodeDecodeError as error:  # in the words of its own schema
        connection.close()
        raise DamagedError(f"its schema cannot be read ({error.reason})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    connection.text_factory = lenient  # one undecodable byte must not keep all other events from being read
    # Exclusive: two connections to one WAL could corrupt it before SQLite 3.51.3, and Debian 12 has 3.40.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(f"{path}: the disk allows no write-ahead log (journal mode stays {mode}): use another disk")
    connection.execute("PRAGMA synchronous = FULL")  # one flush a commit: a commit survives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA secure_delete = ON")  # what goes is written over, on free pages too
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * 4096}")


def lenient(data: bytes) -> str:
    """A text of the file, whatever its bytes are."""
    return data.decode("utf-8", "replace")


def _copy_back(connection: sqlite3.Connection) -> None:
    """Copy what the write-ahead log holds into the file, and begin the log again. Where a flush of it failed before,
    the kernel may call pages clean that never reached the disk: what is read back now would rest on them."""
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        pass  # a full or failing disk: what is there can still be read, and the next write says it audibly


def _keep_unreadable_journal(path: Path) -> None:
    """SQLite writes over a journal whose header it cannot read, as if it held nothing: put it aside, with whatever was
    recorded in it. A rename needs no room."""
    journal = path.with_name(path.name + "-wal")
    if not _is_empty(journal) and not is_readable(journal):
        aside = _free_name(path)
        os.rename(journal, aside.with_name(aside.name + "-wal"))
        sync_folder(path.parent)


def _free_name(path: Path) -> Path:
    taken = os.listdir(path.parent)
    number = 1
    while any(name.startswith(f"{path.name}.damaged-{number}") for name in taken):
        number += 1
    return path.with_name(f"{path.name}.damaged-{number}")


def _set_aside(path: Path) -> Path:
    """Rename the file and its journal to the first free name: events.db.damaged-1, events.db.damaged-1-wal, …"""
    aside = _free_name(path)
    if path.exists():
        os.rename(path, aside)
    # After the file, so that a cut in between leaves journals without a file, which the next start moves too.
    for companion, ending in zip(_companions(path), _COMPANIONS, strict=True):
        if companion.exists():
            os.rename(companion, aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
