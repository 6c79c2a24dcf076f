"""One GSM modem on its serial port: opened, opened again when it is lost, its dialogue kept going by one timer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge.decision.model import CallProgress
from edge.reader.inputs import LineDown, LineUp
from edge.reader.modem import Dialogue, Down, Up
from edge.reader.modem_call import IDLE, Progress, Rang
from edge.reader.modem_inbox import Message
from edge.reader.serial_line import LineError, SerialLine, open_line

_REOPEN_S = (0.25, 0.5, 1.0, 2.0)  # pauses before a lost port is opened again; the last one repeats
_LEAVE = b"\rATH\r"  # no call outlasts this program; the set-up's +CVHU=0 makes voice calls obey


@dataclass(frozen=True, slots=True)
class Ringing:
    """Somebody called the modem `reader` and was hung up: once a call. `number`: E.164 digits, None where it was
    withheld or is no subscriber's. A caller's number can be forged."""

    reader: str
    number: int | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A short message came to the modem `reader`: for test, nothing opens by it. `sender`: as it was shown."""

    reader: str
    sender: str = field(repr=False)
    text: str = field(repr=False)


ModemInput = Ringing | TextReceived | LineUp | LineDown | CallProgress


class Modem:
    """A modem. `await run()` for ever; `deliver` gets ModemInput values, on the loop. Call the other methods there.

    pin: the SIM's, or None; country_code: the SIM's country, "33". ValueError where one of them cannot be.
    now_ms: the clock; whoever gives another calls `tick` when it moved.
    """

    def __init__(
        self,
        reader: str,
        port: str,
        baud: int,
        pin: str | None,
        country_code: str,
        deliver: Callable[[ModemInput], None],
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self.reader = reader
        self.port = port
        self.baud = baud
        self._dialogue = Dialogue(pin, country_code)
        self._deliver = deliver
        self._now_ms = now_ms
        self._line: SerialLine | None = None
        self._lost: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._door = ""  # whose panel calls
        self.refused_calls = 0
        self.bytes_in = 0
        self.bytes_out = 0

    # --- what the agent asks --------------------------------------------------------------------------------

    def dial(self, door: str, number: int, delay_s: int) -> None:
        """Call `number` (E.164 digits) for `door`'s panel. CallProgress values follow: "ended" at once where there
        is no network or another door's call is running. The core hangs up after `delay_s`; should it not, the
        modem does soon after."""
        if self._door not in ("", door):
            self.refused_calls += 1
            self._deliver(CallProgress(door, "ended", ""))
            return
        self._door = door
        self._dialogue.dial(number, delay_s, self._now_ms())
        self._flush()

    def hang_up(self, door: str) -> None:
        """End the call of `door`'s panel, if it is the one that is running. No CallProgress follows."""
        if door == self._door:
            self._door = ""
            self._dialogue.hang_up(self._now_ms())
            self._flush()

    def status(self) -> dict[str, Any]:
        """For people: plain values, no numbers, no PIN."""
        return {
            "reader": self.reader,
            "port": self.port,
            "baud": self.baud,
            "ready": self._dialogue.is_up,
            **self._dialogue.status(),
            "refused_calls": self.refused_calls,
        }

    def tick(self) -> None:
        """Do what the time asks for; harmless at any time."""
        self._dialogue.due(self._now_ms())
        self._flush()

    def next_due_ms(self) -> int | None:
        """When `tick` has something to do, on the clock that was given."""
        return self._dialogue.next_due()

    # --- the task -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the port, serve it, and again when it is lost. Ends only by cancellation."""
        failures = 0
        while True:
            try:
                lost = self._lost = asyncio.get_running_loop().create_future()
                self._line = await open_line(self.port, self.baud, self._bytes, self._gone)
                failures = 0
                self._dialogue.opened(self._now_ms())
                self._flush()
                why = await lost
            except LineError as error:
                why = str(error)
            finally:
                self._close()
            self._dialogue.lost(why, self._now_ms())
            self._flush()
            await asyncio.sleep(_REOPEN_S[min(failures, len(_REOPEN_S) - 1)])
            failures += 1

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        line, self._line = self._line, None
        if line is not None:
            if self._dialogue.call.state != IDLE:
                line.write(_LEAVE)
            line.close()

    def _gone(self, why: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(why)

    def _bytes(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self._dialogue.received(data, self._now_ms())
        self._flush()

    def _flush(self) -> None:
        """Send what is to be sent, hand over what happened, and set the timer."""
        outgoing = self._dialogue.take_outgoing()
        if self._line is not None and outgoing:
            self.bytes_out += len(outgoing)
            self._line.write(outgoing)
        for fact in self._dialogue.take_facts():
            self._hand_over(fact)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self._dialogue.next_due()
        if self._line is not None and due_ms is not None:
            wait_s = max(0.0, (due_ms - self._now_ms()) / 1000)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.tick)

    def _hand_over(self, fact: object) -> None:
        match fact:
            case Rang(number):
                self._deliver(Ringing(self.reader, number))
            case Progress(what, key):
                door = self._door
                if what in ("refused", "ended"):
                    self._door = ""
                if door:
                    self._deliver(CallProgress(door, what, key))
            case Message(sender, text):
                self._deliver(TextReceived(self.reader, sender, text))
            case Up(detail):
                self._deliver(LineUp(self.reader, detail))
            case Down(detail):
                self._deliver(LineDown(self.reader, detail))
