"""Where outputs go: a door's strike to its line, a light to its reader, a call to its modem."""

import time
from collections.abc import Callable

from edge.config import Config
from edge.decision.indications import TABLE
from edge.decision.model import HOLD, LOCK, Dial, HangUp, Indicate, Strike
from edge.hardware import Hardware
from edge.lines.modbus import coil_at
from edge.reader.modem_line import Modem
from edge.wiring import is_gpio, is_modbus, is_osdp, osdp_line


class Actuators:
    """Performs outputs. A strike that waited for its record and was locked in the meantime is not performed:
    take a `ticket` when it is decided, hand it back with the strike."""

    def __init__(self, config: Config, hardware: Hardware, modem_of: Callable[[str], str]) -> None:
        self._targets = {(door.id, output): target for door in config.door for output, target in door.outputs.items()}
        self._gpio = hardware.gpio
        self._buses = hardware.bus_of
        self._modems = hardware.modems
        self._relay_boards = hardware.relay_boards
        self._board = hardware.simulated
        self._modem_of = modem_of  # door → the id of its panel's modem
        self._calling: dict[str, Modem] = {}  # door → the modem of its running call, whatever a new policy says
        self._locks: dict[tuple[str, str], int] = {}
        self._held: set[tuple[str, str]] = set()
        self._pulse_ends_s: dict[tuple[str, str], float] = {}
        self.is_stopping = False  # from now on strikes are only locked
        self.unwired = 0

    def ticket(self, strike: Strike) -> int:
        """How often this output has been locked so far."""
        return self._locks.get((strike.door, strike.output), 0)

    def strike(self, strike: Strike, ticket: int | None = None) -> None:
        """Move an output. Without wiring nothing moves, and that is counted."""
        where = (strike.door, strike.output)
        if strike.ms == LOCK:
            self._locks[where] = self._locks.get(where, 0) + 1
        elif self.is_stopping or (ticket is not None and ticket != self._locks.get(where, 0)):
            return
        if strike.ms == HOLD:
            self._held.add(where)
        else:
            self._held.discard(where)
        self._pulse_ends_s.pop(where, None)
        if strike.ms not in (HOLD, LOCK):
            self._pulse_ends_s[where] = time.monotonic() + strike.ms / 1000
        self._move(strike, where)

    def _in_pulse(self) -> set[tuple[str, str]]:
        now_s = time.monotonic()
        return {where for where, end_s in self._pulse_ends_s.items() if now_s < end_s}

    def hold_again(self) -> None:
        """A line came back, where everything dropped: doors that shall stand open are told so again."""
        for door, output in sorted(self._held):
            self._move(Strike(door, output, HOLD), (door, output))

    def reader_back(self, reader: str) -> None:
        """A reader is on line again: what it was told meanwhile was lost, so its outputs are told how they shall be
        now. Never a pulse: whoever was let through then has gone; one that runs ends by the reader's own timer."""
        for where, target in self._targets.items():
            if is_osdp(target) and osdp_line(target).reader == reader and where not in self._in_pulse():
                self._move(Strike(*where, HOLD if where in self._held else LOCK), where)

    def indicate(self, shown: Indicate) -> None:
        """Show an outcome at a reader."""
        bus = self._buses.get(shown.reader)
        if bus is not None:
            bus.indicate(shown.reader, TABLE[shown.outcome])
        elif shown.reader in self._gpio.lit:
            self._gpio.lights.indicate(shown.reader, TABLE[shown.outcome])
        elif self._board is not None:
            self._board.indicate(shown.reader, shown.outcome)

    def dial(self, dial: Dial) -> None:
        modem = self._modems.get(self._modem_of(dial.door))
        if modem is not None:
            self._calling[dial.door] = modem
            modem.dial(dial.door, dial.number, dial.delay_s)
        elif self._board is not None:
            self._board.dial(dial.door, dial.panel, str(dial.number), dial.delay_s)

    def hang_up(self, hang_up: HangUp) -> None:
        modem = self._calling.pop(hang_up.door, None)
        if modem is not None:
            modem.hang_up(hang_up.door)
        elif self._board is not None:
            self._board.hang_up(hang_up.door, hang_up.panel)

    def _move(self, strike: Strike, where: tuple[str, str]) -> None:
        if where not in self._targets:
            self.unwired += strike.ms != LOCK
            return
        target = self._targets[where]
        if is_gpio(target):
            self._gpio.outputs.strike(strike.door, strike.output, strike.ms)
        elif is_modbus(target):
            self._relay_boards[coil_at(target)[0]].strike(strike.door, strike.output, strike.ms)
        elif is_osdp(target):
            output = osdp_line(target)
            self._buses[output.reader].set_output(output.reader, output.number, strike.ms)
        elif self._board is not None:
            self._board.strike(strike.door, strike.output, strike.ms)
