"""The logs that a restore closed, or that were read out of a damaged file: nobody writes to them again, their unsent
events still go to the cloud, and nobody stays named in them for longer than in the open one."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from edge.storage import restoring
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.salvaging import Salvaged, salvage
from edge.storage.state_store import StateStore
from edge.synchronising import Synchroniser

LOOK_S = 0.2
PURGE_EVERY_S = 6 * 3600.0
STUCK_S = 120.0  # a cloud that is there and acknowledges nothing for so long has all it will take
Result = TypeVar("Result")


class Stand(NamedTuple):
    """How far a log goes, and how much of it was acknowledged."""

    log_id: bytes
    last_seq: int
    acked: int


class ClosedLogs:
    """Those in a data folder. `purge_before_ms()`: from when on persons may still be named, utc ms. `alarm`: gets a
    line for people, the same one perhaps again. `is_ours(kept)`: whether what is kept in a log says that it is the
    present manager's; nobody is sent another one's."""

    def __init__(
        self,
        data: Path,
        purge_before_ms: Callable[[], int],
        alarm: Callable[[str], None],
        is_ours: Callable[[Mapping[str, bytes]], bool] = lambda kept: True,
    ) -> None:
        self._data = data
        self._purge_before_ms = purge_before_ms
        self._alarm = alarm
        self._is_ours = is_ours
        self._open: dict[Path, EventLog] = {}  # a file has one connection
        self._alone = asyncio.Lock()
        self._salvaging = threading.Lock()  # the thread's: who waits for it may be cancelled, and another one begin

    async def send(self, connect: Callable[[EventLog], Synchroniser]) -> None:
        """Bring what the cloud has not acknowledged there, the oldest log first. Returns when all is there that the
        cloud takes."""
        await self._salvage()
        for path, _ in (await self.longest()).values():
            try:
                log = await self._opened(path)
                try:
                    await self._until_sent(path, log, connect)
                finally:
                    await self._closed(path)
            except Exception as error:  # the open log must not wait for a closed one that is broken
                self._alarm(f"{path.name}: {error}")

    async def _salvage(self) -> None:
        """Of damaged logs: what can be read becomes a closed one, and what cannot is said."""
        try:
            for path, read, lost, trouble in await asyncio.to_thread(self._salvage_alone):
                self._alarm(f"{path.name}: {trouble or f'{read} unsent events were read, {lost} could not be'}")
        except (OSError, StorageError) as error:  # at the next start
            self._alarm(f"what is damaged could not be looked through: {error}")

    def _salvage_alone(self) -> list[Salvaged]:
        with self._salvaging:
            return salvage(self._data)

    async def keep_purging(self) -> None:
        """Take the persons from old events, for ever."""
        while True:
            await self._in_each(self._purge)
            await asyncio.sleep(PURGE_EVERY_S)

    async def erase(self, credential: int | None, call_code: str | None) -> int:
        """Take one person from every closed log; from how many events."""
        return await self._in_each(lambda log: asyncio.wrap_future(log.erase(credential, call_code)))

    async def _purge(self, log: EventLog) -> int:
        return await asyncio.wrap_future(log.purge(self._purge_before_ms()))

    async def each(self, work: Callable[[EventLog], Awaitable[Result]]) -> list[tuple[Path, Result]]:
        """What `work` gives for each of the present manager's, the oldest first. One that cannot be used is left out,
        with an alarm."""

        async def of_ours(log: EventLog) -> Result | None:
            return await work(log) if await self._is_present(log) else None

        return [(path, result) for path, result in await self._each(of_ours) if result is not None]

    async def longest(self) -> "dict[bytes, tuple[Path, Stand]]":
        """The present manager's by their ids, the oldest first. Of one id there may be several: a backup's, and the one
        whose place it took, which went on from there. The longest has all that the others have."""
        found: dict[bytes, tuple[Path, Stand]] = {}
        for path, stand in await self.each(_stand_of):
            known = found.get(stand.log_id)
            if known is None or (stand.last_seq, stand.acked) > (known[1].last_seq, known[1].acked):
                found[stand.log_id] = path, stand
        return found

    async def _is_present(self, log: EventLog) -> bool:
        kept = await asyncio.wrap_future(StateStore(log.database).load())
        return self._is_ours(kept)

    async def _each(self, work: Callable[[EventLog], Awaitable[Result]]) -> list[tuple[Path, Result]]:
        found = []
        async with self._alone:
            for path in restoring.closed_logs(self._data):
                try:
                    found.append((path, await self._with_log(path, work)))
                except Exception as error:
                    self._alarm(f"{path.name}: {error}")
        return found

    async def one(self, path: Path, work: Callable[[EventLog], Awaitable[Result]]) -> Result:
        """What `work` gives for one of them. Whatever opening it raises."""
        async with self._alone:
            return await self._with_log(path, work)

    async def _in_each(self, work: Callable[[EventLog], Awaitable[int]]) -> int:
        return sum([result for _, result in await self._each(work)])

    async def _with_log(self, path: Path, work: Callable[[EventLog], Awaitable[Result]]) -> Result:
        if path in self._open:  # it is being sent
            return await work(self._open[path])
        log = await self._watched(path)
        try:
            return await work(log)
        finally:
            await asyncio.to_thread(log.close)

    async def _opened(self, path: Path) -> EventLog:
        async with self._alone:
            self._open[path] = await self._watched(path)
            return self._open[path]

    async def _watched(self, path: Path) -> EventLog:
        """Opened; should it turn out damaged, an alarm says so, and the next start reads what is left of it."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, _open, path)
        try:
            log = await asyncio.shield(opening)
        except asyncio.CancelledError:  # the thread goes on, and what it opens would stay locked
            opening.add_done_callback(partial(_close_unused, loop))
            raise
        log.on_new_file = lambda report: loop.call_soon_threadsafe(self._alarm, f"{path.name}: {report.reason}")
        return log

    async def _closed(self, path: Path) -> None:
        async with self._alone:
            await asyncio.to_thread(self._open.pop(path).close)

    async def _until_sent(self, path: Path, log: EventLog, connect: Callable[[EventLog], Synchroniser]) -> None:
        if not log.unsent or not await self._is_present(log):
            return
        synchroniser = connect(log)
        sending = asyncio.ensure_future(synchroniser.run())
        acked, moved_s = log.acked, time.monotonic()
        try:
            while log.unsent:
                done, _ = await asyncio.wait([sending], timeout=LOOK_S)
                if done:
                    sending.result()
                if log.acked != acked or not synchroniser.status()["connected"]:
                    acked, moved_s = log.acked, time.monotonic()
                elif time.monotonic() - moved_s > STUCK_S:
                    self._alarm(f"{path.name}: the cloud takes no more of it; {log.unsent} events stay here")
                    return
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending


async def _stand_of(log: EventLog) -> Stand:
    return Stand(log.log_id, log.last_seq, log.acked)


def _close_unused(loop: asyncio.AbstractEventLoop, opening: "asyncio.Future[EventLog]") -> None:
    if opening.exception() is None:
        loop.run_in_executor(None, opening.result().close)


def _open(path: Path) -> EventLog:
    log = EventLog.open(path, check=False)
    if log.report.set_aside is not None:
        log.close()
        raise ValueError(f"it was damaged ({log.report.reason}); kept as {log.report.set_aside.name}")
    return log
