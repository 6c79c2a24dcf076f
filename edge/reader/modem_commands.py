"""AT commands one after another, each with its answer or its time-out. V.250, 5.2 to 5.7; TS 27.007, 9.2 (+CME ERROR).

A modem says what it likes between a command and its answer; `line` tells the two apart. After a time-out nothing
is sent but PROBE until its own words come back: a late answer is never taken for another command's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

ANSWER_MS = 4000
PROBE = "AT+CMEE?"  # asked for nothing else, so its answer cannot be mistaken; tells too whether the modem was reset
PROBE_MS = 10000
PROBE_PREFIX, PROBE_VALUE = "+CMEE:", "+CMEE: 1"
MOST_WAITING = 24
_MOST_LINES = 16  # of one answer
_SILENT_AFTER = 2  # time-outs in a row

OK, SILENT = "OK", "silent"
_ERRORS = ("+CME ERROR:", "+CMS ERROR:")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and when. `final`: the result code, or SILENT. `lines`: what came before it."""

    final: str
    lines: list[str] = field(repr=False)
    at_ms: int

    @property
    def is_ok(self) -> bool:
        return self.final == OK

    @property
    def error(self) -> int | None:
        """The number of a +CME or +CMS error, else None."""
        number = self.final.rpartition(" ")[2]
        return int(number) if self.final.startswith(_ERRORS) and number.isdecimal() and len(number) <= 4 else None


@dataclass(frozen=True, slots=True)
class Command:
    """`prefix`: how a line of the answer begins; `least_fields`: fewer are an unsolicited line of the same name.
    `is_bare`: the answer's lines begin with nothing known. `results`: more result codes that end it."""

    text: str = field(repr=False)  # it may hold a PIN or a number
    then: Callable[[Answer], None]
    prefix: str = ""
    least_fields: int = 1
    is_bare: bool = False
    wait_ms: int = ANSWER_MS
    results: tuple[str, ...] = ()


class Commands:
    """The queue. What is to be sent stands in `outgoing`."""

    def __init__(self) -> None:
        self.outgoing = bytearray()
        self.time_outs = 0
        self.dropped = 0  # commands, the queue being full
        self.reset()

    def reset(self) -> None:
        """Forget everything; nobody is told. Echo may be on again, errors may have no numbers."""
        self._waiting: deque[Command] = deque()
        self._current: Command | None = None
        self._lines: list[str] = []
        self._in_a_row = 0
        self.due_ms: int | None = None
        self.is_silent = False
        self.was_reset = False
        self.is_told = False  # the owner sets it when the modem was told ATE0 and AT+CMEE=1
        self.outgoing.clear()

    @property
    def current(self) -> str:
        """The text of the command that is waited for, or ""."""
        return self._current.text if self._current is not None else ""

    @property
    def is_idle(self) -> bool:
        return self._current is None and not self._waiting

    def ask(self, command: Command, now_ms: int, is_urgent: bool = False) -> None:
        """Send it in its turn; an urgent one goes before all that waits."""
        if len(self._waiting) >= MOST_WAITING and not is_urgent:
            self.dropped += 1
            return
        if is_urgent:
            self._waiting.appendleft(command)
        else:
            self._waiting.append(command)
        self._next(now_ms)

    def withdraw(self, beginning: str, now_ms: int) -> None:
        """Take back the commands that begin so and wait for their turn. One that runs is ended by a character where
        it can be ended (V.250, 5.6.1), and given up soon where it cannot."""
        self._waiting = deque(command for command in self._waiting if not command.text.startswith(beginning))
        if self.due_ms is not None and self.current.startswith(beginning):
            self.outgoing += b"\r"
            self.due_ms = min(self.due_ms, now_ms + ANSWER_MS)

    def line(self, text: str, now_ms: int) -> bool:
        """Whether the line belongs to the command that is waited for, which it may end."""
        command = self._current
        if command is None:
            return text == OK  # late, or nobody's
        if text == command.text or text == command.text + " ":
            self.was_reset = self.was_reset or self.is_told
            return True
        if text in (OK, "ERROR") or text.startswith(_ERRORS) or text in command.results:
            self._finish(command, text, now_ms)
            return True
        if self._is_part(command, text):
            if len(self._lines) < _MOST_LINES:
                self._lines.append(text)
            return True
        return False

    def due(self, now_ms: int) -> None:
        """A command whose time is over ends as SILENT, and the line is probed. Silent again: `is_silent`."""
        if self.due_ms is None or now_ms < self.due_ms:
            return
        command, self._current, self.due_ms = self._current, None, None
        self.time_outs += 1
        self._in_a_row += 1
        if self._in_a_row >= _SILENT_AFTER:
            self.is_silent = True
            return
        self._send(Command(PROBE, self._probed, PROBE_PREFIX, wait_ms=PROBE_MS), now_ms)
        if command is not None:
            command.then(Answer(SILENT, [], now_ms))

    def _is_part(self, command: Command, text: str) -> bool:
        if command.prefix and text.startswith(command.prefix):
            return text.count(",") + 1 >= command.least_fields
        return command.is_bare and not text.startswith("+")

    def _finish(self, command: Command, final: str, now_ms: int) -> None:
        if command.text == PROBE and not self._lines:
            return  # the late end of what was given up before
        answer = Answer(final, self._lines, now_ms)
        self._current, self.due_ms, self._lines = None, None, []
        self._in_a_row = 0
        command.then(answer)
        self._next(now_ms)

    def _probed(self, answer: Answer) -> None:
        if self.is_told and answer.lines[-1] != PROBE_VALUE:
            self.was_reset = True

    def _next(self, now_ms: int) -> None:
        if self._current is None and self._waiting and not self.is_silent:
            self._send(self._waiting.popleft(), now_ms)

    def _send(self, command: Command, now_ms: int) -> None:
        self._current = command
        self._lines = []
        self.due_ms = now_ms + command.wait_ms
        self.outgoing += command.text.encode("ascii") + b"\r"
