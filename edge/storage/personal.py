"""Personal data in the log: the days' secrets, purging what is old, erasing one person's events.

A secret serves from its first event to the next secret's: one a day, more where the day changes back and forth. Where a
person goes from an event, the commitment stays and the chain is whole; who has no salt cannot find out by trying which
of 10^10 numbers it was. Where only some events of a day lose their person, the others first get their salts written
beside them, and then the secret goes.
"""

import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Any

from edge.decision import chain
from edge.decision.model import Event
from edge.storage.chain_rows import HASHES, Row, Secrets, commitment_of, rows_between
from edge.storage.database import Read, Step, Write

DAY_MS = 86_400_000
SLICE_ROWS = 200  # one write: a few milliseconds on a Raspberry Pi
ERASE_ROWS = 50  # looked up one by one
SCAN_ROWS = 2000
_CLEAR = "UPDATE event SET credential = NULL, detail = '', salt = NULL, commitment = ? WHERE seq = ?"


class DaySecrets:
    """The secrets that new events get their salts from, within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._day: int | None = None
        self._secret = b""
        row = connection.execute("SELECT day, secret, is_dying FROM secret ORDER BY first DESC LIMIT 1").fetchone()
        if row is not None and not row[2]:
            self._day, self._secret = row[:2]

    def commitment(self, seq: int, event: Event) -> bytes:
        """The commitment to event `seq`; b"" where it is not personal."""
        if not chain.is_personal(event):
            return b""
        day = event.at_ms // DAY_MS
        if day != self._day:
            self._day, self._secret = day, os.urandom(32)
            self._connection.execute(
                "INSERT OR REPLACE INTO secret (first, day, secret) VALUES (?, ?, ?)", (seq, day, self._secret)
            )
        return chain.commit(HASHES, chain.salt_of(HASHES, self._secret, seq), event)


def never_named(event: Event) -> bytes:
    """The commitment to an event whose person is not written at all: its salt is known for this moment only."""
    return chain.commit(HASHES, os.urandom(chain.SALT), event) if chain.is_personal(event) else b""


# --- purging by age ---------------------------------------------------------------------------------------------


def purging(before_ms: int) -> Generator[Step, Any, int]:
    """The steps that take the person from every event up to the newest one of before `before_ms` (utc). Returns from
    how many. What stands before an old event is older, whatever a clock said when it was written; only a trusted time
    says how old one is, as others stand at the floor."""
    low, high = yield Read(_unpurged)
    newest: int = yield Read(partial(_newest_before, low=low, high=high, before_ms=before_ms))
    count = 0
    while low < newest:
        up_to = min(low + SLICE_ROWS, newest)
        count += yield Write(partial(_purge, above=low, up_to=up_to))
        yield Read(_copy_back)
        low = up_to
    yield Write(partial(drop_secrets, up_to=newest))
    yield from burying()
    if count:
        yield Read(_empty_journal)
    return count


def _unpurged(connection: sqlite3.Connection) -> tuple[int, int]:
    purged_to, last = connection.execute("SELECT purged_to, last_seq FROM head").fetchone()
    first = connection.execute("SELECT min(seq) FROM event").fetchone()[0] or last + 1
    return max(purged_to, first - 1), last


def _newest_before(connection: sqlite3.Connection, low: int, high: int, before_ms: int) -> Generator[None, None, int]:
    newest = low
    for above in range(low, high, SCAN_ROWS):
        found = connection.execute(
            "SELECT max(seq) FROM event WHERE seq > ? AND seq <= ? AND at_ms < ? AND trusted",
            (above, above + SCAN_ROWS, before_ms),
        ).fetchone()[0]
        newest = max(newest, found or 0)
        yield
    return newest


def _purge(connection: sqlite3.Connection, above: int, up_to: int) -> int:
    gone = _clear(connection, rows_between(connection, above, up_to))
    connection.execute("UPDATE head SET purged_to = max(purged_to, ?)", (up_to,))
    return gone


def _clear(connection: sqlite3.Connection, rows: Iterable[Row]) -> int:
    """Take the person from each of the rows that has one, leaving the commitment."""
    personal = [row for row in rows if chain.is_personal(row.event)]
    if personal:
        secrets = Secrets(connection, personal[-1].seq)
        connection.executemany(_CLEAR, [(_left_of(row, secrets), row.seq) for row in personal])
    return len(personal)


def _left_of(row: Row, secrets: Secrets) -> bytes | None:
    # None: it is of before the chain, or its secret is missing, which verify says.
    return commitment_of(row, secrets) if row.link is not None else None


def drop_secrets(connection: sqlite3.Connection, up_to: int) -> None:
    """Within a transaction: destroy the secrets that serve no event above `up_to`."""
    connection.execute(
        """DELETE FROM secret WHERE first <= ?1 AND coalesce(
            (SELECT min(later.first) - 1 FROM secret AS later WHERE later.first > secret.first),
            (SELECT last_seq FROM head)) <= ?1""",
        (up_to,),
    )


# --- erasing one person -----------------------------------------------------------------------------------------


def erasing(credential: int | None, call_code: str | None) -> Generator[Step, Any, int]:
    """The steps that take the person from every event with `credential`, and from every call to `call_code`. Returns
    from how many."""
    low, high = yield Read(_whole)
    seqs: list[int] = yield Read(partial(_events_of, low=low, high=high, credential=credential, call_code=call_code))
    for at in range(0, len(seqs), ERASE_ROWS):
        yield Write(partial(_erase, seqs=seqs[at : at + ERASE_ROWS]))
    yield from burying()
    if seqs:
        yield Read(_empty_journal)
    return len(seqs)


def _whole(connection: sqlite3.Connection) -> tuple[int, int]:
    last = connection.execute("SELECT last_seq FROM head").fetchone()[0]
    return (connection.execute("SELECT min(seq) FROM event").fetchone()[0] or last + 1) - 1, last


def _events_of(
    connection: sqlite3.Connection, low: int, high: int, credential: int | None, call_code: str | None
) -> Generator[None, None, list[int]]:
    number = None if credential is None else str(credential)
    seqs = []
    for above in range(low, high, SCAN_ROWS):
        seqs += connection.execute(
            "SELECT seq FROM event WHERE seq > ?1 AND seq <= ?2 AND (credential = ?3 OR (medium = 'call' "
            "AND (detail = ?4 OR substr(detail, 1, length(?4) + 1) = ?4 || ' '))) ORDER BY seq",
            (above, above + SCAN_ROWS, number, call_code or None),
        ).fetchall()
        yield
    return [seq for (seq,) in seqs]


def _erase(connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    secrets = Secrets(connection, seqs[-1])
    rows = [row for seq in seqs for row in rows_between(connection, seq - 1, seq)]
    dying = {found[0] for row in rows if row.salt is None and (found := secrets.of(row.seq)) is not None}
    _clear(connection, rows)
    connection.executemany("UPDATE secret SET is_dying = 1 WHERE first = ?", [(first,) for first in sorted(dying)])


def burying() -> Generator[Step, Any, None]:
    """The steps that give the events of dying secrets salts of their own, and destroy the secrets. What a power cut
    left of it is done the next time."""
    for first, secret in (yield Read(_dying)):
        above: int | None = first - 1
        while above is not None:
            above = yield Write(partial(_bury, first=first, secret=secret, above=above))


def _dying(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    return connection.execute("SELECT first, secret FROM secret WHERE is_dying ORDER BY first").fetchall()


def _bury(connection: sqlite3.Connection, first: int, secret: bytes, above: int) -> int | None:
    last = connection.execute(
        "SELECT coalesce((SELECT min(first) - 1 FROM secret WHERE first > ?), (SELECT last_seq FROM head))", (first,)
    ).fetchone()[0]
    up_to = min(above + SLICE_ROWS, last)
    salted = [
        (chain.salt_of(HASHES, secret, row.seq), row.seq)
        for row in rows_between(connection, above, up_to)
        if row.salt is None and row.commitment is None and row.link is not None and chain.is_personal(row.event)
    ]
    connection.executemany("UPDATE event SET salt = ? WHERE seq = ?", salted)
    if up_to < last:
        return up_to
    connection.execute("DELETE FROM secret WHERE first = ?", (first,))
    return None


def _copy_back(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _empty_journal(connection: sqlite3.Connection) -> None:
    """The write-ahead log still has the pages as they were before."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
