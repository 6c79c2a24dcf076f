"""Record first, within a budget: an event is durable before the strike moves, and a slow disk keeps nobody out.

ARCHITECTURE.md, "Record first, with a budget".
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from edge.decision.model import Event
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog, Recording

BUDGET_S = 0.1
SILENT_S = 1.0  # a disk that takes so long is in trouble, even where nobody waits for the record
BACKLOG_EVENTS = 10_000  # held in memory while nothing can be written
RETRY_S = 1.0


class Recorder:
    """Writes to the event log and says whether what follows may be performed. `trouble(detail)` is called when a
    record is late or fails, `recovered(late)` once the log is written again."""

    def __init__(
        self,
        log: EventLog,
        trouble: Callable[[str], None],
        recovered: Callable[[int], None],
        committed: Callable[[], None],
    ) -> None:
        self._log = log
        self._trouble = trouble
        self._recovered = recovered
        self._committed = committed
        self._backlog: deque[tuple[Sequence[Event], int, dict[str, bytes]]] = deque()
        self._retrying: asyncio.Task[None] | None = None
        self._late_now = 0
        self._is_full = False
        self.late = 0
        self.dropped = 0

    async def record(self, events: Sequence[Event], keep: Mapping[str, bytes], revision: int, waits: bool) -> str:
        """Make events durable. Returns "" when they are, else why they are not yet: they are then late, and will
        be written as soon as the disk lets them. `waits`: an answer is wanted within the budget."""
        self._replace_kept(keep)
        recording = self._log.record(events, revision, keep=keep)
        future = asyncio.wrap_future(recording)
        budget_s = BUDGET_S if waits else SILENT_S
        try:
            seqs = await asyncio.wait_for(asyncio.shield(future), budget_s)
        except TimeoutError:
            recording.mark_late()
            self._late_now += 1
            future.add_done_callback(lambda done: self._came_late(recording, events, keep, revision))
            return self._say(f"the disk did not answer within {budget_s * 1000:.0f} ms")
        except StorageError as error:
            self._hold_back(events, keep, revision)
            return self._say(str(error))
        except Exception as error:  # an event that no row can hold: it is lost, and that is said
            self.dropped += len(events)
            return self._say(f"an event could not be written: {type(error).__name__}")
        self._committed()
        if 0 in seqs:
            self._is_full = True
            return self._say("the log is full of events that the cloud has not acknowledged")
        if self._is_full:
            self._is_full = False
            self._say_recovered()
        return ""

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
        self._committed()
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
            try:
                await asyncio.wrap_future(self._log.record(events, revision, late=True, keep=keep))
            except StorageError:
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:
                self.dropped += len(events)  # it can never be written, and must not keep the others waiting
            self._backlog.popleft()
            self._committed()
        self._say_recovered()

    def _say_recovered(self) -> None:
        if not self._backlog and not self._late_now:
            self._recovered(self.late)
