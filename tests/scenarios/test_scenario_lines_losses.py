"""Row M2: connections that are lost and come back, and starts, move no relay; but a door that stands open by a trusted
clock is told so again. And D10's line part through the agent: no press and no movement of a leaf is missed."""

import asyncio
import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
from scenario_lines import (
    CONTACT,
    DEADLINE_S,
    EXIT,
    MS,
    NOW_MS,
    RELAYS,
    RESIDENT,
    TAMPER,
    AtWork,
    Hardware,
    all_there,
    at_work,
    started,
    until,
    write_box,
)
from scenario_processes import short_folder

from edge.decision.model import Tick
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.network_cut import NetworkCut

SEED = 20261122
LOBBY = ("lobby", "door")


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[tuple[NetworkCut, str]]:
    """A broker behind a network that can be cut, and the address to configure."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim.broker_process", str(port),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    cut = NetworkCut()
    try:
        await until(lambda: _listens(port), "the broker listens")
        yield cut, f"mqtt://127.0.0.1:{await cut.start(port)}"
    finally:
        await cut.stop()
        broker.kill()
        await broker.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Losses:
    """Takes each connection away and gives it back. `lost`: how often, by name."""

    def __init__(self, work: AtWork, cut: NetworkCut, chance: random.Random) -> None:
        self._work, self._cut, self._chance = work, cut, chance
        self.lost = dict.fromkeys(("bus", "board", "gpio", "modbus", "gsm", "uplink"), 0)

    async def lose_all(self) -> None:
        """Each in one of the ways in which it can go, and seen by the agent."""
        hardware = self._work.hardware
        self._bus_way = self._chance.choice(("adapter", "adapter", "pair", "power"))
        {"adapter": hardware.line.close, "pair": hardware.line.unplug, "power": hardware.reader.unplug}[self._bus_way]()
        hardware.board.unplug()
        for line in (*RELAYS.values(), CONTACT, EXIT, TAMPER):
            hardware.chip.break_line(line)
        hardware.relays.unplug()
        if self._chance.random() < 0.5:
            hardware.relays.lose_power()
        hardware.modem.unplug()
        if self._chance.random() < 0.5:
            hardware.modem.reboot()
        self._cut.cut()
        for name in self.lost:
            self.lost[name] += 1
        await self._until_there(False)

    async def give_back(self) -> None:
        """And wait until the agent has it again."""
        hardware = self._work.hardware
        {"adapter": hardware.line.open, "pair": hardware.line.plug, "power": hardware.reader.plug_in}[self._bus_way]()
        hardware.board.plug()
        for line in (*RELAYS.values(), CONTACT, EXIT, TAMPER):
            hardware.chip.mend_line(line)
        hardware.relays.plug()
        hardware.modem.plug()
        await self._cut.restore()
        await self._until_there(True)
        await self._work.settle()

    async def _until_there(self, is_there: bool) -> None:
        try:
            await until(lambda: set(self.there().values()) == {is_there}, "every line")
        except AssertionError:
            raise AssertionError(f"not everywhere {is_there}: {self.there()}; the bus by its {self._bus_way}") from None

    def there(self) -> dict[str, bool]:
        """What the agent has, as it sees it itself."""
        agent = self._work.agent
        status = agent.hardware.status()
        return {
            "bus": status["readers"][0]["ready"],
            "board": status["board"]["is_connected"],
            "modbus": status["modbus"][0]["is_connected"],
            "gsm": status["modems"][0]["ready"],
            "uplink": agent.manager_side.status()["line"]["connected"],
        }


def lose_and_regain(rounds: int, is_trusted: bool) -> tuple[int, list[tuple[str, str]], int]:
    """(losses, activations, returns of the board)."""
    chance = random.Random(SEED)
    print("seed", SEED)

    async def run() -> tuple[int, list[tuple[str, str]], int]:
        async with network() as (cut, broker):
            box = write_box(folder, auto_open="Day", broker=broker)
            async with at_work(box) as work:
                work.clock.trusted = is_trusted
                work.agent.submit(Tick())
                losses = Losses(work, cut, chance)
                await until(lambda: all(losses.there().values()), "all is there")
                for _ in range(rounds):
                    await losses.lose_all()
                    work.hardware.osdp_card(RESIDENT)  # nobody hears it, then or later
                    await work.pass_time(chance.choice((1, 60, 3600)))  # the lobby stands open until 19:00
                    await losses.give_back()
                assert work.agent.decisions == 0
                moved = work.hardware.activations()
                work.hardware.board.present("yard-in", "badge", str(RESIDENT))  # the counter counts: the control
                await until(lambda: work.hardware.activations()[len(moved) :] == [("yard", "door")], "a real one")
                return sum(losses.lost.values()), moved, work.hardware.board.connections
        raise AssertionError

    with short_folder() as folder:
        return asyncio.run(run())


def test_losses_move_no_relay() -> None:
    """Every connection lost and back, by turns in each of its ways: nothing moves, but the door that stands open by a
    trusted clock, once for each time that its board is back."""
    losses, moved, connections = lose_and_regain(rounds=1, is_trusted=True)
    assert losses == 6
    assert moved == [LOBBY] * connections


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_thousand_losses_move_no_relay(is_trusted: bool) -> None:
    """Row M2's size; with an untrusted clock nothing stands open either."""
    losses, moved, connections = lose_and_regain(rounds=167, is_trusted=is_trusted)
    assert losses >= 1000
    assert moved[1:] == [LOBBY] * (connections - 1 if is_trusted else 0)


def test_a_strike_that_found_no_line_is_not_made_up_for() -> None:
    """A resident is let through while the door's relay board is away: when it is back, nothing moves."""

    async def run() -> None:
        async with at_work(write_box(folder)) as work:
            relays, board = work.hardware.relays, work.hardware.board
            status = work.agent.hardware.status
            relays.unplug()
            await until(lambda: not status()["modbus"][0]["is_connected"], "it is away")
            shown = lambda: board.present("shed-in", "badge", str(RESIDENT))  # noqa: E731
            assert await work.decided(1, shown) == [("shed", "open", "")]
            relays.plug()
            await until(lambda: status()["modbus"][0]["is_connected"], "it is back")
            assert work.hardware.activations() == []
            await work.pulses_over()
            assert await work.decided(1, shown) == [("shed", "open", "")]
            await until(lambda: work.hardware.activations() == [("shed", "door")], "the next one is let through")

    with short_folder() as folder:
        asyncio.run(run())


# --- starts ---------------------------------------------------------------------------------------------------------


def start_often(starts: int, waits_every: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What moved in so many starts of an agent with a trusted clock, and with an untrusted one, by turns. Every
    `waits_every`th waits for all its lines, others end in the middle of their start. The exit button is held."""
    chance = random.Random(SEED)
    moved: dict[bool, list[tuple[str, str]]] = {True: [], False: []}

    async def run() -> None:
        box = write_box(folder, auto_open="Day")
        hardware = Hardware(box)
        await hardware.start()
        hardware.chip.drive(EXIT, False, 0)
        for number in range(starts):
            is_trusted = number // 2 % 2 == 0
            async with started(box, hardware, DrivenClock(NOW_MS, trusted=is_trusted)) as work:
                if number % waits_every == 0:
                    await all_there(work)
                elif number % 2:
                    await asyncio.sleep(chance.random() * 0.05)
                moved[is_trusted] += hardware.activations()
                forget(hardware)
            moved[is_trusted] += hardware.activations()  # at its end, or with it
            forget(hardware)
        async with started(box, hardware, DrivenClock(NOW_MS)) as work:  # the counter counts: the control
            hardware.press_exit()  # lets go of it first
            hardware.press_exit()
            await until(lambda: ("four", "door") in hardware.activations(), "a press of the button")
        await hardware.stop()

    with short_folder() as folder:
        asyncio.run(run())
    return moved[True], moved[False]


def forget(hardware: Hardware) -> None:
    """Begin to count again."""
    for history in (hardware.chip.history, hardware.board.history, hardware.relays.history, hardware.reader.seen):
        history.clear()


def test_starts_move_no_relay() -> None:
    """Starts and ends, whole and broken off: only the door that stands open by a trusted clock moves."""
    trusted, untrusted = start_often(20, waits_every=4)
    assert set(trusted) == {LOBBY}
    assert untrusted == []


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_ten_thousand_starts_move_no_relay() -> None:
    """Row M2's size."""
    trusted, untrusted = start_often(10_000, waits_every=50)
    assert set(trusted) == {LOBBY}
    assert untrusted == []


# --- pulses on inputs -----------------------------------------------------------------------------------------------


async def press_often(work: AtWork, presses: int, chance: random.Random, widths_ms: tuple[int, int]) -> None:
    """Presses of the exit button and movements of the yard's leaf, bouncing, while the loop looks only now and then."""
    chip, board = work.hardware.chip, work.hardware.board
    at_ns = time.monotonic_ns()
    unseen = 0
    for _ in range(presses):
        for level in (False, True):
            chip.bounce(EXIT, level, at_ns, times=chance.randrange(6))
            at_ns += chance.randint(*widths_ms) * MS
            chip.settle(at_ns)
        board.contact("yard", True)
        board.contact("yard", False)
        unseen += 1
        if unseen >= chance.randrange(1, 100):  # the kernel keeps 256 edges, 128 presses
            unseen = 0
            await work.settle()
    await board.barrier(DEADLINE_S)
    await work.settle()


def heard_of(presses: int, widths_ms: tuple[int, int]) -> tuple[int, int]:
    """(exits, leaf openings) that were recorded of so many."""

    async def run() -> tuple[int, int]:
        async with at_work(write_box(folder)) as work:
            await press_often(work, presses, random.Random(SEED), widths_ms)
            exits = openings = 0
            while events := await work.events():
                exits += sum(event["medium"] == "exit" for event in events)
                openings += sum((event["door"], event["reason"]) == ("yard", "door-opened") for event in events)
            assert set(work.hardware.activations()) == ({("four", "door")} if exits else set())
            return exits, openings

    with short_folder() as folder:
        return asyncio.run(run())


def test_no_press_of_over_400_ms_is_missed() -> None:
    """Each press of the button and each opening of a leaf is decided and recorded once, however it bounces; the
    control: presses shorter than the debounce are not heard."""
    assert heard_of(200, (401, 2000)) == (200, 200)
    assert heard_of(10, (1, 10))[0] < 10


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_ten_thousand_presses() -> None:
    """D10's size."""
    assert heard_of(10_000, (401, 2000)) == (10_000, 10_000)
