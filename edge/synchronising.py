"""The way to the cloud: carries out what uplink.sync asks for, with the log, the policy and the broker."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from edge.config import Uplink
from edge.decision.model import Event
from edge.storage.errors import AcknowledgeRefused, StorageError
from edge.storage.event_log import EventLog
from edge.uplink.messages import Command, Notice
from edge.uplink.mqtt import Connection, TlsFiles, parse_broker
from edge.uplink.signing import ManagerTrust
from edge.uplink.sync import (
    DOWN_POLICY,
    REFUSED_QUIET_MS,
    Acknowledged,
    CommandReady,
    ConnectAgain,
    NeedEvents,
    PolicyReady,
    Publish,
    Refused,
    Sync,
)
from edge.uplink.wire import WireError

MOST_UNTOLD = 100  # notices that wait for the thread; the oldest go: what they tell comes with the events
MOST_UNCHECKED = 64  # parts of policies that wait for the thread; what comes on top is verified at once


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Synchroniser:
    """Owns the broker connection, if there is one. `apply_policy(delta)` stores and puts a policy in force and returns
    (version, digest) as they are afterwards; `refused(kind, reason, message)` is told of refused messages;
    `clock_trusted()`: whether the dates of certificates mean anything now; `carry_out(command)` does what a fresh
    command asks for and returns the reply's (result, reason, status); `seen(status, now_ms)`: after each step."""

    def __init__(
        self,
        uplink: Uplink | None,
        manager: ManagerTrust,
        boot_id: str,
        log: EventLog,
        sync: Sync,
        apply_policy: Callable[[Any], Awaitable[tuple[tuple[int, int], bytes]]],
        refused: Callable[[str, str, str], None],
        clock_trusted: Callable[[], bool],
        carry_out: Callable[[Command], Awaitable[tuple[str, str, str]]],
        seen: Callable[[dict[str, object], int], None],
    ) -> None:
        self._sync = sync
        self._log = log
        self._apply_policy = apply_policy
        self._refused = refused
        self._carry_out = carry_out
        self._seen = seen
        self._untold: deque[Notice] = deque(maxlen=MOST_UNTOLD)
        self._is_telling = False
        self._wake = asyncio.Event()
        self._work: set[asyncio.Task[None]] = set()
        self._unchecked = 0
        self.failures = 0  # of work that should never fail
        self._failed_ms: dict[str, int] = {}  # when each kind of it was said
        self._beside = asyncio.Lock()  # one thread at a time takes the interpreter from the loop
        self._line = self._open_line(uplink, manager, boot_id, clock_trusted) if uplink is not None else None

    def _open_line(
        self, uplink: Uplink, manager: ManagerTrust, boot_id: str, clock_trusted: Callable[[], bool]
    ) -> Connection:
        return Connection(
            parse_broker(uplink.broker),
            manager.site,
            manager.controller,
            boot_id,
            loop=asyncio.get_running_loop(),
            connected=lambda: self._perform(self._sync.connected(_now_ms())),
            disconnected=lambda detail: self._perform(self._sync.disconnected(_now_ms())),
            received=self.received,
            tls=TlsFiles(uplink.ca, uplink.certificate, uplink.key) if uplink.ca or uplink.certificate else None,
            clock_trusted=clock_trusted,
        )

    async def run(self) -> None:
        """Until cancelled."""
        if self._line is not None:
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
            if self._line is not None:
                await asyncio.to_thread(self._line.stop)

    def log_advanced(self) -> None:
        """Events were committed."""
        self._perform(self._sync.log_advanced(self._log.last_seq, _now_ms()))

    def policy_differs(self, version: tuple[int, int], digest: bytes) -> None:
        """The rows were found to be others than those that were stored: the manager is told, and repairs them."""
        self._perform(self._sync.policy_changed(version, digest, _now_ms()))

    def status(self) -> dict[str, Any]:
        line = self._line.status() if self._line is not None else None
        return {**self._sync.status(), "failures": self.failures, "line": line}

    def tell(self, log_id: bytes, seqs: Sequence[int], events: Sequence[Event]) -> None:
        """Show events at once, each under its number in the log; one that the log had no room for has number 0."""
        if self._line is None or not self._line.is_connected:
            return
        self._untold.extend(Notice(log_id, seq, event) for seq, event in zip(seqs, events, strict=True) if seq)
        if self._untold and not self._is_telling:
            self._is_telling = True
            self._begin(self._tell())

    async def _tell(self) -> None:
        try:
            while self._untold:
                async with self._beside:
                    raw = await asyncio.to_thread(self._sync.notice, self._untold.popleft())
                self._perform(self._sync.noticed(raw))
        finally:
            self._is_telling = False

    def received(self, suffix: str, payload: bytes) -> None:
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
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.failures += 1
        kind, now_ms = type(error).__name__, _now_ms()
        if kind not in self._failed_ms or now_ms >= self._failed_ms[kind] + REFUSED_QUIET_MS:  # it may fail each second
            self._failed_ms[kind] = now_ms
            self._refused("uplink", kind, str(error))

    def _perform(self, actions: list[Any]) -> None:
        for action in actions:
            match action:
                case Publish(suffix, payload, qos):
                    if self._line is not None:
                        self._line.publish(suffix, payload, qos)
                case ConnectAgain():
                    if self._line is not None:
                        self._line.connect_again()
                case Refused(kind, reason, message):
                    self._refused(kind, reason, message)
                case NeedEvents() | Acknowledged() | PolicyReady() | CommandReady():
                    self._begin(self._wait_for(action))
        self._wake.set()
        self._seen(self._sync.status(), _now_ms())

    async def _wait_for(self, action: NeedEvents | Acknowledged | PolicyReady | CommandReady) -> None:
        match action:
            case NeedEvents(first_seq, limit):
                try:
                    stretch = await asyncio.wrap_future(self._log.stretch(first_seq, limit))
                    async with self._beside:
                        events = await asyncio.to_thread(self._sync.encoded, stretch)  # milliseconds, too
                except Exception as error:  # whatever it is: they are asked for again
                    self._perform(self._sync.events_failed(first_seq, _now_ms()))
                    if not isinstance(error, StorageError):
                        raise
                    return
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
            case CommandReady(command):
                try:
                    outcome = await self._carry_out(command)
                except Exception:
                    self._perform(self._sync.command_done(command, "refused", "error"))
                    raise
                self._perform(self._sync.command_done(command, *outcome))
