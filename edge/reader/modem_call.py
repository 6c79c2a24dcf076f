"""The one call that a modem has at a time, as a table of states: sans-io, on top of `modem_commands`.

An incoming call is never answered: its number is handed over once and it is hung up, so it costs the caller nothing.
What modems say of a call unasked differs and may be late; +CLCC (TS 27.007, 7.18) is the judge, the rest are hints.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.reader.modem_commands import SILENT, Answer, Commands
from edge.reader.modem_commands import Command as Ask
from edge.reader.modem_dialect import HANG_UP, TURN_AWAY

NUMBER_MS = 1500  # +CLIP follows RING at once where it comes; a ring lasts 5 s (TS 22.001, A.1.5: tones)
LOOK_MS = 500  # between two +CLCC while there is a call
SAME_CALL_MS = 1500  # a RING after a call was hung up belongs to it; nobody dials again as fast
STUCK_MS = 15000  # a call that cannot be hung up
MARGIN_MS = 10000  # the core ends a call by itself; should it not, the modem does, so long after the core's time
TALK_MS = 120000  # as edge.decision.call
MOST_EARLY_KEYS = 8
MOST_CALLERS = 4  # while one call is being hung up

# States of the call.
IDLE, RUNG, CLEARING, DIALLING, CALLING, TALKING = "idle", "rung", "clearing", "dialling", "calling", "talking"
OUTGOING = (DIALLING, CALLING, TALKING)
# +CLCC <stat> and <dir> (TS 27.007, 7.18).
_ACTIVE, _MADE, _VOICE = 0, 0, 0


@dataclass(frozen=True, slots=True)
class Rang:
    """Somebody called. `number`: E.164 digits, None where it was withheld or is no subscriber's."""

    number: int | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the call that we made: "answered", "refused", "ended", or "key" with the key."""

    what: str
    key: str = ""


# (state, what happened) → (next state, what to do: a method of Call, or ""). What is not here changes nothing.
TABLE: dict[tuple[str, str], tuple[str, str]] = {
    (IDLE, "ring"): (RUNG, "_await_number"),
    (IDLE, "number"): (CLEARING, "_hand_over"),
    (RUNG, "number"): (CLEARING, "_hand_over"),
    (RUNG, "late"): (CLEARING, "_hand_over"),
    (RUNG, "gone"): (CLEARING, "_hand_over"),
    (CLEARING, "number"): (CLEARING, "_hand_over_another"),
    (CLEARING, "again"): (CLEARING, "_hang_up_again"),
    (CLEARING, "clear"): (IDLE, "_cleared"),
    (IDLE, "dial"): (DIALLING, "_dial"),
    (DIALLING, "accepted"): (CALLING, ""),
    (DIALLING, "busy"): (CLEARING, "_refused"),
    (DIALLING, "gone"): (CLEARING, "_ended"),
    (DIALLING, "drop"): (CLEARING, "_interrupt"),
    (CALLING, "answered"): (TALKING, "_answered"),
    (CALLING, "busy"): (CLEARING, "_refused"),
    (CALLING, "gone"): (CLEARING, "_ended"),
    (CALLING, "drop"): (CLEARING, "_hang_up"),
    (TALKING, "gone"): (CLEARING, "_ended"),
    (TALKING, "drop"): (CLEARING, "_hang_up"),
    (DIALLING, "number"): (DIALLING, "_turn_away"),
    (CALLING, "number"): (CALLING, "_turn_away"),
    (TALKING, "number"): (TALKING, "_turn_away"),
    (DIALLING, "ring"): (DIALLING, "_turn_away"),
    (CALLING, "ring"): (CALLING, "_turn_away"),
    (TALKING, "ring"): (TALKING, "_turn_away"),
}


class Call:
    """Facts (Rang, Progress) go to `tell`. The owner calls `due` when `next_due` says so."""

    def __init__(self, commands: Commands, tell: Callable[[object], None]) -> None:
        self._commands = commands
        self._tell = tell
        self.state = IDLE
        self.incoming = 0
        self.withheld = 0
        self.outgoing = 0
        self.turned_away = 0
        self.hang_up_ms: int | None = None  # from the last caller's first word to the modem's word that it hung up
        self._now_ms = 0
        self._forget()

    def _forget(self) -> None:
        self.state = IDLE
        self.is_stuck = False
        self._wanted: tuple[int, int] | None = None  # to be dialled when the line is free: number, delay_s
        self._number: int | None = None  # of the caller
        self._last: tuple[int | None, int | None] = (None, None)  # the last caller, and when that was
        self._told: set[int | None] = set()  # the callers told since a call began to be hung up
        self._early_keys = ""
        self._missing = 0
        self._is_turning_away = False
        self._looking = False
        self._rang_ms: int | None = None
        self._clearing_ms = 0
        self._due: dict[str, int] = {}

    # --- what the owner asks and hears ----------------------------------------------------------------------

    def dial(self, number: int, delay_s: int, now_ms: int) -> None:
        """Call `number` once the line is free; a call that we made before ends first."""
        self.hang_up(now_ms)
        self._wanted = (number, delay_s)
        self._due["wanted"] = now_ms + delay_s * 1000
        self._try_dial(now_ms)

    def hang_up(self, now_ms: int) -> None:
        """End the call that we made or are about to make; nothing is told of it any more."""
        self._wanted = None
        self._due.pop("wanted", None)
        self.happened("drop", now_ms)

    def lost(self, now_ms: int) -> None:
        """The modem is gone or starts anew: so is its call."""
        had_call = self.state in OUTGOING or self._wanted is not None
        self._forget()
        if had_call:
            self._tell(Progress("ended"))

    def rings(self, now_ms: int) -> None:
        """RING or +CRING."""
        self.happened("ring", now_ms)

    def shows(self, number: int | None, now_ms: int) -> None:
        """+CLIP or +CCWA: who calls; None: withheld."""
        self._number = number
        self.happened("number", now_ms)

    def hint(self, text: str, now_ms: int) -> None:
        """A result code or another word about the call, unasked."""
        if text == "BUSY":
            self.happened("busy", now_ms)
        elif self.state == RUNG and text == "NO CARRIER":
            self.happened("gone", now_ms)
        elif self.state in (CALLING, TALKING):
            self._missing = max(self._missing, text in ("NO CARRIER", "NO ANSWER"))
            self._look(now_ms)

    def key(self, key: str, now_ms: int) -> None:
        """A tone of the other side. One that comes before we know that it answered waits for that."""
        if self.state == TALKING:
            self._tell(Progress("key", key))
        elif self.state == CALLING:
            self._early_keys = (self._early_keys + key)[:MOST_EARLY_KEYS]
            self._look(now_ms)

    def next_due(self) -> int | None:
        """The time at which `due` has something to do, or None."""
        return min(self._due.values(), default=None)

    def due(self, now_ms: int) -> None:
        """Do what the time asks for."""
        for name in [name for name, at_ms in self._due.items() if at_ms <= now_ms]:
            if self._due.pop(name, None) is None:
                continue
            if name == "look":
                self._look(now_ms)
            elif name == "wanted":
                self._wanted = None
                self._tell(Progress("ended"))
            elif name == "limit":
                self._tell(Progress("ended"))
                self.happened("drop", now_ms)
            else:
                self.happened(name, now_ms)

    def happened(self, what: str, now_ms: int) -> None:
        """One step in TABLE."""
        self._now_ms = now_ms
        self.state, action = TABLE.get((self.state, what), (self.state, ""))
        if action:
            getattr(self, action)()

    # --- incoming -------------------------------------------------------------------------------------------

    def _await_number(self) -> None:
        self._number = None
        self._rang_ms = self._now_ms
        self._due["late"] = self._now_ms + NUMBER_MS

    def _hand_over(self) -> None:
        self._due.pop("late", None)
        if self._rang_ms is None:
            self._rang_ms = self._now_ms
        if self._is_another(self._rang_ms):
            self._count()
        self._hang_up()
        self._told = {self._number}

    def _hand_over_another(self) -> None:
        """A caller is shown while a call is being hung up: mostly the same one, who still rings."""
        is_told = self._number is None or self._number in self._told or len(self._told) >= MOST_CALLERS
        if not is_told and self._is_another(self._now_ms):
            self._count()
            self._told.add(self._number)

    def _is_another(self, rang_ms: int) -> bool:
        last, at_ms = self._last
        return at_ms is None or self._number != last or rang_ms - at_ms >= SAME_CALL_MS

    def _count(self) -> None:
        self._last = (self._number, self._now_ms)
        self.incoming += 1
        self.withheld += self._number is None
        self._tell(Rang(self._number))

    def _turn_away(self) -> None:
        """Somebody calls while we call: he hears that we are busy. Our own call goes on."""
        if not self._is_turning_away:
            self._is_turning_away = True
            self.turned_away += 1
            self._commands.ask(Ask(TURN_AWAY, self._turned), self._now_ms, is_urgent=True)

    def _turned(self, answer: Answer) -> None:
        self._look(answer.at_ms)

    # --- outgoing -------------------------------------------------------------------------------------------

    def _try_dial(self, now_ms: int) -> None:
        if self._wanted is not None:
            self.happened("dial", now_ms)

    def _dial(self) -> None:
        assert self._wanted is not None
        (number, delay_s), self._wanted = self._wanted, None
        self._due.pop("wanted", None)
        self.outgoing += 1
        self._early_keys, self._missing = "", 0
        wait_ms = delay_s * 1000 + MARGIN_MS
        self._due["limit"] = self._now_ms + wait_ms
        made = self.outgoing
        ask = Ask(
            f"ATD+{number};",  # ";": a voice call (V.250, 6.3.1; TS 27.007, 6.2)
            lambda answer: self._dial_ended(made, answer),
            wait_ms=wait_ms,
            results=("BUSY", "NO CARRIER", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE"),
        )
        self._commands.ask(ask, self._now_ms, is_urgent=True)

    def _dial_ended(self, made: int, answer: Answer) -> None:
        if made != self.outgoing or self.state != DIALLING:
            return
        if answer.is_ok:
            self.happened("accepted", answer.at_ms)
            self._due["look"] = answer.at_ms + LOOK_MS
        else:
            self.happened("busy" if answer.final == "BUSY" else "gone", answer.at_ms)

    def _answered(self) -> None:
        self._due["limit"] = self._now_ms + TALK_MS + MARGIN_MS
        self._tell(Progress("answered"))
        for key in self._early_keys:
            self._tell(Progress("key", key))
        self._early_keys = ""

    def _refused(self) -> None:
        self._tell(Progress("refused"))
        self._hang_up()

    def _ended(self) -> None:
        self._tell(Progress("ended"))
        self._hang_up()

    def _interrupt(self) -> None:
        self._commands.withdraw("ATD", self._now_ms)
        self._hang_up()

    # --- hanging up: until +CLCC shows no call --------------------------------------------------------------

    def _hang_up(self) -> None:
        self._due.pop("limit", None)
        self._due.pop("look", None)
        self._is_turning_away = False
        self._told = set()
        self._clearing_ms = self._now_ms
        self._ask_to_hang_up(0)

    def _hang_up_again(self) -> None:
        self._ask_to_hang_up(0)

    def _ask_to_hang_up(self, which: int) -> None:
        ask = Ask(HANG_UP[which], lambda answer: self._hung_up(which, answer))
        self._commands.ask(ask, self._now_ms, is_urgent=True)

    def _hung_up(self, which: int, answer: Answer) -> None:
        if self.state != CLEARING:
            return
        self._now_ms = answer.at_ms
        if answer.is_ok and self._rang_ms is not None:
            self.hang_up_ms, self._rang_ms = self._now_ms - self._rang_ms, None
        if not answer.is_ok and which + 1 < len(HANG_UP):
            self._ask_to_hang_up(which + 1)
        else:
            self._look(self._now_ms)

    def _cleared(self) -> None:
        self._rang_ms = None
        if self._told:
            self._last = (self._last[0], self._now_ms)
        self._due.pop("look", None)
        self._try_dial(self._now_ms)

    # --- looking --------------------------------------------------------------------------------------------

    def _look(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._due.pop("look", None)
        if not self._looking:
            self._looking = True
            ask = Ask("AT+CLCC", self._looked, prefix="+CLCC:", least_fields=5)
            self._commands.ask(ask, now_ms, is_urgent=True)

    def _looked(self, answer: Answer) -> None:
        """What +CLCC shows: our own call, somebody else's, or nothing."""
        self._looking = False
        self._now_ms = answer.at_ms
        own, foreign = _calls(answer.lines)
        if self.state == CLEARING:
            self._look_while_clearing(answer.final != SILENT and own is None and not foreign)
        elif self.state in (CALLING, TALKING):
            self._due["look"] = self._now_ms + LOOK_MS
            if answer.is_ok:
                self._look_at_calls(own, foreign)

    def _look_at_calls(self, own: int | None, foreign: bool) -> None:
        self._is_turning_away = self._is_turning_away and foreign
        if foreign:
            self.happened("ring", self._now_ms)
        if own is not None:
            self._missing = 0
        if own == _ACTIVE:
            self.happened("answered", self._now_ms)
        elif own is None:
            self._missing += 1
            if self._missing > 1 or self.state == TALKING:
                self.happened("gone", self._now_ms)

    def _look_while_clearing(self, is_clear: bool) -> None:
        if is_clear:
            self.happened("clear", self._now_ms)
        elif self._now_ms - self._clearing_ms >= STUCK_MS:
            self.is_stuck = True
        else:
            self._due["again"] = self._now_ms + LOOK_MS


def _calls(lines: list[str]) -> tuple[int | None, bool]:
    """(<stat> of the voice call that we made or None, whether there is one that we did not make)."""
    own: int | None = None
    foreign = False
    for line in lines:
        parts = [part.strip() for part in line.partition(":")[2].split(",")[:4]]
        if len(parts) < 4 or not all(part.isascii() and part.isdecimal() for part in parts):
            continue
        _, direction, stat, mode = (int(part) for part in parts)
        if mode != _VOICE:
            continue  # LTE modems list their data connection
        if direction == _MADE:
            own = stat if own is None else min(own, stat)
        else:
            foreign = True
    return own, foreign
