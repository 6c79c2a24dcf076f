"""GPIO lines on a double of the chip, in a loop of their own."""

import asyncio
from collections.abc import Callable

from edge.lines.gpio import GpioLine
from firmware_sim.gpio_double import ChipDouble

MS = 1_000_000


def line(number: int, **options: object) -> GpioLine:
    return GpioLine("gpiochip0", str(number), **options)  # type: ignore[arg-type]


async def turn(times: int = 4) -> None:
    """Let the loop find what is readable."""
    for _ in range(times):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
    """Wait for a condition."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + deadline_s
    while not holds():
        assert loop.time() < end_s, f"{what} did not come"
        await asyncio.sleep(0.002)


def chip(**options: bool) -> ChipDouble:
    return ChipDouble(**options)  # type: ignore[arg-type]
