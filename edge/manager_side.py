"""What goes between this controller and its manager: events and answers up, policies and commands down."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

from edge.answering import SOFTWARE
from edge.clock import Clock, boot_id
from edge.closed_logs import ClosedLogs
from edge.config import Uplink
from edge.decision.model import Event
from edge.keyring import Keyring
from edge.policy_care import PolicyCare
from edge.storage.event_log import EventLog
from edge.synchronising import Synchroniser
from edge.uplink.messages import Command
from edge.uplink.mqtt import BrokerError
from edge.uplink.signing import verify_ack
from edge.uplink.sync import Sync
from edge.uplink.wire import WireError

AGAIN_S = 60.0
CarryOut = Callable[[Command], Awaitable[tuple[str, str, str]]]


class ManagerSide:
    """One log at a time is sent: those that restores closed first, then for ever the open one. Without an [uplink] no
    line is opened; what a file brings is taken all the same. carry_out: does what a fresh command asks for and says
    (result, reason, status) as uplink.messages.Reply has
    them. seen: is told where the uplink stands, after each step."""

    def __init__(
        self,
        uplink: Uplink | None,
        keys: Keyring,
        clock: Clock,
        log: EventLog,
        closed_logs: ClosedLogs,
        policy: PolicyCare,
        carry_out: CarryOut,
        seen: Callable[[dict[str, object], int], None],
    ) -> None:
        self._uplink = uplink
        self._keys, self._clock = keys, clock
        self._log, self._closed_logs = log, closed_logs
        self._policy, self._carry_out, self._seen = policy, carry_out, seen
        self.synchroniser: Synchroniser | None = None  # of the log that is being sent
        self._sending: asyncio.Task[None] | None = None
        self._trouble = ""  # why there is no line, as it was said

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._sending = asyncio.create_task(self._send())
            try:
                await self._sending
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise

    async def _send(self) -> None:
        """The doors do not wait for a line that cannot be made: a certificate that is missing may be there later."""
        try:
            await self._closed_logs.send(self._connect)
            await self._connect(self._log).run()
        except BrokerError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._policy.refused("uplink", "no line", self._trouble)
            await asyncio.sleep(AGAIN_S)

    @property
    def has_line(self) -> bool:
        """Whether there is a broker to talk to."""
        return self._uplink is not None

    def line_changed(self, uplink: Uplink) -> None:
        """Enrolment gave another line: from now on that one."""
        self._uplink = uplink
        if self._sending is not None:
            self._sending.cancel()

    def log_begun_anew(self) -> None:
        """The open log was set aside as damaged, and goes on under another id: what can be read of the old one is sent
        first."""
        if self._sending is not None:
            self._sending.cancel()

    def log_advanced(self) -> None:
        """Events were committed to the open log."""
        if self.synchroniser is not None:
            self.synchroniser.log_advanced()

    def tell(self, seqs: Sequence[int], events: Sequence[Event]) -> None:
        """Events of the open log that were just committed, under these numbers, are shown to the manager at once."""
        if self.synchroniser is not None:
            self.synchroniser.tell(self._log.log_id, seqs, events)

    def policy_differs(self) -> None:
        """The rows are not those that were stored."""
        if self.synchroniser is not None:
            self.synchroniser.policy_differs(*self._policy.version)

    def countersigned(self, message: bytes) -> tuple[bytes, int, bytes] | None:
        """What the manager acknowledged by a message that was kept; None where it is not the manager's."""
        try:
            ack = verify_ack(message, self._keys.manager.trust(self._keys.device_key))
        except WireError:
            return None
        return ack.log_id, ack.up_to, ack.head

    def status(self) -> dict[str, object] | None:
        """Where the way to the manager stands; None before there is one."""
        return self.synchroniser.status() if self.synchroniser is not None else None

    def _connect(self, log: EventLog) -> Synchroniser:
        manager = self._keys.manager
        version, digest = self._policy.version
        sync = Sync(
            manager.trust(self._keys.device_key),
            self._keys.device_key,
            log_id=log.log_id,
            last_seq=log.last_seq,
            acked=log.acked,
            version=version,
            digest=digest,
            boot_id=boot_id(),
            software=SOFTWARE,
            acked_head=log.acked_head,
            start=log.start,
            session=os.urandom(8),
        )
        self.synchroniser = Synchroniser(
            self._uplink,
            manager,
            boot_id(),
            log,
            sync,
            self._policy.apply,
            self._policy.refused,
            lambda: self._clock.moment().trusted,
            self._carry_out,
            self._seen,
        )
        return self.synchroniser
