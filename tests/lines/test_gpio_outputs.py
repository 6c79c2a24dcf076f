"""Relays on GPIO: what moves, what never moves, and what is left when the agent dies."""

import asyncio
from random import Random

import pytest
from gpio_scene import chip, line, turn, until

from edge.decision.model import HOLD, LOCK, LineAlarm
from edge.lines.gpio import GpioError, GpioLine
from edge.lines.relays import GpioOutput, GpioOutputs
from firmware_sim.gpio_double import ChipDouble

FRONT = ("front", "door")


def outputs(board: ChipDouble, *, fail_safe: bool = False, active_low: bool = False) -> GpioOutputs:
    relay = GpioOutput(line(17, active_low=active_low), fail_safe)
    return GpioOutputs({FRONT: relay}, board.request_lines)


@pytest.mark.parametrize(
    ("fail_safe", "active_low", "locked", "unlocked"),
    [(False, False, False, True), (False, True, True, False), (True, False, True, False), (True, True, False, True)],
)
def test_what_locked_means_electrically(fail_safe: bool, active_low: bool, locked: bool, unlocked: bool) -> None:
    """The line's level, by kind of lock and of relay board: from the claim on, and after a strike."""

    async def scene() -> None:
        board = chip()
        relays = outputs(board, fail_safe=fail_safe, active_low=active_low)
        relays.claim()
        assert board.history == [(17, locked)]  # the claim itself drives it: no other level before
        assert relays.strike(*FRONT, HOLD)
        assert board.level(17) is unlocked
        assert relays.strike(*FRONT, LOCK)
        assert board.history == [(17, locked), (17, unlocked), (17, locked)]

    asyncio.run(scene())


def test_ten_thousand_starts_click_nothing() -> None:
    """M2: claimed and released 10,000 times, of all kinds, no relay ever unlocks."""

    async def scene() -> None:
        chance = Random(2)
        for _ in range(10_000):
            board = chip(keeps_released=chance.random() < 0.5)
            fail_safe, active_low = chance.random() < 0.5, chance.random() < 0.5
            locked = fail_safe != active_low
            board.pulled_up = locked  # as the installer is told: at rest the relay is where locked is
            relays = outputs(board, fail_safe=fail_safe, active_low=active_low)
            relays.claim()
            relays.release()
            assert {level for _, level in board.history} == {locked}

    asyncio.run(scene())


def test_a_pulse_ends_by_itself() -> None:
    """Should the core's LOCK never come."""

    async def scene() -> None:
        board = chip()
        relays = outputs(board)
        relays.claim()
        relays.strike(*FRONT, 20)
        assert board.level(17)
        await until(lambda: not board.level(17), "the end of the pulse")
        assert relays.status()["outputs"][0]["is_unlocked"] is False

    asyncio.run(scene())


def test_a_new_pulse_counts_from_its_own_start() -> None:
    """A pulse during a pulse, a hold during a pulse, a lock during a pulse: the last word holds."""

    async def scene() -> None:
        board = chip()
        relays = outputs(board)
        relays.claim()
        relays.strike(*FRONT, 10)
        relays.strike(*FRONT, HOLD)
        await asyncio.sleep(0.05)
        assert board.level(17)
        relays.strike(*FRONT, 60_000)
        relays.strike(*FRONT, LOCK)
        assert not board.level(17)
        assert relays._timers == {}

    asyncio.run(scene())


def test_killed_during_a_pulse() -> None:
    """M3: with strict_gpiod the kernel takes the line back to its pull and the strike locks; without it the strike
    stays unlocked (the negative control, and why `doctor` asks for it)."""

    async def scene(keeps_released: bool) -> bool:
        board = chip(keeps_released=keeps_released)
        relays = outputs(board)
        relays.claim()
        relays.strike(*FRONT, 60_000)
        board.end_of_process()
        for timer in relays._timers.values():
            timer.cancel()
        return board.level(17)

    assert asyncio.run(scene(False)) is False
    assert asyncio.run(scene(True)) is True


def test_a_stop_locks_first() -> None:
    """An orderly end leaves the strike locked even where the kernel keeps what was driven."""

    async def scene() -> None:
        board = chip(keeps_released=True)
        relays = outputs(board)
        relays.claim()
        relays.strike(*FRONT, HOLD)
        relays.release()
        assert not board.level(17)
        assert board.requests == {}

    asyncio.run(scene())


def test_a_chip_that_fails_is_tried_again_until_it_locks() -> None:
    """A write that fails is counted and an alarm, once; a lock is tried again until it holds."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        relays = GpioOutputs({FRONT: GpioOutput(line(17))}, board.request_lines, heard.append)
        relays.claim()
        relays.strike(*FRONT, HOLD)
        board.is_gone = True
        assert relays.strike(*FRONT, LOCK) is False
        assert relays.strike(*FRONT, LOCK) is False
        assert heard == [LineAlarm("front", f"output door: {relays.last_error}")]
        assert "gpiochip0:17" in relays.status()["last_error"]
        board.is_gone = False
        await until(lambda: not board.level(17), "the lock")
        assert relays.failed_writes >= 1

    asyncio.run(scene())


def test_none_is_kept_where_one_cannot_be_had() -> None:
    """The second output's line is in use: the first is given back, locked, and the error says which it is."""

    async def scene() -> None:
        board = chip()
        other = outputs(board)
        other.claim()
        relays = GpioOutputs({("back", "door"): GpioOutput(line(4)), FRONT: GpioOutput(line(17))}, board.request_lines)
        with pytest.raises(GpioError, match=r"^GPIO gpiochip0:17: is in use; `gpioinfo` names the program"):
            relays.claim()
        assert list(board.requests) == [17]
        assert relays.strike("back", "door", 1000) is False
        await turn()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("where", "denied", "said"),
    [
        (GpioLine("gpiochip9", "17"), False, "there is no chip gpiochip9; `gpiodetect` lists the chips"),
        (GpioLine("gpiochip0", "17"), True, "may not be used: add this user to the group gpio and start again"),
        (GpioLine("gpiochip0", "99"), False, "`gpioinfo` lists the chip's lines"),
    ],
)
def test_errors_are_one_line_with_advice(where: GpioLine, denied: bool, said: str) -> None:
    """No such chip, no permission, no such line."""

    async def scene() -> None:
        board = chip()
        board.is_denied = denied
        with pytest.raises(GpioError) as caught:
            GpioOutputs({FRONT: GpioOutput(where)}, board.request_lines).claim()
        assert said in str(caught.value)
        assert str(where) in str(caught.value)
        assert "\n" not in str(caught.value)

    asyncio.run(scene())


def test_the_real_gpiod_says_so_where_there_is_no_chip() -> None:
    """Without the double: this machine has no such chip, and gpiod's own error becomes the same line."""
    with pytest.raises(GpioError, match=r"there is no chip gpiochip987; `gpiodetect` lists the chips$"):
        GpioOutputs({FRONT: GpioOutput(GpioLine("gpiochip987", "17"))}).claim()
    with pytest.raises(GpioError, match="there is no chip pinctrl-none; "):
        GpioOutputs({FRONT: GpioOutput(GpioLine("pinctrl-none", "17"))}).claim()
    with pytest.raises(GpioError, match="is on no GPIO chip"):
        GpioOutputs({FRONT: GpioOutput(GpioLine("/dev/null", "17"))}).claim()
