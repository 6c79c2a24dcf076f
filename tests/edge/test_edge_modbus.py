"""An agent whose strikes are relays of a Modbus board: pymodbus's own server on a pty."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from edge_controller import NEVER_AUTO, NOW_MS, RESIDENT_B, STRANGER, make, until

from edge import keyring
from edge.agent import Agent
from edge.answering import Answers
from edge.config import ConfigError, load
from edge.decision import model
from edge.service import serve
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.modbus_board import ModbusRelayBoard

CONFIG = """\
controller = "hall-b"
api = "api"

[[modbus]]
id = "cabinet"
port = "relays"
unit = 255
timer = "flash"

[[door]]
id = "hall-b"
outputs = { door = "modbus:cabinet:2" }
"""
COIL = 2


class Cabinet:
    """The agent in this process and the board."""

    def __init__(self, agent: Agent, board: ModbusRelayBoard, clock: DrivenClock) -> None:
        self.agent, self.board, self.clock = agent, board, clock

    @property
    def lines(self) -> Any:
        return self.agent.hardware.relay_boards["cabinet"]

    async def present(self, number: str) -> None:
        decisions = self.agent.decisions
        self.agent.submit(model.Presented("hall-b-in", "", model.BADGE, int(number), 0, True))
        await until(lambda: self.agent.decisions > decisions, "a decision")
        await self.agent.settle()

    async def events(self, **filters: Any) -> list[dict[str, Any]]:
        return (await Answers(self.agent).by_op()["events"]({"op": "events", **filters}))["events"]


@contextlib.asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[Cabinet]:
    made = make(folder, changes=(NEVER_AUTO,))
    made.config.write_text(CONFIG)
    board = ModbusRelayBoard(folder / "relays", 255, 8, "flash")
    await board.start()
    config = load(made.config)
    clock = DrivenClock(NOW_MS)
    agent = await Agent.start(config, keyring.load(config), clock)
    running = asyncio.ensure_future(agent.run())
    it = Cabinet(agent, board, clock)
    try:
        await until(lambda: it.lines.is_connected, "the board")
        yield it
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert board.relays[COIL] is False, "the end of the agent locks"
        await board.stop()


def test_a_badge_moves_the_relay_and_the_end_of_its_time_locks_it(folder) -> None:
    """A stranger's moves nothing."""

    async def play() -> None:
        async with at_work(folder) as it:
            await it.present(STRANGER)
            assert not any(it.board.relays)
            await it.present(RESIDENT_B)
            await until(lambda: it.board.relays[COIL], "the relay")
            assert sum(it.board.relays) == 1
            it.clock.move_by(60_000)
            it.agent.submit(model.Tick())
            await until(lambda: not it.board.relays[COIL], "the lock")

    asyncio.run(play())


def test_a_board_that_goes_away_is_an_alarm_and_comes_back_locked(folder) -> None:
    """What was held is held again once all was locked; a badge in the meantime is not made up for."""

    async def play() -> None:
        async with at_work(folder) as it:
            it.board.unplug()
            await until(lambda: not it.lines.is_connected, "the loss")
            await it.agent.settle()
            [alarm] = await it.events(reason="line")
            assert alarm["result"] == "alarm"
            assert alarm["detail"].startswith("cabinet: ")
            await it.present(RESIDENT_B)
            it.clock.move_by(60_000)
            it.agent.submit(model.Tick())
            it.board.plug()
            await until(lambda: it.lines.is_connected, "the return")
            await it.agent.settle()
            assert not any(it.board.relays)
            it.agent.submit(model.Command("hold", "hall-b", it.clock.utc_ms + 600_000, "a manager"))
            await until(lambda: it.board.relays[COIL], "the hold")
            it.board.unplug()
            await until(lambda: not it.lines.is_connected, "the loss")
            held = len(it.board.history)
            it.board.plug()
            await until(lambda: len(it.board.history) >= held + 2, "locked, then held again")
            assert [moved.is_energised for moved in list(it.board.history)[held:]] == [False, True]

    asyncio.run(play())


def test_a_board_in_the_status(folder) -> None:
    """Port, address, relays, troubles: for `vantail status --json` and doctor."""

    async def play() -> None:
        async with at_work(folder) as it:
            status = await Answers(it.agent).by_op()["status"]({"op": "status"})
            [board] = status["modbus"]
            assert (board["board"], board["unit"], board["is_connected"]) == ("cabinet", 255, True)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("modbus:cabinet:2", "modbus:cellar:2", "no [[modbus]] board cellar"),
        ("modbus:cabinet:2", "modbus:cabinet", "is no relay"),
        ("unit = 255", "unit = 256", "unit"),
        ('timer = "flash"', 'timer = "flush"', "timer"),
        ('door = "modbus:cabinet:2"', 'door = "modbus:cabinet:2", aux1 = "modbus:cabinet:2"', "door hall-b's already"),
        (
            '[[door]]\nid = "hall-b"',
            '[[modbus]]\nid = "b"\nport = "b"\n[[door]]\nid = "hall-b"',
            "no door has an output",
        ),
        ('[[door]]\nid = "hall-b"', '[[modbus]]\nid = "b"\nport = "relays"\n[[door]]\nid = "hall-b"', "there twice"),
        ('"modbus:cabinet:2" }', '"modbus:cabinet:2" }\ncontact = "modbus:cabinet:3"', "inputs are not read"),
        ('"modbus:cabinet:2" }', '"modbus:cabinet:2" }\ninverted = ["contact"]', "is on no OSDP reader"),
    ],
)
def test_boards_that_cannot_be(folder, old, new, words) -> None:
    """One line, which names what is wrong."""
    made = make(folder)
    assert CONFIG.count(old) == 1
    made.config.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(made.config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert serve(made.config) != 0
