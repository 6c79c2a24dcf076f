"""The port: exclusive, missing, gone and back again."""

import asyncio
import os
import pty
import time
import tty
from collections.abc import Callable
from pathlib import Path

import pytest
from osdp_peer import SCBK, PtyLine

from edge.reader.inputs import LineDown, LineUp
from edge.reader.osdp.bus import Bus, BusReader
from edge.reader.serial_line import LineError, open_line


def ignore(_: object) -> None:
    pass


async def until(holds: Callable[[], object], within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"did not happen within {within_s} s"
        await asyncio.sleep(0.005)


def count(values: list[object], kind: type) -> int:
    return sum(isinstance(each, kind) for each in values)


async def _open(port: str) -> None:
    line = await open_line(port, 9600, ignore, ignore)
    line.close()
    await asyncio.sleep(0)


def test_a_missing_port_says_what_to_do(tmp_path: Path) -> None:
    """The error names the port and gives advice, in one line."""
    with pytest.raises(LineError, match="missing does not exist: check `port`") as caught:
        asyncio.run(_open(str(tmp_path / "missing")))
    assert "\n" not in str(caught.value)


def test_a_file_is_no_port(tmp_path: Path) -> None:
    """A path that is no serial port is an error of the same kind."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(LineError, match="is no serial port"):
        asyncio.run(_open(str(tmp_path / "file")))


def test_a_port_is_ours_alone() -> None:
    """A second opener is refused and told so; after the first closes, it gets the port."""

    async def act(port: str) -> None:
        first = await open_line(port, 9600, ignore, ignore)
        with pytest.raises(LineError, match="is in use"):
            await open_line(port, 9600, ignore, ignore)
        first.close()
        await asyncio.sleep(0.01)
        (await open_line(port, 9600, ignore, ignore)).close()
        await asyncio.sleep(0.01)

    master, slave = pty.openpty()
    try:
        asyncio.run(act(os.ttyname(slave)))
    finally:
        os.close(master)
        os.close(slave)


def test_bytes_go_both_ways_and_the_end_is_told() -> None:
    """What is written arrives, what comes is given on, and a port that goes away says why, once."""

    async def act() -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        port = os.ttyname(slave)
        came: list[bytes] = []
        lost: list[str] = []
        line = await open_line(port, 9600, came.append, lost.append)
        os.close(slave)
        line.write(b"hello")
        assert os.read(master, 10) == b"hello"
        os.write(master, b"world")
        await until(lambda: came)
        assert came == [b"world"]
        os.close(master)
        await until(lambda: lost)
        line.write(b"into the void")
        line.close()
        assert len(lost) == 1
        assert port in lost[0]

    asyncio.run(act())


def test_a_port_that_appears_later_is_used(tmp_path: Path) -> None:
    """The bus starts without its port: told once; the port appears (a symlink), and the reader works."""

    async def act() -> None:
        got: list[object] = []
        port = tmp_path / "port"
        bus = Bus(str(port), 115_200, [BusReader("lobby", 1, SCBK)], got.append)
        with PtyLine() as line:
            line.add()
            task = asyncio.create_task(bus.run())
            await until(lambda: len(got) == 1)
            assert isinstance(got[0], LineDown)
            assert "does not exist" in got[0].detail
            assert "does not exist" in bus.status()[0]["port_trouble"]
            os.symlink(line.port, port)
            await until(lambda: len(got) == 2)
            assert isinstance(got[1], LineUp)
            assert bus.status()[0]["port_trouble"] == ""
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(act())


def test_a_port_that_is_pulled_and_put_back(tmp_path: Path) -> None:
    """The adapter is pulled (the pty closes) and another is put in its place, twice: down and up each time."""

    async def act() -> None:
        got: list[object] = []
        port = str(tmp_path / "port")
        bus = Bus(port, 115_200, [BusReader("lobby", 1, SCBK)], got.append)
        task = asyncio.create_task(bus.run())
        for turn in (1, 2, 3):
            with PtyLine() as line:
                line.add()
                os.symlink(line.port, port + ".new")
                os.replace(port + ".new", port)
                await until(lambda turn=turn: count(got, LineUp) == turn)
            await until(lambda turn=turn: sum("is gone" in getattr(each, "detail", "") for each in got) == turn)
        assert count(got, LineDown) in (3, 4)  # one more if the bus was quicker than the first port
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(act())
