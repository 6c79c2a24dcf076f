"""The logs that a restore closed: nobody writes to them again, their unsent events still go to the cloud, and nobody
stays named in them for longer than in the open one."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.storage import restoring
from edge.storage.event_log import EventLog
from edge.synchronising import Synchroniser

LOOK_S = 0.2
PURGE_EVERY_S = 6 * 3600.0
STUCK_S = 120.0  # a cloud that is there and acknowledges nothing for so long has all it will take


class ClosedLogs:
    """Those in a data folder. `purge_before_ms()`: from when on persons may still be named, utc ms. `alarm`: gets a
    line for people, the same one perhaps again."""

    def __init__(self, data: Path, purge_before_ms: Callable[[], int], alarm: Callable[[str], None]) -> None:
        self._data = data
        self._purge_before_ms = purge_before_ms
        self._alarm = alarm
        self._open: dict[Path, EventLog] = {}  # a file has one connection
        self._alone = asyncio.Lock()

    async def send(self, connect: Callable[[EventLog], Synchroniser]) -> None:
        """Bring what the cloud has not acknowledged there, the oldest log first. Returns when all is there that the
        cloud takes."""
        for path in restoring.closed_logs(self._data):
            try:
                log = await self._opened(path)
                try:
                    await self._until_sent(path, log, connect)
                finally:
                    await self._closed(path)
            except Exception as error:  # the open log must not wait for a closed one that is broken
                self._alarm(f"{path.name}: {error}")

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

    async def _in_each(self, work: Callable[[EventLog], Awaitable[int]]) -> int:
        total = 0
        async with self._alone:
            for path in restoring.closed_logs(self._data):
                try:
                    total += await self._with_log(path, work)
                except Exception as error:
                    self._alarm(f"{path.name}: {error}")
        return total

    async def _with_log(self, path: Path, work: Callable[[EventLog], Awaitable[int]]) -> int:
        if path in self._open:  # it is being sent
            return await work(self._open[path])
        log = await asyncio.to_thread(_open, path)
        try:
            return await work(log)
        finally:
            await asyncio.to_thread(log.close)

    async def _opened(self, path: Path) -> EventLog:
        async with self._alone:
            self._open[path] = await asyncio.to_thread(_open, path)
            return self._open[path]

    async def _closed(self, path: Path) -> None:
        async with self._alone:
            await asyncio.to_thread(self._open.pop(path).close)

    async def _until_sent(self, path: Path, log: EventLog, connect: Callable[[EventLog], Synchroniser]) -> None:
        if not log.unsent:
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


def _open(path: Path) -> EventLog:
    log = EventLog.open(path, check=False)
    if log.report.set_aside is not None:
        log.close()
        raise ValueError(f"it was damaged ({log.report.reason}); kept as {log.report.set_aside.name}")
    return log
