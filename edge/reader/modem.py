"""A GSM modem's dialogue, sans-io: what came and what time it is in, what to send and what happened out.

TS 27.007 (calls, SIM, registration), TS 27.005 (messages), V.250 (result codes); what differs between makers is data
in `modem_dialect`. It owns no port and no clock: `received`, `due`, `dial`, `hang_up`; then take `outgoing` and
`facts`. Numbers and PINs stand in no exception, count or status.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.reader import modem_dialect
from edge.reader.modem_call import Call, Progress
from edge.reader.modem_commands import PROBE, PROBE_MS, PROBE_PREFIX, Answer, Commands
from edge.reader.modem_commands import Command as Ask
from edge.reader.modem_inbox import DELETE_MS, Inbox
from edge.reader.modem_number import check_country_code, e164
from edge.reader.modem_sim import SimLock
from edge.reader.modem_text import Lines, fields, number_of

# States of the modem, and what leads from one to the next. What is not in LINK changes nothing.
CLOSED, WAKING, SIM, SETTING_UP, SEARCHING, READY = "closed", "waking", "sim", "setting-up", "searching", "ready"
LINK = {
    (CLOSED, "opened"): WAKING,
    (WAKING, "greeted"): SIM,
    (SIM, "sim-ready"): SETTING_UP,
    (SETTING_UP, "set-up"): SEARCHING,
    (SEARCHING, "registered"): READY,
    (READY, "unregistered"): SEARCHING,
    **{(state, "again"): WAKING for state in (WAKING, SIM, SETTING_UP, SEARCHING, READY)},
    **{(state, "lost"): CLOSED for state in (WAKING, SIM, SETTING_UP, SEARCHING, READY)},
}
WORKING = (SEARCHING, READY)  # set up: calls and messages are listened to

POLL_MS = 10_000
GRACE_MS = 30_000  # a network is found in less; a modem that is not ready for longer is said to be down
AGAIN_MS = (500, 1000, 2000, 4000, 8000, 15_000, 30_000)  # pauses before another try; the last one repeats
_REGISTERED = {1: "home network", 5: "roaming"}  # TS 27.007, 7.2
_NOT_REGISTERED = {0: "not searching", 2: "searching", 3: "the network refuses the SIM", 4: "unknown"}


@dataclass(frozen=True, slots=True)
class Up:
    """Set up and registered."""

    detail: str


@dataclass(frozen=True, slots=True)
class Down:
    """Neither calls nor callers: why, and what to do. Once each time."""

    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the set-up. `needed`: without OK the set-up begins again."""

    text: str
    needed: bool = True
    wait_ms: int = 4000


_GREETING = (Step("ATE0"), Step("ATV1", False), Step("AT+CMEE=1"))
_SET_UP = (
    Step("AT+CVHU=0", False),  # ATH ends voice calls too (TS 27.007, 6.20)
    *(Step(text, False) for text in modem_dialect.HANG_UP),  # a call that another run left
    Step("AT+CRC=0", False),
    Step("AT+CLIP=1", wait_ms=15_000),  # it may ask the network
    Step("AT+CREG=1"),
    Step("AT+CCWA=1", False),
    Step("AT+CMGF=0"),  # PDU form, see modem_sms
    Step("AT+CNMI=2,1,0,0,0", False),  # messages are stored and announced, never sent here unasked
    Step("AT+CMGD=1,4", False, DELETE_MS),  # a full store takes no message (TS 27.005, 3.5.4)
)


class Dialogue:
    """One modem. ValueError for a PIN that is not 4 to 8 digits or a country code that is none."""

    def __init__(self, pin: str | None, country_code: str) -> None:
        self._country_code = check_country_code(country_code)
        self._lines = Lines()
        self._commands = Commands()
        self._facts: list[object] = []
        self.call = Call(self._commands, self._tell)
        self._sim = SimLock(self._commands, pin, self._sim_ready)
        self._inbox = Inbox(self._commands, self._country_code, self._tell)
        self.state = CLOSED
        self.dialect = modem_dialect.GENERIC
        self.trouble = ""
        self.registration = ""
        self.signal: int | None = None  # 0 to 31 (TS 27.007, 8.5)
        self.odd_lines = 0
        self.restarts = 0
        self.is_up = False
        self._down_told = False
        self._down_since_ms: int | None = None
        self._failures = 0
        self._due: dict[str, int] = {}

    # --- what the owner asks and hears ----------------------------------------------------------------------

    def opened(self, now_ms: int) -> None:
        """The port is open."""
        self._lines.clear()
        self._failures = 0
        self._down_since_ms = now_ms
        self._move("opened", now_ms)

    def lost(self, why: str, now_ms: int) -> None:
        """The port is gone, or could not be opened."""
        self._leave(now_ms)
        self._move("lost", now_ms)
        self._down(why)

    def received(self, data: bytes, now_ms: int) -> None:
        """Take what came from the port."""
        for text in self._lines.feed(data):
            if self.state != CLOSED:
                self._line(text, now_ms)
        self._look_after(now_ms)

    def due(self, now_ms: int) -> None:
        """Do what the time asks for. Harmless when nothing is due."""
        self._commands.due(now_ms)
        self._look_after(now_ms)
        if self.state in WORKING:
            self.call.due(now_ms)
        if self._sim.due_ms is not None and now_ms >= self._sim.due_ms:
            self._sim.ask(now_ms)
        for name in [name for name, at_ms in self._due.items() if at_ms <= now_ms]:
            if self._due.pop(name, None) is not None:
                self._DUE[name](self, now_ms)
        if not self.is_up and self._down_since_ms is not None and now_ms - self._down_since_ms >= GRACE_MS:
            self._down(self._sim.trouble or self.trouble or "the modem is not ready")

    def next_due(self) -> int | None:
        """The time at which `due` has something to do, or None."""
        times = [*self._due.values()]
        others = (self._commands.due_ms, self.call.next_due(), self._sim.due_ms)
        times += [at_ms for at_ms in others if at_ms is not None]
        if not self.is_up and not self._down_told and self._down_since_ms is not None:
            times.append(self._down_since_ms + GRACE_MS)
        return min(times, default=None)

    def dial(self, number: int, delay_s: int, now_ms: int) -> None:
        """Call `number` (E.164 digits). Progress facts follow; "ended" at once where there is no network."""
        if self.state == READY:
            self.call.dial(number, delay_s, now_ms)
        else:
            self._facts.append(Progress("ended"))

    def hang_up(self, now_ms: int) -> None:
        """End our call, or drop the wish for one."""
        self.call.hang_up(now_ms)

    def take_outgoing(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self._commands.outgoing)
        self._commands.outgoing.clear()
        return data

    def take_facts(self) -> list[object]:
        """modem.Up and Down, modem_call.Rang and Progress, modem_inbox.Message, in order."""
        facts, self._facts = self._facts, []
        return facts

    def status(self) -> dict[str, Any]:
        """For people: plain values, no numbers, no PIN."""
        return {
            "state": self.state,
            "dialect": self.dialect.name,
            "registration": self.registration,
            "signal": self.signal,
            "trouble": self._sim.trouble or self.trouble,
            "call": self.call.state,
            "incoming": self.call.incoming,
            "withheld": self.call.withheld,
            "outgoing": self.call.outgoing,
            "turned_away": self.call.turned_away,
            "hang_up_ms": self.call.hang_up_ms,
            "messages": self._inbox.read,
            "lost_messages": self._inbox.lost,
            "restarts": self.restarts,
            "time_outs": self._commands.time_outs,
            "dropped_commands": self._commands.dropped,
            "odd_lines": self.odd_lines,
            "dropped_lines": self._lines.dropped,
            "noise_bytes": self._lines.noise,
        }

    # --- the state ------------------------------------------------------------------------------------------

    def _tell(self, fact: object) -> None:
        self._facts.append(fact)

    def _move(self, what: str, now_ms: int) -> None:
        before, self.state = self.state, LINK.get((self.state, what), self.state)
        if self.state != before or what == "again":
            if self.state != READY and self.is_up:
                self.is_up, self._down_since_ms, self._down_told = False, now_ms, False
            self._ENTER[self.state](self, now_ms)

    def _again(self, why: str, now_ms: int) -> None:
        """Set the modem up anew, after a pause that grows."""
        self.trouble = why
        self.restarts += 1
        self._leave(now_ms)
        self._move("again", now_ms)

    def _leave(self, now_ms: int) -> None:
        self.call.lost(now_ms)
        self._commands.reset()
        self._due.clear()
        self._sim.due_ms = None
        self._inbox.forget()
        self.registration, self.signal = "", None

    def _look_after(self, now_ms: int) -> None:
        if self.state == CLOSED:
            return
        if self._commands.is_silent:
            self._again("the modem does not answer: check its power, its cable and `baud`", now_ms)
            self._down(self.trouble)
        elif self._commands.was_reset:
            self._again("the modem was reset", now_ms)
        elif self.call.is_stuck:
            self._again("the modem does not hang up", now_ms)

    def _down(self, why: str) -> None:
        self.trouble = why
        if not self._down_told:
            self._down_told = True
            self._facts.append(Down(why))

    def _closed(self, now_ms: int) -> None:
        self._down_since_ms = None

    def _wake(self, now_ms: int) -> None:
        self._due["greet"] = now_ms + (AGAIN_MS[min(self._failures, len(AGAIN_MS)) - 1] if self._failures else 0)
        self._failures += 1

    def _greet(self, now_ms: int) -> None:
        """A bare AT lets a modem find our speed (V.250, 4.3); the probe waits for its own words."""
        self._commands.outgoing += b"AT\r"
        steps = deque(_GREETING)
        probe = Ask(PROBE, lambda answer: self._run(steps, answer), PROBE_PREFIX, wait_ms=PROBE_MS)
        self._commands.ask(probe, now_ms)

    def _run(self, steps: deque[Step], answer: Answer, done: Step | None = None) -> None:
        """One command of the set-up after the other; then the state's next."""
        if done is not None and done.needed and not answer.is_ok:
            self._again(f"the modem refuses {done.text}", answer.at_ms)
        elif steps:
            step = steps.popleft()
            following = Ask(step.text, lambda answer: self._run(steps, answer, step), wait_ms=step.wait_ms)
            self._commands.ask(following, answer.at_ms)
        elif self.state == WAKING:
            self._commands.is_told = True
            self._commands.ask(Ask("AT+CGMI", self._made_by, is_bare=True), answer.at_ms)
        else:
            self._move("set-up", answer.at_ms)

    def _made_by(self, answer: Answer) -> None:
        self.dialect = self._sim.dialect = modem_dialect.dialect_of(answer.lines)
        self._move("greeted", answer.at_ms)

    def _ask_sim(self, now_ms: int) -> None:
        self._sim.ask(now_ms)

    def _sim_ready(self, now_ms: int) -> None:
        self._move("sim-ready", now_ms)

    def _set_up(self, now_ms: int) -> None:
        listen = (Step(text, False) for text in self.dialect.listen)
        self._run(deque((*_SET_UP, *listen)), Answer("OK", [], now_ms))

    def _ready(self, now_ms: int) -> None:
        self.is_up, self._down_told, self._down_since_ms = True, False, None
        self.trouble = ""
        self._failures = 0
        self._facts.append(Up(f"{self.dialect.name} modem, {self.registration}"))

    # --- at work --------------------------------------------------------------------------------------------

    def _search(self, now_ms: int) -> None:
        self._poll(now_ms)

    def _poll(self, now_ms: int) -> None:
        """Between calls: is it still the modem that we set up, is there a network, how strong."""
        self._due["poll"] = now_ms + POLL_MS
        if self._commands.is_idle:
            self._commands.ask(Ask("AT+CREG?", self._registration_said, "+CREG:", least_fields=2), now_ms)
            self._commands.ask(Ask("AT+CSQ", self._signal_said, "+CSQ:", least_fields=2), now_ms)

    def _registration_said(self, answer: Answer) -> None:
        found = fields(answer.lines[-1]) if answer.is_ok and answer.lines else []
        told, stat = number_of(found, 0), number_of(found, 1)
        if told is not None and told != 1:
            self._commands.was_reset = True  # it was told 1
        elif stat is not None:
            self._registered(stat, answer.at_ms)

    def _registered(self, stat: int, now_ms: int) -> None:
        self.registration = _REGISTERED.get(stat) or _NOT_REGISTERED.get(stat, "no voice calls")
        if stat in _REGISTERED:
            self._move("registered", now_ms)
        else:
            self.trouble = f"no network: {self.registration}"
            self._move("unregistered", now_ms)

    def _signal_said(self, answer: Answer) -> None:
        value = number_of(fields(answer.lines[-1]), 0) if answer.is_ok and answer.lines else None
        self.signal = value if value is not None and value <= 31 else None

    # --- lines ----------------------------------------------------------------------------------------------

    def _line(self, text: str, now_ms: int) -> None:
        if self._commands.line(text, now_ms):
            return
        if text.startswith(modem_dialect.START_LINES):
            if self.state not in (CLOSED, WAKING):
                self._again("the modem started anew", now_ms)
        elif self.state in WORKING:
            self._unasked(text, now_ms)
        elif not text.startswith(("AT", "+CPIN:", "+CREG:")):  # echo; what a start says
            self.odd_lines += 1

    def _unasked(self, text: str, now_ms: int) -> None:
        """A line that no command asked for."""
        prefix, colon, rest = text.partition(":")
        found = fields(text) if colon else []
        key = modem_dialect.key_of(self.dialect, prefix + colon, rest.split(",")[0].strip())
        if text == "RING" or prefix == "+CRING":
            self.call.rings(now_ms)
        elif prefix in ("+CLIP", "+CCWA") and len(found) >= 2:
            self._shown(found, now_ms)
        elif key is not None:
            self.call.key(key, now_ms)
        elif text == "BUSY" or text.startswith(modem_dialect.CALL_HINTS):
            self.call.hint(text, now_ms)
        elif prefix == "+CREG" and (stat := number_of(found, 0)) is not None:
            self._registered(stat, now_ms)
        elif prefix == "+CMTI" and (index := number_of(found, 1)) is not None:
            self._inbox.announced(index, now_ms)
        elif prefix == "+CPIN" and found[0] != "READY":
            self._again("the SIM was taken out or locked", now_ms)
        elif prefix not in ("+CPIN", "+CSQ"):
            self.odd_lines += 1

    def _shown(self, found: list[str], now_ms: int) -> None:
        """+CLIP: <number>,<type>[,<subaddr>,<satype>[,<alpha>[,<CLI validity>]]] (TS 27.007, 7.11): validity 1 and 2
        say that the caller is withheld or not known."""
        kind = number_of(found, 1)
        is_withheld = found[0] == "" or number_of(found, 5) in (1, 2)
        if kind is None or (not is_withheld and not found[0].lstrip("+").isdecimal()):
            self.odd_lines += 1  # garbled: the next one, or none, counts
        else:
            number = None if is_withheld else e164(found[0], kind, self._country_code)
            self.call.shows(number, now_ms)

    _ENTER: dict[str, Callable[["Dialogue", int], None]] = {  # noqa: RUF012
        CLOSED: _closed, WAKING: _wake, SIM: _ask_sim, SETTING_UP: _set_up, SEARCHING: _search, READY: _ready,
    }  # fmt: skip
    _DUE: dict[str, Callable[["Dialogue", int], None]] = {"greet": _greet, "poll": _poll}  # noqa: RUF012
