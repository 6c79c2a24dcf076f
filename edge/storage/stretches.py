"""Stretches of the log for the manager: contiguous events with what it takes to check them, and heads along the way."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence

from edge.decision import chain
from edge.decision.chain import BEGIN, LOST, Note, Start, Stretch
from edge.storage.chain_rows import (
    AS_WRITTEN,
    CHECK,
    HASHES,
    WALK_ROWS,
    NoteRow,
    Record,
    Row,
    Secrets,
    follow,
    notes_between,
    records_of,
    rows_between,
    walk,
)

KNOWN_HEADS = 64  # that are remembered: the ends of batches under way, and what acknowledgements name


class Heads:
    """Heads after some events, so that none has to be followed from the beginning. For the storage thread only."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}

    def remember(self, seq: int, head: bytes) -> None:
        if head:
            self._known.pop(seq, None)
            self._known[seq] = head
            while len(self._known) > KNOWN_HEADS:
                del self._known[next(iter(self._known))]

    def forget(self) -> None:
        self._known.clear()

    def before(self, connection: sqlite3.Connection, seq: int) -> tuple[int, bytes]:
        """(event, the head after it) of the nearest known one up to `seq`; (seq, b"") where there is none."""
        known = [(at, head) for at, head in self._known.items() if at <= seq]
        known += [(at, head) for at, head in stored_heads(connection) if at <= seq and head]
        return max(known, default=(seq, b""))

    def at(self, connection: sqlite3.Connection, seq: int) -> Generator[None, None, bytes]:
        """The head after event `seq`, in steps; b"" where no chain covers it, or the records do not fit."""
        known, head = self.before(connection, seq)
        log_id = connection.execute("SELECT log_id FROM head").fetchone()[0]
        head = yield from walk(connection, log_id, known, head, seq)
        self.remember(seq, head)
        return head


def stored_heads(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """(event, the head after it) that the file itself names: what is acknowledged, what is gone, where it began."""
    return connection.execute(
        "SELECT acked, acked_head FROM head UNION ALL SELECT last, head_after FROM gap UNION ALL "
        "SELECT first - 1, head FROM start WHERE NOT EXISTS "
        "(SELECT 1 FROM note WHERE after = start.first - 1 AND id < start.note)"
    ).fetchall()


def head_of_pruned(connection: sqlite3.Connection, heads: Heads, log_id: bytes, up_to: int) -> bytes:
    """The head after event `up_to`, followed at once from the nearest known one: of events that are about to go."""
    known, head = heads.before(connection, up_to)
    return follow(connection, log_id, known, head, up_to)[1] if head and known < up_to else head


def read_stretch(
    connection: sqlite3.Connection, heads: Heads, first_seq: int, limit: int
) -> Generator[None, None, Stretch]:
    """At most `limit` contiguous events from `first_seq` on; where that number is lost, from the next one on. No
    events where there is none."""
    above, first = _beginning(connection, first_seq)
    head = yield from heads.at(connection, above)
    log_id = connection.execute("SELECT log_id FROM head").fetchone()[0]
    rows = _contiguous(rows_between(connection, above, first - 1 + limit))
    if not rows:
        return chain.plain(())
    last = rows[-1].seq
    notes, secrets = notes_between(connection, above, last), Secrets(connection, last)
    found = yield from _heads(records_of(log_id, rows, notes, secrets), head)
    heads.remember(last, found[last])
    return Stretch(
        tuple((row.seq, row.late == AS_WRITTEN, row.revision, row.event) for row in rows),
        tuple(row.boot for row in rows),
        tuple(_proof(row) for row in rows),
        tuple(row.note for row in notes),
        _needed(rows, secrets),
        tuple(_start(row) for row in notes if row.note.kind == BEGIN),
        tuple(found.get(row.seq, b"") for row in rows),
    )


def _beginning(connection: sqlite3.Connection, wanted: int) -> tuple[int, int]:
    """(the event that the chain goes on from, the first event that is there from `wanted` on). Where a note says that
    the numbers in between are lost, the chain goes on from before them."""
    first = connection.execute("SELECT min(seq) FROM event WHERE seq >= ?", (wanted,)).fetchone()[0] or wanted
    if first == wanted:
        return wanted - 1, wanted
    notes = notes_between(connection, wanted - 1, first)
    lost = any(row.note.kind == LOST and row.note.last == first - 1 for row in notes)
    return (wanted if lost else first) - 1, first


def _contiguous(rows: Sequence[Row]) -> Sequence[Row]:
    for i, row in enumerate(rows):
        if row.seq != rows[0].seq + i:
            return rows[:i]
    return rows


def _heads(records: Iterator[Record], head: bytes) -> Generator[None, None, dict[int, bytes]]:
    """The head after each event, in steps; b"" where no chain covers it, or none any more."""
    heads = {}
    for record in records:
        if record.begins and not head:
            head = record.begins
        if head:
            covered = record.body is not None and len(record.mac_check) == chain.MAC + CHECK
            mac = record.mac_check[: chain.MAC]
            head = chain.head_after(HASHES, head, record.body, mac) if covered else b""
        if record.note is None:
            heads[record.seq] = head
            if len(heads) % WALK_ROWS == 0:
                yield
    return heads


def _proof(row: Row) -> bytes:
    return row.commitment or row.salt or b""


def _needed(rows: Sequence[Row], secrets: Secrets) -> tuple[tuple[int, bytes], ...]:
    """The secrets of those events that have no proof of their own."""
    needed = {
        secrets.of(row.seq)
        for row in rows
        if row.commitment is None and row.salt is None and chain.is_personal(row.event)
    }
    return tuple(sorted(secret for secret in needed if secret is not None))


def _start(row: NoteRow) -> Start:
    note: Note = row.note
    return Start(note.first, row.head or b"", row.sealed or b"")


def start_of(connection: sqlite3.Connection, acked: int) -> Start | None:
    """Where the chain began that event `acked` is part of."""
    found = connection.execute(
        "SELECT first, head, sealed FROM start WHERE first <= ? ORDER BY note DESC LIMIT 1", (acked,)
    ).fetchone()
    return Start(*found) if found else None
