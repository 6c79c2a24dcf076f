"""Record first, within a budget: an event is durable before the strike moves, and a slow disk keeps nobody out.

ARCHITECTURE.md, "Record first, with a budget".
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from edge.decision.model import Event
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.recording import Recording

BUDGET_S = 0.1
SILENT_S = 1.0  # a disk that takes so long is in trouble, even where nobody waits for the record
BACKLOG_EVENTS = 10_000  # held in memory while nothing can be written
RETRY_S = 1.0


class Recorder:
    """Writes to the event log and says whether what follows may be performed. `trouble(detail)` is called when a
    record is late or fails, `recovered(late)` once the log is written again, `committed(seqs, events)` when events are
    durable, under these numbers; 0 for one that the log had no room for."""

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
        self._backlog: deque[tuple[Sequence[Event], int, dict[str, bytes]]] = deque()
        self._retrying: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._written: deque[asyncio.Future[bool]] = deque()  # that the loop has not been told of
        self._is_called = False
        self._late_now = 0
        self._is_full = False
        self.late = 0
        self.dropped = 0

    async def record(self, events: Sequence[Event], keep: Mapping[str, bytes], revision: int, waits: bool) -> str:
        """Make events durable. Returns "" when they are, else why they are not yet: they are then late, and will
        be written as soon as the disk lets them. `waits`: an answer is wanted within the budget."""
        self._replace_kept(keep)
        recording = self._log.record(events, revision, keep=keep)
        answered: asyncio.Future[bool] = self._loop.create_future()
        budget_s = BUDGET_S if waits else SILENT_S
        timer = self._loop.call_later(budget_s, _answer, answered, False)
        recording.add_done_callback(partial(self._answered, answered))
        try:
            if not await answered:
                return self._go_on_without(recording, events, keep, revision, budget_s)
        finally:
            timer.cancel()
        try:
            seqs = recording.result()
        except StorageError as error:
            self._hold_back(events, keep, revision)
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

    def _go_on_without(
        self,
        recording: Recording,
        events: Sequence[Event],
        keep: Mapping[str, bytes],
        revision: int,
        budget_s: float,
    ) -> str:
        recording.mark_late()
        self._late_now += 1
        came = partial(self._came_late, recording, events, keep, revision)
        recording.add_done_callback(lambda _: self._call(came))
        return self._say(f"the disk did not answer within {budget_s * 1000:.0f} ms")

    def _replace_kept(self, keep: Mapping[str, bytes]) -> None:
        """What is to be kept now must not be overwritten by what waits since earlier and may be written meanwhile."""
        for _, _, earlier in self._backlog:
            for name in keep:
                earlier.pop(name, None)

    def _say(self, detail: str) -> str:
        self.late += 1
        self._trouble(detail)
        return detail

    def _came_late(
        self, recording: Recording, events: Sequence[Event], keep: Mapping[str, bytes], revision: int
    ) -> None:
        self._late_now -= 1
        error = recording.exception()
        if isinstance(error, StorageError):
            self._hold_back(events, keep, revision)
        elif error is not None:
            self.dropped += len(events)
        if error is not None:
            return
        self._committed(recording.result(), events)
        self._say_recovered()

    def _hold_back(self, events: Sequence[Event], keep: Mapping[str, bytes], revision: int) -> None:
        if sum(len(held[0]) for held in self._backlog) + len(events) > BACKLOG_EVENTS:
            self.dropped += len(events)
            return
        self._backlog.append((events, revision, dict(keep)))
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        await asyncio.sleep(RETRY_S)
        while self._backlog:
            events, revision, keep = self._backlog[0]
            seqs: Sequence[int] = ()
            try:
                seqs = await _result(self._log.record(events, revision, late=True, keep=keep))
            except StorageError:
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:
                self.dropped += len(events)  # it can never be written, and must not keep the others waiting
            self._backlog.popleft()
            self._committed(seqs, events[: len(seqs)])
        self._say_recovered()

    def _say_recovered(self) -> None:
        if not self._backlog and not self._late_now:
            self._recovered(self.late)


async def _result(recording: Recording) -> Sequence[int]:
    return await asyncio.wrap_future(recording)


def _answer(answered: "asyncio.Future[bool]", is_written: bool) -> None:
    if not answered.done():
        answered.set_result(is_written)
