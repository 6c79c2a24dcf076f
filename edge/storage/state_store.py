"""What the controller keeps across a restart: lockout, passback and first-card state, and the floor of wall time.

It lives in the event log's file, on the same thread, so that an event and the state it brings are one commit.
"""

import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from typing import NamedTuple

from edge.storage.database import DatabaseThread


class Kept(NamedTuple):
    """Everything that is kept. floor_ms: of wall time, utc."""

    items: dict[str, bytes]
    floor_ms: int


class StateStore:
    """Names with their bytes, and the floor, in the file behind `database` (EventLog.database)."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database

    def keep(self, items: Mapping[str, bytes]) -> "Future[None]":
        """Keep each value under its name; an empty value forgets the name. StorageError: nothing was kept."""
        return self._database.write(lambda connection: write_kept(connection, items))

    def load(self) -> "Future[dict[str, bytes]]":
        """Everything that is kept."""
        return self._database.read(lambda connection: read_kept(connection).items)

    def floor_ms(self) -> "Future[int]":
        """The earliest, in utc ms, that wall time can be; 0 where nothing proved any."""
        return self._database.read(_read_floor)

    def raise_floor(self, utc_ms: int) -> "Future[int]":
        """Raise the floor to `utc_ms`; a lower value changes nothing. The future gives the floor then."""

        def work(connection: sqlite3.Connection) -> int:
            lift_floor(connection, utc_ms)
            return _read_floor(connection)

        return self._database.write(work)

    def lower_floor(self, utc_ms: int) -> "Future[int]":
        """Set the floor to `utc_ms`, even lower. Only a signed statement of time, or the installer, may ask this."""

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("UPDATE head SET floor_ms = ?", (utc_ms,))
            return utc_ms

        return self._database.write(work)


def read_kept(connection: sqlite3.Connection) -> Kept:
    items = dict(connection.execute("SELECT name, value FROM kept ORDER BY name").fetchall())
    return Kept(items, _read_floor(connection))


def begin_kept(connection: sqlite3.Connection, kept: Kept | None) -> None:
    """Outside a transaction, in a new file: keep what was kept in another one; None where that could not be read."""
    if kept is not None:
        connection.execute("BEGIN IMMEDIATE")
        write_kept(connection, kept.items)
        lift_floor(connection, kept.floor_ms)
        connection.execute("COMMIT")


def write_kept(connection: sqlite3.Connection, items: Mapping[str, bytes]) -> None:
    """Within a transaction: keep each item, forget the empty ones."""
    for name, value in items.items():
        if value:
            connection.execute("INSERT OR REPLACE INTO kept (name, value) VALUES (?, ?)", (name, bytes(value)))
        else:
            connection.execute("DELETE FROM kept WHERE name = ?", (name,))


def lift_floor(connection: sqlite3.Connection, utc_ms: int) -> None:
    """Within a transaction: raise the floor of wall time, never lower it."""
    connection.execute("UPDATE head SET floor_ms = ? WHERE floor_ms < ?", (utc_ms, utc_ms))


def _read_floor(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT floor_ms FROM head").fetchone()[0])
