"""The learning reader on a real OSDP line: libosdp's reader and its own light, at a controller that obeys nobody, so
that no policy knows the reader."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest
from edge_controller import DEADLINE_S, until
from onsite_controller import Commissioned

from edge import onsite
from edge.commissioning import journal
from edge.decision.indications import BLACK, GREEN, RED
from edge.reader import card_format
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine

HALL, KEY, STRANGER = "hall-a-in", 1_111_100_007, 1_111_100_008


async def shows(reader: OsdpReader, *colors: int, round_s: float = 0.3) -> None:
    """Wait until the light has just these colours, one after the other, within a little more than its round."""
    end = time.monotonic() + DEADLINE_S
    seen: set[int] = set()
    while seen != set(colors):
        assert time.monotonic() < end, f"{seen} is not {colors}"
        seen, until_s = set(), time.monotonic() + round_s
        while time.monotonic() < until_s:
            seen.add(reader.color(time.monotonic() * 1000))
            await asyncio.sleep(0.02)


async def ready(hall) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not any(one["id"] == HALL and one["online"] for one in (await hall.view())["readers"]):
            await asyncio.sleep(0.02)


def test_the_lights_tell_each_step_at_a_reader_that_no_policy_knows(folder: Path, monkeypatch) -> None:
    """Red/green while one walks there, fast red, then red for a wrong key; the second time fast green, and bound."""
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)
    at = Commissioned(folder, "hall-a")
    (at.made.keys / journal.MANAGER).unlink()
    reader = at.made.reader(HALL)
    line = ReaderLine(folder / "bus0", [reader])

    async def step(hall, number: int) -> str:
        """From the countdown to its end; the reason."""
        assert await hall.arm(reader=HALL) == ""
        await shows(reader, RED, GREEN, round_s=1.1)
        await hall.wait(90_000)
        await shows(reader, RED, BLACK)
        learning = hall.agent.onsite._procedure.learning
        reader.present_card(*card_format.encode(number))
        await until(lambda: learning.state != "presenting", "the key is read")
        await hall.wait(2_000)
        await until(lambda: not learning.is_busy, "it is stored")
        return learning.reason

    async def play() -> None:
        line.open()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(line.close)
            hall = await stack.enter_async_context(at.running())
            await ready(hall)
            assert await hall.deposit(at.handover(at.claim(key=KEY))) == ""
            await hall.login()
            assert await step(hall, STRANGER) == "wrong-key"
            await shows(reader, RED)
            assert await step(hall, KEY) == ""
            async with asyncio.timeout(DEADLINE_S):
                await hall.agent.onsite.taken_over.wait()
            await shows(reader, GREEN, BLACK)
            assert hall.pulses == 0
            assert hall.agent.onsite.is_over

    asyncio.run(play())


@pytest.mark.full
def test_a_reader_that_goes_away_ends_it(folder: Path) -> None:
    """Unplugged in the countdown: it fails with its reason; when it is back it works as before."""
    at = Commissioned(folder, "hall-a")
    reader = at.made.reader(HALL)
    line = ReaderLine(folder / "bus0", [reader])

    async def play() -> None:
        line.open()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(line.close)
            hall = await stack.enter_async_context(at.running())
            await ready(hall)
            assert await hall.deposit(at.handover(at.claim(key=KEY))) == ""
            await hall.login()
            assert await hall.arm(reader=HALL) == ""
            reader.unplug()
            learning = hall.agent.onsite._procedure.learning
            await until(lambda: learning.state == "failed", "it fails")
            view = await hall.view()
            assert (view["reason"], "cable" in view["way_on"]) == ("offline", True)
            assert await hall.arm(reader=HALL) == "offline"
            reader.plug_in()
            await ready(hall)
            reader.present_card(*card_format.encode(KEY))
            await until(lambda: hall.pulses, "the hall opens")

    asyncio.run(play())
