"""The log of events: written before a door moves, kept until the cloud has acknowledged.

Events are numbered 1, 2, 3 … per log; a number is never used twice, even after its event was pruned. A log has
an id of 16 random bytes, made with the file. Only what is acknowledged may go. Every record is a link of the chain
(edge/decision/chain.py), so that what was changed, taken away or put in is found.
"""

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edge.decision.chain import LOST, Start, Stretch, without_person
from edge.decision.model import ALARM, Event
from edge.storage import personal, stretches
from edge.storage.chain_rows import AFTERWARDS
from edge.storage.chaining import LogKeys, Writer
from edge.storage.database import DatabaseThread, Read, Step, Write
from edge.storage.errors import AcknowledgeRefused, StorageError
from edge.storage.event_rows import INSERT, READ, LoggedEvent, first_seq, line, logged, pattern, search
from edge.storage.high_water import HighWater, Mark
from edge.storage.migrations import EVENTS
from edge.storage.opening import OpenReport
from edge.storage.state_store import write_kept
from edge.storage.verifying import Countersigned, Verification, Verifier

ALARM_RESERVE = 10  # a full log keeps alarms until it holds a tenth more
FILLING, NOT_FILLING = 0.8, 0.7  # of max_unsent: when to warn, and when a warning may come again
NO_KEYS = LogKeys()
_TEXTS = ("door", "reader", "medium", "result", "reason", "output", "detail")


class Counts(NamedTuple):
    """total: events in the file. unsent: those not yet acknowledged. dropped: never written, the log being full."""

    total: int
    unsent: int
    dropped: int


class _Head(NamedTuple):
    last_seq: int
    acked: int
    dropped: int
    head: bytes
    acked_head: bytes


class _TakenUp(NamedTuple):
    writer: Writer
    secrets: personal.DaySecrets
    boot: int


class Recording(Future[list[int]]):
    """A batch on its way to the disk. Its result: a sequence number for each event, 0 for one that was dropped
    because the log is full. It cannot be cancelled."""

    def __init__(self, log: "EventLog", late: bool) -> None:
        super().__init__()
        self._log = log
        self.late = late
        self.seqs: list[int] = []  # valid once written, and only then
        self.head = b""  # behind them, likewise

    def mark_late(self) -> "Future[None]":
        """The door moved before this was durable: mark the events late, whether they are written yet or not.
        The future says when that is durable."""
        self.late = True
        return self._log._mark_late(self)


class EventLog:
    """The log in one file. Make it with `open`.

    last_seq, acked, dropped: as committed. max_unsent: above it only alarms are still written. doubt: what the
    high-water mark outside the file says against it, "" for nothing; whoever opens the log raises an alarm for it."""

    def __init__(
        self,
        database: DatabaseThread,
        boot_id: str,
        max_unsent: int,
        keys: LogKeys = NO_KEYS,
        mark: Path | None = None,
        is_nominative: bool = True,
    ) -> None:
        self.database = database
        self.max_unsent = max_unsent
        self._boot_id = boot_id
        self._keys = keys
        self._check_key, self._wrap_key = keys.key_for(b"check"), keys.key_for(b"wrap")
        self._known_key = (b"", b"")
        self._in_hand: _TakenUp | None = None
        self._put_down_at: tuple[int, int] | None = None  # the connection's changes and rollbacks then
        self._is_nominative = is_nominative
        identity, self._head, self.start, was_marked = database.read(_read_identity).result()
        self.log_id: bytes = identity
        self._is_filling = False
        self._lost_up_to = 0
        self._high_water = HighWater(mark, keys.key_for(b"mark")) if mark is not None else None
        self.doubt = self._doubt(was_marked)
        self._remember_head(self._head)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        boot_id: str = "",
        max_unsent: int = 200_000,
        check: bool = True,
        keys: LogKeys = NO_KEYS,
        mark: Path | None = None,
        is_nominative: bool = True,
    ) -> "EventLog":
        """Open or begin the log at `path`; blocks. boot_id: the kernel's, stored with each event. mark: the file of
        the high-water mark, best where the log's keys are. is_nominative False: who came is never written.
        StorageError where the file cannot be used; a damaged one is set aside, see `report`."""
        database = DatabaseThread.open(path, EVENTS, check=check)
        return cls(database, boot_id, max_unsent, keys, mark, is_nominative)

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

    @property
    def acked_head(self) -> bytes:
        """The head of the chain after event `acked`; b"" where none is known."""
        return self._head.acked_head

    @property
    def is_filling(self) -> bool:
        """Whether an alarm is due, or was, for events that nobody acknowledges: from 80 % of max_unsent on, until
        there are less than 70 %."""
        return self._is_filling

    @property
    def mark_failures(self) -> int:
        """How often the high-water mark could not be written."""
        return self._high_water.failures if self._high_water else 0

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
        recording = Recording(self, late)
        work = partial(self._insert, recording, tuple(events), policy_revision, dict(keep or {}))
        self.database.write(work, after=partial(self._remember, recording), future=recording)
        return recording

    def read(self, first_seq: int, limit: int = 500) -> "Future[list[LoggedEvent]]":
        """At most `limit` events from number `first_seq` on, in order."""
        return self.database.read(
            lambda connection: [logged(row) for row in connection.execute(READ, (first_seq, limit)).fetchall()]
        )

    def stretch(self, first_seq: int, limit: int = 500) -> "Future[Stretch]":
        """At most `limit` contiguous events from `first_seq` on, or from where the numbers go on, with what it takes
        the manager to check them."""
        return self.database.read(lambda connection: stretches.read_stretch(connection, first_seq, limit))

    def acknowledge(self, up_to: int, head: bytes | None = None, proof: bytes = b"") -> "Future[int]":
        """Note that the cloud has everything up to `up_to`; less than before changes nothing. head: of the chain
        there, as the cloud says it (None: it says nothing). proof: the acknowledgement as the manager signed it. The
        future gives what is acknowledged then; AcknowledgeRefused where `up_to` was never recorded, or the head is
        another than ours."""
        return self.database.carry_out(self._acknowledging(up_to, head, proof))

    def _acknowledging(self, up_to: int, head: bytes | None, proof: bytes) -> Generator[Step, Any, int]:
        now: _Head = yield Read(_read_head)
        if up_to > now.last_seq:
            raise AcknowledgeRefused(
                f"acknowledgement up to {up_to} refused: this log ends at {now.last_seq}; nothing is deleted, "
                f"check that the cloud has this log and not another one"
            )
        if up_to <= now.acked:
            return now.acked
        ours: bytes = yield Read(lambda connection: stretches.head_at(connection, up_to))
        if head is not None and head != ours:
            raise AcknowledgeRefused(
                f"acknowledgement up to {up_to} refused: it is of other events than those recorded here; nothing is "
                f"deleted, check that the cloud has this log and not an older copy of it"
            )
        acked: int = yield Write(partial(_store_acked, up_to=up_to, head=ours, proof=proof))
        if acked == up_to:
            self._remember_head(self._head._replace(acked=acked, acked_head=ours))
            self._write_mark()
        return acked

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
            # Events go from the lower end only, so that numbers have no gaps but those that a note tells of.
            total = head.last_seq - first + 1 - _lost_above(connection, first) if first else 0
            return Counts(total, head.last_seq - head.acked, head.dropped)

        return self.database.read(work)

    def prune(self, keep: int, at_most: int = 500) -> "Future[int]":
        """Delete the oldest acknowledged events as long as `keep` remain, `at_most` in this call. The future
        gives how many went: call again until it is 0. What is not acknowledged stays whatever `keep` is."""

        def work(connection: sqlite3.Connection) -> int:
            head = _read_head(connection)
            first = first_seq(connection)
            last_to_go = min(head.acked, head.last_seq - keep, first + at_most - 1)
            return self._prune(connection, first, last_to_go) if first and last_to_go >= first else 0

        return self.database.write(work)

    def purge(self, before_ms: int) -> "Future[int]":
        """Take the person (credential, and detail where it names one) from every event of before `before_ms`, utc.
        Records go on meanwhile. The future gives from how many events; the chain stays whole."""
        return self.database.carry_out(personal.purging(before_ms))

    def erase(self, credential: int | None = None, call_code: str | None = None) -> "Future[int]":
        """Take one person from the log: the holder of `credential`, and whom visitors called by `call_code`. The
        future gives from how many events; all others stay as they are, and can still be verified."""
        return self.database.carry_out(personal.erasing(credential, call_code))

    def verify(
        self, countersigned: Countersigned | None = None, *, skip_checks: bool = False
    ) -> "Future[Verification]":
        """Look at every record, in steps between others' work. countersigned: tells whether an acknowledgement is the
        manager's. skip_checks: only follow the heads, which a forger can make too; for the test that shows it."""
        try:
            mark = self._high_water.read() if self._high_water else None
        except ValueError as error:
            return _known(Verification(0, 0, 0, self.acked, 0, str(error)))
        check_key = None if skip_checks else self._check_key
        return self.database.read(lambda connection: Verifier(connection, check_key, mark, countersigned).run())

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued and close the file; blocks."""
        self.database.close(timeout_s)
        if self._high_water:
            self._high_water.close()

    # --- on the thread ----------------------------------------------------------------------------------------

    def _insert(
        self,
        recording: Recording,
        events: tuple[Event, ...],
        policy_revision: int,
        keep: dict[str, bytes],
        connection: sqlite3.Connection,
    ) -> list[int]:
        writer, secrets, boot = self._taken_up(connection)
        seqs, lines = [], []
        for event in events:
            if writer.last_seq - writer.acked >= self._room_for(event):
                writer.dropped += 1
                seqs.append(0)
                continue
            if self._lost_up_to > writer.last_seq:
                writer.lost(self._lost_up_to)
            if self._is_nominative:
                written, commitment = event, secrets.commitment(writer.last_seq + 1, event)
            else:
                written, commitment = _unnamed(event)
            try:
                link = writer.event(recording.late, policy_revision, self._boot_id, event, commitment)
            except TypeError:
                raise StorageError(_what_is_wrong(event)) from None
            seqs.append(writer.last_seq)
            bare = None if self._is_nominative else commitment or None
            lines.append((*line(writer.last_seq, recording.late, policy_revision, written, boot), link, bare))
        connection.executemany(INSERT, lines)
        floor_ms = max([event.at_ms for event in events if event.trusted], default=0)
        self._known_key = writer.save(self._high_water is not None, floor_ms)
        write_kept(connection, keep)
        recording.seqs, recording.head = seqs, writer.head
        self._put_down_at = (connection.total_changes, self.database.rollbacks)
        return seqs

    def _taken_up(self, connection: sqlite3.Connection) -> _TakenUp:
        """What a record goes on from: as the record before left it, unless anything else was written since, or undone.
        Each statement lets go of the interpreter, and may wait milliseconds for it while other threads work."""
        if self._in_hand is None or self._put_down_at != (connection.total_changes, self.database.rollbacks):
            boot = _boot_number(connection, self._boot_id)
            self._in_hand = _TakenUp(self._writer(connection), personal.DaySecrets(connection), boot)
        self._put_down_at = None  # until this record is written
        return self._in_hand

    def _room_for(self, event: Event) -> int:
        reserve = self.max_unsent // ALARM_RESERVE if event.result == ALARM else 0
        return self.max_unsent + reserve

    def _mark_late(self, recording: Recording) -> "Future[None]":
        def work(connection: sqlite3.Connection) -> bytes | None:
            if recording.done() and recording.exception() is not None:
                return None  # never written, and another event may carry these numbers
            writer = self._writer(connection)
            for first, last in _runs(_unmarked(connection, recording.seqs)):
                connection.execute("UPDATE event SET late = ? WHERE seq BETWEEN ? AND ?", (AFTERWARDS, first, last))
                writer.late(first, last)
            self._known_key = writer.save(self._high_water is not None)
            return writer.head

        def after(head: bytes | None) -> None:
            if head is not None:
                self._remember_head(self._head._replace(head=head))
                self._write_mark()

        done: Future[bytes | None] = self.database.write(work, after=after)
        return done  # type: ignore[return-value]

    def _prune(self, connection: sqlite3.Connection, first: int, up_to: int) -> int:
        """Events go, and their notes and secrets; that they were there stays, and the head behind them."""
        head = stretches.head_at(connection, up_to)
        gone = connection.execute("DELETE FROM event WHERE seq <= ?", (up_to,)).rowcount
        connection.execute("DELETE FROM note WHERE after < ?", (up_to,))
        connection.execute(
            "DELETE FROM start WHERE note NOT IN (SELECT id FROM note) AND "
            "note <> (SELECT max(note) FROM start WHERE first <= ?)",
            (up_to + 1,),
        )
        personal.drop_secrets(connection, up_to)
        connection.execute(
            "INSERT INTO gap (id, first, last, count, head_before, head_after) VALUES (1, ?, ?, ?, x'', ?) "
            "ON CONFLICT (id) DO UPDATE SET last = max(last, excluded.last), count = count + excluded.count, "
            "head_after = CASE WHEN excluded.last >= last THEN excluded.head_after ELSE head_after END",
            (first, up_to, gone, head),
        )
        return gone

    def _writer(self, connection: sqlite3.Connection) -> Writer:
        return Writer(connection, self._keys, self._check_key, self._wrap_key, self._known_key)

    def _remember(self, recording: Recording, seqs: list[int]) -> None:
        now = self._head
        last, dropped = max([now.last_seq, *seqs]), now.dropped + seqs.count(0)
        self._remember_head(now._replace(last_seq=last, dropped=dropped, head=recording.head))
        self._write_mark()

    def _remember_head(self, head: _Head) -> None:
        self._head = head  # one assignment: other threads see the old or the new, never a mixture
        unsent = head.last_seq - head.acked
        self._is_filling = unsent >= self.max_unsent * (NOT_FILLING if self._is_filling else FILLING)

    # --- the high-water mark ----------------------------------------------------------------------------------

    def _write_mark(self) -> None:
        if self._high_water:
            self._high_water.write(Mark(self.log_id, self._head.last_seq, self._head.acked, self._head.head))

    def _doubt(self, was_marked: bool) -> str:
        """What the mark says against this file, in words for an alarm. Numbers that the mark knows are not given
        again."""
        if self._high_water is None:
            return ""
        try:
            mark = self._high_water.read()
        except ValueError as error:
            return f"the high-water mark cannot be relied on: {error}"
        if mark is None:
            return f"the high-water mark {self._high_water.path} is gone" if was_marked else ""
        if mark.log_id != self.log_id:
            return f"a new log begins: the one before, {mark.log_id.hex()[:8]}, ended at {mark.last_seq}"
        if mark.last_seq > self.last_seq:
            self._lost_up_to = mark.last_seq
            return f"the log ends at {self.last_seq}, and it went up to {mark.last_seq}: is it an older copy?"
        if mark.acked > self.acked:
            return f"the log says acknowledged up to {self.acked}, and it was up to {mark.acked}: is it an older copy?"
        return ""


def _unnamed(event: Event) -> tuple[Event, bytes]:
    """An event without its person, and the commitment to it."""
    commitment = personal.never_named(event)
    return (without_person(event) if commitment else event), commitment


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


def _known(value: Verification) -> "Future[Verification]":
    future: Future[Verification] = Future()
    future.set_result(value)
    return future


def _read_identity(connection: sqlite3.Connection) -> tuple[bytes, _Head, Start | None, bool]:
    log_id, marked = connection.execute("SELECT log_id, marked FROM head").fetchone()
    head = _read_head(connection)
    return log_id, head, stretches.start_of(connection, head.acked), bool(marked)


def _read_head(connection: sqlite3.Connection) -> _Head:
    return _Head(*connection.execute("SELECT last_seq, acked, dropped, chain_head, acked_head FROM head").fetchone())


def _store_acked(connection: sqlite3.Connection, up_to: int, head: bytes, proof: bytes) -> int:
    before: int = connection.execute("SELECT acked FROM head").fetchone()[0]
    if up_to > before:
        connection.execute("UPDATE head SET acked = ?, acked_head = ?, acked_proof = ?", (up_to, head, proof))
    return max(up_to, before)


def _lost_above(connection: sqlite3.Connection, seq: int) -> int:
    """How many numbers above `seq` are lost."""
    return int(
        connection.execute(
            "SELECT coalesce(sum(last - first + 1), 0) FROM note WHERE kind = ? AND first > ?", (LOST, seq)
        ).fetchone()[0]
    )


def _boot_number(connection: sqlite3.Connection, boot_id: str) -> int:
    row = connection.execute("SELECT id FROM boot WHERE boot_id = ?", (boot_id,)).fetchone()
    if row is None:
        return connection.execute("INSERT INTO boot (boot_id) VALUES (?)", (boot_id,)).lastrowid or 0
    return int(row[0])
