"""The log of events: written before a door moves, kept until the cloud has acknowledged.

Events are numbered 1, 2, 3 … per log; a number is never used twice, even after its event was pruned. A log has
an id of 16 random bytes, made with the file. Only what is acknowledged may go. Every record is a link of the chain
(edge/decision/chain.py), so that what was changed, taken away or put in is found.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from edge.decision.chain import Stretch
from edge.decision.model import Event
from edge.storage import personal, pruning, stretches
from edge.storage.chaining import LogKeys
from edge.storage.database import DatabaseThread, Read, Step, Write
from edge.storage.errors import AcknowledgeRefused
from edge.storage.event_rows import READ, LoggedEvent, logged, pattern, search
from edge.storage.high_water import HighWater, Mark, doubt
from edge.storage.log_head import Counts, Head, count, read_head, read_identity, store_acked
from edge.storage.migrations import EVENTS
from edge.storage.opening import OpenReport
from edge.storage.recording import Recording, Recordings
from edge.storage.state_store import Kept, begin_kept, read_kept
from edge.storage.vacuuming import vacuuming
from edge.storage.verifying import Countersigned, Verification, Verifier

FILLING, NOT_FILLING = 0.8, 0.7  # of max_unsent: when to warn, and when a warning may come again
NO_KEYS = LogKeys()


class EventLog:
    """The log in one file. Make it with `open`.

    log_id: 16 bytes. last_seq, acked, dropped: as committed. max_unsent: above it only alarms are still written. doubt:
    what the high-water mark outside the file says against it, "" for nothing; whoever opens the log raises an alarm for
    it. on_new_file: called on the storage thread with the report, where the file turned out damaged while it was open;
    another log has begun then, of another id, from number 1 on."""

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
        self.on_new_file: Callable[[OpenReport], object] = lambda report: None
        self._check_key = keys.key_for(b"check")
        self._recordings = Recordings(database, boot_id, keys, max_unsent, mark is not None, is_nominative)
        self._is_filling = False
        self._high_water = HighWater(mark, keys.key_for(b"mark")) if mark is not None else None
        self._marked: Mark | None = None
        self.log_id, self._head, self.start, was_marked = database.read(read_identity).result()
        self.doubt, self._recordings.lost_up_to = doubt(self._high_water, self._mark(), was_marked)
        self._remember_head(self._head)
        database.after_commits(self._write_mark)
        database.after_damage(read_kept, self._begin_anew)

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
    def is_nominative(self) -> bool:
        """Whether events say who came, from the next one on."""
        return self._recordings.is_nominative

    @is_nominative.setter
    def is_nominative(self, is_nominative: bool) -> None:
        self._recordings.is_nominative = is_nominative

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
        recording = Recording(tuple(events), policy_revision, late, dict(keep or {}), self._mark_late)
        self.database.write_along(self._recordings.write, recording, self._remember, recording)
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
        now: Head = yield Read(read_head)
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
        acked: int = yield Write(partial(store_acked, up_to=up_to, head=ours, proof=proof))
        if acked == up_to:
            self._remember_head(self._head._replace(acked=acked, acked_head=ours))
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
        return self.database.read(count)

    def prune(self, keep: int, at_most: int = 500) -> "Future[int]":
        """Delete the oldest acknowledged events as long as `keep` remain, `at_most` in this call. The future
        gives how many went: call again until it is 0. What is not acknowledged stays whatever `keep` is."""

        return self.database.write(partial(pruning.prune, keep=keep, at_most=at_most))

    def vacuum(self) -> "Future[int]":
        """Give free pages that the log will not need soon back to the disk, in steps between records; how many."""
        return self.database.carry_out(vacuuming())

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
        check_key = None if skip_checks else self._check_key

        def work(connection: Connection) -> Generator[None, None, Verification] | Verification:
            try:
                mark = self._high_water.read() if self._high_water else None
            except ValueError as error:
                return Verification(0, 0, 0, self.acked, 0, str(error))
            return Verifier(connection, check_key, mark, countersigned).run()

        return self.database.read(work)

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued and close the file; blocks."""
        self.database.close(timeout_s)
        if self._high_water:
            self._high_water.close()

    # --- on the thread ----------------------------------------------------------------------------------------

    def _mark_late(self, recording: Recording) -> "Future[None]":
        def after(head: bytes | None) -> None:
            if head is not None:
                self._remember_head(self._head._replace(head=head))

        done = self.database.write(partial(self._recordings.mark_late, recording=recording), after=after)
        return done  # type: ignore[return-value]

    def _remember(self, recordings: Sequence[Recording], numbers: Sequence[list[int]]) -> None:
        """Recordings are durable. One assignment of the head: other threads see the old or the new, never a mixture."""
        now = self._head
        last = max([now.last_seq, *[seq for seqs in numbers for seq in seqs]])
        dropped = now.dropped + sum([seqs.count(0) for seqs in numbers])
        self._remember_head(Head(last, now.acked, dropped, recordings[-1].head, now.acked_head))

    def _remember_head(self, head: Head) -> None:
        self._head = head
        unsent = head.last_seq - head.acked
        self._is_filling = unsent >= self.max_unsent * (NOT_FILLING if self._is_filling else FILLING)

    def _mark(self) -> Mark:
        return Mark(self.log_id, self._head.last_seq, self._head.acked, self._head.head)

    def _write_mark(self) -> None:
        """After a commit, when everybody was told: no door waits for it, and it never says more than the file does."""
        mark = self._mark()
        if self._high_water and mark != self._marked:
            self._high_water.write(mark)
            self._marked = mark

    def _begin_anew(self, connection: Connection, kept: Kept | None) -> None:
        """The file was damaged and set aside: another log begins, with what was kept in the old one."""
        begin_kept(connection, kept)
        self._recordings.lost_up_to = 0
        self.log_id, self._head, self.start, _ = read_identity(connection)
        self._remember_head(self._head)
        self.on_new_file(self.report)
