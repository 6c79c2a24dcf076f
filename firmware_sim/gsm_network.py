"""The telephone network behind a simulated modem: who calls, who is called and how they behave, what it cost whom.

Times are milliseconds of the clock that the modem is given; nothing here waits.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

RING_MS = 6000  # a ring and its pause
ALERT_MS = 1500  # from dialling until it rings at the other side
GIVE_UP_MS = 60_000  # the network ends what nobody answers

# <stat> of +CLCC (TS 27.007, 7.18).
ACTIVE, DIALLING, ALERTING, INCOMING, WAITING = 0, 2, 3, 4, 5


@dataclass(frozen=True)
class Callee:
    """Somebody who is called. `does`: "answers", "refuses", "busy", "silent" or "unreachable", `after_ms` of ringing;
    who answers presses `keys`, one every `key_ms`, and hangs up after `talks_ms` (None: never)."""

    does: str = "silent"
    after_ms: int = 3000
    keys: str = ""
    key_ms: int = 1000
    talks_ms: int | None = None


@dataclass
class Conversation:
    """One call, running or over. `number`: as dialled or shown, "" for withheld. `ended_by`: "door", "caller",
    "callee" or "network". The caller pays for `talked_ms`."""

    number: str = field(repr=False)
    is_incoming: bool
    began_ms: int
    stat: int
    id: int = 1
    kind: int = 145
    rings: int = 0
    keys: str = ""
    answered_ms: int | None = None
    ended_ms: int | None = None
    ended_by: str = ""

    @property
    def talked_ms(self) -> int:
        if self.answered_ms is None or self.ended_ms is None:
            return 0
        return self.ended_ms - self.answered_ms


class Timeline:
    """What is to happen when."""

    def __init__(self) -> None:
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, due_ms: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (due_ms, next(self._order), act))

    def next_due_ms(self) -> int | None:
        return self._events[0][0] if self._events else None

    def run(self, now_ms: int) -> None:
        """Everything that is due, in order."""
        while self._events and self._events[0][0] <= now_ms:
            heapq.heappop(self._events)[2]()


class Network:
    """`say` speaks through the modem; `now_ms` is its clock. `callees`: number → Callee; others are silent."""

    def __init__(self, say: Callable[[str], None], now_ms: Callable[[], int], timeline: Timeline) -> None:
        self._say = say
        self._now_ms = now_ms
        self._timeline = timeline
        self.callees: dict[str, Callee] = {}
        self.running: list[Conversation] = []
        self.over: list[Conversation] = []
        self.registration = 1
        self.signal = 18
        self.shows_callers = False
        self.shows_waiting = False
        self.tells_voice_call = False
        self.on_key: Callable[[str], None] = lambda key: None

    # --- people ---------------------------------------------------------------------------------------------

    def call_in(self, number: str | None, kind: int = 145, patience_ms: int = GIVE_UP_MS) -> Conversation:
        """Somebody calls the modem; None: withheld. He rings for `patience_ms` at most."""
        is_busy = bool(self.running)
        call = Conversation(number or "", True, self._now_ms(), WAITING if is_busy else INCOMING, self._free_id(), kind)
        if self.registration not in (1, 5) or (is_busy and not self.shows_waiting) or len(self.running) > 1:
            self._end(call, "network")
            return call
        self.running.append(call)
        self._ring(call)
        self._later(patience_ms, call, lambda: self._drop(call, "caller"))
        return call

    def answer(self) -> None:
        """The one who is called picks up."""
        call = self._own()
        if call is not None and call.stat != ACTIVE:
            call.stat, call.answered_ms = ACTIVE, self._now_ms()
            if self.tells_voice_call:
                self._say("VOICE CALL: BEGIN")

    def press(self, key: str) -> None:
        """He presses a key."""
        call = self._own()
        if call is not None and call.stat == ACTIVE:
            call.keys += key
            self.on_key(key)

    def refuse(self) -> None:
        """He refuses the call."""
        call = self._own()
        if call is not None:
            self._drop(call, "callee", "BUSY")

    def hang_up(self) -> None:
        """He ends it."""
        call = self._own()
        if call is not None:
            self._drop(call, "callee")

    # --- the modem's side -----------------------------------------------------------------------------------

    def dial(self, number: str) -> bool:
        """False: no network, or a call is running."""
        if self.registration not in (1, 5) or self.running:
            return False
        call = Conversation(number, False, self._now_ms(), DIALLING)
        self.running.append(call)
        callee = self.callees.get(number, Callee())
        if callee.does == "unreachable":
            self._later(ALERT_MS, call, lambda: self._drop(call, "network"))
            return True
        self._later(ALERT_MS, call, lambda: self._alert(call, callee))
        return True

    def end_all(self) -> None:
        """The modem hangs up."""
        for call in self.running[:]:
            self._end(call, "door")

    def turn_away(self) -> None:
        """The modem tells who waits that it is busy."""
        for call in [call for call in self.running if call.stat == WAITING]:
            self._end(call, "door")

    def lost(self) -> None:
        """The modem lost its power: everybody hears that the line is dead."""
        for call in self.running[:]:
            self._end(call, "network")

    def listing(self) -> list[str]:
        """The lines of +CLCC."""
        return [
            f'+CLCC: {call.id},{int(call.is_incoming)},{call.stat},0,0,"{call.number}",{call.kind}'
            for call in self.running
        ]

    def _own(self) -> Conversation | None:
        return next((call for call in self.running if not call.is_incoming), None)

    def _alert(self, call: Conversation, callee: Callee) -> None:
        call.stat = ALERTING
        acts: dict[str, Callable[[], None]] = {
            "answers": lambda: self._pick_up(call, callee),
            "refuses": self.refuse,
            "silent": lambda: self._drop(call, "network", "NO ANSWER"),
        }
        if callee.does == "busy":
            self._drop(call, "network", "BUSY")
        else:
            wait_ms = GIVE_UP_MS if callee.does == "silent" else callee.after_ms
            self._later(wait_ms, call, acts[callee.does])

    def _pick_up(self, call: Conversation, callee: Callee) -> None:
        self.answer()
        for at, key in enumerate(callee.keys):
            self._later((at + 1) * callee.key_ms, call, lambda key=key: self.press(key))  # type: ignore[misc]
        if callee.talks_ms is not None:
            self._later(callee.talks_ms, call, self.hang_up)

    def _ring(self, call: Conversation) -> None:
        call.rings += 1
        shown = f'"{call.number}",{call.kind if call.number else 128}'
        if call.stat == WAITING:
            self._say(f"+CCWA: {shown},1")
            return
        self._say("RING")
        if self.shows_callers:
            self._say(f'+CLIP: {shown},"",0,"",{0 if call.number else 1}')
        self._later(RING_MS, call, lambda: self._ring(call))

    def _drop(self, call: Conversation, by: str, word: str = "NO CARRIER") -> None:
        self._end(call, by)
        if self.tells_voice_call and call.answered_ms is not None:
            self._say(f"VOICE CALL: END: {call.talked_ms // 1000:06d}")
        self._say(word)

    def _end(self, call: Conversation, by: str) -> None:
        call.ended_ms, call.ended_by = self._now_ms(), by
        if call in self.running:
            self.running.remove(call)
        self.over.append(call)

    def _later(self, wait_ms: int, call: Conversation, act: Callable[[], None]) -> None:
        """Unless the call is over by then."""
        self._timeline.at(self._now_ms() + wait_ms, lambda: act() if call.ended_ms is None else None)

    def _free_id(self) -> int:
        return len(self.running) + 1
