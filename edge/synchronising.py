"""The way to the cloud: carries out what uplink.sync asks for, with the log, the policy and the broker."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from edge.config import Uplink
from edge.storage.errors import AcknowledgeRefused, StorageError
from edge.storage.event_log import EventLog
from edge.uplink.mqtt import Connection, TlsFiles, parse_broker
from edge.uplink.signing import ManagerTrust
from edge.uplink.sync import DOWN_POLICY, Acknowledged, NeedEvents, PolicyReady, Publish, Refused, Sync
from edge.uplink.wire import WireError

MOST_UNCHECKED = 64  # parts of policies that wait for the thread; what comes on top is verified at once


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Synchroniser:
    """Owns the broker connection. `apply_policy(delta)` stores and puts a policy in force and returns
    (version, digest) as they are afterwards; `refused(kind, reason, message)` is told of refused messages;
    `clock_trusted()`: whether the dates of certificates mean anything now."""

    def __init__(
        self,
        uplink: Uplink,
        manager: ManagerTrust,
        boot_id: str,
        log: EventLog,
        sync: Sync,
        apply_policy: Callable[[Any], Awaitable[tuple[tuple[int, int], bytes]]],
        refused: Callable[[str, str, str], None],
        clock_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._sync = sync
        self._log = log
        self._apply_policy = apply_policy
        self._refused = refused
        self._wake = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._unchecked = 0
        self._beside = asyncio.Lock()  # one thread at a time takes the interpreter from the loop
        tls = TlsFiles(uplink.ca, uplink.certificate, uplink.key) if uplink.ca or uplink.certificate else None
        self._line = Connection(
            parse_broker(uplink.broker),
            manager.site,
            manager.controller,
            boot_id,
            loop=asyncio.get_running_loop(),
            connected=lambda: self._perform(sync.connected(_now_ms())),
            disconnected=lambda detail: self._perform(sync.disconnected(_now_ms())),
            received=self._received,
            tls=tls,
            clock_trusted=clock_trusted,
        )

    async def run(self) -> None:
        """Until cancelled."""
        self._line.start()
        try:
            while True:
                deadline = self._sync.next_deadline()
                timeout = None if deadline is None else max(0.0, (deadline - _now_ms()) / 1000)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout):  # wait_for of Python 3.11 may swallow a stop
                        await self._wake.wait()
                self._perform(self._sync.tick(_now_ms()))
                self._wake.clear()  # what was just performed is in the next deadline
        finally:
            await asyncio.to_thread(self._line.stop)

    def log_advanced(self) -> None:
        """Events were committed."""
        self._perform(self._sync.log_advanced(self._log.last_seq, _now_ms()))

    def policy_differs(self, version: tuple[int, int], digest: bytes) -> None:
        """The rows were found to be others than those that were stored: the manager is told, and repairs them."""
        self._perform(self._sync.policy_changed(version, digest, _now_ms()))

    def status(self) -> dict[str, Any]:
        return {**self._sync.status(), "line": self._line.status()}

    def _received(self, suffix: str, payload: bytes) -> None:
        """A message came. A part of a policy is verified beside the loop: a thousand rows take milliseconds."""
        if suffix == DOWN_POLICY and self._unchecked < MOST_UNCHECKED:
            self._unchecked += 1
            self._begin(self._check(payload))
        else:
            self._perform(self._sync.received(suffix, payload, _now_ms()))

    async def _check(self, payload: bytes) -> None:
        try:
            async with self._beside:
                part = await asyncio.to_thread(self._sync.checked, payload)
        except WireError:
            self._perform(self._sync.received(DOWN_POLICY, payload, _now_ms()))
        else:
            self._perform(self._sync.received(DOWN_POLICY, part, _now_ms()))
        finally:
            self._unchecked -= 1

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _perform(self, actions: list[Any]) -> None:
        for action in actions:
            match action:
                case Publish(suffix, payload):
                    self._line.publish(suffix, payload)
                case Refused(kind, reason, message):
                    self._refused(kind, reason, message)
                case NeedEvents() | Acknowledged() | PolicyReady():
                    self._begin(self._wait_for(action))
        self._wake.set()

    async def _wait_for(self, action: NeedEvents | Acknowledged | PolicyReady) -> None:
        match action:
            case NeedEvents(first_seq, limit):
                try:
                    stretch = await asyncio.wrap_future(self._log.stretch(first_seq, limit))
                except StorageError:
                    self._perform(self._sync.events_failed(first_seq, _now_ms()))
                    return
                async with self._beside:
                    events = await asyncio.to_thread(self._sync.encoded, stretch)  # milliseconds, too
                self._perform(self._sync.events_read(first_seq, events, _now_ms()))
            case Acknowledged(up_to, head, message):
                try:
                    await asyncio.wrap_future(self._log.acknowledge(up_to, head, message))
                except AcknowledgeRefused:
                    self._perform(self._sync.ack_refused(self._log.acked, self._log.acked_head, action, _now_ms()))
                except StorageError:
                    pass  # it comes again with the next batch
            case PolicyReady(delta):
                version, digest = await self._apply_policy(delta)
                self._perform(self._sync.policy_changed(version, digest, _now_ms()))
