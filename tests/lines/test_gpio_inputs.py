"""Exit buttons, contacts and tampers on GPIO: every pulse counts once, no bounce ever does."""

import asyncio
from collections import Counter
from random import Random

import pytest
from gpio_scene import MS, chip, line, turn, until

from edge.decision.model import Contact, ExitPressed, LineAlarm, Tamper
from edge.lines.gpio import GpioError
from edge.lines.switches import ACTIVE_LOW, DEBOUNCE_MS, GpioInput, GpioInputs
from firmware_sim.gpio_double import ChipDouble

SEED = 0x50554C53
LINES = {"contact": 22, "exit": 23, "tamper": 24}
ACTIVE = {"contact": Contact("front", True), "exit": ExitPressed("front"), "tamper": Tamper("r1", "front", True)}
PASSIVE = {"contact": Contact("front", False), "tamper": Tamper("r1", "front", False)}


def switches(debounce_ms: int = DEBOUNCE_MS) -> list[GpioInput]:
    return [
        GpioInput(
            line(LINES[kind], active_low=ACTIVE_LOW[kind], bias="pull-up", debounce_ms=debounce_ms),
            kind, "front", "r1" if kind == "tamper" else "",
        )
        for kind in LINES
    ]  # fmt: skip


def at_rest(board: ChipDouble) -> None:
    """Door and housing closed, nobody at the button."""
    for kind, number in LINES.items():
        board.drive(number, ACTIVE_LOW[kind], 0)


def claimed(board: ChipDouble, debounce_ms: int = DEBOUNCE_MS) -> tuple[GpioInputs, list[object]]:
    """The switches at rest, claimed, and what they tell from then on."""
    at_rest(board)
    heard: list[object] = []
    inputs = GpioInputs(switches(debounce_ms), heard.append, board.request_lines)
    inputs.claim()
    assert heard == [PASSIVE["contact"]]
    heard.clear()
    return inputs, heard


def move(board: ChipDouble, kind: str, is_active: bool, at_ns: int, chance: Random | None = None) -> int:
    """Bring a switch to a level, bouncing for up to 15 ms on the way. Returns the moment when it is at rest."""
    level = is_active != ACTIVE_LOW[kind]
    for _ in range(2 * chance.randrange(8) if chance else 0):
        board.drive(LINES[kind], not board.level(LINES[kind]), at_ns)
        at_ns += chance.randrange(10_000, MS) if chance else 0
    board.drive(LINES[kind], level, at_ns)
    return at_ns


async def pulses_heard(count: int, debounce_ms: int, widths_ms: tuple[int, int]) -> tuple[int, int]:
    """(missed, invented) of `count` pulses on three inputs, bouncing at both ends, with spikes between them; now and
    then the loop is busy for several pulses, which must then be told in the order in which they were."""
    chance = Random(SEED)
    board = chip()
    inputs, heard = claimed(board, debounce_ms)
    wanted: list[object] = []
    missed = invented = 0
    at_ns = 10**9
    for number in range(count):
        kind = chance.choice(list(LINES))
        at_ns = move(board, kind, True, at_ns + chance.randrange(400 * MS, 3000 * MS), chance)
        at_ns = move(board, kind, False, at_ns + chance.randrange(*widths_ms) * MS, chance)
        wanted += [ACTIVE[kind], *([PASSIVE[kind]] if kind in PASSIVE else [])]
        at_ns += 200 * MS
        board.settle(at_ns)
        if chance.random() < 0.3:  # a spike shorter than the debounce, on any line
            spiked = chance.choice(list(LINES.values()))
            level = board.level(spiked)
            board.drive(spiked, not level, at_ns)
            board.drive(spiked, level, at_ns + chance.randrange(1000, 5 * MS))
            board.settle(at_ns + 100 * MS)
            at_ns += 100 * MS
        if chance.random() < 0.8 or number == count - 1:
            await turn()
            missed += sum((Counter(wanted) - Counter(heard)).values())
            invented += sum((Counter(heard) - Counter(wanted)).values()) + (
                heard != wanted and debounce_ms == DEBOUNCE_MS
            )
            heard.clear()
            wanted.clear()
    inputs.release()
    assert inputs.lost_events == 0
    return missed, invented


def test_no_pulse_is_missed_and_none_is_invented() -> None:
    """D10: 10,000 seeded pulses of over 400 ms on contact, exit and tamper, bouncing, with spikes and a busy loop."""
    print(f"seed {SEED:#x}")
    assert asyncio.run(pulses_heard(10_000, DEBOUNCE_MS, (401, 2000))) == (0, 0)


def test_without_debounce_bounces_count() -> None:
    """The negative control: the same pulses with no debounce invent events."""
    assert asyncio.run(pulses_heard(300, 0, (401, 2000)))[1] > 0


def test_with_too_much_debounce_pulses_are_missed() -> None:
    """The other negative control: a debounce of half a second misses pulses of less."""
    assert asyncio.run(pulses_heard(300, 500, (401, 450)))[0] > 0


def test_where_things_stand_is_told_at_the_start() -> None:
    """An open leaf and an open housing at the claim; a button that is held then opens nothing until it is pressed."""

    async def scene() -> None:
        board = chip()
        for kind in LINES:
            move(board, kind, True, 0)
        heard: list[object] = []
        inputs = GpioInputs(switches(), heard.append, board.request_lines)
        inputs.claim()
        assert heard == [Contact("front", True), Tamper("r1", "front", True)]
        heard.clear()
        move(board, "exit", False, 1000 * MS)
        board.settle(1500 * MS)
        await turn()
        assert heard == []
        move(board, "exit", True, 2000 * MS)
        board.settle(2500 * MS)
        await turn()
        assert heard == [ExitPressed("front")]
        inputs.release()

    asyncio.run(scene())


def test_a_cut_wire_tells() -> None:
    """With the defaults a line that floats up to its pull-up reads open and tampered, never pressed."""

    async def scene() -> None:
        board = chip()
        inputs, heard = claimed(board)
        for number in LINES.values():
            board.drive(number, True, 1000 * MS)
        board.settle(2000 * MS)
        await turn()
        assert heard == [Contact("front", True), Tamper("r1", "front", True)]
        inputs.release()

    asyncio.run(scene())


def test_edges_that_the_kernel_dropped() -> None:
    """More edges than it keeps: they are counted, and the level that is told last is the line's."""

    async def scene() -> None:
        board = chip()
        inputs, heard = claimed(board, 0)
        for number in range(601):
            board.drive(LINES["contact"], number % 2 == 0, 1000 + number)
        await turn(20)
        assert inputs.lost_events == 1
        assert heard[-1] == Contact("front", True)
        inputs.release()

    asyncio.run(scene())


def test_a_chip_that_goes_away_is_said() -> None:
    """The line's trouble stands in the status; the loop is not spun by a dead file descriptor."""

    async def scene() -> None:
        board = chip()
        inputs, heard = claimed(board, 0)
        board.drive(LINES["exit"], False, 1000)
        board.is_gone = True
        await turn()
        [trouble] = [entry["trouble"] for entry in inputs.status() if entry["kind"] == "exit"]
        assert trouble.startswith("GPIO gpiochip0:23: ")
        assert LineAlarm("front", f"exit: {trouble}") in heard
        inputs.release()

    asyncio.run(scene())


def test_a_line_that_failed_is_had_again() -> None:
    """The button works again, and its being held meanwhile was no press; the contact is told as it stands."""

    async def scene() -> None:
        board = chip()
        inputs, heard = claimed(board, 0)
        board.is_gone = True
        board.drive(LINES["exit"], False, 1000)
        board.drive(LINES["contact"], True, 1000)
        await until(lambda: sum(isinstance(value, LineAlarm) for value in heard) >= 2, "both alarms")
        heard.clear()
        board.is_gone = False
        await until(lambda: not any(entry["trouble"] for entry in inputs.status()), "the return")
        assert heard == [Contact("front", True)]
        board.drive(LINES["exit"], True, 2000)
        board.drive(LINES["exit"], False, 3000)
        await until(lambda: ExitPressed("front") in heard, "the button")
        inputs.release()
        assert not board.requests

    asyncio.run(scene())


def test_a_line_in_use_is_refused() -> None:
    """Two switches on one line: the error names it and nothing stays claimed."""

    async def scene() -> None:
        board = chip()
        twice = [GpioInput(line(22), "contact", "front"), GpioInput(line(22), "exit", "front")]
        with pytest.raises(GpioError, match=r"^GPIO gpiochip0:22: is in use"):
            GpioInputs(twice, lambda value: None, board.request_lines).claim()
        assert board.requests == {}

    asyncio.run(scene())
