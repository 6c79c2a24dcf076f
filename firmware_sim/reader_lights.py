"""What a simulated reader shows, sounds and switches, as functions of time.

Pure: commands come in as libosdp's dicts with the moment they arrived, and the state at any later moment
can be asked for. Moments are milliseconds on one clock that never goes back (`now_ms()`); OSDP counts in
100 ms units. Source: SIA OSDP 2.2, osdp_LED, osdp_BUZ and osdp_OUT.
"""

import time
from typing import NamedTuple

from edge.decision.indications import BLACK, TABLE

UNIT_MS = 100

# osdp_LED, temporary part: 1 cancels and shows the permanent one, 2 sets and starts its timer.
LED_TEMPORARY_CANCEL = 1
LED_TEMPORARY_SET = 2
# osdp_LED, permanent part.
LED_PERMANENT_SET = 1

# osdp_BUZ: 1 silences, 2 is the default tone.
BUZZER_OFF = 1

# osdp_OUT: 1 and 2 end a running timer, 3 and 4 let it run out first, 5 and 6 last for the timer.
OUTPUT_OFF = 1
OUTPUT_ON = 2
OUTPUT_OFF_LATER = 3
OUTPUT_ON_LATER = 4
OUTPUT_ON_TIMED = 5
OUTPUT_OFF_TIMED = 6


def now_ms() -> float:
    """Milliseconds on the monotonic clock: the moments that readers and their lines use."""
    return time.monotonic() * 1000


class Blink(NamedTuple):
    """Two colours that alternate from `since_ms` on; `off_ms` or `on_ms` 0: steady the other one."""

    on_color: int
    off_color: int
    on_ms: int
    off_ms: int
    since_ms: float

    def color(self, at_ms: float) -> int:
        """Return the colour shown at `at_ms` (OSDP's LED colour values)."""
        if self.off_ms == 0 or self.on_ms == 0:
            return self.on_color if self.on_ms else self.off_color
        phase_ms = (at_ms - self.since_ms) % (self.on_ms + self.off_ms)
        return self.on_color if phase_ms < self.on_ms else self.off_color


_DARK = Blink(BLACK, BLACK, UNIT_MS, 0, 0)


def offline_color(at_ms: float) -> int:
    """Return what a reader shows of itself while nobody polls it."""
    signal = TABLE["offline"]
    return Blink(signal.on_color, signal.off_color, signal.on_ms, signal.off_ms, 0).color(at_ms)


class Light:
    """One LED: a permanent state, and a temporary one that hides it for a while."""

    def __init__(self) -> None:
        self._permanent = _DARK
        self._temporary = _DARK
        self._temporary_until_ms = 0.0

    def command(self, led: dict, at_ms: float) -> None:
        """Obey one osdp_LED record as libosdp reports it (keys temporary, control_code, on_color, …)."""
        blink = Blink(led["on_color"], led["off_color"], led["on_count"] * UNIT_MS, led["off_count"] * UNIT_MS, at_ms)
        if led.get("cancel_temporary"):
            self._temporary_until_ms = at_ms
        if not led["temporary"]:
            if led["control_code"] == LED_PERMANENT_SET:
                self._permanent = blink
        elif led["control_code"] == LED_TEMPORARY_CANCEL:
            self._temporary_until_ms = at_ms
        elif led["control_code"] == LED_TEMPORARY_SET:
            self._temporary = blink
            self._temporary_until_ms = at_ms + led["timer_count"] * UNIT_MS

    def color(self, at_ms: float) -> int:
        """Return the colour shown at `at_ms`."""
        shown = self._temporary if at_ms < self._temporary_until_ms else self._permanent
        return shown.color(at_ms)


class Buzzer:
    """A tone of `on`, pauses of `off`, so many times; 0 times is until silenced."""

    def __init__(self) -> None:
        self._on_ms = 0
        self._off_ms = 0
        self._times = 0
        self._since_ms = 0.0

    def command(self, buzzer: dict, at_ms: float) -> None:
        """Obey one osdp_BUZ record."""
        self._since_ms = at_ms
        self._on_ms = 0 if buzzer["control_code"] <= BUZZER_OFF else buzzer["on_count"] * UNIT_MS
        self._off_ms = buzzer["off_count"] * UNIT_MS
        self._times = buzzer["rep_count"]

    def is_sounding(self, at_ms: float) -> bool:
        """Say whether the tone is to be heard at `at_ms`."""
        if self._on_ms == 0:
            return False
        times, phase_ms = divmod(at_ms - self._since_ms, self._on_ms + self._off_ms)
        return phase_ms < self._on_ms and (self._times == 0 or times < self._times)


class Output:
    """One output of a reader: a lasting state, and a timed one that hides it for a while."""

    def __init__(self) -> None:
        self._lasting = False
        self._timed = False
        self._timed_until_ms = 0.0

    def command(self, output: dict, at_ms: float) -> None:
        """Obey one osdp_OUT record."""
        code = output["control_code"]
        if code in (OUTPUT_ON_TIMED, OUTPUT_OFF_TIMED):
            self._timed = code == OUTPUT_ON_TIMED
            self._timed_until_ms = at_ms + output["timer_count"] * UNIT_MS
            return
        if code in (OUTPUT_OFF, OUTPUT_ON):
            self._timed_until_ms = at_ms
        if code in (OUTPUT_OFF, OUTPUT_ON, OUTPUT_OFF_LATER, OUTPUT_ON_LATER):
            self._lasting = code in (OUTPUT_ON, OUTPUT_ON_LATER)

    def is_on(self, at_ms: float) -> bool:
        """Say whether the output conducts at `at_ms`."""
        return self._timed if at_ms < self._timed_until_ms else self._lasting
