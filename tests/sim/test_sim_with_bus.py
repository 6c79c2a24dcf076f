"""The simulated readers on a paced line with the agent's own OSDP bus as master."""

import asyncio
from pathlib import Path

from sim_panel import until

from edge.decision import indications
from edge.reader.inputs import CardRead, KeysPressed, LineDown, LineUp, ReaderInput, TamperSeen
from edge.reader.osdp.bus import Bus, BusReader
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_lights import now_ms
from firmware_sim.reader_line import ReaderLine

KEYS = [bytes.fromhex("8d3b1f0c5a7e49d2b6604c91e2f7a835"), bytes.fromhex("17c2e9405bd8634fa10e7d96b82c53f4")]
CARD_BITS = 37
CARD = bytes.fromhex("0123456788")


def test_bus_and_readers_work_together(tmp_path: Path) -> None:
    """Card, keys and tamper reach the bus secured; signal and strike reach the reader; a pulled reader comes back
    while the other one on the line goes on working."""

    async def play() -> None:
        readers = [OsdpReader(f"r{n}", n, key) for n, key in enumerate(KEYS)]
        line = ReaderLine(tmp_path / "bus", readers, baud=115200)
        line.open()
        delivered: list[ReaderInput] = []
        bus = Bus(
            str(tmp_path / "bus"),
            115200,
            [BusReader(f"r{n}", n, key) for n, key in enumerate(KEYS)],
            delivered.append,
        )
        running = asyncio.get_running_loop().create_task(bus.run())

        def seen(kind: type, reader: str) -> list[ReaderInput]:
            return [value for value in delivered if isinstance(value, kind) and value.reader == reader]

        await until(lambda: seen(LineUp, "r0") and seen(LineUp, "r1"))
        bus.indicate("r0", indications.TABLE["idle"])
        await until(lambda: readers[0].color(now_ms()) == indications.RED)
        readers[0].present_card(CARD_BITS, CARD)
        readers[0].press("42#")
        readers[0].tamper(True)
        await until(lambda: seen(TamperSeen, "r0") and seen(KeysPressed, "r0"))
        [card] = seen(CardRead, "r0")
        assert (card.bits, card.data, card.secure) == (CARD_BITS, CARD, True)
        bus.indicate("r0", indications.TABLE["granted"])
        bus.set_output("r0", 0, 5000)
        await until(lambda: {"led", "buzzer", "output"} <= {each.kind for each in readers[0].seen})
        await until(lambda: readers[0].color(now_ms()) == indications.GREEN)
        assert readers[0].is_output_on(0, now_ms())
        assert readers[0].color(now_ms() + 2100) == indications.RED

        readers[1].unplug()
        await until(lambda: seen(LineDown, "r1"))
        cards = len(seen(CardRead, "r0"))
        readers[0].present_card(CARD_BITS, CARD)
        await until(lambda: len(seen(CardRead, "r0")) > cards)
        readers[1].plug_in()
        await until(lambda: len(seen(LineUp, "r1")) == 2)

        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        line.close()

    asyncio.run(play())
