"""One simulated OSDP reader: libosdp's own peripheral device, a stack that this project did not write.

The reader owns no port. Its line (`firmware_sim.reader_line`) hands it the bytes of the master and carries
its replies back, so one process runs every reader of a building in one thread. libosdp's own thread is
never started: it sleeps 20 ms between looks, while `refresh()` when bytes arrive answers at once.
"""

import ctypes
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import osdp
import osdp_sys  # type: ignore[import-not-found]

from edge.decision.indications import BLACK
from firmware_sim.reader_lights import Buzzer, Light, Output, now_ms, offline_color

OUTPUTS = 2
EVENTS_WAITING = 32  # what a reader keeps while nobody polls it; more is missed and counted
CHANGES_KEPT = 1000
LAST_ADDRESS = 126  # 127 is for all (SIA OSDP 2.2, section 5)
UNPOLLED_MS = 8000  # SIA OSDP 2.2: a device counts itself off line after 8 s without a poll

# SIA OSDP 2.2, osdp_KEYPAD: digits are ASCII, "*" is DEL and "#" is CR.
_KEY_CODES = {**{digit: ord(digit) for digit in "0123456789"}, "*": 0x7F, "#": 0x0D}

# (function, compliance level, number of items): SIA OSDP 2.2, osdp_PDCAP. libosdp refuses what is not
# declared.
_CAPABILITIES = [
    (osdp.Capability.OutputControl, 4, OUTPUTS),
    (osdp.Capability.CardDataFormat, 1, 0),
    (osdp.Capability.LEDControl, 4, 1),
    (osdp.Capability.AudibleControl, 2, 1),
    (osdp.Capability.Readers, 1, 1),
]

_KINDS = {
    osdp.Command.Output: "output",
    osdp.Command.Buzzer: "buzzer",
    osdp.Command.LED: "led",
    osdp.Command.Comset: "comset",
    osdp.Command.Keyset: "keyset",
    osdp.Command.Status: "status",
    osdp.Command.Text: "text",
    osdp.Command.Manufacturer: "manufacturer",
}
_ACCEPTED = (0, None)
_REFUSED = (1, None)

osdp_sys.set_loglevel(osdp.LogLevel.Emergency)


@dataclass(frozen=True)
class Seen:
    """A command that reached the reader. `at_ns`: time.perf_counter_ns. `kind`: "led", "buzzer", "output", …
    `command`: libosdp's dict; of a key only that it came, never the key."""

    at_ns: int
    kind: str
    command: dict[str, Any]


class _Channel:
    """libosdp's view of the line; it calls these three by name."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()

    def read(self, max_bytes: int) -> bytes:
        chunk = bytes(self.incoming[:max_bytes])
        del self.incoming[:max_bytes]
        return chunk

    def write(self, data: bytes) -> int:
        self.outgoing += data
        return len(data)

    def flush(self) -> None:
        self.incoming.clear()


class OsdpReader:
    """A reader with one light, a buzzer, a keypad and two outputs.

    `reader`: its id. `scbk`: 16 bytes, or None: it has no key yet (install mode) and takes the first that it
    is given under the default key. `enforce_secure`: refuse commands outside the secure channel.
    `on_change(reader, seen)` is called after each exchange, outside of libosdp, for every command that
    arrived.

    Faults on demand: unplug / plug_in, swap_address, slow_answers; those of the whole line are in
    `firmware_sim.reader_line`.
    """

    def __init__(
        self,
        reader: str,
        address: int,
        scbk: bytes | None,
        *,
        enforce_secure: bool = True,
        on_change: "Callable[[OsdpReader, Seen], None] | None" = None,
    ) -> None:
        if (scbk is not None and len(scbk) != 16) or not 0 <= address <= LAST_ADDRESS:
            raise ValueError(f"reader {reader}: its key must have 16 bytes and its address be 0 to 126")
        self.reader = reader
        self.address = address
        self.on_change = on_change
        self.seen: deque[Seen] = deque(maxlen=CHANGES_KEPT)
        self.missed = 0
        self.is_plugged = True
        self.answer_ms = 0.0  # how long it thinks before it answers; its line waits for so long
        self._keeps_power = False
        self._tampered = False
        self._scbk = scbk
        self._enforces_secure = enforce_secure
        self._power_on()

    def _power_on(self) -> None:
        self.light = Light()
        self.buzzer = Buzzer()
        self._outputs = [Output() for _ in range(OUTPUTS)]
        self._arrived: list[Seen] = []
        self._heard_ms = now_ms() - UNPOLLED_MS
        self._channel = _Channel()
        flags = [osdp.LibFlag.EnforceSecure] if self._enforces_secure else []
        if self._scbk is None:
            flags = [osdp.LibFlag.InstallMode]
        info = osdp.PDInfo(self.address, self._channel, scbk=self._scbk, name=self.reader[:15], flags=flags)
        self._device = osdp_sys.PeripheralDevice(info.get(), capabilities=osdp.PDCapabilities(_CAPABILITIES).get())
        self._device.set_command_callback(self._obey)
        self._device.set_event_completion_callback(self._sent)
        self._waiting = 0  # only now: a device that went away has just reported its own as aborted
        if self._tampered:
            self.tamper(True)  # the housing is still open

    # --- the person in front of it --------------------------------------------------------------------------

    def present_card(self, bits: int, data: bytes) -> bool:
        """Hold a card of `bits` bits (`data`: bits from the left) to the reader. False: not taken."""
        card = {"reader_no": 0, "format": osdp.CardFormat.Unspecified, "direction": 0}
        return self._report({"event": osdp.Event.CardRead, **card, "length": bits, "data": data})

    def press(self, keys: str, buffered: bool = False) -> bool:
        """Press `keys` (0-9, *, #), reported key by key or `buffered` in one. False: not all taken."""
        codes = bytes(_KEY_CODES[key] for key in keys)
        reports = [codes] if buffered else [bytes([code]) for code in codes]
        event = {"event": osdp.Event.KeyPress, "reader_no": 0}
        taken = [self._report({**event, "data": report}) for report in reports]
        return all(taken)

    def tamper(self, is_on: bool) -> bool:
        """Open or close its housing. It reports it unasked (osdp_LSTATR: tamper, power)."""
        self._tampered = is_on
        report = bytes([is_on, 0])
        return self._report({"event": osdp.Event.Status, "type": osdp.StatusReportType.Local, "report": report})

    def unplug(self, keep_power: bool = False) -> None:
        """Pull its cable; with `keep_power` only the data pair: it keeps its session and events."""
        self.is_plugged = False
        self._keeps_power = keep_power

    def plug_in(self) -> None:
        """Put its cable back. Without power meanwhile, it starts anew; a key that it was given stays."""
        if not self.is_plugged and not self._keeps_power:
            self._power_on()
        self.is_plugged = True

    # --- faults on demand -----------------------------------------------------------------------------------

    def swap_address(self, address: int) -> None:
        """Set it to another address (0 to 126), as a wrong switch does: it starts anew and answers there. Two
        readers of a line may so have one address, and then speak at once."""
        if not 0 <= address <= LAST_ADDRESS:
            raise ValueError(f"reader {self.reader}: its address must be 0 to {LAST_ADDRESS}; seen: {address}")
        self.address = address
        self._power_on()

    def slow_answers(self, answer_ms: float) -> None:
        """Let it think for `answer_ms` before each answer; 0: at once, as before. Over 200 ms a controller has
        given up (SIA OSDP 2.2, section 5), and the answer comes into what is asked next."""
        self.answer_ms = answer_ms

    # --- what can be seen of it -----------------------------------------------------------------------------

    @property
    def has_power(self) -> bool:
        return self.is_plugged or self._keeps_power

    @property
    def is_secure(self) -> bool:
        """Whether its secure channel is up."""
        return bool(self.is_plugged and self._device.is_sc_active())

    @property
    def is_paired(self) -> bool:
        """Whether it has a key of its own; False: install mode."""
        return self._scbk is not None

    def color(self, at_ms: float) -> int:
        """Return the colour of its light: dark without power, its own warning when nobody polls it."""
        if not self.has_power:
            return BLACK
        return offline_color(at_ms) if at_ms - self._heard_ms > UNPOLLED_MS else self.light.color(at_ms)

    def is_beeping(self, at_ms: float) -> bool:
        return self.has_power and self.buzzer.is_sounding(at_ms)

    def is_output_on(self, output: int, at_ms: float) -> bool:
        return self.has_power and self._outputs[output].is_on(at_ms)

    def status(self) -> dict[str, Any]:
        return {
            "reader": self.reader,
            "address": self.address,
            "is_plugged": self.is_plugged,
            "is_secure": self.is_secure,
            "is_tampered": self._tampered,
            "is_paired": self.is_paired,
            "answer_ms": self.answer_ms,
            "missed": self.missed,
        }

    # --- the line -------------------------------------------------------------------------------------------

    def exchange(self, data: bytes) -> bytes:
        """Hear `data` from the line (b"": only time passed) and return the reply, b"" when it has none."""
        if not self.is_plugged:
            return b""
        if data:
            self._heard_ms = now_ms()
        self._channel.incoming += data
        self._device.refresh()
        for _ in range(len(self._channel.incoming)):  # more than libosdp takes in one look
            if not self._channel.incoming:
                break
            self._device.refresh()
        reply = bytes(self._channel.outgoing)
        self._channel.outgoing.clear()
        self._announce()
        return reply

    def _announce(self) -> None:
        arrived, self._arrived = self._arrived, []
        for seen in arrived:
            self.seen.append(seen)
            if self.on_change is not None:
                self.on_change(self, seen)

    def _report(self, event: dict[str, Any]) -> bool:
        if not self.has_power or self._waiting >= EVENTS_WAITING or not self._device.submit_event(event):
            self.missed += 1
            return False
        self._waiting += 1
        return True

    def _sent(self, event: dict[str, Any], status: int) -> None:
        self._waiting -= 1

    def _obey(self, command: dict[str, Any]) -> tuple[int, None]:
        # libosdp 3.2.9 gives back one reference too many to the second item of what this returns; without
        # this line None is freed after some thousand commands, and Python with it (until 3.12 made None
        # immortal).
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        at_ms = now_ms()
        kind = _KINDS.get(command["command"], "other")
        if kind == "keyset":
            self._scbk = command["data"]
            command = {"command": command["command"]}
        self._arrived.append(Seen(time.perf_counter_ns(), kind, command))
        if kind == "led":
            self.light.command(command, at_ms)
        elif kind == "buzzer":
            self.buzzer.command(command, at_ms)
        elif kind == "output":
            self._outputs[command["output_no"]].command(command, at_ms)
        return _REFUSED if kind == "comset" else _ACCEPTED
