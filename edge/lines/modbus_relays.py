"""Strike relays on a Modbus RTU relay board.

With whichever timer, our own LOCK ends a pulse at its time; the board's timer, rounded up to a tenth, is the net below.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge.decision.model import HOLD, LOCK
from edge.lines.modbus import DONE, REFUSED, SILENT, ModbusError, ModbusLine, ModbusOutput

TRIES = 2  # of a pulse or hold, where no answer comes; a LOCK is tried for ever
LOCK_AGAIN_S = 0.25
POLL_S = 1.0  # a board that lost power for a moment is found out this soon
LEAVE_S = 2.0  # the answer that was waited for, and the locks
_REOPEN_S = (0.25, 0.5, 1.0, 2.0)  # pauses before a lost board is tried again; the last one repeats

Key = tuple[str, str]


class _Order(NamedTuple):
    ms: int
    tries: int = 0


class ModbusBoard:
    """A relay board, (door, output) → relay, alone on its port. `claim` first, then `await run()` for ever.

    unit: its address, 1 to 255 (LC Technology's boards leave the factory as 255, Waveshare's as 1).
    deliver_trouble: gets a line for people when something is wrong, once until it is another or the board was back.
    on_connected: is told of each connection, when every relay has been locked, and of each loss."""

    def __init__(
        self,
        port: str,
        baud: int,
        unit: int,
        outputs: Mapping[Key, ModbusOutput],
        deliver_trouble: Callable[[str], None],
        on_connected: Callable[[bool], None] | None = None,
    ) -> None:
        self._outputs = dict(outputs)
        self._deliver_trouble = deliver_trouble
        self._on_connected = on_connected
        self._wake = asyncio.Event()
        self._line = ModbusLine(port, baud, unit, self._say, self._wake.set)
        self._orders: dict[Key, _Order] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._unlocked: set[Key] = set()  # or perhaps so: a request without an answer
        self._held: set[Key] = set()
        self._told = ""
        self.is_connected = False
        self.connections = 0
        self.dropped_orders = 0  # pulses and holds that were not performed
        self.corrected = 0  # relays that were not as they should be
        self.fell_early = 0
        self.last_error = ""

    def claim(self) -> None:
        """ModbusError where pymodbus is not installed. The port may come later."""
        self._line.claim()

    async def run(self) -> None:
        """Keep the board, for ever; ends by cancellation, with every relay locked that can be reached."""
        pauses = 0
        while True:
            connections = self.connections
            try:
                await self._serve()
            except ModbusError as error:
                self._say(str(error))
            pauses = 0 if self.connections > connections else pauses + 1
            await asyncio.sleep(_REOPEN_S[min(pauses, len(_REOPEN_S) - 1)])

    def strike(self, door: str, output: str, ms: int) -> bool:
        """Unlock for `ms`, or model.LOCK or model.HOLD, without waiting: the newest order of an output counts, and a
        LOCK goes before all others. False while the board is away: then nothing is made up for later, and all is
        locked when it is back. KeyError: no such output."""
        key = (door, output)
        if key not in self._outputs:
            raise KeyError(key)
        self._stop_timer(key)
        if not self.is_connected:
            self.dropped_orders += ms != LOCK
            return False
        if ms not in (LOCK, HOLD):  # from now, however long the line takes: the core's LOCK is due then too
            self._later(key, ms / 1000)
        self._order(key, _Order(ms))
        return True

    def status(self) -> dict[str, Any]:
        """For people: plain values."""
        return {
            "kind": "modbus",
            "port": self._line.port,
            "baud": self._line.baud,
            "unit": self._line.unit,
            "is_connected": self.is_connected,
            "outputs": [
                {"door": key[0], "output": key[1], "coil": output.coil, "is_unlocked": key in self._unlocked}
                for key, output in self._outputs.items()
            ],
            "connections": self.connections,
            "dropped_orders": self.dropped_orders,
            "unanswered": self._line.unanswered,
            "refused": self._line.refused,
            "wrong_answers": self._line.wrong_answers,
            "corrected": self.corrected,
            "fell_early": self.fell_early,
            "last_error": self.last_error,
        }

    # --- the connection -------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self._line.open()
            await self._lock_all()
            self._announce(True)
            while True:
                await self._work()
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            self._hang_up()

    async def _lock_all(self) -> None:
        """Before anything else: nobody knows what the relays did meanwhile."""
        for key, output in self._outputs.items():
            while (said := await self._line.move(output, LOCK)) == SILENT:
                pass  # until it counts as gone
            if said == REFUSED:  # the others shall work all the same
                self._later(key, POLL_S)
            else:
                self._unlocked.discard(key)

    def _announce(self, is_connected: bool) -> None:
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        self.connections += is_connected
        if is_connected:
            self._told = ""
        if self._on_connected is not None:
            self._on_connected(is_connected)

    def _hang_up(self) -> None:
        for key in list(self._timers):
            self._stop_timer(key)
        self.dropped_orders += sum(order.ms != LOCK for order in self._orders.values())
        self._orders.clear()
        self._held.clear()
        self._line.close()
        self._announce(False)

    async def _leave(self) -> None:
        """The program ends: what may be unlocked is locked, if the board still answers."""
        try:
            async with asyncio.timeout(LEAVE_S):
                for key in sorted(self._unlocked):
                    while await self._line.move(self._outputs[key], LOCK) == SILENT:
                        pass
        except (TimeoutError, ModbusError):
            pass

    # --- orders ---------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Perform an order, or look after the relays if there is none for a while."""
        self._wake.clear()
        if not self._line.is_open:
            raise self._line.gone()
        locks = (key for key, order in self._orders.items() if order.ms == LOCK)
        key = next(locks, next(iter(self._orders), None))
        if key is not None:
            await self._perform(key, self._orders.pop(key))
            return
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            await self._compare()

    async def _perform(self, key: Key, order: _Order) -> None:
        if order.ms != LOCK:
            self._unlocked.add(key)
        (self._held.add if order.ms == HOLD else self._held.discard)(key)
        try:
            said = await self._line.move(self._outputs[key], order.ms)
        except ModbusError:
            self.dropped_orders += order.ms != LOCK
            raise
        if said == DONE:
            if order.ms == LOCK:
                self._unlocked.discard(key)
        elif key in self._orders:
            self.dropped_orders += order.ms != LOCK  # a newer one counts
        elif order.ms == LOCK:
            self._later(key, LOCK_AGAIN_S)  # nobody else would try again
        elif said == SILENT and order.tries + 1 < TRIES:
            self._order(key, _Order(order.ms, order.tries + 1))
        else:  # only the answer may have been lost, and the relay have moved
            self.dropped_orders += 1
            self._stop_timer(key)
            self._order(key, _Order(LOCK))

    async def _compare(self) -> None:
        """Read the relays: one may have fallen with the board's power, or not have done what it confirmed."""
        energised = await self._line.read(max(output.coil for output in self._outputs.values()) + 1)
        if energised is None:
            return
        for key, output in self._outputs.items():
            is_unlocked = energised[output.coil] != output.fail_safe
            shall_be = key in self._held or key in self._timers
            if key in self._orders or is_unlocked == shall_be:
                continue
            if is_unlocked:
                self._correct(key, LOCK)
            elif key in self._held:
                self._correct(key, HOLD)
            elif key in self._unlocked:
                self._unlocked.discard(key)
                self.fell_early += 1
                self._say(
                    f"{self._line.name}: relay {output.coil} fell before its pulse was over: "
                    f"check the board's power, and that timer = '{output.timer}' is what its manual describes"
                )

    def _correct(self, key: Key, ms: int) -> None:
        self.corrected += 1
        self._order(key, _Order(ms))

    def _order(self, key: Key, order: _Order) -> None:
        waiting = self._orders.pop(key, None)
        self.dropped_orders += waiting is not None and waiting.ms != LOCK
        self._orders[key] = order
        self._wake.set()

    def _later(self, key: Key, wait_s: float) -> None:
        self._stop_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(wait_s, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._order(key, _Order(LOCK))

    def _stop_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _say(self, line: str) -> None:
        self.last_error = line
        if line != self._told:
            self._told = line
            self._deliver_trouble(line)
