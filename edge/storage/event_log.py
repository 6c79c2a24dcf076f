"""The log of events: written before a door moves, kept until the cloud has acknowledged.

Events are numbered 1, 2, 3 … per log; a number is never used twice, even after its event was pruned. A log has
an id of 16 random bytes, made with the file. Only what is acknowledged may go.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edge.decision.model import ALARM, Event
from edge.storage.database import DatabaseThread
from edge.storage.errors import AcknowledgeRefused
from edge.storage.event_rows import INSERT, READ, LoggedEvent, first_seq, line, logged, pattern, search
from edge.storage.migrations import EVENTS
from edge.storage.opening import OpenReport
from edge.storage.state_store import lift_floor, write_kept

ALARM_RESERVE = 10  # a full log keeps alarms until it holds a tenth more


class Counts(NamedTuple):
    """total: events in the file. unsent: those not yet acknowledged. dropped: never written, the log being full."""

    total: int
    unsent: int
    dropped: int


class _Head(NamedTuple):
    last_seq: int
    acked: int
    dropped: int


class Recording(Future[list[int]]):
    """A batch on its way to the disk. Its result: a sequence number for each event, 0 for one that was dropped
    because the log is full. It cannot be cancelled."""

    def __init__(self, database: DatabaseThread, late: bool) -> None:
        super().__init__()
        self._database = database
        self.late = late
        self.seqs: list[int] = []  # valid once written, and only then

    def mark_late(self) -> "Future[None]":
        """The door moved before this was durable: mark the events late, whether they are written yet or not.
        The future says when that is durable."""
        self.late = True
        return self._database.write(self._update)

    def _update(self, connection: sqlite3.Connection) -> None:
        if self.done() and self.exception() is not None:
            return  # never written, and another event may carry these numbers
        connection.executemany("UPDATE event SET late = 1 WHERE seq = ?", [(seq,) for seq in self.seqs if seq])


class EventLog:
    """The log in one file. Make it with `open`.

    last_seq, acked, dropped: as committed. max_unsent: above it only alarms are still written."""

    def __init__(self, database: DatabaseThread, boot_id: str, max_unsent: int) -> None:
        self.database = database
        self.max_unsent = max_unsent
        self._boot_id = boot_id
        row = database.read(_read_identity).result()
        self.log_id: bytes = row[0]
        self._head = _Head(*row[1:])

    @classmethod
    def open(cls, path: Path | str, *, boot_id: str = "", max_unsent: int = 200_000, check: bool = True) -> "EventLog":
        """Open or begin the log at `path`; blocks. boot_id: the kernel's, stored with each event.
        StorageError where the file cannot be used; a damaged one is set aside, see `report`."""
        return cls(DatabaseThread.open(path, EVENTS, check=check), boot_id, max_unsent)

    @property
    def report(self) -> OpenReport:
        """How opening went."""
        return self.database.report

    @property
    def commits(self) -> int:
        """Transactions made durable since the start."""
        return self.database.commits

    @property
    def last_seq(self) -> int:
        """The highest number given so far; 0 for none."""
        return self._head.last_seq

    @property
    def acked(self) -> int:
        """Everything up to this number is in the cloud."""
        return self._head.acked

    @property
    def dropped(self) -> int:
        """Events that were not written because the log was full."""
        return self._head.dropped

    @property
    def unsent(self) -> int:
        """Events that the cloud has not acknowledged."""
        return self._head.last_seq - self._head.acked

    def record(
        self,
        events: Sequence[Event],
        policy_revision: int,
        late: bool = False,
        keep: Mapping[str, bytes] | None = None,
    ) -> Recording:
        """Write `events`, and `keep` beside them, in one durable commit, all or nothing.

        The times of events under a trusted clock raise the floor of wall time. StorageError (in the future):
        nothing of it was written; hold it in memory and record it later with `late`."""
        recording = Recording(self.database, late)
        work = partial(self._insert, recording, tuple(events), policy_revision, dict(keep or {}))
        self.database.write(work, after=self._remember, future=recording)
        return recording

    def read(self, first_seq: int, limit: int = 500) -> "Future[list[LoggedEvent]]":
        """At most `limit` events from number `first_seq` on, in order."""
        return self.database.read(
            lambda connection: [logged(row) for row in connection.execute(READ, (first_seq, limit)).fetchall()]
        )

    def acknowledge(self, up_to: int) -> "Future[int]":
        """Note that the cloud has everything up to `up_to`; less than before changes nothing. The future gives
        what is acknowledged then; AcknowledgeRefused where `up_to` was never recorded."""

        def work(connection: sqlite3.Connection) -> int:
            head = _read_head(connection)
            if up_to > head.last_seq:
                raise AcknowledgeRefused(
                    f"acknowledgement up to {up_to} refused: this log ends at {head.last_seq}; nothing is deleted, "
                    f"check that the cloud has this log and not another one"
                )
            if up_to > head.acked:
                connection.execute("UPDATE head SET acked = ?", (up_to,))
            return max(up_to, head.acked)

        return self.database.write(work, after=lambda acked: self._remember_head(self._head._replace(acked=acked)))

    def query(
        self,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        door: str | None = None,
        reader: str | None = None,
        medium: str | None = None,
        credential: int | None = None,
        result: str | None = None,
        reason: str | None = None,
        text: str | None = None,
        after_seq: int | None = None,
        limit: int = 100,
    ) -> "Future[list[LoggedEvent]]":
        """Events that match everything given, in order: the newest `limit`, or with `after_seq` the first
        `limit` above it. since_ms <= at < until_ms. text: found anywhere in the event's words or its number.
        Searches in steps between records."""
        filters = {
            "since_ms": since_ms, "until_ms": until_ms, "door": door, "reader": reader, "medium": medium,
            "credential": None if credential is None else str(credential), "result": result, "reason": reason,
            "text": None if text is None else pattern(text),
        }  # fmt: skip
        return self.database.read(partial(search, filters=filters, after_seq=after_seq, limit=limit))

    def counts(self) -> "Future[Counts]":
        """How many events there are."""

        def work(connection: sqlite3.Connection) -> Counts:
            head = _read_head(connection)
            first = first_seq(connection)
            # Events go from the lower end only, so that numbers have no gaps.
            total = head.last_seq - first + 1 if first else 0
            return Counts(total, head.last_seq - head.acked, head.dropped)

        return self.database.read(work)

    def prune(self, keep: int, at_most: int = 500) -> "Future[int]":
        """Delete the oldest acknowledged events as long as `keep` remain, `at_most` in this call. The future
        gives how many went: call again until it is 0. What is not acknowledged stays whatever `keep` is."""

        def work(connection: sqlite3.Connection) -> int:
            head = _read_head(connection)
            first = first_seq(connection)
            last_to_go = min(head.acked, head.last_seq - keep, first + at_most - 1)
            return connection.execute("DELETE FROM event WHERE seq <= ?", (last_to_go,)).rowcount

        return self.database.write(work)

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued and close the file; blocks."""
        self.database.close(timeout_s)

    # --- on the thread ----------------------------------------------------------------------------------------

    def _insert(
        self,
        recording: Recording,
        events: tuple[Event, ...],
        policy_revision: int,
        keep: dict[str, bytes],
        connection: sqlite3.Connection,
    ) -> list[int]:
        head = _read_head(connection)
        boot = _boot_number(connection, self._boot_id)
        seqs, lines = [], []
        last = head.last_seq
        for event in events:
            if last - head.acked >= self._room_for(event):
                seqs.append(0)
                continue
            last += 1
            seqs.append(last)
            lines.append(line(last, recording.late, policy_revision, event, boot))
        connection.executemany(INSERT, lines)
        connection.execute("UPDATE head SET last_seq = ?, dropped = dropped + ?", (last, seqs.count(0)))
        lift_floor(connection, max((event.at_ms for event in events if event.trusted), default=0))
        write_kept(connection, keep)
        recording.seqs = seqs
        return seqs

    def _room_for(self, event: Event) -> int:
        reserve = self.max_unsent // ALARM_RESERVE if event.result == ALARM else 0
        return self.max_unsent + reserve

    def _remember(self, seqs: list[int]) -> None:
        head = self._head
        self._remember_head(head._replace(last_seq=max([head.last_seq, *seqs]), dropped=head.dropped + seqs.count(0)))

    def _remember_head(self, head: _Head) -> None:
        self._head = head  # one assignment: other threads see the old or the new, never a mixture


def _read_identity(connection: sqlite3.Connection) -> tuple[Any, ...]:
    row: tuple[Any, ...] = connection.execute("SELECT log_id, last_seq, acked, dropped FROM head").fetchone()
    return row


def _read_head(connection: sqlite3.Connection) -> _Head:
    return _Head(*connection.execute("SELECT last_seq, acked, dropped FROM head").fetchone())


def _boot_number(connection: sqlite3.Connection, boot_id: str) -> int:
    row = connection.execute("SELECT id FROM boot WHERE boot_id = ?", (boot_id,)).fetchone()
    if row is None:
        return connection.execute("INSERT INTO boot (boot_id) VALUES (?)", (boot_id,)).lastrowid or 0
    return int(row[0])
