"""What keeps the log bounded and honest while the doors go on: pruning, vacuuming, purging personal data, verifying.

Everything runs in slices between records; what is wrong is an alarm, once for each thing that is wrong.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge.clock import Clock
from edge.console.api import BadRequestError
from edge.decision import model
from edge.storage.backup import drop_left_copies
from edge.storage.event_log import EventLog
from edge.storage.verifying import Countersigned

PRUNE_EVERY_S = 600.0
BETWEEN_SLICES_S = 0.01
FIRST_PURGE_S = 60.0
PURGE_EVERY_S = 6 * 3600.0
FIRST_VERIFY_S = 300.0
VERIFY_EVERY_S = 24 * 3600.0
DAY_MS = 86_400_000


class Housekeeping:
    """The care for one log. `countersigned`: tells whether an acknowledgement is the manager's. `answers`: the
    operations of the local API that belong to it."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        keep_events: int,
        keep_personal_days: int,
        countersigned: Countersigned | None,
        submit: Callable[[object], None],
        erase_closed: Callable[[int | None, str | None], Awaitable[int]] | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._keep_events = keep_events
        self._keep_personal_ms = keep_personal_days * DAY_MS
        self._countersigned = countersigned
        self._submit = submit
        self._erase_closed = erase_closed
        self._said: set[str] = set()
        self._is_filling = False
        self.last_verified: dict[str, Any] | None = None
        self.purged = 0
        self.answers = {"verify": self._answer_verify, "erase": self._answer_erase}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._prune())
            tasks.create_task(self._every(FIRST_PURGE_S, PURGE_EVERY_S, self.purge))
            tasks.create_task(self._every(FIRST_VERIFY_S, VERIFY_EVERY_S, self.verify))

    def committed(self) -> None:
        """Events were written: say once that nobody takes them, before the log is full."""
        if self._log.is_filling and not self._is_filling:
            said = f"{self._log.unsent} of {self._log.max_unsent} events wait for the cloud: restore the connection"
            self._submit(model.LogAlarm(said))
        self._is_filling = self._log.is_filling

    async def purge(self) -> int:
        """Take the persons from events that are older than they may be kept. Nothing while wall time is not trusted: a
        wild clock must not take everybody."""
        drop_left_copies(self._log.database.path.parent, time.time())
        purged: int = await asyncio.wrap_future(self._log.purge(self.purge_before_ms()))
        self.purged += purged
        return purged

    def purge_before_ms(self) -> int:
        """From when on persons may still be named, utc ms; 0, which is always, while nobody knows the time. What an
        installer typed is not enough: one wrong digit of a year would take everybody, for good."""
        moment = self._clock.moment()
        is_known = moment.trusted and not self._clock.is_declared
        return moment.utc_ms - self._keep_personal_ms if is_known else 0

    async def verify(self) -> dict[str, Any]:
        """Look at every record. What was found, for the local API; a misfit is an alarm."""
        oldest = await asyncio.wrap_future(self._log.read(1, 1))
        found = await asyncio.wrap_future(self._log.verify(self._countersigned))
        if not found.is_whole:
            self.alarm(f"event {found.bad_seq} does not fit: {found.reason}")
        self.last_verified = {
            "checked": found.checked,
            "unchained": found.unchained,
            "begun": found.begun,
            "acknowledged": found.acknowledged,
            "first": oldest[0].seq if oldest else 0,
            "last": self._log.last_seq,
            "bad_seq": found.bad_seq,
            "why": found.reason,
        }
        return self.last_verified

    # --- by themselves ----------------------------------------------------------------------------------------

    async def _prune(self) -> None:
        """Acknowledged events beyond what is kept go, a slice at a time; then the room that they had."""
        while True:
            pruned = 0
            try:
                pruned = await asyncio.wrap_future(self._log.prune(self._keep_events))
                if not pruned:
                    await asyncio.wrap_future(self._log.vacuum())
            except Exception as error:  # the doors go on whatever the past is like
                self.alarm(f"pruning: {error}")
            await asyncio.sleep(BETWEEN_SLICES_S if pruned else PRUNE_EVERY_S)

    async def _every(self, first_s: float, every_s: float, work: Callable[[], Any]) -> None:
        await asyncio.sleep(first_s)
        while True:
            try:
                await work()
            except Exception as error:  # the doors go on whatever the past is like
                self.alarm(f"{work.__name__}: {error}")
            await asyncio.sleep(every_s)

    def alarm(self, said: str) -> None:
        """Once for each thing that is wrong."""
        if said not in self._said:
            self._said.add(said)
            self._submit(model.LogAlarm(said))

    # --- the local API ----------------------------------------------------------------------------------------

    async def _answer_verify(self, request: Mapping[str, Any]) -> dict[str, Any]:
        started = time.monotonic()
        return {**await self.verify(), "took_s": round(time.monotonic() - started, 3)}

    async def _answer_erase(self, request: Mapping[str, Any]) -> dict[str, Any]:
        credential, call_code = request.get("credential"), request.get("call_code")
        if credential is None and not call_code:
            raise BadRequestError("erase whom? give credential, call_code or both")
        number = None if credential is None else int(credential)
        if number is not None and not 0 <= number < 1 << 64:
            raise BadRequestError(f"{credential} is no credential's number")
        code = str(call_code) if call_code else None
        erased = await asyncio.wrap_future(self._log.erase(number, code))
        if self._erase_closed is not None:
            erased += await self._erase_closed(number, code)
        self._submit(model.Noted("erased", "", "", f"{erased} events"))
        return {"erased": erased}
