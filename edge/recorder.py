"""Record first, within a budget: an event is durable before the strike moves, and a slow disk keeps nobody out.

ARCHITECTURE.md, "Record first, with a budget".
"""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from edge.decision.model import Event
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.recording import Recording

BUDGET_S = 0.1
SILENT_S = 1.0  # a disk that takes so long is in trouble, even where nobody waits for the record
BACKLOG_EVENTS = 10_000  # held in memory while nothing can be written
RETRY_S = 1.0
CLOSE_S = 2.0  # that a stop waits for the disk


class _Batch(NamedTuple):
    """What one call of `record` brought. number: of the call, rising."""

    number: int
    events: Sequence[Event]
    keep: Mapping[str, bytes]
    revision: int


class Recorder:
    """Writes to the event log and says whether what follows may be performed. `trouble(detail)` is called when a
    record is late or fails, `recovered(late)` once the log is written again, `committed(seqs, events)` when events are
    durable, under these numbers; 0 for one that the log had no room for.

    late: records that were. dropped: events that were not written, and will not be. unmarked: late records whose marks
    were not written, and will not be."""

    def __init__(
        self,
        log: EventLog,
        trouble: Callable[[str], None],
        recovered: Callable[[int], None],
        committed: Callable[[Sequence[int], Sequence[Event]], None],
    ) -> None:
        self._log = log
        self._trouble = trouble
        self._recovered = recovered
        self._committed = committed
        self._backlog: deque[_Batch] = deque()
        self._to_mark: deque[Recording] = deque()  # written, and their late marks are not
        self._calls = 0
        self._newest: dict[str, int] = {}  # by what is kept: the last call that brought it; the names are few
        self._closing = asyncio.Event()
        self._retrying: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._written: deque[asyncio.Future[bool]] = deque()  # that the loop has not been told of
        self._is_called = False
        self._late_now = 0  # records whose marks are not written
        self._is_full = False
        self.late = 0
        self.dropped = 0
        self.unmarked = 0

    async def record(self, events: Sequence[Event], keep: Mapping[str, bytes], revision: int, waits: bool) -> str:
        """Make events durable. Returns "" when they are, else why they are not yet: they are then late, and will
        be written as soon as the disk lets them. `waits`: an answer is wanted within the budget."""
        self._calls += 1
        batch = _Batch(self._calls, events, keep, revision)
        self._newest.update(dict.fromkeys(keep, self._calls))
        recording = self._log.record(events, revision, keep=keep)
        answered: asyncio.Future[bool] = self._loop.create_future()
        budget_s = BUDGET_S if waits else SILENT_S
        timer = self._loop.call_later(budget_s, _answer, answered, False)
        recording.add_done_callback(partial(self._answered, answered))
        try:
            if not await answered:
                return self._go_on_without(recording, batch, budget_s)
        finally:
            timer.cancel()
        try:
            seqs = recording.result()
        except StorageError as error:
            self._hold_back(batch)
            return self._say(str(error))
        except Exception as error:  # an event that no row can hold: it is lost, and that is said
            self.dropped += len(events)
            return self._say(f"an event could not be written: {type(error).__name__}")
        self._committed(seqs, events)
        if 0 in seqs:
            self._is_full = True
            return self._say("the log is full of events that the cloud has not acknowledged")
        if self._is_full:
            self._is_full = False
            self._say_recovered()
        return ""

    def _answered(self, answered: "asyncio.Future[bool]", _: object) -> None:
        """On the storage thread: the disk has answered. The loop is called once for all that share a commit."""
        self._written.append(answered)
        if not self._is_called:
            self._is_called = True
            self._call(self._tell)

    def _call(self, told: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; the log is being closed
            self._loop.call_soon_threadsafe(told)

    def _tell(self) -> None:
        self._is_called = False  # first: what is appended from now on calls again
        while self._written:
            _answer(self._written.popleft(), True)

    def _go_on_without(self, recording: Recording, batch: _Batch, budget_s: float) -> str:
        self._late_now += 1
        came = partial(self._came_late, recording, batch)
        marked = recording.mark_late()
        recording.add_done_callback(lambda _: self._call(came))
        marked.add_done_callback(lambda done: self._call(partial(self._was_marked, recording, done)))
        return self._say(f"the disk did not answer within {budget_s * 1000:.0f} ms")

    def _was_marked(self, recording: Recording, marked: "Future[None]") -> None:
        self._late_now -= 1
        error = marked.exception()
        if error is None or (recording.done() and recording.exception() is not None):
            self._say_recovered()  # what could not be written is written late
            return
        if isinstance(error, StorageError) and len(self._to_mark) < BACKLOG_EVENTS:
            self._to_mark.append(recording)
            self._retry_soon()
        else:
            self.unmarked += 1
        self._trouble(str(error))

    def _say(self, detail: str) -> str:
        self.late += 1
        self._trouble(detail)
        return detail

    def _came_late(self, recording: Recording, batch: _Batch) -> None:
        error = recording.exception()
        if isinstance(error, StorageError):
            self._hold_back(batch)
        elif error is not None:
            self.dropped += len(batch.events)
        else:
            self._committed(recording.result(), batch.events)

    def _hold_back(self, batch: _Batch) -> None:
        if sum(len(held.events) for held in self._backlog) + len(batch.events) > BACKLOG_EVENTS:
            self.dropped += len(batch.events)
            return
        self._backlog.append(batch)
        self._retry_soon()

    def _retry_soon(self) -> None:
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        is_last = False
        while (self._backlog or self._to_mark) and not is_last:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S):
                    await self._closing.wait()
            is_last = self._closing.is_set()
            with contextlib.suppress(StorageError):
                await self._write_held_back()
        self._say_recovered()

    async def _write_held_back(self) -> None:
        """StorageError where the disk still refuses: the rest waits on."""
        while self._backlog:
            batch, seqs = self._backlog[0], list[int]()
            keep = self._still_newest(batch)
            try:
                seqs = await asyncio.wrap_future(self._log.record(batch.events, batch.revision, late=True, keep=keep))
            except StorageError:
                raise
            except Exception:
                self.dropped += len(batch.events)  # it can never be written, and must not keep the others waiting
            self._backlog.popleft()
            self._committed(seqs, batch.events[: len(seqs)])
        while self._to_mark:
            try:
                await asyncio.wrap_future(self._to_mark[0].mark_late())
            except StorageError:
                raise
            except Exception:
                self.unmarked += 1
            self._to_mark.popleft()

    def _still_newest(self, batch: _Batch) -> dict[str, bytes]:
        """What a later call brought anew must not be overwritten by what waited since earlier."""
        return {name: value for name, value in batch.keep.items() if self._newest[name] == batch.number}

    async def close(self) -> None:
        """One more try for what is held in memory, within CLOSE_S; what is lost then is counted and said on stderr. To
        be called once, when nothing is recorded any more, before the log is closed."""
        self._closing.set()
        if self._retrying is None:
            return
        await asyncio.wait([self._retrying], timeout=CLOSE_S)
        self._retrying.cancel()
        lost, unmarked = sum(len(held.events) for held in self._backlog), len(self._to_mark)
        self.dropped += lost
        self.unmarked += unmarked
        if lost or unmarked:
            said = f"{lost} events are lost and {unmarked} stay without their late marks"
            print(f"vantail: the disk took no more until the stop: {said}", file=sys.stderr)

    def _say_recovered(self) -> None:
        if not self._backlog and not self._to_mark and not self._late_now:
            self._recovered(self.late)


def _answer(answered: "asyncio.Future[bool]", is_written: bool) -> None:
    if not answered.done():
        answered.set_result(is_written)
