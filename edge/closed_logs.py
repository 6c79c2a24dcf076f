"""The logs that a restore closed: nobody writes to them again, their unsent events still go to the cloud, and nobody
stays named in them for longer than in the open one."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.storage import restoring
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.synchronising import Synchroniser

LOOK_S = 0.2
PURGE_EVERY_S = 6 * 3600.0


class ClosedLogs:
    """Those in a data folder. `purge_before_ms()`: from when on persons may still be named, utc ms. A log that cannot
    be read is left where it is."""

    def __init__(self, data: Path, purge_before_ms: Callable[[], int]) -> None:
        self._data = data
        self._purge_before_ms = purge_before_ms
        self._alone = asyncio.Lock()  # a file has one connection

    async def send(self, connect: Callable[[EventLog], Synchroniser]) -> None:
        """Bring what the cloud has not acknowledged there, the oldest log first. Returns when all is there."""
        async with self._alone:
            for path in restoring.closed_logs(self._data):
                with contextlib.suppress(StorageError):
                    await _with_log(path, lambda log: self._until_sent(log, connect))

    async def keep_purging(self) -> None:
        """Take the persons from old events, for ever."""
        while True:
            async with self._alone:
                for path in restoring.closed_logs(self._data):
                    with contextlib.suppress(StorageError):
                        await _with_log(path, self._purge)
            await asyncio.sleep(PURGE_EVERY_S)

    async def _until_sent(self, log: EventLog, connect: Callable[[EventLog], Synchroniser]) -> None:
        if not log.unsent:
            return
        sending = asyncio.ensure_future(connect(log).run())
        next_purge_s = time.monotonic()
        try:
            while log.unsent:
                if time.monotonic() >= next_purge_s:
                    await self._purge(log)
                    next_purge_s += PURGE_EVERY_S
                done, _ = await asyncio.wait([sending], timeout=LOOK_S)
                if done:
                    sending.result()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _purge(self, log: EventLog) -> None:
        await asyncio.wrap_future(log.purge(self._purge_before_ms()))


async def _with_log(path: Path, work: Callable[[EventLog], Awaitable[None]]) -> None:
    log = await asyncio.to_thread(EventLog.open, path, check=False)
    try:
        await work(log)
    finally:
        await asyncio.to_thread(log.close)
