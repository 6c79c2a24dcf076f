"""What a reader shows and sounds for each outcome: one table, used by every reader kind.

Portable: runs on CPython and MicroPython. Colours are OSDP's (SIA OSDP 2.2, LED colour values), so an OSDP
reader takes them as they are; a wired reader with two lights maps them to its own.
"""

from collections import namedtuple

BLACK = 0
RED = 1
GREEN = 2
AMBER = 3
BLUE = 4


class Signal(
    namedtuple("Signal", ("on_color", "off_color", "on_ms", "off_ms", "total_ms", "beeps", "beep_ms", "beep_gap_ms"))
):
    """A light that alternates on_color for `on_ms` and off_color for `off_ms`, for `total_ms` (0: until the next
    lasting one), and `beeps` tones of `beep_ms`, `beep_gap_ms` apart. After a passing signal the lasting one shows."""

    __slots__ = ()
    on_color: int
    off_color: int
    on_ms: int
    off_ms: int
    total_ms: int
    beeps: int
    beep_ms: int
    beep_gap_ms: int


def _steady(color):
    return Signal(color, color, 1000, 0, 0, 0, 0, 0)


TABLE = {
    # Lasting: what the reader shows while nobody is there.
    "idle": _steady(RED),
    "standing-open": _steady(GREEN),
    "lockdown": Signal(RED, BLACK, 500, 500, 0, 0, 0, 0),
    "clock-untrusted": Signal(RED, AMBER, 1800, 200, 0, 0, 0, 0),
    "learning": Signal(RED, GREEN, 500, 500, 0, 0, 0, 0),
    "learning-present": Signal(RED, BLACK, 100, 100, 0, 0, 0, 0),
    # Passing: an answer.
    "granted": Signal(GREEN, GREEN, 1000, 0, 2000, 1, 100, 0),
    "denied": Signal(RED, BLACK, 200, 200, 1600, 3, 100, 100),
    "code-needed": Signal(AMBER, BLACK, 300, 300, 10000, 2, 100, 100),
    "locked-out": Signal(RED, BLACK, 100, 100, 3000, 5, 100, 100),
    "learning-done": Signal(GREEN, BLACK, 100, 100, 3000, 1, 500, 0),
    "learning-failed": Signal(RED, RED, 1000, 0, 2000, 3, 300, 200),
    "forced": Signal(RED, AMBER, 200, 200, 10000, 10, 300, 300),
    "held": Signal(AMBER, BLACK, 500, 500, 10000, 5, 200, 800),
    # Shown by the reader itself, or a page that draws it, when the controller no longer polls it.
    "offline": Signal(AMBER, BLACK, 200, 1800, 0, 0, 0, 0),
}
