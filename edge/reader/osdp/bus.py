"""One OSDP line: the port, its readers, and the one task that talks to them in turn.

The order of slots: a reader with a light, a tone or an output waiting goes first; then, while others answer for no
more than a third of the line's time (half of it at the start), a probe of the silent reader that has waited longest;
else the readers that answer, in turn.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.decision.indications import Signal
from edge.reader import inputs
from edge.reader.osdp import facts, messages
from edge.reader.osdp.exchange import DEFAULT, Timing
from edge.reader.osdp.frame import LARGEST, Frame, Framer
from edge.reader.osdp.key_change import LONGEST_WINDOW_MS, PairingError
from edge.reader.osdp.link import Link
from edge.reader.osdp.native import aes_ecb, crc16
from edge.reader.osdp.secure import is_equal
from edge.reader.osdp.translation import (
    INPUT_OF,
    NEWS_OF,
    QUESTIONS,
    buzzer_command,
    led_command,
    output_command,
    status_of,
    text_command,
)
from edge.reader.serial_line import LineError, SerialLine, open_line

_REOPEN_S = (0.25, 0.5, 1.0, 2.0)  # pauses before a lost port is opened again; the last one repeats
_BITS_A_BYTE = 10  # start, eight data, stop
_SHORTEST_TIMER_S = 0.0006
_OTHERS_SHARE = 2  # after a probe that nobody answered, this many times its length is for the others
_OTHERS_SHARE_AT_START = 1  # the same before it was first told whether the reader is there


class BusError(ValueError):
    """Readers that cannot share a line. The message names them and says what to do."""


@dataclass(frozen=True, slots=True)
class BusReader:
    """A reader on a line: its id, its OSDP address 0-126, its 16-byte secure channel base key, or None where it is
    not paired yet. `candidate`: a key that may have been sent to it before the last restart; where it proves that
    one, a Paired follows, and where it proves its old one, a NotPaired."""

    reader: str
    address: int
    scbk: bytes | None = field(repr=False)
    candidate: bytes | None = field(default=None, repr=False)

    @property
    def keys(self) -> list[bytes]:
        return [key for key in (self.scbk, self.candidate) if key is not None]


class Bus:
    """A serial line with its readers. `await run()` for ever; `deliver` gets values of edge.reader.inputs, from
    the loop's thread, and so does `tell` with values of ReaderNews. Call the other methods from that thread too.

    poll_gap_ms: a pause after each exchange, beyond the two character times that the specification asks for.
    BusError: two readers with one address or one key; SecureError: a weak key.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        readers: Sequence[BusReader],
        deliver: Callable[[inputs.ReaderInput], None],
        timing: Timing = DEFAULT,
        poll_gap_ms: float = 0,
        tell: Callable[[inputs.ReaderNews], None] | None = None,
    ) -> None:
        _check(port, readers)
        self.port = port
        self.baud = baud
        self._deliver = deliver
        self._tell = tell
        self._byte_s = _BITS_A_BYTE / baud
        self._gap_s = 2 * self._byte_s
        self._poll_gap_s = poll_gap_ms / 1000
        self._readers = [reader.reader for reader in readers]
        self._links = [
            Link(reader.address, reader.scbk, aes_ecb, os.urandom, timing, crc16, reader.candidate)
            for reader in readers
        ]
        self._by_reader = dict(zip(self._readers, range(len(readers)), strict=True))
        self._lasting: dict[int, Signal] = {}
        self._framer = Framer(crc16)
        self._line: SerialLine | None = None
        self._turn = 0
        self._probe_after = 0.0
        self._current: int | None = None
        self._answered: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reply_size = 0
        self._byte_seen_s = 0.0
        self._next_poll_s = 0.0
        self._wake = asyncio.Event()
        self._lost = ""
        self.port_trouble = ""

    # --- what the agent asks -----------------------------------------------------------------------------------

    def indicate(self, reader: str, signal: Signal) -> None:
        """Show and sound a signal in the line's next slot. While the reader is away a lasting one is kept for its
        return and a passing one is dropped. KeyError: no such reader on this line."""
        number = self._by_reader[reader]
        if signal.total_ms == 0:
            self._lasting[number] = signal
        self._show(number, signal)

    def set_output(self, reader: str, output_number: int, ms: int) -> bool:
        """Switch one of the reader's outputs, 0 the first: for `ms` (100 ms steps, rounded up), 0 off, -1 on.
        False if the reader is away: nothing moved, nothing is kept."""
        return self._push(self._by_reader[reader], output_command(output_number, ms))

    def show_text(self, reader: str, text: str, seconds: int = 0, row: int = 1, column: int = 1) -> bool:
        """Show a text on the reader's display, for `seconds` or until the next. False if the reader is away."""
        return self._push(self._by_reader[reader], text_command(text, seconds, row, column))

    def ask(self, reader: str, what: str) -> bool:
        """Ask for "identity", "capabilities", "status", "inputs" or "outputs"; the answer is in `status()`, or told.
        False if the reader is away."""
        return self._push(self._by_reader[reader], QUESTIONS[what])

    def move(self, reader: str, address: int, baud: int) -> bool:
        """Give the reader another address, another speed, or both; a ReaderMoved follows. At another speed than
        this line's it is gone from it. False if the reader is away; BusError where the address is taken."""
        number = self._by_reader[reader]
        _check_address(reader, address)
        if any(each.address == address for at, each in enumerate(self._links) if at != number):
            raise BusError(f"reader {reader}: address {address} is taken on {self.port}: choose another")
        return self._push(number, messages.SetCommunication(address, baud))

    def reset(self, reader: str) -> None:
        """Begin the reader's session anew, with sequence number 0."""
        self._links[self._by_reader[reader]].restart(_now_ms())

    @property
    def pairing(self) -> str:
        """The reader that a pairing window is open for, or ""."""
        now_ms = _now_ms()
        return next((name for name, at in self._by_reader.items() if self._links[at].keys.is_window_open(now_ms)), "")

    def open_pairing(self, reader: str, new_scbk: bytes, window_ms: int = LONGEST_WINDOW_MS) -> None:
        """For `window_ms`, give `new_scbk` to the reader in install mode at this reader's address; a Paired or a
        NotPaired is told. Kept in memory only. PairingError, SecureError where that cannot begin."""
        self._check_new_key(reader, new_scbk)
        self._links[self._by_reader[reader]].open_pairing(new_scbk, window_ms, _now_ms())
        self._wake.set()

    def close_pairing(self, reader: str) -> None:
        """Close the pairing window before its time, if one is open for this reader."""
        number = self._by_reader[reader]
        self._report(number, self._links[number].close_pairing(_now_ms()))

    def rekey(self, reader: str, new_scbk: bytes) -> None:
        """Replace the reader's key inside the session that its present one began; a Paired or a NotPaired is told.
        PairingError, SecureError where that cannot begin."""
        self._check_new_key(reader, new_scbk)
        self._links[self._by_reader[reader]].rekey(new_scbk)
        self._wake.set()

    def _check_new_key(self, reader: str, new_scbk: bytes) -> None:
        if self.pairing:
            raise PairingError(f"a pairing window is open for reader {self.pairing}: one at a time")
        if any(each.keys.has(new_scbk) for at, each in enumerate(self._links) if at != self._by_reader[reader]):
            raise PairingError("the new key is another reader's: each needs its own")

    def status(self) -> list[dict[str, Any]]:
        """For people, one dict a reader: plain values only, no secrets. Ages are seconds."""
        return [self._status(number) for number in range(len(self._links))]

    # --- the task ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Open the port, serve its readers, and again when it is lost. Ends only by cancellation."""
        failures = 0
        while True:
            try:
                self._lost = ""
                self._line = await open_line(self.port, round(_BITS_A_BYTE / self._byte_s), self._bytes, self._gone)
                self.port_trouble = ""
                failures = 0
                await self._serve(self._line)
            except LineError as error:
                self._lost = str(error)
            finally:
                if self._line is not None:
                    self._line.close()
                    self._line = None
            self._port_lost()
            await asyncio.sleep(_REOPEN_S[min(failures, len(_REOPEN_S) - 1)])
            failures += 1

    async def _serve(self, line: SerialLine) -> None:
        while not self._lost:
            self._expire()
            number = self._pick()
            if number is None:
                await self._idle()
                continue
            command = self._links[number].next_command(_now_ms())
            if command is not None:
                await self._exchange(line, number, command)

    async def _exchange(self, line: SerialLine, number: int, command: bytes) -> None:
        """Send a command, wait for its reply or for as long as one may take, and leave the line as long as the
        specification asks for before the next."""
        current = self._links[number]
        self._framer.reset()  # nothing from before is an answer to this
        self._current = number
        sent_s = time.monotonic()
        line.write(command)
        silent_s = sent_s + len(command) * self._byte_s + current.wait_ms / 1000
        answered = await self._answer(silent_s)
        end_s = time.monotonic()
        self._current = None
        if not answered and not self._lost:
            if not current.is_answering:
                share = _OTHERS_SHARE if current.is_known else _OTHERS_SHARE_AT_START
                self._probe_after = end_s + share * (end_s - sent_s)
            self._report(number, current.timed_out(_now_ms()))
        # A port without a real line behind it answers sooner than its bytes could travel: keep to the line's pace.
        travelled_s = sent_s + (len(command) + self._reply_size) * self._byte_s
        over_s = max(end_s, travelled_s) + self._gap_s
        self._next_poll_s = over_s + self._poll_gap_s
        await _until(over_s)

    async def _answer(self, silent_s: float) -> bool:
        """Whether the reply came. A reply that has begun by `silent_s` may take as long as the largest."""
        loop = asyncio.get_running_loop()
        self._reply_size = 0
        self._answered = loop.create_future()
        last_s = silent_s + LARGEST * self._byte_s
        self._timer = loop.call_later(silent_s - time.monotonic(), self._silent, last_s)
        try:
            return await self._answered
        finally:
            self._timer.cancel()
            self._timer = self._answered = None

    def _silent(self, last_s: float) -> None:
        if self._answered is None or self._answered.done():
            return
        now_s = time.monotonic()
        if self._framer.is_inside() and now_s < last_s and now_s - self._byte_seen_s < 0.05:
            self._timer = asyncio.get_running_loop().call_later(0.02, self._silent, last_s)
        else:
            self._answered.set_result(False)

    def _bytes(self, data: bytes) -> None:
        self._byte_seen_s = time.monotonic()
        bad_frames = self._framer.bad_frames
        for received in self._framer.feed(data):
            self._frame(received)
        if self._current is not None:
            self._links[self._current].bad_frames += self._framer.bad_frames - bad_frames

    def _frame(self, received: Frame) -> None:
        if self._current is None:
            return  # nothing was asked
        current = self._links[self._current]
        self._report(self._current, current.received(received, _now_ms()))
        if not current.is_waiting and self._answered is not None and not self._answered.done():
            self._reply_size = len(received.raw)
            self._answered.set_result(True)

    def _gone(self, why: str) -> None:
        self._lost = self._lost or why
        self._wake.set()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(False)

    # --- whose turn it is ----------------------------------------------------------------------------------------

    def _pick(self) -> int | None:
        now_s = time.monotonic()
        now_ms = _now_ms()
        count = len(self._links)
        order = [(self._turn + step) % count for step in range(count)]
        for number in order:
            if self._links[number].has_output and self._links[number].due_ms <= now_ms:
                return number
        if now_s < self._next_poll_s:
            return None
        silent = [number for number in order if not self._links[number].is_answering]
        due = [number for number in silent if self._links[number].due_ms <= now_ms]
        if due and (len(silent) == count or now_s >= self._probe_after):
            return min(due, key=lambda number: self._links[number].due_ms)  # who has waited longest
        for number in order:
            if self._links[number].is_answering and self._links[number].due_ms <= now_ms:
                self._turn = (number + 1) % count
                return number
        return None

    async def _idle(self) -> None:
        """Nothing is due: wait for the next due reader, or for an output."""
        due_ms = min((candidate.due_ms for candidate in self._links), default=_now_ms() + 1000)
        wait_s = max((due_ms - _now_ms()) / 1000, self._next_poll_s - time.monotonic(), 0.002)
        self._wake.clear()
        try:
            async with asyncio.timeout(wait_s):  # wait_for of Python 3.11 may swallow a cancellation
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- what happened -------------------------------------------------------------------------------------------

    def _report(self, number: int, happened: Sequence[Any]) -> None:
        reader = self._readers[number]
        for fact in happened:
            if type(fact) in INPUT_OF:
                self._deliver(INPUT_OF[type(fact)](reader, fact))
            elif self._tell is not None:
                self._tell(NEWS_OF[type(fact)](reader, fact))
            if isinstance(fact, facts.Online) and number in self._lasting:
                self._show(number, self._lasting[number])

    def _expire(self) -> None:
        """Close pairing windows whose time is up."""
        for number, candidate in enumerate(self._links):
            if candidate.keys.is_changing:
                self._report(number, candidate.expire(_now_ms()))

    def _port_lost(self) -> None:
        self.port_trouble = self._lost
        self._current = None
        self._expire()
        for number, candidate in enumerate(self._links):
            self._report(number, candidate.line_lost(_now_ms(), self._lost))

    def _show(self, number: int, signal: Signal) -> None:
        self._push(number, led_command(signal))
        if signal.beeps:
            self._push(number, buzzer_command(signal))

    def _push(self, number: int, message: Any) -> bool:
        pushed = self._links[number].push(message)
        self._wake.set()
        return pushed

    def _status(self, number: int) -> dict[str, Any]:
        return {
            "reader": self._readers[number],
            "port": self.port,
            "port_trouble": self.port_trouble,
            "noise_bytes": self._framer.noise,
            **status_of(self._links[number], _now_ms()),
        }


def _check(port: str, readers: Sequence[BusReader]) -> None:
    for at, reader in enumerate(readers):
        _check_address(reader.reader, reader.address)
        for other in readers[:at]:
            names = f"readers {other.reader} and {reader.reader} on {port} have one"
            if reader.reader == other.reader:
                raise BusError(f"reader {reader.reader} is on {port} twice: remove one")
            if reader.address == other.address:
                raise BusError(f"{names} address, {reader.address}: change one")
            if any(is_equal(key, same) for key in reader.keys for same in other.keys):
                raise BusError(f"{names} key: give each its own")


def _check_address(reader: str, address: int) -> None:
    if not 0 <= address <= 126:
        raise BusError(f"reader {reader}: address {address} is outside 0 to 126")


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _until(moment_s: float) -> None:
    """Wait until a moment of the monotonic clock. The loop's own timers round up to the next millisecond, which
    at 115,200 baud is as long as a poll: the last half millisecond is slept through, after the door's own work
    had its turn."""
    left_s = moment_s - time.monotonic()
    await asyncio.sleep(max(left_s - _SHORTEST_TIMER_S, 0))
    left_s = moment_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)  # noqa: ASYNC251
