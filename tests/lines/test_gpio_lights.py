"""A wired reader's light and buzzer on GPIO lines."""

import asyncio

import pytest
from gpio_scene import chip, line, until

from edge.decision.indications import AMBER, BLACK, GREEN, RED, TABLE, Signal
from edge.lines.lights import GpioLights, ReaderLines, step_at

GREEN_LINE, RED_LINE, BUZZER = 12, 13, 16


def walk(signal: Signal) -> list[tuple[int, int, bool]]:
    """(moment, colour, buzzer) of each change, from the steps alone."""
    passed_ms, seen = 0, []
    while passed_ms < (signal.total_ms or 5000):
        step = step_at(signal, passed_ms)
        seen.append((passed_ms, step.color, step.is_sounding))
        if step.for_ms is None:
            break
        assert step.for_ms > 0
        passed_ms += step.for_ms
    return seen


def test_the_steps_of_granted_and_denied() -> None:
    """Written out from the table: one tone under a green light; red blinking under three tones."""
    assert walk(TABLE["granted"]) == [(0, GREEN, True), (100, GREEN, False)]
    assert walk(TABLE["denied"]) == [
        (0, RED, True), (100, RED, False), (200, BLACK, True), (300, BLACK, False), (400, RED, True),
        (500, RED, False), (600, BLACK, False), (800, RED, False), (1000, BLACK, False), (1200, RED, False),
        (1400, BLACK, False),
    ]  # fmt: skip


@pytest.mark.parametrize("outcome", list(TABLE))
def test_every_signal_is_exact(outcome: str) -> None:
    """Millisecond by millisecond the steps are what a plain reading of the signal gives."""
    signal = TABLE[outcome]
    steps = {moment: (color, sound) for moment, color, sound in walk(signal)}
    shown = (BLACK, False)
    for passed_ms in range(signal.total_ms or 5000):
        shown = steps.get(passed_ms, shown)
        phase_ms = passed_ms % (signal.on_ms + signal.off_ms)
        color = signal.on_color if phase_ms < signal.on_ms else signal.off_color
        beeps = [at * (signal.beep_ms + signal.beep_gap_ms) for at in range(signal.beeps)]
        sound = any(start <= passed_ms < start + signal.beep_ms for start in beeps)
        assert shown == (color, sound)


def test_a_passing_signal_gives_way_to_the_lasting_one() -> None:
    """Idle red, a short amber with a tone, red again; the lines are off at the claim and at the end."""

    async def scene() -> None:
        board = chip()
        lamps = ReaderLines(
            line(GREEN_LINE, active_low=True), line(RED_LINE, active_low=True), line(BUZZER, active_low=True)
        )
        lights = GpioLights({"front": lamps}, board.request_lines)

        def on() -> list[int]:
            return [number for number in (GREEN_LINE, RED_LINE, BUZZER) if not board.level(number)]

        lights.claim()
        assert on() == []
        lights.indicate("front", TABLE["idle"])
        assert on() == [RED_LINE]
        lights.indicate("front", Signal(AMBER, AMBER, 1000, 0, 40, 1, 20, 0))
        assert on() == [GREEN_LINE, RED_LINE, BUZZER]
        await until(lambda: on() == [GREEN_LINE, RED_LINE], "the end of the tone")
        await until(lambda: on() == [RED_LINE], "the idle light")
        lights.release()
        assert on() == []

    asyncio.run(scene())


def test_a_reader_with_a_green_line_only() -> None:
    """Its own red shows while the line is off; what it has no line for is left out."""

    async def scene() -> None:
        board = chip()
        lights = GpioLights({"front": ReaderLines(line(GREEN_LINE, active_low=True))}, board.request_lines)
        lights.claim()
        lights.indicate("front", TABLE["granted"])
        assert not board.level(GREEN_LINE)
        lights.indicate("front", TABLE["denied"])
        assert board.level(GREEN_LINE)
        lights.release()

    asyncio.run(scene())
