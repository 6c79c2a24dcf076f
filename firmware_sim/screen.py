"""What a person sees of the demo: a line a step, in colour where the terminal has it."""

import os
import sys
from typing import TextIO

from firmware_sim.player import Played

_COLORS = ("90", "31", "32", "33", "34")  # OSDP's black, red, green, amber, blue as ANSI
_NAMES = ("dark", "red", "green", "amber", "blue")


class Screen:
    """Writes to `out`; colours only on a terminal and without NO_COLOR."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = out.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def step(self, played: Played) -> None:
        """One step: when and where, what was presented, what was expected and what came, and the light."""
        step = played.step
        what = f"{step.medium} {_shown_value(played)}{' ' + step.button if step.button else ''}"
        mark = self._paint("✓", "32") if played.is_ok else self._paint("✗", "31;1")
        light = "" if played.light is None else self._paint("●", _COLORS[played.light]) + f" {_NAMES[played.light]}"
        wanted = "" if played.is_ok else self._paint(f"  expected {'+'.join(step.expect)}", "31")
        times = "" if played.badge_to_strike_ms is None else f"  strike after {played.badge_to_strike_ms} ms"
        where = step.reader or step.door
        note = self._paint(step.note, "90")
        self.say(f"{mark} {step.at_text:<25} {where:<15} {what:<24} {played.got:<26}{wanted}{times} {light}  {note}")

    def _paint(self, text: str, color: str) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._colored and text else text


def _shown_value(played: Played) -> str:
    """A code is not printed, not even an example's."""
    return "•" * len(played.step.value) if played.step.medium == "code" else played.step.value


def terminal() -> Screen:
    return Screen(sys.stdout)
