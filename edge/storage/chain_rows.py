"""The records of the chain as the log's file has them."""

import hashlib
import hmac
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edge.decision import chain
from edge.decision.chain import BEGIN, Hashes, Note
from edge.decision.model import Event

HASHES = Hashes(lambda data: hashlib.sha256(data).digest(), lambda key, data: hmac.digest(key, data, "sha256"))
CHECK = 8  # bytes of a record's check
LINK = chain.MAC + CHECK + chain.HEAD
WALK_ROWS = 100  # one step: a few milliseconds on a Raspberry Pi
AS_WRITTEN, AFTERWARDS = 1, 2  # of the column `late`: so from the beginning, or marked by a note

_EVENTS = """SELECT seq, late, policy_revision, coalesce(boot_id, ''), chain, salt, commitment,
    at_ms, trusted, door, reader, medium, credential, result, reason, output, detail
    FROM event LEFT JOIN boot ON boot.id = event.boot WHERE seq > ? AND seq <= ? ORDER BY seq"""
_NOTES = """SELECT after, kind, note.first, last, id, chain, head, sealed
    FROM note LEFT JOIN start ON start.note = id WHERE after >= ? AND after < ? ORDER BY id"""


class Row(NamedTuple):
    """An event as the file has it. link: MAC, check and the head behind it; None before the chain began. salt,
    commitment: None, as a rule."""

    seq: int
    late: int
    revision: int
    boot: str
    link: bytes | None
    salt: bytes | None
    commitment: bytes | None
    event: Event


def rows_between(connection: sqlite3.Connection, above: int, up_to: int) -> list[Row]:
    """The events above `above` and up to `up_to` that are there, in order."""
    return [_row(*values) for values in connection.execute(_EVENTS, (above, up_to)).fetchall()]


def _row(
    seq: int, late: int, revision: int, boot: str, link: bytes | None, salt: bytes | None,
    commitment: bytes | None, at_ms: int, trusted: int, door: str, reader: str, medium: str, credential: str | None,
    *words: str,
) -> Row:  # fmt: skip
    number = None
    if credential is not None:
        number = int(credential) if credential.isdecimal() else -1
        number = number if str(number) == credential else -1  # no number of ours: no body can be made of it
    if trusted not in (0, 1):
        late = -1
    event = Event(at_ms, bool(trusted), door, reader, medium, number, *words)
    return Row(seq, late, revision, boot, link, salt, commitment, event)


class NoteRow(NamedTuple):
    """A note as the file has it. link: MAC, check and the head behind it. head, sealed: of a BEGIN, else None."""

    note: Note
    number: int
    link: bytes
    head: bytes | None
    sealed: bytes | None


def notes_between(connection: sqlite3.Connection, above: int, up_to: int) -> list[NoteRow]:
    """The notes after event `above` and before event `up_to`."""
    return [NoteRow(Note(*row[:4]), *row[4:]) for row in connection.execute(_NOTES, (above, up_to)).fetchall()]


class Secrets:
    """The secrets of days that events up to `up_to` may need."""

    def __init__(self, connection: sqlite3.Connection, up_to: int) -> None:
        self._known: list[tuple[int, bytes]] = connection.execute(
            "SELECT first, secret FROM secret WHERE first <= ? ORDER BY first DESC", (up_to,)
        ).fetchall()

    def of(self, seq: int) -> tuple[int, bytes] | None:
        """(first event, secret) of the day that event `seq` belongs to."""
        for known in self._known:  # asked for each event: a generator would take five times as long
            if known[0] <= seq:
                return known
        return None


def commitment_of(row: Row, secrets: Secrets) -> bytes | None:
    """What a row's body has for its personal data; None where neither salt nor secret is left for it."""
    if row.commitment is not None:
        return row.commitment
    if not chain.is_personal(row.event):
        return b""
    salt = row.salt
    if salt is None:
        known = secrets.of(row.seq)
        if known is None:
            return None
        salt = chain.salt_of(HASHES, known[1], row.seq)
    return chain.commit(HASHES, salt, row.event)


class Record(NamedTuple):
    """A record of the chain as the file has it. seq: of the event, or of the one before the note. number: of a note,
    rising; 0 for an event. late: the column's value. begins: the head before a BEGIN. body: None where it cannot be
    made, `trouble` says why. beyond: what a text has beyond what the body covers. link: MAC, check, head behind it."""

    seq: int
    note: Note | None
    number: int
    late: int
    begins: bytes
    body: bytes | None
    beyond: bytes
    link: bytes
    trouble: str


def records_between(connection: sqlite3.Connection, log_id: bytes, above: int, up_to: int) -> Iterator[Record]:
    """The records of the chain from behind event `above` to event `up_to`, in the order in which they were made."""
    rows, notes = rows_between(connection, above, up_to), notes_between(connection, above, up_to)
    return records_of(log_id, rows, notes, Secrets(connection, up_to))


def records_of(log_id: bytes, rows: Sequence[Row], notes: Sequence[NoteRow], secrets: Secrets) -> Iterator[Record]:
    """The records of events and notes that were read."""
    at = 0
    for row in rows:
        while at < len(notes) and notes[at].note.after < row.seq:
            yield _note_record(log_id, notes[at])
            at += 1
        yield _event_record(log_id, row, secrets)
    for left in notes[at:]:
        yield _note_record(log_id, left)


def _note_record(log_id: bytes, row: NoteRow) -> Record:
    begins = (row.head or b"") if row.note.kind == BEGIN else b""
    body, trouble = None, "the key that began the chain is missing"
    if row.note.kind != BEGIN or row.sealed is not None:
        try:
            body, trouble = chain.note_body(log_id, row.note, row.sealed or b""), ""
        except struct.error:
            trouble = "its numbers cannot be"
    return Record(row.note.after, row.note, row.number, 0, begins, body, b"", row.link, trouble)


def _event_record(log_id: bytes, row: Row, secrets: Secrets) -> Record:
    body, trouble = None, "its values cannot be"
    if row.late in (0, AS_WRITTEN, AFTERWARDS):
        try:
            body, trouble = _event_body(log_id, row, secrets)
        except (struct.error, UnicodeEncodeError):
            pass
    return Record(row.seq, None, 0, row.late, b"", body, beyond(row.event, row.boot), row.link or b"", trouble)


def _event_body(log_id: bytes, row: Row, secrets: Secrets) -> tuple[bytes | None, str]:
    commitment = commitment_of(row, secrets)
    if commitment is None:
        return None, "the secret of its day is missing"
    if row.commitment is not None and (chain.is_personal(row.event) or len(commitment) != chain.COMMITMENT):
        return None, "it names somebody who was erased from it"
    is_late = row.late == AS_WRITTEN
    return chain.event_body(log_id, row.seq, is_late, row.revision, row.boot, row.event, commitment), ""


def beyond(event: Event, boot: str) -> bytes:
    """What the texts have beyond what a body covers and the wire carries; nearly always nothing."""
    texts = (boot, event.door, event.reader, event.medium, event.result, event.reason, event.output, event.detail)
    if max(map(len, texts)) <= chain.MAX_TEXT:
        return b""
    return b"\0".join(text[chain.MAX_TEXT :].encode() for text in texts)
