"""Short messages that came: announced by +CMTI, read, handed over for test, deleted. TS 27.005, 3.4 and 3.5."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.reader import modem_sms
from edge.reader.modem_commands import Answer, Commands
from edge.reader.modem_commands import Command as Ask
from edge.reader.modem_number import e164

MOST_WAITING = 10
DELETE_MS = 25_000
_READ_MS = 5000


@dataclass(frozen=True, slots=True)
class Message:
    """A short message, for test: nothing opens by it. `sender`: E.164 digits, or as it was shown."""

    sender: str = field(repr=False)
    text: str = field(repr=False)


class Inbox:
    """Messages go to `tell`, one command at a time; those that find MOST_WAITING waiting are counted as lost."""

    def __init__(self, commands: Commands, country_code: str, tell: Callable[[object], None]) -> None:
        self._commands = commands
        self._country_code = country_code
        self._tell = tell
        self._waiting: deque[int] = deque()
        self.read = 0
        self.lost = 0

    def forget(self) -> None:
        """The modem is gone or starts anew."""
        self.lost += len(self._waiting)
        self._waiting.clear()

    def announced(self, index: int, now_ms: int) -> None:
        """+CMTI: a message stands at `index` of the store."""
        if index in self._waiting:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting.append(index)
        if len(self._waiting) == 1:
            self._ask(now_ms)

    def _ask(self, now_ms: int) -> None:
        ask = Ask(f"AT+CMGR={self._waiting[0]}", self._shown, "+CMGR:", is_bare=True, wait_ms=_READ_MS)
        self._commands.ask(ask, now_ms)

    def _shown(self, answer: Answer) -> None:
        try:
            sender, kind, text = modem_sms.read(answer.lines[-1] if answer.is_ok and answer.lines else "")
        except modem_sms.PduError:
            self.lost += 1
        else:
            self.read += 1
            known = e164(sender, kind, self._country_code)
            self._tell(Message(sender if known is None else str(known), text))
        self._commands.ask(Ask(f"AT+CMGD={self._waiting[0]}", self._deleted, wait_ms=DELETE_MS), answer.at_ms)

    def _deleted(self, answer: Answer) -> None:
        self._waiting.popleft()
        if self._waiting:
            self._ask(answer.at_ms)
