"""The agent's end of a simulated line board (`firmware_sim.line_board`), in place of GPIO and wired readers.

A Unix socket, one JSON object a line. Readers other than OSDP hand over a decoded value here, never pulses:
a card's number, code digits, a caller's number. The board ends a pulse by itself and drops every relay when
the connection is lost, so a strike that could not be handed over is counted and never made up for later.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.decision.model import CallProgress, CallStarted, Contact, ExitPressed, Tamper

LINE_BYTES = 4096
UNSENT_BYTES = 64 * 1024  # a board that reads nothing is given up and connected to anew
FIRST_RETRY_S = 0.05
LONGEST_RETRY_S = 2.0


class BoardLineError(ValueError):
    """The board said something that cannot be read; the message says what."""


@dataclass(frozen=True)
class LinePresented:
    """What a reader at the value boundary decoded. `medium`: a word of model.MEDIUM_WORDS.

    `value`: a card's, remote's or mobile's number in decimal, code digits, or a caller's number. `button`:
    1-4 of a remote, else 0.
    """

    reader: str
    medium: str
    value: str
    button: int

    def __repr__(self) -> str:
        value = "…" if self.medium == "code" else self.value
        return f"LinePresented({self.reader!r}, {self.medium!r}, {value!r}, {self.button})"


@dataclass(frozen=True)
class Barrier:
    """Answer with `answer_barrier(number)` when all that came before is handled and performed."""

    number: int


# What the board may say: word -> ({field: type}, value made of the fields in this order).
_BOARD_WORDS: dict[str, tuple[dict[str, type], Callable[..., object]]] = {
    "contact": ({"door": str, "open": bool}, Contact),
    "exit": ({"door": str}, ExitPressed),
    "tamper": ({"source": str, "door": str, "on": bool}, Tamper),
    "present": ({"reader": str, "medium": str, "value": str, "button": int}, LinePresented),
    "call": ({"door": str, "call_code": str}, CallStarted),
    "call_progress": ({"door": str, "what": str, "key": str}, CallProgress),
    "barrier": ({"number": int}, Barrier),
}


def read_board_line(line: bytes) -> object:
    """Return the value that a board's line says. Raises BoardLineError, for the board's error too."""
    try:
        message = json.loads(line)
        [(word, fields)] = message.items()
    except (ValueError, AttributeError, RecursionError):
        raise BoardLineError("the board sent a line that is not an object with one word") from None
    if word == "error":
        raise BoardLineError(f"the board refused a line: {str(fields)[:200]}")
    if word not in _BOARD_WORDS:
        raise BoardLineError(f"the board sent the unknown word {word[:40]!r}; is it of another version?")
    types, make = _BOARD_WORDS[word]
    if word == "barrier":
        fields = {"number": fields}
    if not isinstance(fields, dict) or fields.keys() != types.keys():
        raise BoardLineError(f"the board's {word} must carry {', '.join(types)}")
    if any(type(fields[name]) is not kind for name, kind in types.items()):
        raise BoardLineError(f"the board's {word} has a field of the wrong type")
    return make(*(fields[name] for name in types))


class SimulatedBoard:
    """One controller's lines on the Unix socket `path`.

    `deliver` gets ExitPressed, Contact, Tamper, CallStarted, CallProgress, LinePresented and Barrier on the
    loop. `on_connected(bool)`, where given, is told of each connection and loss; all relays are locked
    after either.
    """

    def __init__(
        self,
        path: str,
        deliver: Callable[[object], None],
        on_connected: Callable[[bool], None] | None = None,
    ) -> None:
        self.path = path
        self._deliver = deliver
        self._on_connected = on_connected
        self._writer: asyncio.StreamWriter | None = None
        self._retry_s = FIRST_RETRY_S
        self._connections = 0
        self._dropped_outputs = 0
        self._bad_lines = 0
        self._last_error = ""

    async def run(self) -> None:
        """Keep connected, for ever; ends by cancellation. What `deliver` raises ends it too."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self.path, limit=LINE_BYTES)
            except OSError as error:
                self._last_error = f"line board {self.path}: {error.strerror or error}; is the simulator running?"
            else:
                self._retry_s = FIRST_RETRY_S
                await self._serve(reader, writer)
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._connections += 1
        self._announce(True)
        try:
            while True:
                self._hear(await reader.readuntil(b"\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._last_error = f"line board {self.path}: the connection was lost; connecting again"
        except asyncio.LimitOverrunError:
            self._bad_lines += 1
            self._last_error = f"line board {self.path}: a line over {LINE_BYTES} bytes; connecting again"
        finally:
            self._writer = None
            writer.transport.abort()
            self._announce(False)

    def _announce(self, is_connected: bool) -> None:
        if self._on_connected is not None:
            self._on_connected(is_connected)

    def _hear(self, line: bytes) -> None:
        try:
            value = read_board_line(line)
        except BoardLineError as error:
            self._bad_lines += 1
            self._last_error = str(error)
            return
        self._deliver(value)

    # --- outputs: False, and counted, when the board is not there -------------------------------------------

    def strike(self, door: str, output: str, ms: int) -> bool:
        """Unlock `output` for `ms`, or model.LOCK or model.HOLD it."""
        return self._send({"strike": {"door": door, "output": output, "ms": ms}})

    def indicate(self, reader: str, outcome: str) -> bool:
        """Show `outcome` (a key of indications.TABLE) at a reader of the value boundary."""
        return self._send({"indicate": {"reader": reader, "outcome": outcome}})

    def dial(self, door: str, panel: str, number: str, delay_s: float) -> bool:
        """Have the panel's modem call `number` (E.164 digits)."""
        return self._send({"dial": {"door": door, "panel": panel, "number": number, "delay_s": delay_s}})

    def hang_up(self, door: str, panel: str) -> bool:
        """Have the panel's modem end its call."""
        return self._send({"hang_up": {"door": door, "panel": panel}})

    def answer_barrier(self, number: int) -> bool:
        """Tell the board that all it said before barrier `number` is done."""
        return self._send({"barrier": number})

    def _send(self, message: dict[str, Any]) -> bool:
        writer = self._writer
        if writer is None or writer.transport.is_closing():
            self._dropped_outputs += 1
            return False
        writer.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES:
            writer.transport.abort()
        return True

    def status(self) -> dict[str, Any]:
        """Return what `vantail status` shows of the lines."""
        return {
            "kind": "simulated",
            "path": self.path,
            "is_connected": self._writer is not None,
            "connections": self._connections,
            "dropped_outputs": self._dropped_outputs,
            "bad_lines": self._bad_lines,
            "last_error": self._last_error,
        }
