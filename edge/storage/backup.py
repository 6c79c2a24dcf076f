"""Copies of the two databases, made while the agent goes on.

SQLite copies page by page; between two slices records are committed and searches go on. What is written meanwhile on
the same connection goes into the copy as well (https://www.sqlite.org/c3ref/backup_finish.html), so a copy is the log
as it was at one moment, whole.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from edge.storage.archive import EVENTS, POLICY
from edge.storage.database import DatabaseThread
from edge.storage.errors import StorageError, from_sqlite
from edge.storage.event_log import EventLog
from edge.storage.policy_store import PolicyStore

COPIES = "backup-copies-"  # a folder of that name and more beside the databases, for the time of a backup
LEFT_AFTER_S = 3600  # copies that nobody has taken away by then were left by a backup that was cut off

COPY_PAGES = 32  # one slice: 128 KiB, well below a millisecond of the storage thread
COPY_PAUSE_S = 0.001  # after each slice the disk is for those who record
SPARE_BYTES = 64 * 1024 * 1024  # that a backup must leave on the disk: a full one fails the log


def copy(database: DatabaseThread, target: Path) -> "Future[None]":
    """Copy the database to the new file `target` while its thread goes on with records and reads. The copy is not yet
    flushed. StorageError (in the future)."""
    pause = partial(database.let_others_pass, COPY_PAUSE_S)
    return database.read(lambda connection: copy_pages(connection, target, pause))


def copy_pages(source: sqlite3.Connection, target: Path, pause: Callable[[], None]) -> None:
    """Copy what `source` is connected to; `pause()` is called between two slices. sqlite3.Error, OSError."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copied:
        # Nobody relies on the copy before it is whole and flushed. A small cache, so that pages leave it as they come.
        copied.execute("PRAGMA journal_mode = OFF")
        copied.execute("PRAGMA synchronous = OFF")
        copied.execute("PRAGMA cache_size = -512")  # KiB
        source.backup(copied, pages=COPY_PAGES, progress=lambda *_: pause())
        copied.execute("PRAGMA journal_mode = DELETE")  # one file, without companions
        _leave_chain_key(copied)


def _leave_chain_key(copied: sqlite3.Connection) -> None:
    """A copy is never gone on with, so it needs no key by which the next event could be forged."""
    columns = {row[1] for row in copied.execute("PRAGMA table_info(head)")}
    if "chain_key" in columns:
        copied.execute("PRAGMA secure_delete = ON")
        copied.execute("UPDATE head SET chain_key = x''")


def copy_unused(path: Path, target: Path) -> None:
    """Copy a database that no agent has open. StorageError where one has, or the file cannot be read."""
    if not path.exists():
        raise StorageError(f"{path}: no such file; there is nothing to back up")
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as source:
            source.execute("PRAGMA locking_mode = EXCLUSIVE")
            source.execute("BEGIN IMMEDIATE")
            source.execute("ROLLBACK")  # the lock stays: it is the mode's
            copy_pages(source, target, lambda: None)
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error


async def copy_for_backup(log: EventLog, store: PolicyStore, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the local API's {"op": "backup"}: copies of both files in a folder beside them, which whoever asked takes
    away. The log first, so that the policy is never older than the log says that it was. StorageError."""
    folder = await asyncio.to_thread(_begin_copies, log.database.path.parent, (log.database.path, store.database.path))
    try:
        await asyncio.wrap_future(copy(log.database, folder / EVENTS))
        await asyncio.wrap_future(copy(store.database, folder / POLICY))
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, True)
        raise
    return {"folder": str(folder)}


def check_owner(data: Path) -> None:
    """StorageError unless the agent's user asks: what another one leaves in the folder the agent could not open."""
    owner = data.stat().st_uid
    if os.geteuid() != owner:
        raise StorageError(f"{data}: it belongs to another user; run this as that one: sudo -u '#{owner}' vantail …")


def _begin_copies(data: Path, sources: tuple[Path, ...]) -> Path:
    try:
        drop_left_copies(data, time.time())
        check_room(data, sources)
        return Path(tempfile.mkdtemp(prefix=COPIES, dir=data))
    except OSError as error:
        raise StorageError(f"{data}: {error.strerror}; no copies could be made there") from error


def drop_left_copies(data: Path, now_s: float) -> None:
    """Remove copies that a backup left when it was cut off: they hold personal data that no purge would reach."""
    for folder in data.glob(COPIES + "*"):
        with contextlib.suppress(OSError):
            if now_s - folder.stat().st_mtime > LEFT_AFTER_S:
                shutil.rmtree(folder)


def check_room(folder: Path, sources: tuple[Path, ...]) -> None:
    """StorageError unless copies of `sources` would leave room on the disk of `folder`."""
    files = [path.with_name(path.name + ending) for path in sources for ending in ("", "-wal")]
    needed = sum(path.stat().st_size for path in files if path.exists())
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise StorageError(
            f"{folder}: the copies take {needed >> 20} MiB, {free >> 20} MiB are free and {SPARE_BYTES >> 20} MiB must "
            f"stay for the log; free space, or give a FILE on another disk"
        )
