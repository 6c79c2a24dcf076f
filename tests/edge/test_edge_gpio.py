"""An agent on GPIO lines: Wiegand in, relay and light out. The chip is a double at gpiod's boundary."""

import asyncio
import contextlib
import time

import pytest
from edge_controller import NEVER_AUTO, NOW_MS, RESIDENT_B, STRANGER, make, until

from edge import keyring
from edge.agent import Agent
from edge.answering import Answers
from edge.config import ConfigError, load
from edge.lines.gpio import GpioError
from edge.reader.inputs import LineDown, LineUp
from firmware_sim import pulses
from firmware_sim.driven_clock import DrivenClock
from firmware_sim.gpio_double import ChipDouble

STRIKE, GREEN, D0, D1, CONTACT, EXIT = 17, 12, 5, 6, 22, 23
CONFIG = """\
controller = "hall-b"
api = "api"

[[wiegand]]
id = "hall-b-in"
d0 = "gpio:gpiochip0:5"
d1 = "gpio:gpiochip0:6"
green = "gpio:gpiochip0:12"

[[door]]
id = "hall-b"
outputs = { door = "gpio:gpiochip0:17" }
contact = "gpio:gpiochip0:22"
exit = "gpio:gpiochip0:23"
"""


class Wall:
    """The agent in this process and the chip that it drives."""

    def __init__(self, agent: Agent, chip: ChipDouble) -> None:
        self.agent, self.chip = agent, chip

    async def present(self, number: str) -> None:
        """Send a card's pulses and wait until it was decided."""
        decided = self.agent.decisions
        for line, at_ns in pulses.card(int(number), "37", time.monotonic_ns()):
            self.chip.pulse((D0, D1)[line], at_ns, 50_000)
        await until(lambda: self.agent.decisions > decided, "a decision")
        await self.agent.settle()

    def is_unlocked(self) -> bool:
        return self.chip.outputs[STRIKE]


@contextlib.asynccontextmanager
async def at_work(folder):
    made = make(folder, changes=(NEVER_AUTO,))
    made.config.write_text(CONFIG)
    chip = ChipDouble()
    chip.drive(CONTACT, False, time.monotonic_ns())  # the leaf is closed
    config = load(made.config)
    agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS), chip.request_lines)
    running = asyncio.ensure_future(agent.run())
    try:
        await until(lambda: STRIKE in chip.outputs, "the claim")
        await agent.settle()
        yield Wall(agent, chip)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def test_a_card_on_two_lines_moves_the_relay(folder) -> None:
    """Pulses of a resident's card unlock the strike; a stranger's do not; the record stands before."""

    async def play() -> None:
        async with at_work(folder) as wall:
            await wall.present(STRANGER)
            assert not wall.is_unlocked()
            await wall.present(RESIDENT_B)
            await until(wall.is_unlocked, "the relay")
            found = await Answers(wall.agent).by_op()["events"]({"medium": "badge", "limit": 10})
            assert [event["result"] for event in found["events"]] == ["denied", "open"]

    asyncio.run(play())


def test_the_exit_button_and_a_stop(folder) -> None:
    """A press of the button unlocks; the end of the agent locks and gives every line back."""
    chips = []

    async def play() -> None:
        async with at_work(folder) as wall:
            chips.append(wall.chip)
            wall.chip.drive(EXIT, False, time.monotonic_ns())
            await asyncio.sleep(0)
            wall.chip.settle(time.monotonic_ns() + 10**9)
            await until(wall.is_unlocked, "the relay")

    asyncio.run(play())
    assert chips[0].outputs[STRIKE] is False
    assert chips[0].requests == {}


def test_a_line_that_is_taken(folder) -> None:
    """Another program has the strike's line: the agent does not start, and says which line and what to do."""

    async def play() -> None:
        made = make(folder, changes=(NEVER_AUTO,))
        made.config.write_text(CONFIG)
        chip = ChipDouble()
        chip.request_lines("/dev/gpiochip0", {STRIKE: None})
        config = load(made.config)
        agent = await Agent.start(config, keyring.load(config), DrivenClock(NOW_MS), chip.request_lines)
        with pytest.raises(GpioError, match=r"gpiochip0:17: is in use"):
            await agent.run()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"gpio:gpiochip0:23"', '"gpio:gpiochip0:22"', "is door hall-b's contact already"),
        ('"gpio:gpiochip0:23"', '"gpio:22"', "write 'gpio:CHIP:LINE'"),
        ('"gpio:gpiochip0:6"', '"gpio:gpiochip1:6"', "must be on one chip"),
        ('"gpio:gpiochip0:23"', '"osdp:x:0"', "reader x .* is on no bus"),
        ('"gpio:gpiochip0:17"', '"mdobus:1"', "is no line"),
    ],
)
def test_wires_that_cannot_be(folder, old: str, new: str, said: str) -> None:
    """Each is refused with one line that says what to change."""
    path = folder / "agent.toml"
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_a_renewed_session_is_no_alarm_but_a_lost_reader_is(folder) -> None:
    """A reader that is back at once raises none; the one that stays away a moment later does."""

    async def play() -> None:
        async with at_work(folder) as wall:
            wall.agent.submit(LineDown("renewed", "its session ended"))
            wall.agent.submit(LineUp("renewed", ""))
            wall.agent.submit(LineDown("hall-b-in", "no answer"))
            found: list = []

            async def look() -> None:
                found[:] = (await Answers(wall.agent).by_op()["events"]({"result": "alarm", "reason": "reader"}))[
                    "events"
                ]

            end = time.monotonic() + 30
            while not found and time.monotonic() < end:
                await asyncio.sleep(0.05)
                await look()
            await wall.agent.settle()
            await look()
            assert [event["reader"] for event in found] == ["hall-b-in"]

    asyncio.run(play())
