"""Is the SIM there and unlocked: TS 27.007, 8.3 (+CPIN). Its PIN is tried where that cannot cost the SIM: never
after a refusal, and never with a try already lost, so that a wrong one takes one try in all, however often this
program is started.
"""

from collections.abc import Callable

from edge.reader.modem_commands import Answer, Commands
from edge.reader.modem_commands import Command as Ask
from edge.reader.modem_dialect import GENERIC
from edge.reader.modem_text import fields, number_of

SIM_MS = 15_000  # between two looks at a SIM that is absent or locked
BUSY_SIM_MS = 1000  # it needs a few seconds after power
PIN_MS = 10_000
PIN_TRIES = 3  # of a SIM that nobody has mistyped (TS 51.011, 8.9)

# <err> of +CME ERROR (TS 27.007, 9.2.1); 515: SIMCom, "please wait, init or command processing in progress".
_BUSY = (14, 515)
_TROUBLE = {10: "no SIM: put one in", 13: "the SIM fails: replace it", 15: "the SIM is of the wrong kind"}


class SimLock:
    """Calls `ready` when the SIM is usable. Else `trouble` says why not, and what to do, and `due_ms` when to ask
    again. ValueError for a PIN that is not 4 to 8 digits."""

    def __init__(self, commands: Commands, pin: str | None, ready: Callable[[int], None]) -> None:
        if pin is not None and not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 8):
            raise ValueError("a SIM's PIN has 4 to 8 digits; the one in the key file has not")
        self._commands = commands
        self._pin = pin
        self._ready = ready
        self._was_refused = False
        self.dialect = GENERIC
        self.trouble = ""
        self.due_ms: int | None = None

    def ask(self, now_ms: int) -> None:
        """Ask the modem for the SIM's state."""
        self.due_ms = None
        self._commands.ask(Ask("AT+CPIN?", self._said, "+CPIN:", wait_ms=5000), now_ms)

    def _said(self, answer: Answer) -> None:
        said = fields(answer.lines[-1])[0] if answer.lines else ""
        if said == "READY":
            self.trouble = ""
            self._ready(answer.at_ms)
        elif said == "SIM PIN":
            self._ask_tries(answer.at_ms)
        elif said in ("SIM PUK", "SIM PIN2", "SIM PUK2"):
            self._wait(f"the SIM asks for {said}: enter it with a telephone", answer.at_ms)
        elif answer.error in _BUSY:
            self._wait("the SIM is busy", answer.at_ms, BUSY_SIM_MS)
        else:
            self._wait(_TROUBLE.get(answer.error or 0, "no usable SIM: put one in"), answer.at_ms)

    def _ask_tries(self, now_ms: int) -> None:
        if self._pin is None:
            self._wait("the SIM asks for its PIN: put it into the key file", now_ms)
        elif self._was_refused:
            self._wait("the SIM refused the PIN, which is not tried again: check the key file", now_ms)
        else:
            self._commands.ask(Ask(self.dialect.tries, self._tries_left, self.dialect.tries_prefix), now_ms)

    def _tries_left(self, answer: Answer) -> None:
        found = fields(answer.lines[0]) if answer.is_ok and answer.lines else []
        tries = number_of(found, self.dialect.tries_field)
        if tries is None:
            said = "the modem does not say how many tries the PIN has left: take the PIN off the SIM with a telephone"
            self._wait(said, answer.at_ms)
        elif tries < PIN_TRIES:
            said = f"the PIN has {tries} tries left and is not risked: enter it with a telephone, check the key file"
            self._wait(said, answer.at_ms)
        else:
            self._was_refused = True  # until it says otherwise
            self._commands.ask(Ask(f'AT+CPIN="{self._pin}"', self._tried, wait_ms=PIN_MS), answer.at_ms)

    def _tried(self, answer: Answer) -> None:
        self._was_refused = not answer.is_ok
        self._wait("the SIM takes the PIN", answer.at_ms, BUSY_SIM_MS)

    def _wait(self, why: str, now_ms: int, wait_ms: int = SIM_MS) -> None:
        self.trouble = why
        self.due_ms = now_ms + wait_ms
