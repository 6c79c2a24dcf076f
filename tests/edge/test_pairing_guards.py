"""Key changes of readers: one window at a time, no key lost, no outcome believed to be written down that is not."""

import asyncio
from pathlib import Path

import pytest

from edge.console.api import BadRequestError
from edge.decision.model import ReaderAlarm
from edge.pairing import Pairing
from edge.reader.inputs import NotPaired, Paired
from edge.reader.osdp import key_file
from edge.reader.osdp.bus import Bus, BusReader

FIRST = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
SECOND = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")


def two_lines(folder: Path) -> tuple[Pairing, dict[str, Bus], list[object]]:
    """Two readers on a line each, neither of which is there; what was to be recorded."""
    said: list[object] = []
    buses = {name: Bus(f"/dev/{name}", 9600, [BusReader(name, 1, None)], said.append) for name in ("in", "out")}
    return Pairing(folder / "osdp.toml", buses, said.append), buses, said


def test_two_windows_asked_for_at_once_are_one(tmp_path) -> None:
    """On two lines, while the first one's key is still being written: one window opens, the other is refused."""

    async def play() -> None:
        pairing, buses, _ = two_lines(tmp_path)
        asked = [pairing.answers["pair"]({"reader": name, "window_s": 60}) for name in buses]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        [refused] = [answer for answer in answers if isinstance(answer, BadRequestError)]
        assert "one at a time" in str(refused)
        [opened] = [name for name, bus in buses.items() if bus.pairing]
        assert set(key_file.read_keys(tmp_path / "osdp.toml")) == {opened}

    asyncio.run(play())


def test_a_second_change_does_not_take_the_place_of_a_key_that_is_on_its_way(tmp_path) -> None:
    """The reader may have it already, and proves it when it is back: it must stay in the file."""
    path = tmp_path / "osdp.toml"
    path.touch(0o600)
    path.write_text(f'in = "{FIRST.hex()}"\n[on-the-way]\nin = "{SECOND.hex()}"\n')

    async def play() -> None:
        bus = Bus("/dev/in", 9600, [BusReader("in", 1, FIRST, SECOND)], print)
        pairing = Pairing(path, {"in": bus}, print)
        for op in ("rekey", "pair"):
            with pytest.raises(BadRequestError, match="is under way: wait for its end"):
                await pairing.answers[op]({"reader": "in"})
        assert key_file.read_keys(path)["in"] == key_file.KeyPair(FIRST, SECOND)

    asyncio.run(play())


def test_a_change_that_cannot_begin_leaves_no_key(tmp_path) -> None:
    """A reader that is not on line cannot be rekeyed: what was written down for it is struck out again."""

    async def play() -> None:
        pairing, _, _ = two_lines(tmp_path)
        with pytest.raises(BadRequestError, match="not on line"):
            await pairing.answers["rekey"]({"reader": "in"})
        assert key_file.read_keys(tmp_path / "osdp.toml") == {}

    asyncio.run(play())


@pytest.mark.parametrize("told", [Paired("in"), NotPaired("in", "time is up")])
def test_an_outcome_that_cannot_be_written_down_is_an_alarm(tmp_path, told) -> None:
    """The next start would not know the reader's key: somebody must look after it."""
    (tmp_path / "osdp.toml").mkdir(0o700)

    async def play() -> None:
        pairing, _, said = two_lines(tmp_path)
        pairing.news(told)
        await pairing.finish()
        [alarm] = [each for each in said if isinstance(each, ReaderAlarm)]
        assert alarm.reader == "in"
        assert "cannot be written down" in alarm.detail
        assert "cannot be written down" in (await pairing.answers["pairing"]({"reader": "in"}))["outcome"]

    asyncio.run(play())
