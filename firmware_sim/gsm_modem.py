"""A GSM modem in software: AT commands on a pty whose far end is a telephone network (`gsm_network`).

The pty's name changes with each start, so it is published as a symlink. Faults on demand: mute, slow, garbage,
unplugged, rebooted, echo. With a clock of its own it lives by itself; whoever gives it one calls `tick`.
"""

import asyncio
import os
import time
import tty
from collections.abc import Callable
from pathlib import Path

from firmware_sim.gsm_makers import MAKERS
from firmware_sim.gsm_messages import deliver_pdu
from firmware_sim.gsm_network import Network, Timeline

READ_BYTES = 4096
BOOT_MS = 2000
STORE = 10  # messages
LONGEST_COMMAND = 556
TRIES = 3


class GsmModem:
    """A modem at `path`. `pin`: its SIM asks for it; `has_sim`; `maker`: a key of MAKERS.

    `network`: people who call and are called. `commands`: all that it was told (with numbers: for tests).
    """

    def __init__(
        self,
        path: str | Path,
        maker: str = "sim800",
        *,
        pin: str = "",
        has_sim: bool = True,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.path = Path(path)
        self.maker = MAKERS[maker]
        self.has_sim = has_sim
        self.tries = TRIES
        self.commands: list[str] = []
        self.is_mute = False
        self.answer_ms = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.dropped_bytes = 0
        self.lost_messages = 0
        self._pin = pin
        self._lives_alone = now_ms is None
        self.now_ms = now_ms or (lambda: time.monotonic_ns() // 1_000_000)
        self.timeline = Timeline()
        self.network = Network(self._say, self.now_ms, self.timeline)
        self.network.on_key = self._tell_key
        self.store: dict[int, tuple[str, str]] = {}
        self._master: int | None = None
        self._slave: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._power_on()

    def _power_on(self) -> None:
        self._heard = bytearray()
        self._echo = True
        self._errors_have_numbers = False
        self._creg = 0
        self._listens = False
        self._text_mode = False
        self._hang_up_by_h = False
        self._is_booting = False
        self._is_unlocked = not self._pin
        self.network.shows_callers = self.network.shows_waiting = False
        self.network.tells_voice_call = self.maker.tells_voice_call

    # --- the adapter ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the pty and publish it. Needs a running loop."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        os.replace(fresh, self.path)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self._set_timer()  # it went on without the adapter

    def close(self) -> None:
        """Pull the adapter: the port vanishes. The modem keeps its power and its calls."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.path.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None

    def plug(self) -> None:
        """`open`, as the other devices name it."""
        self.open()

    def unplug(self) -> None:
        """`close`, as the other devices name it."""
        self.close()

    @property
    def is_plugged(self) -> bool:
        return self._master is not None

    def tick(self) -> None:
        """Do what the time asks for."""
        self.timeline.run(self.now_ms())
        self._set_timer()

    def _set_timer(self) -> None:
        if not self._lives_alone:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self.timeline.next_due_ms()
        if due_ms is not None and self.is_plugged:
            wait_s = max(0.0, (due_ms - self.now_ms()) / 1000)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.tick)

    # --- faults and happenings ------------------------------------------------------------------------------

    def noise(self, data: bytes) -> None:
        """Bytes that nobody meant."""
        self._write(data)

    def reboot(self, says_so: bool = True) -> None:
        """Power gone and back: everything that it was told is forgotten. `says_so`: not while it finds the speed by
        itself (autobauding)."""
        self.network.lost()
        self._power_on()
        self._is_booting = True
        self.timeline.at(self.now_ms() + BOOT_MS, lambda: self._booted(says_so))
        self._set_timer()

    def take_sim(self) -> None:
        """Somebody takes the SIM out."""
        self.has_sim = False
        self.network.lost()
        self._say("+CPIN: NOT INSERTED")

    def register(self, stat: int) -> None:
        """The network takes the modem or loses it: <stat> of +CREG."""
        self.network.registration = stat
        if self._creg == 1:
            self._say(f"+CREG: {stat}")

    def receive_text(self, sender: str, text: str) -> None:
        """A short message comes."""
        index = next((index for index in range(1, STORE + 1) if index not in self.store), None)
        if index is None:
            self.lost_messages += 1
            return
        self.store[index] = (sender, text)
        self._say(f'+CMTI: "SM",{index}')

    def _booted(self, says_so: bool) -> None:
        self._is_booting = False
        if says_so:
            for line in ("RDY", "+CFUN: 1", self._sim_line()):
                self._say(line)

    def _tell_key(self, key: str) -> None:
        if self._listens:
            self._say(self.maker.key(key))

    # --- the line -------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        self.bytes_in += len(data)
        if self._is_booting or self.is_mute:
            return
        for byte in data:
            if byte == 13:
                command = self._heard.decode("latin-1").strip()
                self._heard.clear()
                if command:
                    self._command(command)
            elif len(self._heard) < LONGEST_COMMAND:
                self._heard.append(byte)
        self._set_timer()

    def _command(self, command: str) -> None:
        self.commands.append(command)
        if self._echo:
            self._write(command.encode("latin-1") + b"\r")
        if self.answer_ms:
            self.timeline.at(self.now_ms() + self.answer_ms, lambda: self._answer(command))
        else:
            self._answer(command)

    def _answer(self, command: str) -> None:
        if self._is_booting:
            return
        lines = self._obey(command[2:].upper()) if command[:2].upper() == "AT" else None
        for line in self._error(None) if lines is None else lines:
            self._say(line)

    def _error(self, number: int | None) -> list[str]:
        return [f"+CME ERROR: {number}" if number is not None and self._errors_have_numbers else "ERROR"]

    def _say(self, line: str) -> None:
        if not self.is_mute and not self._is_booting:
            self._write(f"\r\n{line}\r\n".encode("latin-1", "replace"))
        self._set_timer()

    def _write(self, data: bytes) -> None:
        if self._master is None:
            return
        try:
            written = os.write(self._master, data)
        except BlockingIOError:
            written = 0
        self.bytes_out += written
        self.dropped_bytes += len(data) - written

    # --- what it is told: the lines of the answer, None for ERROR -------------------------------------------

    def _obey(self, told: str) -> list[str] | None:
        if told in ("", "V1", "+CRC=0", "+CNMI=2,1,0,0,0"):
            return ["OK"]
        if told in _SIMPLE:
            return _SIMPLE[told](self)
        if told == self.maker.tries:
            return [self.maker.tells_tries(self.tries), "OK"]
        if told.startswith("+CPIN="):
            return self._unlock(told[6:].strip('"'))
        if not self._sim_is_ready():
            return self._error(10 if not self.has_sim else 11)
        if told == self.maker.listen:
            self._listens = True
            return ["OK"]
        for start, act in _WITH_VALUE.items():
            if told.startswith(start):
                return act(self, told[len(start) :])
        return None

    def _sim_is_ready(self) -> bool:
        return self.has_sim and self._is_unlocked

    def _sim_line(self) -> str:
        if not self.has_sim:
            return "+CPIN: NOT INSERTED"
        if self.tries == 0:
            return "+CPIN: SIM PUK"
        return "+CPIN: READY" if self._is_unlocked else "+CPIN: SIM PIN"

    def _set_echo(self, is_on: bool) -> list[str]:
        self._echo = is_on
        return ["OK"]

    def _set_cmee(self) -> list[str]:
        self._errors_have_numbers = True
        return ["OK"]

    def _ask_sim(self) -> list[str]:
        return [self._sim_line(), "OK"] if self.has_sim else self._error(10)

    def _unlock(self, pin: str) -> list[str]:
        if not self.has_sim or self._is_unlocked or self.tries == 0:
            return self._error(3)
        if pin != self._pin:
            self.tries -= 1
            return self._error(16)
        self.tries = TRIES
        self._is_unlocked = True
        return ["OK", "+CPIN: READY"]

    def _ask_registration(self) -> list[str]:
        stat = self.network.registration if self._sim_is_ready() else 0
        return [f"+CREG: {self._creg},{stat}", "OK"]

    def _hang_up(self, told: str) -> list[str] | None:
        if told == "+CHUP" and not self.maker.has_chup:
            return None
        if told == "+CHUP" or self._hang_up_by_h or not self.maker.has_chup:
            self.network.end_all()
        return ["OK"]

    def _turn_away(self) -> list[str]:
        self.network.turn_away()
        return ["OK"]

    def _obey_h(self) -> list[str]:
        self._hang_up_by_h = True
        return ["OK"]

    def _show_callers(self, value: str) -> list[str]:
        self.network.shows_callers = value == "1"
        return ["OK"]

    def _show_waiting(self, value: str) -> list[str]:
        self.network.shows_waiting = value == "1"
        return ["OK"]

    def _set_creg(self, value: str) -> list[str]:
        self._creg = int(value)
        return ["OK"]

    def _set_text_mode(self, value: str) -> list[str]:
        self._text_mode = value == "1"
        return ["OK"]

    def _dial(self, value: str) -> list[str] | None:
        number = value.removesuffix(";")
        if not value.endswith(";") or not number.lstrip("+").isdecimal():
            return None
        return ["OK"] if self.network.dial(number) else ["NO CARRIER"]

    def _show_message(self, value: str) -> list[str] | None:
        index = int(value) if value.isdecimal() else 0
        if index not in self.store:
            return ["+CMS ERROR: 321"]
        sender, text = self.store[index]
        if self._text_mode:
            return [f'+CMGR: "REC UNREAD","{sender}","","26/11/23,15:08:04+04"', text, "OK"]
        pdu = deliver_pdu(sender, text)
        return [f"+CMGR: 0,,{len(pdu) // 2 - 8}\r\n{pdu}", "OK"]

    def _delete_message(self, value: str) -> list[str]:
        if value == "1,4":
            self.store.clear()
        else:
            self.store.pop(int(value), None)
        return ["OK"]


_SIMPLE: dict[str, Callable[[GsmModem], list[str] | None]] = {
    "E0": lambda modem: modem._set_echo(False),
    "E1": lambda modem: modem._set_echo(True),
    "+CMEE=1": lambda modem: modem._set_cmee(),
    "+CMEE?": lambda modem: [f"+CMEE: {int(modem._errors_have_numbers)}", "OK"],
    "+CGMI": lambda modem: [modem.maker.says, "OK"],
    "+CPIN?": lambda modem: modem._ask_sim(),
    "+CREG?": lambda modem: modem._ask_registration(),
    "+CSQ": lambda modem: [f"+CSQ: {modem.network.signal},0", "OK"],
    "+CLCC": lambda modem: [*modem.network.listing(), "OK"],
    "+CHUP": lambda modem: modem._hang_up("+CHUP"),
    "H": lambda modem: modem._hang_up("H"),
    "+CHLD=0": lambda modem: modem._turn_away(),
    "+CVHU=0": lambda modem: modem._obey_h(),
}
_WITH_VALUE: dict[str, Callable[[GsmModem, str], list[str] | None]] = {
    "+CLIP=": lambda modem, value: modem._show_callers(value),
    "+CCWA=": lambda modem, value: modem._show_waiting(value),
    "+CREG=": lambda modem, value: modem._set_creg(value),
    "+CMGF=": lambda modem, value: modem._set_text_mode(value),
    "+CMGR=": lambda modem, value: modem._show_message(value),
    "+CMGD=": lambda modem, value: modem._delete_message(value),
    "D": lambda modem, value: modem._dial(value),
}
