"""The tables of each file, as steps that bring an older file up to date.

A file's PRAGMA user_version counts its steps, so an up-to-date one is recognised without sqlite-utils, whose
import takes longer than the rest of a start. Never change a step that was released: append one.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.storage.errors import DamagedError, StorageError

if TYPE_CHECKING:
    from sqlite_utils import Database


class Schema(NamedTuple):
    """A kind of file. steps: in order; each one's name is kept in the file as applied."""

    name: str
    steps: "tuple[Callable[[Database], None], ...]"


def _event_tables(db: "Database") -> None:
    # One row: what must survive although events go. Sequence numbers are never used twice, so the last is kept here.
    db.execute(
        """CREATE TABLE head (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            log_id BLOB NOT NULL,
            last_seq INTEGER NOT NULL DEFAULT 0,
            acked INTEGER NOT NULL DEFAULT 0 CHECK (acked <= last_seq),
            dropped INTEGER NOT NULL DEFAULT 0,
            floor_ms INTEGER NOT NULL DEFAULT 0
        ) STRICT"""
    )
    db.execute("INSERT INTO head (id, log_id) VALUES (1, ?)", [os.urandom(16)])
    db.execute("CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE) STRICT")
    # credential is text: a number of 64 bits without sign does not fit SQLite's integers.
    db.execute(
        """CREATE TABLE event (
            seq INTEGER PRIMARY KEY,
            at_ms INTEGER NOT NULL,
            trusted INTEGER NOT NULL,
            door TEXT NOT NULL,
            reader TEXT NOT NULL,
            medium TEXT NOT NULL,
            credential TEXT,
            result TEXT NOT NULL,
            reason TEXT NOT NULL,
            output TEXT NOT NULL,
            detail TEXT NOT NULL,
            late INTEGER NOT NULL,
            policy_revision INTEGER NOT NULL,
            boot INTEGER NOT NULL REFERENCES boot (id)
        ) STRICT"""
    )
    db.execute("CREATE TABLE kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID")


def _event_chain(db: "Database") -> None:
    """The chain over the records, and what lets personal data go without breaking it (edge/decision/chain.py)."""
    # In the row `head`, beside last_seq, so that a commit writes no page more. chain_key: of event last_seq + 1, as
    # chaining.Writer wraps it. chain_seal: whom the first key was sealed to. acked_proof: the acknowledgement as the
    # manager signed it. marked: a high-water mark was written outside this file.
    db.execute("ALTER TABLE head ADD COLUMN chain_head BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE head ADD COLUMN chain_key BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE head ADD COLUMN chain_seal BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE head ADD COLUMN acked_head BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE head ADD COLUMN acked_proof BLOB NOT NULL DEFAULT x''")
    db.execute("ALTER TABLE head ADD COLUMN dropped_noted INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE head ADD COLUMN marked INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE head ADD COLUMN purged_to INTEGER NOT NULL DEFAULT 0")
    # chain: MAC and check of the record, and the head behind it. salt: where the day's secret is gone. commitment:
    # where the person is gone.
    db.execute("ALTER TABLE event ADD COLUMN chain BLOB")
    db.execute("ALTER TABLE event ADD COLUMN salt BLOB")
    db.execute("ALTER TABLE event ADD COLUMN commitment BLOB")
    db.execute(
        """CREATE TABLE note (
            id INTEGER PRIMARY KEY,
            after INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            chain BLOB NOT NULL
        ) STRICT"""
    )
    db.execute("CREATE INDEX note_after ON note (after)")
    db.execute(
        "CREATE TABLE start (note INTEGER PRIMARY KEY, first INTEGER NOT NULL, head BLOB NOT NULL, "
        "sealed BLOB NOT NULL) STRICT"
    )
    # A secret serves events from `first` on, up to the next row's; is_dying: its events get salts of their own.
    db.execute(
        "CREATE TABLE secret (first INTEGER PRIMARY KEY, day INTEGER NOT NULL, secret BLOB NOT NULL, "
        "is_dying INTEGER NOT NULL DEFAULT 0) STRICT"
    )
    # What is gone from the lower end: at most one row. head_after x'': what went was of before the chain.
    db.execute(
        """CREATE TABLE gap (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            count INTEGER NOT NULL,
            head_before BLOB NOT NULL,
            head_after BLOB NOT NULL
        ) STRICT"""
    )
    # Events of before the chain existed are outside it: it begins behind them.
    db.execute("UPDATE head SET dropped_noted = dropped")
    db.execute(
        "INSERT INTO gap (id, first, last, count, head_before, head_after) "
        "SELECT 1, 1, last_seq, last_seq, x'', x'' FROM head WHERE last_seq > 0"
    )


def _policy_tables(db: "Database") -> None:
    db.execute(
        """CREATE TABLE policy (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            epoch INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            digest BLOB NOT NULL
        ) STRICT"""
    )
    db.execute("INSERT INTO policy VALUES (1, 0, 0, zeroblob(32))")
    db.execute("CREATE TABLE row (key BLOB PRIMARY KEY, packed BLOB NOT NULL) STRICT, WITHOUT ROWID")


EVENTS = Schema("events", (_event_tables, _event_chain))
POLICY = Schema("policy", (_policy_tables,))


def bring_up(connection: sqlite3.Connection, schema: Schema, path: Path) -> None:
    """Run the steps that the file lacks. StorageError where a newer program wrote it."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == len(schema.steps):
        return
    if version > len(schema.steps):
        if version != _steps_taken(connection, schema):
            raise DamagedError(f"it names version {version} of its tables, and its own list of them does not")
        raise StorageError(
            f"{path}: its tables are of version {version}, this program knows {len(schema.steps)}; "
            f"install the newer program again"
        )
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(schema.name)
    for step in schema.steps:
        migrations(name=step.__name__)(step)
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
    # Last, and outside their transactions: a cut in between only asks sqlite-utils once more, which knows what it did.
    connection.execute(f"PRAGMA user_version = {len(schema.steps)}")


def _steps_taken(connection: sqlite3.Connection, schema: Schema) -> int:
    """How many steps sqlite-utils has written down; 0 where its table is not there."""
    try:
        taken = connection.execute("SELECT count(*) FROM _sqlite_migrations WHERE migration_set = ?", (schema.name,))
        return int(taken.fetchone()[0])
    except sqlite3.OperationalError:
        return 0
