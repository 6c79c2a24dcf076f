"""After the day: a person presents badges by typing them, and time runs as it does outside."""

import asyncio
import contextlib
import os
import sys
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from edge.residence.day import Step
from firmware_sim.demo import Demo
from firmware_sim.player import Player
from firmware_sim.screen import Screen

HELP = """Type what happens, one a line:
  NUMBER                       a badge at the first reader
  READER NUMBER                a badge at a reader
  READER code DIGITS           likewise: phone NUMBER, remote NUMBER BUTTON
  DOOR rex | open | closed     the exit button; the leaf
  network down | network up
Readers: {readers}
Ctrl-C ends everything."""


async def converse(demo: Demo, screen: Screen) -> None:
    """Until end of input or Ctrl-C."""
    readers = [reader.id for box in demo.residence.controllers for door in box.doors for reader in door.readers]
    screen.say(HELP.format(readers=", ".join(readers)))
    player = demo.player()
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    typed = _Typed(lines)
    loop.add_reader(sys.stdin, typed.take)
    clock = _RunningClock(demo.steps[-1].at_ms if demo.steps else int(time.time() * 1000))
    try:
        while True:
            line = ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    line = await lines.get()
                if not line:
                    raise EOFError
            if not line.strip():
                await player.pass_time(clock.utc_ms())
                continue
            step = read_line(line, demo, clock.utc_ms(), readers)
            if step is None:
                screen.say(HELP.format(readers=", ".join(readers)))
            else:
                await _play(player, step, screen)
    finally:
        loop.remove_reader(sys.stdin)


class _Typed:
    """Cuts what arrives on stdin into lines; "" is the end of input."""

    def __init__(self, lines: asyncio.Queue[str]) -> None:
        self._lines = lines
        self._rest = b""

    def take(self) -> None:
        chunk = os.read(sys.stdin.fileno(), 4096)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._lines.put_nowait(line.decode(errors="replace") + "\n")
        if not chunk:
            self._lines.put_nowait("")


async def _play(player: Player, step: Step, screen: Screen) -> None:
    played = await player.play(step)
    played.is_ok = True  # nothing was expected
    screen.step(played)


class _RunningClock:
    """The day's clock, going on from its last step as fast as the world's."""

    def __init__(self, utc_ms: int) -> None:
        self._base_ms = utc_ms - time.monotonic() * 1000

    def utc_ms(self) -> int:
        return int(self._base_ms + time.monotonic() * 1000)


def read_line(line: str, demo: Demo, utc_ms: int, readers: list[str]) -> Step | None:
    """A typed line as a step, or None where it cannot be one."""
    words = line.split()
    doors = {door.id: door for box in demo.residence.controllers for door in box.doors}
    at_text = datetime.fromtimestamp(utc_ms / 1000, ZoneInfo(demo.residence.time_zone)).isoformat(timespec="seconds")

    def step(door: str, reader: str, medium: str, value: str = "", button: str = "") -> Step:
        digits = value.removeprefix("00") if medium == "phone" else value
        number = int(digits) if digits.isdecimal() and medium != "code" else None
        return Step(0, at_text, utc_ms, door, reader, medium, value, number, button, None, ("none",), "")

    match words:
        case ["network", "down" | "up" as value]:
            return step("", "", "network", value)
        case [door, "rex"] if door in doors:
            return step(door, "", "rex")
        case [door, "open" | "closed" as value] if door in doors:
            return step(door, "", "contact", value)
        case [number] if number.isdecimal() and readers:
            return step(demo.residence.reader(readers[0]).door, readers[0], "badge", number)
        case [reader, number] if reader in readers and number.isdecimal():
            return step(demo.residence.reader(reader).door, reader, "badge", number)
        case [reader, "code" | "phone" | "badge" as medium, value] if reader in readers and value.isdecimal():
            return step(demo.residence.reader(reader).door, reader, medium, value)
        case [reader, "remote", value, button] if reader in readers and value.isdecimal():
            return step(demo.residence.reader(reader).door, reader, "remote", value, button)
    return None
