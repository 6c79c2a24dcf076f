"""Stretches of the log for the manager: contiguous events with what it takes to check them, and heads along the way."""

import sqlite3
from collections.abc import Generator, Sequence
from itertools import chain as chained

from edge.decision import chain
from edge.decision.chain import BEGIN, LOST, Start, Stretch
from edge.storage.chain_rows import AS_WRITTEN, LINK, NoteRow, Row, Secrets, notes_between, rows_between

STEP_ROWS = 25  # a record waits for a step, and each row of it may wait for the interpreter


def head_at(connection: sqlite3.Connection, seq: int) -> bytes:
    """The head after event `seq`, as it was recorded; b"" where no chain covers it, or it is not known any more."""
    row = connection.execute("SELECT chain FROM event WHERE seq = ?", (seq,)).fetchone()
    if row is not None:
        return head_in(row[0])
    known = connection.execute(
        "SELECT acked_head FROM head WHERE acked = ?1 UNION ALL SELECT head_after FROM gap WHERE last = ?1", (seq,)
    )
    return next((head for (head,) in known.fetchall() if head), b"")


def head_in(link: bytes | None) -> bytes:
    """The head behind a record."""
    return link[-chain.HEAD :] if link is not None and len(link) == LINK else b""


def read_stretch(connection: sqlite3.Connection, first_seq: int, limit: int) -> Generator[None, None, Stretch]:
    """At most `limit` contiguous events from `first_seq` on, in steps; where that number is lost, from the next one on.
    No events where there is none. The heads are those that were recorded: whether they fit is the manager's to say."""
    above, first = _beginning(connection, first_seq)
    end = first - 1 + limit
    found = [chain.plain(())]
    while first <= end:
        up_to = min(first - 1 + STEP_ROWS, end)
        some = _read_step(connection, above, up_to)
        if not some.events or some.events[0][0] != first:
            break
        found.append(some)
        above = some.events[-1][0]
        if above < up_to:
            break
        first = above + 1
        yield
    together = Stretch(*(tuple(chained.from_iterable(parts)) for parts in zip(*found, strict=True)))
    return together._replace(secrets=tuple(sorted(set(together.secrets))))


def _read_step(connection: sqlite3.Connection, above: int, up_to: int) -> Stretch:
    """What one step finds, with its secrets: they may be gone by the next."""
    rows = _contiguous(rows_between(connection, above, up_to))
    if not rows:
        return chain.plain(())
    last = rows[-1].seq
    notes = notes_between(connection, above, last)
    return Stretch(
        tuple([(row.seq, row.late == AS_WRITTEN, row.revision, row.event) for row in rows]),
        tuple([row.boot for row in rows]),
        tuple([row.commitment or row.salt or b"" for row in rows]),
        tuple([row.note for row in notes]),
        _needed(rows, Secrets(connection, last)),
        tuple([_start(row) for row in notes if row.note.kind == BEGIN]),
        tuple([head_in(row.link) for row in rows]),
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


def _needed(rows: Sequence[Row], secrets: Secrets) -> tuple[tuple[int, bytes], ...]:
    """The secrets of those events that have no proof of their own."""
    needed = {
        secrets.of(row.seq)
        for row in rows
        if row.commitment is None and row.salt is None and chain.is_personal(row.event)
    }
    return tuple(sorted(secret for secret in needed if secret is not None))


def _start(row: NoteRow) -> Start:
    return Start(row.note.first, row.head or b"", row.sealed or b"")


def start_of(connection: sqlite3.Connection, acked: int) -> Start | None:
    """Where the chain began that event `acked` is part of."""
    found = connection.execute(
        "SELECT first, head, sealed FROM start WHERE first <= ? ORDER BY note DESC LIMIT 1", (acked,)
    ).fetchone()
    return Start(*found) if found else None
