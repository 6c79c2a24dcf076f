"""The light and the buzzer of a wired reader, on GPIO lines: what edge.decision.indications says, step by step."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edge.decision.indications import AMBER, BLACK, BLUE, GREEN, RED, Signal
from edge.lines.gpio import Claim, GpioError, GpioLine, RequestLines, claim_output

# Which of (red, green) a colour is made of; a reader with a green line alone is red by itself while that is off.
_PARTS = {BLACK: (False, False), RED: (True, False), GREEN: (False, True), AMBER: (True, True), BLUE: (True, True)}
_DARK = Signal(BLACK, BLACK, 1000, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ReaderLines:
    """A reader's inputs for its light and buzzer. Most are active low: pulled to ground they are on."""

    green: GpioLine | None = None
    red: GpioLine | None = None
    buzzer: GpioLine | None = None


class Step(NamedTuple):
    """What a signal shows at a moment, and for how many more ms; None: for good."""

    color: int
    is_sounding: bool
    for_ms: int | None


class GpioLights:
    """The lights of one controller's wired readers, reader → its lines. `claim` first; in a running loop."""

    def __init__(self, readers: Mapping[str, ReaderLines], request_lines: RequestLines | None = None) -> None:
        self._readers = dict(readers)
        self._request_lines = request_lines
        self._claims: dict[tuple[str, str], Claim] = {}
        self._lasting = dict.fromkeys(readers, _DARK)
        self._shown: dict[str, tuple[Signal, float]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.last_error = ""

    def claim(self) -> None:
        """Take every line, off. GpioError where one cannot be had: then none is kept."""
        try:
            for reader, lines in self._readers.items():
                for part in ("green", "red", "buzzer"):
                    line: GpioLine | None = getattr(lines, part)
                    if line is not None:
                        self._claims[reader, part] = claim_output(line, False, self._request_lines)
        except GpioError:
            self.release()
            raise

    def indicate(self, reader: str, signal: Signal) -> None:
        """Show and sound a signal: a lasting one (total_ms 0) from now on, a passing one until it is over. KeyError: no
        such reader."""
        if signal.total_ms == 0:
            self._lasting[reader] = signal
        self._shown[reader] = (signal, asyncio.get_running_loop().time())
        self._show(reader)

    def release(self) -> None:
        """Off, and the lines given back."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for key, claim in self._claims.items():
            self._set(key, False)
            claim.release()
        self._claims.clear()

    def _show(self, reader: str) -> None:
        timer = self._timers.pop(reader, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        signal, since_s = self._shown[reader]
        passed_ms = round((loop.time() - since_s) * 1000)
        if signal.total_ms and passed_ms >= signal.total_ms:
            signal = self._lasting[reader]
            self._shown[reader] = (signal, loop.time())
            passed_ms = 0
        step = step_at(signal, passed_ms)
        red, green = _PARTS[step.color]
        for part, is_on in (("red", red), ("green", green), ("buzzer", step.is_sounding)):
            self._set((reader, part), is_on)
        if step.for_ms is not None:
            self._timers[reader] = loop.call_later(step.for_ms / 1000, self._show, reader)

    def _set(self, key: tuple[str, str], is_on: bool) -> None:
        if key not in self._claims:
            return
        try:
            self._claims[key].set_active(is_on)
        except GpioError as error:
            self.last_error = str(error)


def step_at(signal: Signal, passed_ms: int) -> Step:
    """What `signal` shows `passed_ms` after its beginning."""
    ends = [signal.total_ms - passed_ms] if signal.total_ms else []
    color = signal.on_color
    if signal.off_ms:
        phase_ms = passed_ms % (signal.on_ms + signal.off_ms)
        is_on = phase_ms < signal.on_ms
        color = signal.on_color if is_on else signal.off_color
        ends.append((signal.on_ms if is_on else signal.on_ms + signal.off_ms) - phase_ms)
    is_sounding = False
    every_ms = signal.beep_ms + signal.beep_gap_ms
    if passed_ms < signal.beeps * every_ms:
        phase_ms = passed_ms % every_ms
        is_sounding = phase_ms < signal.beep_ms
        ends.append((signal.beep_ms if is_sounding else every_ms) - phase_ms)
    return Step(color, is_sounding, min(ends) if ends else None)
