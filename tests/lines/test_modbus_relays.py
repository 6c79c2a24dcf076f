"""Relays on a Modbus board: what goes over the line, what moves, and in which order."""

import asyncio
from pathlib import Path

import pytest
from modbus_scene import BACK, FRONT, scene

from edge.decision.model import HOLD, LOCK
from edge.lines.modbus import ModbusOutput, coil_at
from edge.lines.modbus_relays import ModbusBoard


@pytest.mark.parametrize(
    ("unit", "timer", "fail_safe", "ms", "frame"),
    [
        (255, "none", False, HOLD, "FF 05 00 00 FF 00 99 E4"),  # LC Technology, 4-channel module, command 2
        (255, "none", True, HOLD, "FF 05 00 00 00 00 D8 14"),  # command 3
        (255, "flash", False, 2000, "FF 10 00 03 00 02 04 00 04 00 14 C5 9F"),  # command 16
        (255, "flash", True, 3000, "FF 10 00 03 00 02 04 00 02 00 1E A5 99"),  # command 17
        (1, "flash-coil", False, 700, "01 05 02 00 00 07 8D B0"),  # Waveshare Modbus RTU Relay, flash on
        (1, "flash-coil", False, 601, "01 05 02 00 00 07 8D B0"),  # rounded up to a tenth
    ],
)
def test_the_frames_of_the_makers(tmp_path: Path, unit: int, timer: str, fail_safe: bool, ms: int, frame: str) -> None:
    """A strike sends what the board's maker prints as its example."""

    async def run() -> None:
        async with scene(tmp_path, unit=unit, timer=timer, fail_safe=fail_safe) as it:
            await it.connect()
            it.board.heard.clear()
            assert it.lines.strike(*FRONT, ms)
            await it.until(lambda: bool(it.board.heard), "the order")
            assert it.board.heard[0] == bytes.fromhex(frame)

    asyncio.run(run())


@pytest.mark.parametrize("fail_safe", [False, True])
def test_every_relay_is_locked_before_anything_else(tmp_path: Path, fail_safe: bool) -> None:
    """Whatever the relays did meanwhile; those that are not ours stay as they are."""

    async def run() -> None:
        async with scene(tmp_path, fail_safe=fail_safe) as it:
            it.board.relays[:] = [not fail_safe] * 8
            assert not it.lines.strike(*FRONT, 500)  # not made up for later
            await it.connect()
            assert [it.board.relays[coil] for coil in (0, 3)] == [fail_safe] * 2
            assert [it.board.relays[coil] for coil in (1, 2, 4, 5, 6, 7)] == [not fail_safe] * 6
            assert it.connected == [True]
            assert it.lines.dropped_orders == 1
            assert len(it.board.heard) == 2

    asyncio.run(run())


@pytest.mark.parametrize("timer", ["none", "flash", "flash-coil"])
@pytest.mark.parametrize("fail_safe", [False, True])
def test_a_pulse_opens_and_ends(tmp_path: Path, timer: str, fail_safe: bool) -> None:
    """With each timer and kind of lock; the other door does not move, and our own LOCK ends the pulse."""

    async def run() -> None:
        async with scene(tmp_path, timer=timer, fail_safe=fail_safe) as it:
            await it.connect()
            it.board.history.clear()
            assert it.lines.strike(*BACK, 300)
            await it.moved(3, not fail_safe)
            await it.moved(3, fail_safe)
            await it.until(lambda: not it.lines.status()["outputs"][1]["is_unlocked"], "the lock's answer")
            assert [(moved.coil, moved.is_energised) for moved in it.board.history] == [
                (3, not fail_safe),
                (3, fail_safe),
            ]
            assert it.troubles == []

    asyncio.run(run())


def test_the_newest_order_counts(tmp_path: Path) -> None:
    """Orders for one relay that wait are replaced, never queued up."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.board.history.clear()
            for _ in range(100):
                it.lines.strike(*FRONT, HOLD)
                it.lines.strike(*FRONT, LOCK)
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)
            assert len(it.board.history) == 1
            assert it.lines.dropped_orders == 100

    asyncio.run(run())


def test_a_lock_goes_first(tmp_path: Path) -> None:
    """It waits for the request on the line, and for no other."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.lines.strike(*BACK, HOLD)
            await it.moved(3, True)
            it.board.slow_s = 0.1
            it.board.heard.clear()
            it.lines.strike(*FRONT, HOLD)
            await it.until(lambda: len(it.board.heard) == 1, "the first order")
            it.lines.strike(*FRONT, 5000)  # waits
            it.lines.strike(*BACK, LOCK)
            await it.until(lambda: len(it.board.heard) == 3, "the orders")
            assert [frame[1:6].hex() for frame in it.board.heard][:3] == ["050000ff00", "0500030000", "050000ff00"]

    asyncio.run(run())


def test_the_end_locks_what_is_unlocked(tmp_path: Path) -> None:
    """A cancelled task leaves no door open, whether it was held or in its pulse."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            await it.unlock_both()
            await it.end()
            assert not any(it.board.relays)

    asyncio.run(run())


def test_a_hold_outlasts_the_boards_timer(tmp_path: Path) -> None:
    """A pulse becomes a hold, the board's timer runs on and lets the relay fall: it is energised again."""

    async def run() -> None:
        async with scene(tmp_path, timer="flash") as it:
            await it.connect()
            it.lines.strike(*FRONT, 500)
            await it.moved(0, True)
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, False)
            await it.moved(0, True)
            assert it.board.history[-2].cause == "timer"
            assert it.lines.corrected == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "target",
    ["", "modbus", "modbus:board", "modbus:board:", "modbus::1", "gpio:board:1", "modbus:b:-1", "modbus:b:256"],
)
def test_targets_that_are_none(target: str) -> None:
    """Each is refused."""
    with pytest.raises(ValueError):
        coil_at(target)


def test_a_target_names_board_and_relay() -> None:
    """modbus:BOARD:COIL, relays from 0."""
    assert coil_at("modbus:cellar:7") == ("cellar", 7)


def test_an_output_that_is_not_there() -> None:
    """Is an error of the caller."""

    async def run() -> None:
        board = ModbusBoard("none", 9600, 1, {FRONT: ModbusOutput(0)}, print)
        with pytest.raises(KeyError):
            board.strike(*BACK, LOCK)

    asyncio.run(run())
