"""The one row that says how far a log has come, and what follows from it."""

import sqlite3
from typing import NamedTuple

from edge.decision.chain import LOST, Start
from edge.storage import stretches
from edge.storage.event_rows import first_seq


class Head(NamedTuple):
    """last_seq: the highest number given. acked: the cloud has everything up to there. dropped: events never written,
    the log being full. head: of the chain behind last_seq; acked_head: behind acked, b"" where it is not known."""

    last_seq: int
    acked: int
    dropped: int
    head: bytes
    acked_head: bytes


class Identity(NamedTuple):
    """log_id: 16 random bytes, made with the file. start: where the chain began that event `acked` is part of. marked:
    a high-water mark was written outside the file."""

    log_id: bytes
    head: Head
    start: Start | None
    marked: bool


class Counts(NamedTuple):
    """total: events in the file. unsent: those not yet acknowledged. dropped: never written, the log being full."""

    total: int
    unsent: int
    dropped: int


def read_identity(connection: sqlite3.Connection) -> Identity:
    log_id, marked = connection.execute("SELECT log_id, marked FROM head").fetchone()
    head = read_head(connection)
    return Identity(log_id, head, stretches.start_of(connection, head.acked), bool(marked))


def read_head(connection: sqlite3.Connection) -> Head:
    return Head(*connection.execute("SELECT last_seq, acked, dropped, chain_head, acked_head FROM head").fetchone())


def count(connection: sqlite3.Connection) -> Counts:
    head = read_head(connection)
    first = first_seq(connection)
    # Events go from the lower end only, so that numbers have no gaps but those that a note tells of.
    total = head.last_seq - first + 1 - _lost_above(connection, first) if first else 0
    return Counts(total, head.last_seq - head.acked, head.dropped)


def _lost_above(connection: sqlite3.Connection, seq: int) -> int:
    """How many numbers above `seq` are lost."""
    return int(
        connection.execute(
            "SELECT coalesce(sum(last - first + 1), 0) FROM note WHERE kind = ? AND first > ?", (LOST, seq)
        ).fetchone()[0]
    )


def store_acked(connection: sqlite3.Connection, up_to: int, head: bytes, proof: bytes) -> int:
    """Within a transaction: note what is acknowledged, never less than before; what is acknowledged then."""
    before: int = connection.execute("SELECT acked FROM head").fetchone()[0]
    if up_to > before:
        connection.execute("UPDATE head SET acked = ?, acked_head = ?, acked_proof = ?", (up_to, head, proof))
    return max(up_to, before)
