"""`vantail reader scan`: libosdp's readers on a pty are found and shown; what cannot be scanned says why."""

import asyncio
import json
import os

import pytest
from edge_controller import make, running, until
from osdp_peer import SCBK, PtyLine

from edge.cli import _Parser
from edge.commands import reader
from edge.failures import CommandError
from firmware_sim.line_board import LineBoard
from firmware_sim.reader_line import ReaderLine


def scan(*arguments: object) -> int:
    """The command with its arguments, in this process."""
    parser = _Parser(prog="vantail")
    reader.add(parser.add_subparsers())
    options = parser.parse_args(["reader", "scan", *map(str, arguments)])
    return int(options.run(options))


def test_readers_are_shown_with_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    """A table with one row a reader, install mode and twins named, and lines to paste; speeds that differ are said. How
    far it is goes to stderr."""
    with PtyLine() as line:
        line.add(0, None).baud = 9600
        line.add(3, SCBK).baud = 9600
        line.add(3, bytes([9]) + SCBK[1:]).baud = 9600
        line.add(5, SCBK).baud = 115200
        assert scan(line.port, "--baud", "9600,115200", "--address", "0-5") == 0
    said, told = capsys.readouterr()
    head, first, second, third, speeds, *rest = said.splitlines()
    assert head.split() == ["baud", "address", "vendor", "model", "firmware", "serial", "secure", "channel"]
    assert first.split()[:6] == ["9600", "0", "feca00", "2.1", "1.2.3", "00001234"]
    assert first.endswith("waits in install mode")
    assert second.endswith("two readers answer at this address")
    assert third.split()[:2] == ["115200", "5"]
    assert "one speed" in speeds
    pasted = "\n".join(rest)
    assert 'baud = 9600\nreaders = [{ id = "reader-0", address = 0 }, { id = "reader-3", address = 3 }]' in pasted
    assert f'[[bus]]\nport = "{line.port}"\n' in pasted
    assert told == "".join(f"looking for readers on {line.port} at {baud} baud\n" for baud in (9600, 115200))


def test_programs_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """--json: every fact, and what cannot be read; nothing else on stdout."""
    with PtyLine() as line:
        line.add(1, SCBK)
        assert scan(line.port, "--baud", "9600", "--address", "0,1", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        line.change_reply = lambda reply: reply[:-1] + bytes([reply[-1] ^ 1])
        assert scan(line.port, "--baud", "9600", "--address", "0,1", "--json") == 0
        garbled = json.loads(capsys.readouterr().out)
    assert [(one["address"], one["baud"], one["waits_for_key"]) for one in found["found"]] == [(1, 9600, False)]
    assert found["agent_toml"][0].endswith('readers = [{ id = "reader-1", address = 1 }]')
    assert (garbled["found"], garbled["garbled"]) == ([], [{"baud": 9600, "address": 1}])


def test_an_empty_line_says_what_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody: cable, polarity, power, port."""
    with PtyLine() as line:
        assert scan(line.port, "--baud", "115200", "--address", "0-1") == 0
    said = capsys.readouterr().out
    assert "nobody answers" in said
    assert "A and B are not swapped" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baud", "9601"), "possible are 9600, 19200"),
        (("--baud", "fast"), "write numbers like"),
        (("--address", "0-127"), "possible are 0 to 126"),
        (("--address", "9-3"), "possible are 0 to 126"),
        (("--address", ""), "write numbers like"),
    ],
)
def test_wrong_numbers_are_refused(arguments: tuple[str, str], said: str) -> None:
    """With what may be written."""
    with pytest.raises(CommandError, match=said) as refused:
        scan("/dev/null", *arguments)
    assert refused.value.code == os.EX_USAGE


def test_a_port_that_is_not_there() -> None:
    """One line with advice."""
    with pytest.raises(CommandError, match="does not exist") as refused:
        scan("/dev/no-such-port")
    assert refused.value.code == os.EX_UNAVAILABLE


def test_the_agents_port_is_refused_with_what_to_do(folder) -> None:
    """The agent runs and holds the port, under whatever name: stop it first. Its readers do not notice. A port that it
    does not hold is scanned beside it; one that another program holds is not called the agent's."""
    made = make(folder, "hall-a")
    hall = made.reader("hall-a-in")

    async def play() -> None:
        board = LineBoard(made.board)
        await board.start()
        lines = [ReaderLine(folder / "bus0", [hall]), ReaderLine(folder / "bus1", [made.reader("cellar-in")])]
        for line in lines:
            line.open()
        try:
            async with running(made):
                await until(lambda: hall.is_secure, "the reader is secure")
                await asyncio.to_thread(refused, str((folder / "bus0").resolve()))
                assert hall.is_secure
        finally:
            for line in lines:
                line.close()
            await board.stop()

    def refused(port: str) -> None:
        with pytest.raises(CommandError) as no:
            scan(port, "--config", made.config, "--baud", "9600", "--address", "0")
        assert no.value.code == os.EX_UNAVAILABLE
        assert "the agent runs and serves it" in str(no.value)
        assert "sudo systemctl stop vantail" in str(no.value)
        with PtyLine() as line:
            assert scan(line.port, "--config", made.config, "--baud", "9600", "--address", "0") == 0
        with ReaderHeld() as held, pytest.raises(CommandError, match="is in use: another program") as no:
            scan(held.port, "--config", made.config, "--baud", "9600", "--address", "0")
        assert "serves it" not in str(no.value)

    asyncio.run(play())


class ReaderHeld(PtyLine):
    """A port that another program has open."""

    def __enter__(self) -> "ReaderHeld":
        import serial

        super().__enter__()
        self._held = serial.Serial(self.port, exclusive=True)
        return self

    def __exit__(self, *why: object) -> None:
        self._held.close()
        super().__exit__(*why)


def test_help_has_examples() -> None:
    """Of the group and of the command."""
    for words in (("reader", "--help"), ("reader", "scan", "--help")):
        parser = _Parser(prog="vantail")
        reader.add(parser.add_subparsers())
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(words)
        assert ended.value.code == 0
