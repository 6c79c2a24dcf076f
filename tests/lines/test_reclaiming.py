"""Lines that fail: claimed again ever more slowly, told of where it is news, and always where they stay away."""

import asyncio

import pytest
from gpio_scene import chip, line, turn, until

from edge.decision.model import LineAlarm
from edge.lines import reclaiming
from edge.lines.gpio import GpioLine
from edge.lines.pulse_lines import PulseLines
from edge.lines.reclaiming import GOOD_S, PAUSES_S, Reclaiming
from edge.lines.switches import GpioInput, GpioInputs
from edge.reader.wired_reader import WiredReader
from firmware_sim.gpio_double import ChipDouble

DATA = (GpioLine("gpiochip0", "5"), GpioLine("gpiochip0", "6"))


def test_the_pauses_grow_and_begin_again_once_it_was_good() -> None:
    """The last one repeats; one that flaps goes on where it was, one that was good for long begins anew."""
    it = Reclaiming()
    it.failed(0.0)
    assert [it.pause_s() for _ in range(5)] == [*PAUSES_S, PAUSES_S[-1], PAUSES_S[-1]]
    it.failed(GOOD_S - 0.1)
    assert it.pause_s() == PAUSES_S[-1]
    it.failed(2 * GOOD_S)
    assert it.pause_s() == PAUSES_S[0]


def test_one_that_flaps_is_told_of_once() -> None:
    """Its failure and its return are news, the next ones are not until it was good for GOOD_S."""
    it = Reclaiming()
    assert it.failed(0.0)
    assert it.back()
    for at_s in (1.0, 30.0, 80.0, 139.9):  # never good for long
        assert not it.failed(at_s)
        assert not it.back()
    assert it.failed(139.9 + GOOD_S)
    assert it.back()


def test_one_that_stays_away_is_told_of_though_it_flapped_before() -> None:
    """Once, after GOOD_S; then its return is news, too."""
    it = Reclaiming()
    assert it.failed(0.0)
    assert it.back()
    assert not it.failed(10.0)
    assert not it.refused(9.9 + GOOD_S)
    assert it.refused(10.0 + GOOD_S)
    assert not it.refused(10.0 + 2 * GOOD_S)
    assert it.back()


def test_one_that_was_told_of_is_not_told_of_again_while_it_is_away() -> None:
    """However long it stays away; being away is not being good."""
    it = Reclaiming()
    assert it.failed(0.0)
    assert not any(it.refused(float(at_s)) for at_s in range(1, 1000, 5))
    assert it.back()
    assert not it.failed(1000.0)  # it was good for a few seconds only


def test_a_switch_that_flaps_alarms_once() -> None:
    """The wire comes and goes: one alarm in the log, not one at each turn; the status tells each time."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        inputs = GpioInputs([GpioInput(line(22), "contact", "front")], heard.append, board.request_lines)
        inputs.claim()
        heard.clear()
        for _ in range(3):
            await goes(board, 22, inputs)
            await comes(board, 22, inputs)
        assert [type(told) for told in heard] == [LineAlarm]
        inputs.release()

    asyncio.run(with_short_pauses(scene))


def test_a_switch_that_stays_away_alarms_though_it_flapped_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead contact must not go unsaid because it was back for a moment."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        inputs = GpioInputs([GpioInput(line(22), "contact", "front")], heard.append, board.request_lines)
        inputs.claim()
        await goes(board, 22, inputs)
        await comes(board, 22, inputs)
        heard.clear()
        await goes(board, 22, inputs)
        assert heard == []
        monkeypatch.setattr(reclaiming, "GOOD_S", 0.0)  # a minute later
        await until(lambda: heard, "the alarm")
        await turn()
        assert [type(told) for told in heard] == [LineAlarm]
        inputs.release()

    asyncio.run(with_short_pauses(scene))


@pytest.mark.parametrize("refusals", [0, 1, 4])
def test_a_readers_lines_are_told_of_when_they_are_back(refusals: int) -> None:
    """At whichever try they could be had again: who was told that they failed must be told that they work."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        tries: list[bool] = []

        def request_lines(*arguments: object, **options: object) -> object:
            tries.append(board.is_denied)
            return board.request_lines(*arguments, **options)  # type: ignore[arg-type]

        lines = PulseLines(DATA, WiredReader("front"), heard.append, request_lines)  # type: ignore[arg-type]
        lines.claim()
        for _ in range(2):  # the second time at once again: told of neither way
            board.is_denied = refusals > 0
            board.break_line(5)
            await until(lambda: lines.trouble, "the trouble")
            await until(lambda: sum(tries) >= refusals, "the refusals")
            board.mend_line(5)
            board.is_denied = False
            await until(lambda: not lines.trouble, "the return")
            tries.clear()
        assert [(told.reader, told.is_online) for told in heard] == [("front", False), ("front", True)]  # type: ignore[attr-defined]
        lines.release()

    asyncio.run(with_short_pauses(scene))


async def goes(board: ChipDouble, number: int, inputs: GpioInputs) -> None:
    board.break_line(number)
    await until(lambda: inputs.status()[0]["trouble"], "the trouble")


async def comes(board: ChipDouble, number: int, inputs: GpioInputs) -> None:
    board.mend_line(number)
    await until(lambda: not inputs.status()[0]["trouble"], "the return")


async def with_short_pauses(scene) -> None:
    """Pauses that a test can wait for."""
    before, reclaiming.PAUSES_S = reclaiming.PAUSES_S, (0.005, 0.01)
    try:
        await scene()
    finally:
        reclaiming.PAUSES_S = before
