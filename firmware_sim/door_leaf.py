"""A door's leaf and the person who pushes it: what the contact says follows from what the strike lets happen.

A strike only lets a latch go; the leaf moves because somebody pushes it, and falls to because of its closer. Time is
an argument, in milliseconds, never falling: `advance` does what fell due, `due_ms` says when that will be. `keep` does
it on the machine's clock.

Faults on demand: `force`, `prop`, `stick_contact`, and a contact that bounces (`bounce_ms`).
"""

import asyncio
import time
from collections.abc import Callable

CLOSES_AFTER_MS = 3000  # a closer to EN 1154 takes 3 to 7 s from 90°; a person passes meanwhile
BOUNCES = 4  # of a reed contact, each way
IDLE_S = 0.25


class DoorLeaf:
    """A leaf, closed at first.

    is_released: whether the strike lets it go now. on_contact(is_open): gets each change of the contact, bounces too.
    closes_after_ms: from the last push until it is shut again, if nothing keeps it open. bounce_ms: for how long the
    contact bounces at each movement; 0: not at all. `passages`, `refusals` (pushes against a locked door), `forcings`:
    how often.
    """

    def __init__(
        self,
        is_released: Callable[[], bool],
        on_contact: Callable[[bool], None],
        closes_after_ms: int = CLOSES_AFTER_MS,
        bounce_ms: int = 0,
    ) -> None:
        self._is_released = is_released
        self._on_contact = on_contact
        self._closes_after_ms = closes_after_ms
        self._bounce_ms = bounce_ms
        self.is_open = False
        self.is_propped = False
        self.passages = 0
        self.refusals = 0
        self.forcings = 0
        self._said_open = False
        self._stuck: bool | None = None
        self._closes_ms: int | None = None
        self._bounces: list[tuple[int, bool]] = []  # (when, what the contact says from then on)

    @property
    def due_ms(self) -> int | None:
        """When `advance` has something to do; None: when somebody does something."""
        dues = [self._bounces[0][0]] if self._bounces else []
        return min([*dues, self._closes_ms] if self._closes_ms is not None else dues, default=None)

    @property
    def says_open(self) -> bool:
        """What the contact said last, true or not."""
        return self._said_open

    # --- people ---------------------------------------------------------------------------------------------

    def push(self, now_ms: int) -> bool:
        """Somebody pushes. It opens where it is open or the strike lets it go; False: it stays shut."""
        self.advance(now_ms)
        if not self.is_open and not self._is_released():
            self.refusals += 1
            return False
        self.passages += 1
        self._swing(now_ms)
        return True

    def force(self, now_ms: int) -> None:
        """Somebody breaks it open, whatever the strike does."""
        self.advance(now_ms)
        self.forcings += 1
        self._swing(now_ms)

    def prop(self, is_propped: bool, now_ms: int) -> None:
        """Put something under the open leaf, or take it away: then it falls to after its time. What lies before a
        closed leaf keeps nothing open."""
        self.advance(now_ms)
        self.is_propped = is_propped and self.is_open
        if self.is_open:
            self._closes_ms = None if self.is_propped else now_ms + self._closes_after_ms

    def shut(self, now_ms: int) -> None:
        """Somebody pulls it shut, whatever lies under it."""
        self.advance(now_ms)
        self.is_propped = False
        if self.is_open:
            self._close(now_ms)

    # --- faults ---------------------------------------------------------------------------------------------

    def stick_contact(self, is_open: bool | None, now_ms: int) -> None:
        """Let the contact say `is_open`, whatever the leaf does; None: it works again."""
        self.advance(now_ms)
        self._stuck = is_open
        self._bounces.clear()
        self._say(self.is_open if is_open is None else is_open)

    # --- time -----------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Do what fell due until now, in its order."""
        while (due_ms := self.due_ms) is not None and due_ms <= now_ms:
            if self._bounces and self._bounces[0][0] == due_ms:
                self._say(self._bounces.pop(0)[1])
            else:
                self._close(due_ms)

    def _swing(self, now_ms: int) -> None:
        if not self.is_propped:
            self._closes_ms = now_ms + self._closes_after_ms
        if not self.is_open:
            self.is_open = True
            self._move_contact(now_ms)

    def _close(self, at_ms: int) -> None:
        self._closes_ms = None
        self.is_open = False
        self._move_contact(at_ms)

    def _move_contact(self, at_ms: int) -> None:
        if self._stuck is not None:
            return
        self._bounces.clear()
        self._say(self.is_open)
        if self._bounce_ms:
            count = 2 * BOUNCES
            levels = [(turn % 2 == 0) == self.is_open for turn in range(1, count + 1)]
            self._bounces = [(at_ms + self._bounce_ms * (at + 1) // count, says) for at, says in enumerate(levels)]

    def _say(self, is_open: bool) -> None:
        if is_open != self._said_open:
            self._said_open = is_open
            self._on_contact(is_open)


def now_ms() -> int:
    """The monotonic clock, in milliseconds."""
    return time.monotonic_ns() // 1_000_000


async def keep(leaf: DoorLeaf, clock_ms: Callable[[], int] = now_ms) -> None:
    """Advance the leaf as time passes, for ever; ends by cancellation."""
    while True:
        leaf.advance(clock_ms())
        due_ms = leaf.due_ms
        wait_s = IDLE_S if due_ms is None else (due_ms - clock_ms()) / 1000
        await asyncio.sleep(min(max(wait_s, 0.001), IDLE_S))
