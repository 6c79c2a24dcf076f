"""Wiegand: pulses on two lines to words, sans-io.

SIA AC-01 (the 26-bit Wiegand reader interface): a pulse on line 0 is a 0, on line 1 a 1, 20 to 100 µs long, 200 µs
to 20 ms from one to the next, never on both lines at once. Only the leading edge is looked at: kernels and
microcontrollers report edges later than such a pulse lasts, so its end cannot be told reliably, its beginning can.

Portable: runs on CPython and MicroPython. Times are nanoseconds of one clock, the kernel's stamps of the edges; the
unit matters only through Limits.
"""

from collections import namedtuple

MOST_BITS = 64  # as many as a card format may have


class Limits(namedtuple("Limits", ("shortest_ns", "longest_ns", "quiet_ns"))):
    """From one pulse to the next: at least `shortest_ns`, at most `longest_ns`. A word is over when nothing came
    for `quiet_ns`; a pulse between the two is too slow for its word and too early for the next."""

    __slots__ = ()
    shortest_ns: int
    longest_ns: int
    quiet_ns: int


# The standard's 200 µs to 20 ms, with room for interrupts that are taken late.
DEFAULT = Limits(100_000, 22_000_000, 40_000_000)


class Word(namedtuple("Word", ("bits", "value", "at_ns"))):
    """`bits` bits as one unsigned `value`, the first one highest. `at_ns`: its last pulse."""

    __slots__ = ()
    bits: int
    value: int
    at_ns: int


class Decoder:
    """One reader's two lines. A burst of pulses is judged as a whole once it is over: one fault refuses all of it.

    `refused` counts bursts: "glitch" (two pulses too close, or both lines at once), "slow" (a pulse between
    longest and quiet), "overlong" (more than MOST_BITS pulses), "lost" (pulses that were not delivered).
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._edges: list[tuple[int, int]] = []
        self._last_ns = 0
        self._is_broken = False
        self.words = 0
        self.refused = {"glitch": 0, "slow": 0, "overlong": 0, "lost": 0}
        self.last_refused = ""

    @property
    def due_ns(self) -> "int | None":
        """When `quiet` is to be called unless another pulse comes; None while nothing was begun."""
        if not self._edges and not self._is_broken:
            return None
        return self._last_ns + self._limits.quiet_ns

    def edge(self, line: int, at_ns: int) -> "Word | None":
        """A pulse began on line 0 or 1. Returns the word that was over before it, if there was a good one. Pulses of
        one burst may arrive out of order: the two lines have an interrupt each."""
        word = self.quiet(at_ns)
        self._last_ns = max(self._last_ns, at_ns) if self._edges else at_ns
        if len(self._edges) <= MOST_BITS:  # one too many is kept, to know that there were too many
            self._edges.append((at_ns, line))
        return word

    def lost(self, now_ns: int) -> None:
        """Pulses were not delivered: what is under way is void."""
        self._is_broken = True
        self._last_ns = max(self._last_ns, now_ns) if self._edges else now_ns

    def quiet(self, now_ns: int) -> "Word | None":
        """The word that is over at `now_ns`; None if none is, or it was refused."""
        if self.due_ns is None or now_ns < self.due_ns:
            return None
        edges = self._edges
        fault = self._fault(edges)
        self._edges = []
        self._is_broken = False
        if fault:
            self.refused[fault] += 1
            self.last_refused = "%d pulses: %s" % (len(edges), fault)  # noqa: UP031 (MicroPython)
            return None
        self.words += 1
        value = 0
        for _, line in edges:
            value = value << 1 | line
        return Word(len(edges), value, edges[-1][0])

    def _fault(self, edges: "list[tuple[int, int]]") -> str:
        if self._is_broken:
            return "lost"
        if len(edges) > MOST_BITS:
            return "overlong"
        edges.sort()
        longest_ns = 0
        for at in range(1, len(edges)):
            between_ns = edges[at][0] - edges[at - 1][0]
            if between_ns < self._limits.shortest_ns:
                return "glitch"
            longest_ns = max(longest_ns, between_ns)
        return "slow" if longest_ns > self._limits.longest_ns else ""
