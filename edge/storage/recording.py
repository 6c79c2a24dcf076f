"""Events on their way into the log: numbered, chained and written, those that wait together in one go."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from edge.decision.chain import without_person
from edge.decision.model import ALARM, Event
from edge.storage import personal
from edge.storage.chain_rows import AFTERWARDS
from edge.storage.chaining import LogKeys, Writer
from edge.storage.database import DatabaseThread
from edge.storage.event_rows import INSERT, Line, line
from edge.storage.state_store import write_kept

ALARM_RESERVE = 10  # a full log keeps alarms until it holds a tenth more
_TEXTS = ("door", "reader", "medium", "result", "reason", "output", "detail")


class Recording(Future[list[int]]):
    """A batch on its way to the disk. Its result: a sequence number for each event, 0 for one that was dropped
    because the log is full. It cannot be cancelled. seqs, head (behind them) and log_id are valid once it is written,
    and only then."""

    def __init__(
        self,
        events: tuple[Event, ...],
        policy_revision: int,
        late: bool,
        keep: Mapping[str, bytes],
        mark_late: "Callable[[Recording], Future[None]]",
    ) -> None:
        super().__init__()
        self.events = events
        self.policy_revision = policy_revision
        self.late = late
        self.keep = keep
        self.seqs: list[int] = []
        self.head = b""
        self.log_id = b""
        self._mark_late = mark_late

    def mark_late(self) -> "Future[None]":
        """The door moved before this was durable: mark the events late, whether they are written yet or not.
        The future says when that is durable."""
        self.late = True
        return self._mark_late(self)


class _TakenUp(NamedTuple):
    writer: Writer
    secrets: personal.DaySecrets
    boot: int


class Recordings:
    """How recordings get into the file behind `database`, on its thread. max_unsent: above it only alarms are still
    written. marked: a high-water mark is written outside the file. is_nominative False: who came is never written.
    lost_up_to: numbers that were given by a file that is not this one any more."""

    def __init__(
        self, database: DatabaseThread, boot_id: str, keys: LogKeys, max_unsent: int, marked: bool, is_nominative: bool
    ) -> None:
        self.lost_up_to = 0
        self._database = database
        self._boot_id = boot_id
        self._keys = keys
        self._check_key, self._wrap_key = keys.key_for(b"check"), keys.key_for(b"wrap")
        self._max_unsent = max_unsent
        self._marked = marked
        self.is_nominative = is_nominative
        self._known_key = (b"", b"")
        self._in_hand: _TakenUp | None = None
        self._put_down_at: tuple[int, int] | None = None  # the connection's changes and rollbacks then

    def write(self, connection: sqlite3.Connection, recordings: Sequence[Recording]) -> list[list[int]]:
        """Within a transaction: write each one's events and what is kept beside them; their numbers. ValueError where
        an event is none: trying it again would not help."""
        taken_up = self._taken_up(connection)
        writer = taken_up.writer
        lines: list[Line] = []
        floor_ms = 0
        keep: dict[str, bytes] = {}
        for recording in recordings:
            recording.seqs = [self._take_in(event, recording, taken_up, lines) for event in recording.events]
            recording.head, recording.log_id = writer.head, writer.log_id
            keep.update(recording.keep)
            floor_ms = max([floor_ms, *[event.at_ms for event in recording.events if event.trusted]])
        connection.executemany(INSERT, lines)
        self._known_key = writer.save(self._marked, floor_ms)
        write_kept(connection, keep)
        self._put_down_at = (connection.total_changes, self._database.rollbacks)
        return [recording.seqs for recording in recordings]

    def mark_late(self, connection: sqlite3.Connection, recording: Recording) -> bytes | None:
        """Within a transaction: mark a recording's events; the head of the chain then. None where there are none: never
        written, or in another file, and other events may carry these numbers."""
        if recording.done() and recording.exception() is not None:
            return None
        writer = self._writer(connection)
        if recording.log_id != writer.log_id:
            return None
        for first, last in _runs(_unmarked(connection, recording.seqs)):
            connection.execute("UPDATE event SET late = ? WHERE seq BETWEEN ? AND ?", (AFTERWARDS, first, last))
            writer.late(first, last)
        self._known_key = writer.save(self._marked)
        return writer.head

    def _take_in(self, event: Event, recording: Recording, taken_up: _TakenUp, lines: list[Line]) -> int:
        """Number and chain an event; 0 where there is no room for it."""
        writer, secrets, boot = taken_up
        if writer.last_seq - writer.acked >= self._room_for(event):
            writer.dropped += 1
            return 0
        if self.lost_up_to > writer.last_seq:
            writer.lost(self.lost_up_to)
        late, revision = recording.late, recording.policy_revision
        written, bare = event, None
        if self.is_nominative:
            commitment = secrets.commitment(writer.last_seq + 1, event)
        elif commitment := personal.never_named(event):
            written, bare = without_person(event), commitment
        try:
            link = writer.event(late, revision, self._boot_id, event, commitment)
        except TypeError:
            raise ValueError(_what_is_wrong(event)) from None
        lines.append((*line(writer.last_seq, late, revision, written, boot), link, bare))
        return writer.last_seq

    def _taken_up(self, connection: sqlite3.Connection) -> _TakenUp:
        """What a record goes on from: as the record before left it, unless anything else was written since, or undone.
        Each statement lets go of the interpreter, and may wait milliseconds for it while other threads work."""
        if self._in_hand is None or self._put_down_at != (connection.total_changes, self._database.rollbacks):
            boot = _boot_number(connection, self._boot_id)
            self._in_hand = _TakenUp(self._writer(connection), personal.DaySecrets(connection), boot)
        self._put_down_at = None  # until this record is written
        return self._in_hand

    def _room_for(self, event: Event) -> int:
        reserve = self._max_unsent // ALARM_RESERVE if event.result == ALARM else 0
        return self._max_unsent + reserve

    def _writer(self, connection: sqlite3.Connection) -> Writer:
        return Writer(connection, self._keys, self._check_key, self._wrap_key, self._known_key)


def _what_is_wrong(event: Event) -> str:
    wrong = [name for name in _TEXTS if not isinstance(getattr(event, name), str)]
    return f"an event whose {', '.join(wrong) or 'numbers'} cannot be: this is a fault of the program; please report it"


def _unmarked(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[int]:
    """Those of the numbers whose events are not marked late yet, and still here."""
    written = [seq for seq in seqs if seq]
    if not written:
        return []
    found = connection.execute(
        "SELECT seq FROM event WHERE late = 0 AND seq BETWEEN ? AND ?", (written[0], written[-1])
    )
    return [seq for (seq,) in found.fetchall()]


def _runs(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) of each contiguous stretch of rising numbers."""
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs


def _boot_number(connection: sqlite3.Connection, boot_id: str) -> int:
    row = connection.execute("SELECT id FROM boot WHERE boot_id = ?", (boot_id,)).fetchone()
    if row is None:
        return connection.execute("INSERT INTO boot (boot_id) VALUES (?)", (boot_id,)).lastrowid or 0
    return int(row[0])
