"""Modbus boards that are dead, wrong, noisy or gone: no door opens by itself, none stays open, each says what to do."""

import asyncio
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from modbus_scene import BACK, FRONT, scene

from edge.decision.model import HOLD, LOCK

CLIENT = """
import asyncio, sys
from edge.lines.modbus import ModbusOutput
from edge.lines.modbus_relays import ModbusBoard

async def main():
    output = ModbusOutput(0, False, sys.argv[2])
    board = ModbusBoard(sys.argv[1], 9600, 1, {("front", "door"): output}, lambda line: print(line, flush=True))
    board.claim()
    task = asyncio.create_task(board.run())
    while not board.strike("front", "door", 1500):
        await asyncio.sleep(0.01)
    await task

asyncio.run(main())
"""


@pytest.mark.parametrize(("timer", "falls"), [("flash", True), ("flash-coil", True), ("none", False)])
def test_killed_in_a_pulse(tmp_path: Path, timer: str, falls: bool) -> None:
    """M3: the board's own timer ends the pulse of an agent that was killed in it; without one the relay stays."""

    async def run() -> None:
        async with scene(tmp_path, timer=timer) as it:
            command = [sys.executable, "-c", CLIENT, str(it.board.path), timer]
            child = subprocess.Popen(command, start_new_session=True)  # noqa: ASYNC220
            try:
                await it.moved(0, True)
            finally:
                child.kill()
                child.wait()
            if falls:
                await it.moved(0, False)
                assert it.board.history[-1].cause == "timer"
            else:
                await asyncio.sleep(2.0)  # more than the pulse
                assert it.board.relays[0]
            await it.connect()  # the next agent locks it
            assert not it.board.relays[0]

    asyncio.run(run())


def test_another_boards_address(tmp_path: Path) -> None:
    """A board that was not asked does not answer, and the installer is told what to check."""

    async def run() -> None:
        async with scene(tmp_path, unit=1, asked=2) as it:
            it.run()
            await it.until(lambda: bool(it.troubles), "the trouble")
            assert not it.board.heard
            assert it.board.unheard >= 3
            assert it.connected == []
            assert "does not answer at 9600 baud: check its power, address and speed" in it.troubles[0]
            assert not it.lines.strike(*FRONT, HOLD)
            await it.until(lambda: it.lines.status()["unanswered"] >= 6, "a second attempt")
            assert len(it.troubles) == 1

    asyncio.run(run())


def test_what_a_silent_board_puts_on_the_screen(tmp_path: Path) -> None:
    """One line of ours, and none of pymodbus's own."""

    async def run() -> None:
        async with scene(tmp_path, unit=2) as it:
            command = [sys.executable, "-c", CLIENT, str(it.board.path), "none"]
            child = subprocess.Popen(  # noqa: ASYNC220
                command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            try:
                await it.until(lambda: it.board.unheard >= 4, "a second attempt")
            finally:
                child.terminate()
                said, _ = child.communicate()
            assert len(said.splitlines()) == 1, said
            assert "does not answer at 9600 baud" in said

    asyncio.run(run())


def test_the_answer_of_another_unit(tmp_path: Path) -> None:
    """Is none."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            it.board.answers_as = 7
            it.run()
            await it.until(lambda: bool(it.troubles), "the trouble")
            assert it.connected == []
            it.board.answers_as = None
            await it.until(lambda: it.lines.is_connected, "the connection")

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["mute", "corrupt"])
def test_a_lost_answer(tmp_path: Path, fault: str) -> None:
    """The order is sent once more; nobody stands before a closed door for one disturbed frame."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            setattr(it.board, fault, 1)
            it.lines.strike(*FRONT, HOLD)
            await it.until(lambda: it.lines.status()["unanswered"] == 1, "the silence")
            it.lines.strike(*BACK, HOLD)
            await it.moved(3, True)
            assert it.board.relays[0]
            assert it.lines.is_connected
            assert it.lines.dropped_orders == 0
            setattr(it.board, fault, 2)
            it.lines.strike(*FRONT, LOCK)
            await it.until(lambda: not it.lines.status()["outputs"][0]["is_unlocked"], "the lock")
            assert not it.board.relays[0]

    asyncio.run(run())


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lock_that_is_not_heard(tmp_path: Path, lost: int) -> None:
    """Is sent until it is."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.lines.strike(*FRONT, HOLD)
            await it.until(lambda: it.board.relays[0] and not it.lines.corrected, "the hold")
            it.board.deaf = lost
            it.lines.strike(*FRONT, LOCK)
            await it.moved(0, False)
            assert it.lines.is_connected
            assert it.lines.corrected == 0  # the order itself, not the look after the relays
            assert it.lines.status()["unanswered"] == lost

    asyncio.run(run())


def test_a_late_answer(tmp_path: Path) -> None:
    """The echo of an unlock that comes while a lock is asked for does not count as the lock's."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.board.slow_s = 0.5
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)
            it.lines.strike(*FRONT, LOCK)
            await it.until(lambda: it.lines.status()["wrong_answers"] == 1, "the late answer")
            assert it.lines.status()["outputs"][0]["is_unlocked"]  # as far as anybody knows
            it.board.slow_s = 0.0
            await it.until(lambda: not it.lines.status()["outputs"][0]["is_unlocked"], "the lock")
            assert not it.board.relays[0]

    asyncio.run(run())


def test_an_unlock_without_answer_is_locked(tmp_path: Path) -> None:
    """Only the answers may have been lost: the relay is not left as it is."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.board.mute = 2
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)
            await it.moved(0, False)
            assert it.lines.is_connected
            assert it.lines.dropped_orders == 1

    asyncio.run(run())


def test_a_dead_board_blocks_no_other(tmp_path: Path) -> None:
    """While one is asked in vain, another's relay moves a hundred times."""

    async def run() -> None:
        async with scene(tmp_path, unit=2) as dead, scene(tmp_path, unit=1) as live:
            await dead.connect()
            await live.connect()
            dead.board.mute = 1_000_000
            dead.lines.strike(*FRONT, HOLD)
            for _ in range(50):
                live.lines.strike(*FRONT, HOLD)
                await live.moved(0, True)
                live.lines.strike(*FRONT, LOCK)
                await live.moved(0, False)
            await dead.until(lambda: bool(dead.troubles), "the trouble")
            assert live.troubles == []
            assert live.lines.status()["unanswered"] == 0

    asyncio.run(run())


def test_noise_on_the_line(tmp_path: Path) -> None:
    """Random bytes before, between and instead of answers: no relay moves that was not told to, none stays open."""
    seed = 41
    print(f"seed {seed}")

    async def run() -> None:
        chance = Random(seed)
        async with scene(tmp_path) as it:
            await it.connect()
            for _ in range(60):
                it.board.shout(chance.randbytes(chance.randint(1, 40)))
                it.board.corrupt = chance.random() < 0.2
                it.board.noise = chance.randbytes(chance.randint(1, 6)) if chance.random() < 0.2 else b""
                it.lines.strike(*FRONT, chance.choice((LOCK, HOLD, 100)))
                await asyncio.sleep(chance.random() * 0.03)
            it.board.noise, it.board.corrupt = b"", 0
            await it.until(lambda: it.lines.is_connected, "the connection")
            it.lines.strike(*FRONT, LOCK)
            await it.until(lambda: not it.lines.status()["outputs"][0]["is_unlocked"], "the lock")
            assert not any(it.board.relays)
            assert {moved.coil for moved in it.board.history} <= {0}

    asyncio.run(run())


def test_no_answer_is_believed_by_chance(tmp_path: Path) -> None:
    """A silent board on a line full of random bytes never counts as there."""
    seed = 43
    print(f"seed {seed}")

    async def run() -> None:
        chance = Random(seed)
        async with scene(tmp_path) as it:
            it.board.mute = 1_000_000
            it.run()
            while it.lines.status()["unanswered"] < 6:
                it.board.shout(bytes([1, 5, 0, 0, 0, 0]) + chance.randbytes(2))
                await asyncio.sleep(0.001)
            assert it.connected == []

    asyncio.run(run())


def test_the_adapter_is_pulled_and_put_back(tmp_path: Path) -> None:
    """What was ordered meanwhile is not made up for; the door that shall stand open is told so again."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            it.on_connected = lambda is_connected: it.lines.strike(*BACK, HOLD) and None if is_connected else None
            await it.connect()
            await it.moved(3, True)
            it.lines.strike(*FRONT, 60_000)
            await it.moved(0, True)
            it.board.unplug()
            await it.until(lambda: not it.lines.is_connected, "the loss")
            assert not it.lines.strike(*FRONT, 500)
            await it.until(lambda: "does not exist" in it.lines.last_error, "the advice")
            it.board.history.clear()
            it.board.plug()
            await it.until(lambda: it.lines.is_connected, "the connection")
            await it.until(lambda: it.board.relays == [False] * 3 + [True] + [False] * 4, "the hold")
            assert it.connected == [True, False, True]
            assert {(moved.coil, moved.is_energised) for moved in it.board.history} <= {
                (0, False),
                (3, False),
                (3, True),
            }

    asyncio.run(run())


def test_an_order_that_waited_when_the_adapter_went_is_not_made_up_for(tmp_path: Path) -> None:
    """It stood behind a slow answer; whoever it was for has gone when the board is back."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.board.slow_s = 0.2
            it.board.heard.clear()
            it.lines.strike(*FRONT, LOCK)
            await it.until(lambda: len(it.board.heard) == 1, "the request that is answered slowly")
            it.lines.strike(*BACK, HOLD)
            it.board.unplug()
            await it.until(lambda: not it.lines.is_connected, "the loss")
            assert it.lines.dropped_orders == 1
            it.board.slow_s = 0.0
            it.board.plug()
            await it.until(lambda: it.lines.is_connected, "the return")
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)  # by now what had waited would have been done
            assert {moved.coil for moved in it.board.history} == {0}

    asyncio.run(run())


def test_losses_and_returns_open_nothing(tmp_path: Path) -> None:
    """M2: pulled at any moment, 30 times, with orders only while it is away: no relay moves."""
    seed = 47
    print(f"seed {seed}")

    async def run() -> None:
        chance = Random(seed)
        async with scene(tmp_path) as it:
            it.run()
            for _ in range(30):
                it.board.unplug()
                await it.until(lambda: not it.lines.is_connected, "the loss")
                assert not it.lines.strike(*FRONT, 500)
                it.board.plug()
                if chance.random() < 0.5:
                    await it.until(lambda: it.lines.is_connected, "the connection")
                else:
                    await asyncio.sleep(chance.random() * 0.02)
            assert list(it.board.history) == []

    asyncio.run(run())


def test_a_relay_that_the_board_has_not(tmp_path: Path) -> None:
    """It is said which, and the board's other relays work."""

    async def run() -> None:
        async with scene(tmp_path, coils=(0, 11)) as it:
            await it.connect()
            assert "refuses a request for relay 11 (exception 2): it has no such relay" in it.troubles[0]
            it.lines.strike(*BACK, 500)
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)
            assert it.lines.is_connected

    asyncio.run(run())


@pytest.mark.parametrize(("timer", "has_timer"), [("flash", "none"), ("flash-coil", "flash"), ("flash", "flash-coil")])
def test_a_timer_that_the_board_has_not(tmp_path: Path, timer: str, has_timer: str) -> None:
    """The relay does not move: a pulse that the board does not end is not what was configured."""

    async def run() -> None:
        async with scene(tmp_path, timer=timer, has_timer=has_timer) as it:
            await it.connect()
            it.lines.strike(*BACK, 500)
            await it.until(lambda: bool(it.troubles), "the trouble")
            assert "relay 3" in it.troubles[0]
            assert "timer" in it.troubles[0]
            assert list(it.board.history) == []

    asyncio.run(run())


def test_the_board_loses_power(tmp_path: Path) -> None:
    """A door that shall stand open opens again, one in its pulse stays locked and that is said."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            await it.unlock_both()
            it.board.lose_power()
            await it.moved(0, True)
            await it.until(lambda: it.lines.fell_early == 1, "the finding")
            assert "relay 3 fell before its pulse was over" in it.troubles[0]
            assert not it.board.relays[3]

    asyncio.run(run())


def test_a_relay_that_opened_by_itself(tmp_path: Path) -> None:
    """Is locked, and counted."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            it.board.relays[3] = True
            await it.moved(3, False)
            assert it.lines.corrected == 1

    asyncio.run(run())


def test_a_port_that_another_has(tmp_path: Path) -> None:
    """Two boards' entries with one port: the second says so."""

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.connect()
            twin: list[str] = []
            second = type(it.lines)(str(it.board.path), 9600, 1, {}, twin.append)
            task = asyncio.create_task(second.run())
            await it.until(lambda: bool(twin), "the trouble")
            assert "is in use: another program, a second agent, or another board's entry" in twin[0]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            it.lines.strike(*FRONT, HOLD)
            await it.moved(0, True)

    asyncio.run(run())


def test_pymodbus_is_needed_only_where_it_is_used() -> None:
    """Importing the lines does not import it; where it is missing, the error says what to install."""
    script = (
        "import sys, asyncio; sys.modules['pymodbus'] = None\n"
        "from edge.lines.modbus_relays import ModbusBoard\n"
        "try: ModbusBoard('/dev/x', 9600, 1, {}, print).claim()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "ModbusError Modbus board 1 on /dev/x: needs the package pymodbus; install vantail[pi]\n"
