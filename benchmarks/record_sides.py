"""The four ways to make one passage durable that record.py compares: ours, SQLite twice, and an append-only file.

Each side is opened in a folder, writes one event a call and returns once it is durable.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.decision import model
from edge.storage.event_log import EventLog

Commit = Callable[[int], object]

_COLUMNS = (
    "seq INTEGER PRIMARY KEY, at_ms INTEGER, trusted INTEGER, door TEXT, reader TEXT, medium TEXT, credential TEXT, "
    "result TEXT, reason TEXT, output TEXT, detail TEXT, late INTEGER, policy_revision INTEGER"
)
_INSERT = "INSERT INTO event VALUES (NULL,?,?,?,?,?,?,?,?,?,?,0,1)"


def passage(number: int, door: str = "hall-a") -> model.Event:
    """The event of a resident who comes in."""
    return model.Event(
        1_795_417_080_000 + number * 1000, True, door, f"{door}-in", "badge", 1_111_100_000 + number % 500,
        model.OPEN, "", "door", "",
    )  # fmt: skip


@contextmanager
def ours(folder: Path) -> Iterator[Commit]:
    """EventLog.record, waited for: the event, its number, the floor of wall time, and what is kept beside."""
    log = EventLog.open(folder / "events.db", boot_id="benchmark", max_unsent=10_000_000)
    try:
        yield lambda number: log.record([passage(number)], 1).result()
    finally:
        log.close()


@contextmanager
def plain_wal_full(folder: Path) -> Iterator[Commit]:
    """sqlite3 in this thread, write-ahead log, synchronous=FULL."""
    with _plain(folder / "wal.db", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL") as commit:
        yield commit


@contextmanager
def plain_defaults(folder: Path) -> Iterator[Commit]:
    """sqlite3 in this thread as it comes: a rollback journal, synchronous=FULL."""
    with _plain(folder / "defaults.db") as commit:
        yield commit


@contextmanager
def _plain(path: Path, *settings: str) -> Iterator[Commit]:
    connection = sqlite3.connect(path)
    for setting in settings:
        connection.execute(setting)
    connection.execute(f"CREATE TABLE event ({_COLUMNS})")

    def commit(number: int) -> None:
        event = passage(number)
        with connection:
            connection.execute(_INSERT, (*event[:5], str(event.credential), *event[6:]))

    try:
        yield commit
    finally:
        connection.close()


@contextmanager
def append_only(folder: Path) -> Iterator[Commit]:
    """A JSON line at the end of a file, then fdatasync: durable, and nothing else."""
    descriptor = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def commit(number: int) -> None:
        os.write(descriptor, json.dumps(passage(number)._asdict()).encode() + b"\n")
        os.fdatasync(descriptor)

    try:
        yield commit
    finally:
        os.close(descriptor)
