"""Whether the log is what was recorded: which record is the first that does not fit, and why.

What is looked at: that no number is missing; each record's check, which nobody makes without this device's secret; the
head that the manager signed; the last head and number in the file; the high-water mark outside it.
"""

import sqlite3
from collections.abc import Callable, Generator
from typing import NamedTuple

from edge.decision import chain
from edge.decision.chain import BEGIN, LATE, LOST
from edge.storage.chain_rows import AFTERWARDS, HASHES, LINK, WALK_ROWS, Record, records_between
from edge.storage.chaining import check_of
from edge.storage.high_water import Mark

MOST_MARKED = 10_000  # late marks that wait for their note, while walking

Countersigned = Callable[[bytes], tuple[bytes, int, bytes] | None]
"""countersigned(acknowledgement) → (log id, up to, head), None where the manager did not sign it."""


class Verification(NamedTuple):
    """What verifying found. checked: records that fit, from the beginning on. unchained: events of before the chain.
    begun: how often the chain began; more than once needs a reason. bad_seq: the first event that does not fit, or
    that the note which does not fit follows; None: all fit, and `reason` is ""."""

    checked: int
    unchained: int
    begun: int
    acknowledged: int
    bad_seq: int | None
    reason: str

    @property
    def is_whole(self) -> bool:
        """Whether everything fits."""
        return self.bad_seq is None


class _Misfit(Exception):  # noqa: N818
    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(reason)
        self.seq = seq


class Verifier:
    """Walks through a log. check_key None: no check is looked at, only that the heads follow one another (a negative
    control). mark: as it was read before the walk. countersigned None: the kept acknowledgement's head is believed."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        check_key: bytes | None,
        mark: Mark | None,
        countersigned: Countersigned | None,
    ) -> None:
        self._connection, self._check_key, self._mark, self._countersigned = connection, check_key, mark, countersigned
        self._log_id, self._acked, self._acked_head, self._proof = connection.execute(
            "SELECT log_id, acked, acked_head, acked_proof FROM head"
        ).fetchone()
        self._seq, self._note, self._head = 0, 0, b""
        self._checked = self._unchained = self._begun = 0
        self._marked_late: set[int] = set()
        self._mark_met = mark is None
        self._first_bad: tuple[int, str] | None = None

    def run(self) -> Generator[None, None, Verification]:
        """The steps; returns what was found."""
        try:
            self._skip_gap()
            while not self._is_at_end():
                self._take_step()
                yield
            self._look_at_end()
        except _Misfit as misfit:
            return self._found(misfit.seq, str(misfit))
        if self._marked_late:
            return self._found(min(self._marked_late), "it is marked late, and no record of the log says so")
        return self._found(None, "")

    def _found(self, seq: int | None, reason: str) -> Verification:
        return Verification(self._checked, self._unchained, self._begun, self._acked, seq, reason)

    # --- the walk ---------------------------------------------------------------------------------------------

    def _skip_gap(self) -> None:
        gap = self._connection.execute("SELECT last, head_after FROM gap").fetchone()
        if gap is None or gap[0] <= self._seq:
            return
        last, head = gap
        if head:
            if last > self._acked and last > self._now_acked():
                raise _Misfit(self._acked + 1, f"events up to {last} were removed, and nobody acknowledged them")
            self._seq, self._head = last, head
        elif self._is_before_chain(last):
            self._seq = max(self._seq, min(last, self._first_seq() - 1))
        else:
            raise _Misfit(last, "what was removed up to here did not fit together")
        self._meet_mark()

    def _now_acked(self) -> int:
        return int(self._connection.execute("SELECT acked FROM head").fetchone()[0])

    def _is_before_chain(self, seq: int) -> bool:
        first = self._connection.execute("SELECT min(first) FROM start").fetchone()[0]
        return first is None or first > seq

    def _first_seq(self) -> int:
        """Of the events that are there; behind the last where there is none."""
        return int(
            self._connection.execute(
                "SELECT coalesce((SELECT min(seq) FROM event), last_seq + 1) FROM head"
            ).fetchone()[0]
        )

    def _is_at_end(self) -> bool:
        return bool(self._seq >= self._connection.execute("SELECT last_seq FROM head").fetchone()[0])

    def _take_step(self) -> None:
        self._skip_gap()  # it may have grown since the last step
        if self._is_at_end():
            return
        before = self._seq
        for record in records_between(self._connection, self._log_id, self._seq, self._seq + WALK_ROWS):
            self._take(record)
        if self._seq == before:
            raise _Misfit(self._seq + 1, "it is missing")

    def _take(self, record: Record) -> None:
        if record.note is None and record.seq != self._seq + 1:
            raise _Misfit(self._seq + 1, "it is missing")
        if record.note is not None:
            if record.number <= self._note:
                return  # taken already, at what was the end then
            self._note = record.number
            if record.seq > self._seq:
                raise _Misfit(self._seq + 1, "it is missing")
            if record.note.kind == BEGIN:
                self._begin(record)
        if self._head:
            self._check(record)
            self._checked += 1
        elif record.link:
            raise _Misfit(record.seq, "where its chain began is missing")
        else:
            self._unchained += 1
        if record.note is None:
            self._seq = record.seq
            if record.late == AFTERWARDS and len(self._marked_late) < MOST_MARKED:
                self._marked_late.add(record.seq)
            self._look_at_acked()
        elif record.note.kind == LATE:
            self._look_at_late(record)
        elif record.note.kind == LOST:
            self._seq = max(self._seq, record.note.last)
        self._meet_mark()

    def _begin(self, record: Record) -> None:
        self._begun += 1
        if record.body is None:
            raise _Misfit(record.seq + 1, record.trouble)
        expected = self._head or chain.genesis(HASHES, self._log_id)
        if record.begins != expected:
            raise _Misfit(record.seq + 1, "the chain begins anew there, and not where it ended")
        self._head = expected

    def _check(self, record: Record) -> None:
        if record.body is None:
            raise _Misfit(record.seq, record.trouble)
        if len(record.link) != LINK:
            raise _Misfit(record.seq, "it is outside the chain")
        mac, check, head = record.link[: chain.MAC], record.link[chain.MAC : -chain.HEAD], record.link[-chain.HEAD :]
        self._head = chain.head_after(HASHES, self._head, record.body, mac)
        is_checked = self._check_key is None or check == check_of(self._check_key, self._head, record.beyond)
        if head != self._head or not is_checked:
            what = "it" if record.note is None else "the note behind it"
            raise _Misfit(record.seq, f"{what} was changed, or does not follow the record before")

    def _look_at_late(self, record: Record) -> None:
        assert record.note is not None
        first, last = record.note.first, record.note.last
        self._marked_late = {seq for seq in self._marked_late if not first <= seq <= last}
        unmarked = self._connection.execute(
            "SELECT min(seq) FROM event WHERE seq BETWEEN ? AND ? AND late = 0", (first, last)
        ).fetchone()[0]
        if unmarked is not None:
            raise _Misfit(unmarked, "it was recorded late, and its mark is gone")

    # --- what is known from elsewhere -------------------------------------------------------------------------

    def _look_at_proof(self) -> None:
        """The acknowledgement that is kept is the manager's, and of this head."""
        if self._countersigned is None or not self._acked_head:
            return
        if self._countersigned(self._proof) != (self._log_id, self._acked, self._acked_head):
            raise _Misfit(self._acked, "the acknowledgement up to here is not what the manager signed")

    def _look_at_acked(self) -> None:
        if self._seq == self._acked and self._acked_head and self._head and self._head != self._acked_head:
            raise _Misfit(self._seq, "the records up to here are not those that the manager acknowledged")

    def _meet_mark(self) -> None:
        mark = self._mark
        if mark is not None and self._seq == mark.last_seq and self._head == mark.head:
            self._mark_met = True

    def _look_at_end(self) -> None:
        last, acked, head = self._connection.execute("SELECT last_seq, acked, chain_head FROM head").fetchone()
        behind = self._connection.execute("SELECT min(seq) FROM event WHERE seq > ?", (last,)).fetchone()[0]
        if behind is not None:
            raise _Misfit(behind, f"it stands behind the end of the log, which is {last}")
        for record in records_between(self._connection, self._log_id, self._seq, self._seq + 1):
            self._take(record)
        if self._seq != last:
            raise _Misfit(self._seq + 1, f"it is missing: the log goes up to {last}")
        if self._head != head:
            raise _Misfit(last, "the records up to here do not lead to the head that is kept")
        self._look_at_proof()
        self._look_at_mark(last, acked)

    def _look_at_mark(self, last: int, acked: int) -> None:
        mark = self._mark
        if mark is None:
            return
        if mark.log_id != self._log_id:
            raise _Misfit(
                0, f"the high-water mark is of another log, {mark.log_id.hex()[:8]}…, which ended at {mark.last_seq}"
            )
        if mark.last_seq > last:
            raise _Misfit(
                last + 1, f"it is missing: the high-water mark says that there were events up to {mark.last_seq}"
            )
        if mark.acked > acked:
            raise _Misfit(acked + 1, f"the high-water mark says that events were acknowledged up to {mark.acked}")
        gap = self._connection.execute("SELECT coalesce(max(last), 0) FROM gap").fetchone()[0]
        if not self._mark_met and mark.last_seq > gap:
            raise _Misfit(mark.last_seq, "the records up to here are not those of the high-water mark")
