"""Which events are under way to the manager: strictly in order from the last acknowledged one, a few batches ahead, and
again from there when no acknowledgement comes (go-back-N). Sans-io; times are monotonic milliseconds."""

from collections import deque
from typing import NamedTuple

from edge.decision.chain import Start
from edge.uplink import wire

BATCH_EVENTS = wire.MAX_BATCH_EVENTS
WINDOW = 8  # batches under way: 28 KB fill a line of 1 Mbit/s and 50 ms, with as long again to make and check a batch
CUT_AGE_MS = 1_000  # a live event waits this long for company
RESEND_MS = 10_000  # no acknowledgement for so long: again, and twice as long each further time
RESEND_MAX_MS = 30_000


class _Batch(NamedTuple):
    last_seq: int
    sent_ms: int
    head: bytes
    starts: tuple[Start, ...]


class Outbox:
    """The events of one log, `acked` of which the manager has. start: of the chain that event `acked` is part of."""

    def __init__(self, last_seq: int, acked: int, start: Start | None) -> None:
        self.last_seq, self.acked, self.start = last_seq, acked, start
        self.resends = 0
        self._next_seq = acked + 1  # the first event that is not under way
        self._under_way: deque[_Batch] = deque()
        self._reading: int | None = None  # first seq of what is being read
        self._waiting_since_ms: int | None = None  # since when events wait to be sent; None: none does
        self._resend_ms = RESEND_MS

    @property
    def under_way(self) -> int:
        """Batches that were sent and are not acknowledged."""
        return len(self._under_way)

    @property
    def next_seq(self) -> int:
        """The first event that is not under way."""
        return self._next_seq

    def is_reading(self, first_seq: int) -> bool:
        """Whether the events from `first_seq` on are what was asked for last."""
        return first_seq == self._reading

    def go_back(self, since_ms: int) -> None:
        """Everything from the first event that is not acknowledged has to be sent."""
        self._under_way.clear()
        self._reading = None
        self._next_seq = self.acked + 1
        self._waiting_since_ms = since_ms if self._next_seq <= self.last_seq else None

    def line_is_new(self, now_ms: int) -> None:
        """Nothing is under way on a line that has just come up."""
        self._resend_ms = RESEND_MS
        self.go_back(now_ms - CUT_AGE_MS)

    def advanced(self, last_seq: int, now_ms: int) -> bool:
        """Whether events up to `last_seq` are new."""
        if last_seq <= self.last_seq:
            return False
        self.last_seq = last_seq
        if self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        return True

    def resend_if_due(self, now_ms: int) -> None:
        """Go back where the oldest batch was not acknowledged in time."""
        if self._under_way and now_ms >= self._under_way[0].sent_ms + self._resend_ms:
            self.resends += 1
            self._resend_ms = min(2 * self._resend_ms, RESEND_MAX_MS)
            self.go_back(now_ms - CUT_AGE_MS)

    def next_deadline(self) -> int | None:
        """When something is due, or None while only an input can change anything."""
        due = []
        if self._under_way:
            due.append(self._under_way[0].sent_ms + self._resend_ms)
        if self._may_read() and self._waiting_since_ms is not None:
            due.append(self._waiting_since_ms + CUT_AGE_MS)
        return min(due, default=None)

    def to_read(self, now_ms: int) -> tuple[int, int] | None:
        """(first seq, how many) of the events to read now, if any."""
        if not self._may_read():
            return None
        since_ms = now_ms if self._waiting_since_ms is None else self._waiting_since_ms
        waiting = self.last_seq - self._next_seq + 1
        if waiting < BATCH_EVENTS and now_ms < since_ms + CUT_AGE_MS:
            self._waiting_since_ms = since_ms
            return None
        self._reading = self._next_seq
        return self._next_seq, min(waiting, BATCH_EVENTS)

    def read_nothing(self, now_ms: int) -> None:
        """What was to be read could not be, or is a hole: again a second later."""
        self._reading = None
        self._waiting_since_ms = now_ms

    def sent(self, last_seq: int, head: bytes, starts: tuple[Start, ...], now_ms: int) -> None:
        """What was read went out, up to `last_seq`."""
        self._reading = None
        self._next_seq = last_seq + 1
        self._under_way.append(_Batch(last_seq, now_ms, head, starts))
        if self._next_seq > self.last_seq:
            self._waiting_since_ms = None

    def contradicts(self, up_to: int, head: bytes) -> bool:
        """Whether a batch that ends there went out with another head."""
        return any(batch.last_seq == up_to and batch.head != head for batch in self._under_way)

    def acknowledged(self, up_to: int) -> None:
        """The manager has every event up to there."""
        self.acked = up_to
        self._resend_ms = RESEND_MS
        while self._under_way and self._under_way[0].last_seq <= up_to:
            done = self._under_way.popleft()
            self.start = done.starts[-1] if done.starts else self.start
        if self._next_seq <= up_to:  # the manager knows more than is under way: it was sent before
            self._next_seq = up_to + 1
            self._reading = None
            if self._next_seq > self.last_seq:
                self._waiting_since_ms = None

    def _may_read(self) -> bool:
        return self._reading is None and self._next_seq <= self.last_seq and len(self._under_way) < WINDOW
