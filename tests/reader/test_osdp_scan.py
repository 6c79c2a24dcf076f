"""A bus scan finds libosdp's readers: who, where, at which speed."""

import asyncio

import pytest
from osdp_peer import SCBK, PtyLine

from edge.reader.osdp import scan
from edge.reader.osdp.scan import Found, Progress
from edge.reader.serial_line import LineError, open_line

WHO = ("feca00", "2.1", "1.2.3", "00001234", True)


def test_readers_are_found_each_at_its_speed() -> None:
    """Three readers, with a key, in install mode, and at another speed, among 12 addresses and three speeds; no key
    is sent and no session begun; progress to the end."""
    heard: list[bytes] = []
    steps: list[Progress] = []
    with PtyLine() as line:
        line.change_command = lambda command: heard.append(command) or command
        line.add(0, SCBK).baud = 9600
        line.add(5, None).baud = 9600
        line.add(11, SCBK).baud = 38400
        found = asyncio.run(scan.scan(line.port, (9600, 38400, 115200), range(12), steps.append))
        assert not any(peer.secure() for peer in line.peers)
    assert found == [Found(0, 9600, *WHO), Found(5, 9600, *WHO), Found(11, 38400, *WHO)]
    assert [step.done for step in steps] == list(range(37))
    assert steps[-1] == Progress(36, 36, 115200, 11, 3)
    assert {command[5] for command in heard if len(command) > 5} == {0x61, 0x62}


def test_an_empty_line_has_no_readers() -> None:
    """Nobody answers: nobody is found. So with noise in place of answers, and with answers of another address."""
    with PtyLine() as line:
        assert asyncio.run(scan.scan(line.port, (115200,), range(5))) == []
        line.add(3)
        line.change_reply = lambda reply: b"\x53" * len(reply)
        assert asyncio.run(scan.scan(line.port, (115200,), range(5))) == []
        line.change_reply = lambda reply: b"\x53\x84" + reply[2:]
        assert asyncio.run(scan.scan(line.port, (115200,), range(5))) == []


def test_noise_before_an_answer_hides_no_reader() -> None:
    """Bytes that are none before each answer: found all the same."""
    with PtyLine() as line:
        line.add(3)
        line.change_reply = lambda reply: b"\xff\x00\x53\x12" + reply
        found = asyncio.run(scan.scan(line.port, (115200,), range(5)))
    assert [reader.address for reader in found] == [3]


def test_a_port_that_cannot_be_scanned() -> None:
    """A port that is not there, or that somebody has open: one line that says so."""
    with pytest.raises(LineError, match="does not exist"):
        asyncio.run(scan.scan("/dev/no-such-port", (9600,), range(2)))

    async def in_use(port: str) -> None:
        held = await open_line(port, 9600, lambda data: None, lambda why: None)
        try:
            await scan.scan(port, (9600,), range(2))
        finally:
            held.close()

    with PtyLine() as line, pytest.raises(LineError, match="in use"):
        asyncio.run(in_use(line.port))
