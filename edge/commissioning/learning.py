"""The learning reader: a reader that is taken out of use for a moment, to see the commissioning key held at it.

Sans-io. Times are monotonic ms. The steps are those of the manufacturer's procedure for a change of manager: a
countdown to walk there, in which the reader blinks red/green and nothing held at it counts; then it blinks fast in red
and waits for the key; the key is held for about two seconds and taken away; fast green. Anything else fails.

Held, for a reader that reports a card again and again: the first and last report lie HELD_MS apart, and then AWAY_MS
pass in silence. For a reader that reports once a presentation: HOLD_MS pass and nothing speaks against it; that the key
was taken away cannot be seen there, and a short tap passes too. A reader repeats from its third report on, those within
BOUNCE_MS counting as one.
"""

from collections.abc import Callable
from typing import NamedTuple

from edge.commissioning import refusals

COUNTDOWN_S, SHORTEST_S, LONGEST_S, STEP_S = 90, 10, 600, 10
PRESENT_MS = 30_000  # how long it blinks fast in red for a key that does not come
HOLD_MS = 2_000
HELD_MS = 1_500  # "about two seconds", less the time between two reports
AWAY_MS = 1_500  # longer than the slowest reader takes between two reports (about 1 s)
LEFT_MS = 30_000  # a key that is still there is no person's hand
BOUNCE_MS = 200

IDLE = "idle"
ARMED = "armed"
PRESENTING = "presenting"
HOLDING = "holding"
BINDING = "binding"  # what was learnt is being stored; only then it is green
DONE = "done"
FAILED = "failed"

BUSY = (ARMED, PRESENTING, HOLDING, BINDING)

# (state, stimulus) → new state. A pair that is not here changes nothing.
TABLE = {
    (IDLE, "arm"): ARMED,
    (DONE, "arm"): ARMED,
    (FAILED, "arm"): ARMED,
    (ARMED, "countdown-over"): PRESENTING,
    (PRESENTING, "key"): HOLDING,
    (HOLDING, "held"): BINDING,
    (BINDING, "stored"): DONE,
    (ARMED, "fail"): FAILED,
    (PRESENTING, "fail"): FAILED,
    (HOLDING, "fail"): FAILED,
    (BINDING, "fail"): FAILED,
}


class Hold(NamedTuple):
    """The reader opens nothing and shows `outcome` (edge.decision.indications) until told otherwise."""

    reader: str
    outcome: str


class Free(NamedTuple):
    """The reader works again; before its usual light it shows `outcome`, a passing one."""

    reader: str
    outcome: str


class Held(NamedTuple):
    """The key was held there: store what was learnt, then call `stored` or `fail`."""


class Note(NamedTuple):
    """A line for the log (model.Noted)."""

    what: str
    reader: str
    detail: str


Output = Hold | Free | Held | Note
IsKey = Callable[[int], bool]


class Learning:
    """One learning reader at a time. `ignored`: reads that did not count, since the last `arm`."""

    def __init__(self, state: str = IDLE, reason: str = "") -> None:
        """state: IDLE, or how it ended before a restart."""
        self._rest(state, reason)

    def _rest(self, state: str, reason: str) -> None:
        self.state = state
        self.reader, self.reason = "", reason
        self.manager = self.ignored = 0
        self._is_key: IsKey = _nothing
        self._due_ms: int | None = None
        self._number: int | None = None
        self._first_ms = self._last_ms = self._reports = 0

    @property
    def is_busy(self) -> bool:
        """Whether a reader is out of use."""
        return self.state in BUSY

    def next_due(self) -> int | None:
        """When `tick` next has something to do (monotonic ms)."""
        return self._due_ms

    def left_ms(self, now_ms: int) -> int:
        """Of the countdown, or of the time for the key; 0 where nothing runs."""
        shown = self.state in (ARMED, PRESENTING) and self._due_ms is not None
        return max(0, (self._due_ms or 0) - now_ms) if shown else 0

    def arm(
        self, reader: str, manager: int, is_key: IsKey, now_ms: int, countdown_s: int = COUNTDOWN_S
    ) -> list[Output]:
        """Begin the countdown at `reader`. manager: its number, to be shown. is_key: whether a card's number is the
        commissioning key's. ValueError where one is running, or the countdown is outside SHORTEST_S to LONGEST_S."""
        if self.is_busy or not SHORTEST_S <= countdown_s <= LONGEST_S:
            raise ValueError(f"a countdown of {countdown_s} s while {self.state}")
        self._rest(self.state, "")
        self._step("arm")
        self.reader, self.manager, self._is_key = reader, manager, is_key
        self._due_ms = now_ms + countdown_s * 1000
        return [Note("learning-armed", reader, f"manager {manager}, {countdown_s} s"), Hold(reader, "learning")]

    def adjust(self, steps: int, now_ms: int) -> list[Output]:
        """Lengthen the running countdown by `steps` times STEP_S, shorten it where negative; what is left stays between
        SHORTEST_S and LONGEST_S."""
        outputs = self.tick(now_ms)
        if self.state == ARMED:
            left_ms = self.left_ms(now_ms)
            least_ms = min(left_ms, SHORTEST_S * 1000)
            wanted_ms = left_ms + steps * STEP_S * 1000
            self._due_ms = now_ms + min(max(wanted_ms, least_ms), LONGEST_S * 1000)
        return outputs

    def read(self, reader: str, number: int | None, secure: bool, now_ms: int) -> list[Output]:
        """A card at any reader; `number` None: none could be read."""
        outputs = self.tick(now_ms)
        if reader != self.reader or not self.is_busy:
            return outputs
        if self.state in (ARMED, BINDING):  # out of use: nothing counts, so that a resident's badge spoils nothing
            self.ignored += 1
            return outputs
        return outputs + self._seen(number, secure, now_ms)

    def _seen(self, number: int | None, secure: bool, now_ms: int) -> list[Output]:
        if not secure:
            return self.fail(refusals.NOT_SECURE)
        if number is None:
            return self.fail(refusals.UNREADABLE)
        if self.state == PRESENTING:
            if not self._is_key(number):
                return self.fail(refusals.WRONG_KEY)
            self._step("key")
            self._number, self._reports = number, 1
            self._first_ms = self._last_ms = now_ms
        elif number != self._number:
            return self.fail(refusals.OTHER_CARD)
        elif now_ms - self._last_ms >= BOUNCE_MS:
            self._reports += 1
            self._last_ms = now_ms
        self._due_ms = self._first_ms + HOLD_MS
        if self._reports > 1:  # perhaps a slow one that repeats
            self._due_ms = max(self._due_ms, self._last_ms + AWAY_MS)
        if self._repeats:
            self._due_ms = min(self._last_ms + AWAY_MS, self._first_ms + LEFT_MS)
        return []

    @property
    def _repeats(self) -> bool:
        return self._reports > 2

    def offline(self, reader: str, now_ms: int) -> list[Output]:
        """A reader went away."""
        outputs = self.tick(now_ms)
        return outputs + (self.fail(refusals.OFFLINE) if reader == self.reader and self.state != BINDING else [])

    def tick(self, now_ms: int) -> list[Output]:
        """Run what is due."""
        outputs: list[Output] = []
        while self._due_ms is not None and now_ms >= self._due_ms:
            outputs += self._due(self._due_ms)
        return outputs

    def _due(self, at_ms: int) -> list[Output]:
        if self.state == ARMED:
            self._step("countdown-over")
            self._due_ms = at_ms + PRESENT_MS
            return [Hold(self.reader, "learning-present")]
        if self.state == PRESENTING:
            return self.fail(refusals.NO_KEY)
        if self._repeats and at_ms < self._last_ms + AWAY_MS:
            return self.fail(refusals.LEFT_THERE)
        if self._repeats and self._last_ms - self._first_ms < HELD_MS:
            return self.fail(refusals.TAKEN_EARLY)
        self._step("held")
        self._due_ms = None
        return [Held()]

    def stored(self) -> list[Output]:
        """What was learnt is durable: fast green. ValueError where nothing was learnt."""
        if self.state != BINDING:
            raise ValueError(f"nothing to store while {self.state}")
        reader = self.reader
        self._step("stored")
        self._rest(self.state, "")
        return [Note("learning-done", reader, ""), Free(reader, "learning-done")]

    def fail(self, reason: str) -> list[Output]:
        """Give up, with a word of refusals; everything stays as it was. Nothing where nothing runs."""
        if not self.is_busy:
            return []
        reader = self.reader
        self._step("fail")
        self._rest(self.state, reason)
        return [Note("learning-failed", reader, reason), Free(reader, "learning-failed")]

    def _step(self, stimulus: str) -> None:
        self.state = TABLE[self.state, stimulus]


def _nothing(number: int) -> bool:
    return False
