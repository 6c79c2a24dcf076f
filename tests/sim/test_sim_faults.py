"""Faults on demand: each does what its name says, and is over when it is taken back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from gpiod import LineSettings
from gpiod.line import Direction, Edge, Value
from sim_panel import until

from edge.decision.model import Contact
from edge.lines.simulated import SimulatedBoard
from edge.reader.inputs import CardRead, LineDown, LineUp
from edge.reader.osdp.bus import Bus, BusReader
from firmware_sim.gpio_double import ChipDouble
from firmware_sim.line_board import LineBoard
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine

KEY = bytes.fromhex("8d3b1f0c5a7e49d2b6604c91e2f7a835")
OTHER_KEY = bytes.fromhex("17c2e9405bd8634fa10e7d96b82c53f4")
NEW_KEY = bytes.fromhex("5e0b93d4a1762cf8890ddf3417e46b52")
CARD = (26, b"\x12\x34\x56\x40")
MS = 1_000_000


class Served:
    """Two readers on a line, and the agent's bus at the other end of it."""

    def __init__(self, folder: Path, keys: tuple[bytes | None, bytes | None] = (KEY, OTHER_KEY)) -> None:
        self.near = OsdpReader("near", 1, keys[0])
        self.far = OsdpReader("far", 2, keys[1])
        self.line = ReaderLine(folder / "bus", [self.near, self.far])
        self.got: list[object] = []
        self.news: list[object] = []
        readers = [BusReader("near", 1, KEY), BusReader("far", 2, keys[1])]
        self.bus = Bus(str(folder / "bus"), 115_200, readers, self.got.append, tell=self.news.append)

    def of(self, kind: type) -> list:
        return [each for each in self.got if isinstance(each, kind)]

    def status(self, reader: str) -> dict:
        return next(status for status in self.bus.status() if status["reader"] == reader)

    def troubles(self) -> int:
        return sum(status["bad_frames"] + status["time_outs"] for status in self.bus.status())

    async def both_up(self) -> None:
        await until(lambda: self.status("near")["ready"] and self.status("far")["ready"])

    async def shows_card(self, reader: OsdpReader) -> None:
        before = len(self.of(CardRead))
        assert reader.present_card(*CARD)
        await until(lambda: len(self.of(CardRead)) > before)


def play(folder: Path, script: Callable[[Served], Awaitable[None]], **made: object) -> None:
    async def run() -> None:
        served = Served(folder, **made)  # type: ignore[arg-type]
        served.line.open()
        task = asyncio.create_task(served.bus.run())
        try:
            await script(served)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            served.line.close()

    asyncio.run(run())


# --- the reader line ------------------------------------------------------------------------------------------------


def test_a_line_is_unplugged(tmp_path: Path) -> None:
    """Nothing passes, every reader of it is lost, the port stays; back, they are there, and no card of meanwhile."""

    async def script(served: Served) -> None:
        await served.both_up()
        served.line.unplug()
        await until(lambda: len(served.of(LineDown)) == 2)
        assert served.status("near")["port_trouble"] == ""
        assert served.near.present_card(*CARD)
        said, lost = served.line.bytes_out, served.line.lost_bytes
        await until(lambda: served.line.lost_bytes > lost)
        assert served.line.bytes_out == said
        served.line.plug()
        await served.both_up()
        await served.shows_card(served.far)
        assert len(served.of(CardRead)) == 1

    play(tmp_path, script)


def test_a_noisy_line(tmp_path: Path) -> None:
    """Bytes are changed, frames are refused, and no card is ever another; in silence again it works."""

    async def script(served: Served) -> None:
        await served.both_up()
        assert served.line.changed_bytes == 0
        served.line.noise(True, share=0.05, seed=11)
        assert served.line.is_noisy
        await until(lambda: served.line.changed_bytes > 10 and served.troubles() > 2)
        served.near.present_card(*CARD)
        await until(lambda: served.line.changed_bytes > 20)
        served.line.noise(False)
        await served.both_up()
        changed = served.line.changed_bytes
        await served.shows_card(served.far)
        assert served.line.changed_bytes == changed
        assert {(each.bits, each.data) for each in served.of(CardRead)} == {CARD}

    play(tmp_path, script)


def test_noise_is_a_share(tmp_path: Path) -> None:
    """What is no share is refused by name."""
    with pytest.raises(ValueError, match="share of the bytes"):
        ReaderLine(tmp_path / "bus", []).noise(True, share=2)


def test_a_reader_with_anothers_address(tmp_path: Path) -> None:
    """It is gone from its own address, and two at one address disturb each other; set back, both work."""

    async def script(served: Served) -> None:
        await served.both_up()
        served.near.swap_address(9)
        await until(lambda: not served.status("near")["ready"])
        assert served.status("far")["ready"]
        served.near.swap_address(2)
        await until(lambda: not served.status("far")["ready"])  # both speak at once
        assert served.line.collisions > 0
        served.near.swap_address(1)
        await served.both_up()
        await served.shows_card(served.near)
        with pytest.raises(ValueError, match="0 to 126"):
            served.near.swap_address(127)

    play(tmp_path, script)


def test_a_slow_reader(tmp_path: Path) -> None:
    """It answers later and is still there; too late, it is lost; as quick as before, it is back."""

    async def script(served: Served) -> None:
        await served.both_up()
        served.near.slow_answers(60)
        await served.shows_card(served.near)
        await served.shows_card(served.far)
        assert not served.of(LineDown)
        served.near.slow_answers(1500)
        await until(lambda: served.of(LineDown))
        assert {each.reader for each in served.of(LineDown)} == {"near"}
        served.near.slow_answers(0)
        await served.both_up()
        await served.shows_card(served.near)

    play(tmp_path, script)


def test_a_reader_without_a_key(tmp_path: Path) -> None:
    """In install mode nothing of it counts; paired, it keeps its key over a power cut."""

    async def script(served: Served) -> None:
        await until(lambda: served.status("far")["ready"] and served.of(LineDown))
        assert not served.near.is_paired
        served.near.present_card(*CARD)
        served.bus.open_pairing("near", NEW_KEY, 60_000)
        await served.both_up()
        assert served.near.is_paired
        assert [type(each).__name__ for each in served.news if type(each).__name__ == "Paired"] == ["Paired"]
        served.near.unplug()
        await until(lambda: not served.status("near")["ready"])
        served.near.plug_in()
        await served.both_up()
        assert served.near.is_paired
        assert not [each for each in served.of(CardRead) if each.secure]
        assert {each.reader for each in served.of(LineUp)} == {"near", "far"}

    play(tmp_path, script, keys=(None, OTHER_KEY))


# --- the line board -------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def boarded(folder: Path) -> AsyncIterator[tuple[LineBoard, SimulatedBoard, list]]:
    """A board, an agent's end, and what it delivered."""
    board = LineBoard(folder / "board")
    await board.start()
    heard: list = []
    agent = SimulatedBoard(str(folder / "board"), heard.append)
    task = asyncio.create_task(agent.run())
    try:
        await board.wait_connected(10)
        yield board, agent, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await board.stop()


def test_a_board_is_unplugged(tmp_path: Path) -> None:
    """Every relay drops in that moment, nobody gets through, and back it is told where the leaf stands and no more."""

    async def run() -> None:
        async with boarded(tmp_path) as (board, agent, heard):
            agent.strike("hall", "door", 60_000)
            await until(lambda: board.is_unlocked("hall", "door"))
            board.unplug()
            assert not board.is_unlocked("hall", "door")
            assert board.history[-1].cause == "connection lost"
            assert not board.contact("hall", True)
            assert not board.press_exit("hall")
            tries = agent.status()["connections"]
            await until(lambda: agent.status()["connections"] > tries)
            assert not board.is_connected
            board.plug()
            await board.wait_connected(10)
            await until(lambda: heard)
            assert heard == [Contact("hall", True)]
            assert not board.is_unlocked("hall", "door")

    asyncio.run(run())


def test_a_stuck_contact(tmp_path: Path) -> None:
    """Stuck, it says one thing whatever the leaf does; let go, it says where the leaf is."""

    async def run() -> None:
        async with boarded(tmp_path) as (board, _, heard):
            board.contact("hall", False)
            board.stuck_contact("hall", False)
            board.contact("hall", True)
            assert board.is_leaf_open("hall")
            await until(lambda: heard)
            assert heard == [Contact("hall", False)]
            board.stuck_contact("hall", None)
            await until(lambda: len(heard) == 2)
            assert heard[1] == Contact("hall", True)
            board.contact("hall", False)
            board.stuck_contact("hall", True)
            await until(lambda: len(heard) == 4)
            assert heard[2:] == [Contact("hall", False), Contact("hall", True)]
            assert board.status()["stuck_contacts"] == {"hall": True}

    asyncio.run(run())


# --- GPIO -----------------------------------------------------------------------------------------------------------


def switch(chip: ChipDouble, offset: int):
    """The line as an input that tells both edges."""
    settings = LineSettings(direction=Direction.INPUT, edge_detection=Edge.BOTH)
    return chip.request_lines(chip.path, {offset: settings}, event_buffer_size=256)


def levels(request) -> list[bool]:
    """The levels that its edges led to."""
    if not request.wait_edge_events(0):
        return []
    return [event.event_type is event.Type.RISING_EDGE for event in request.read_edge_events()]


def test_a_broken_line() -> None:
    """Reading and driving it fail, others work, its output stays; mended, it works."""
    chip = ChipDouble()
    output = LineSettings(direction=Direction.OUTPUT, output_value=Value.ACTIVE)
    broken = chip.request_lines(chip.path, {17: output})
    other = chip.request_lines(chip.path, {18: output})
    chip.break_line(17)
    for use in (lambda: broken.set_values({17: Value.INACTIVE}), broken.get_values, broken.wait_edge_events):
        with pytest.raises(OSError, match="Input/output"):
            use()
    other.set_values({18: Value.INACTIVE})
    assert (chip.level(17), chip.level(18)) == (True, False)
    chip.mend_line(17)
    broken.set_values({17: Value.INACTIVE})
    assert chip.level(17) is False


def test_a_stuck_line() -> None:
    """It says one level whatever is wired to it does; let go, it follows again."""
    chip = ChipDouble()
    request = switch(chip, 5)
    chip.stuck_line(5, False, 10 * MS)
    chip.drive(5, False, 20 * MS)
    chip.drive(5, True, 30 * MS)
    assert levels(request) == [False]
    chip.stuck_line(5, None, 40 * MS)
    assert levels(request) == [True]
    chip.drive(5, False, 50 * MS)
    assert levels(request) == [False]


def test_bounce_and_noise() -> None:
    """A bouncing switch ends where it was moved; spikes end where they began."""
    chip = ChipDouble()
    request = switch(chip, 5)
    chip.bounce(5, False, 0, times=3)
    assert levels(request) == [False, True] * 3 + [False]
    chip.noise(5, 100 * MS, times=4)
    assert levels(request) == [True, False] * 4
    assert chip.level(5) is False


def test_each_driven_level_is_told() -> None:
    """Who asks is told of each change of a driven line, and of nothing else."""
    chip = ChipDouble(keeps_released=False)
    told: list[tuple[int, bool]] = []
    chip.on_put = lambda offset, level: told.append((offset, level))
    output = LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
    request = chip.request_lines(chip.path, {17: output})
    request.set_values({17: Value.ACTIVE})
    request.set_values({17: Value.ACTIVE})
    chip.drive(5, False, 0)
    chip.end_of_process()
    assert told == [(17, False), (17, True), (17, False)]
