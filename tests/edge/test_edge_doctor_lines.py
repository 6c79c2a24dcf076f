"""`vantail doctor` at OSDP lines with libosdp's readers on ptys: who is there, who is not, and what is said to do."""

import asyncio
import json
import re

import osdp
from edge_controller import DEADLINE_S, RESIDENT_B, answers, make, running, until
from osdp_peer import SCBK, PtyLine

from edge.commands.doctor import _as_object, _shown
from edge.config import load
from edge.inspection import doctor
from edge.inspection.line_sight import asked_lines
from edge.inspection.line_table import drawn
from edge.reader import card_format
from firmware_sim.line_board import LineBoard
from firmware_sim.reader_line import ReaderLine

OTHER = bytes.fromhex("77c151c7e2886d149b2ef5a07746d9aa")


def key(number):
    """Another key for each number, none of them weak."""
    return bytes([number + 1]) + SCBK[1:]


def wire(made, line, baud=115200, **addresses):
    """Write a line with its readers, and their keys, into a controller's folder; no other line is left."""
    readers = ", ".join(f'{{ id = "{name}", address = {address} }}' for name, address in addresses.items())
    text = made.config.read_text().partition("[[bus]]")[0]
    made.config.write_text(f'{text}[[bus]]\nport = "{line.port}"\nbaud = {baud}\nreaders = [{readers}]\n')
    keys = made.keys / "osdp.toml"
    keys.write_text("".join(f'{name} = "{key(at).hex()}"\n' for at, name in enumerate(addresses)))
    return made


def looked_at(made):
    """{reader: its Verdict} of the one line, the line itself, and the whole examination."""
    seen = asyncio.run(doctor.examine(made.config))
    [line] = seen.lines
    return {reader.status["reader"]: reader.verdict for reader in line.readers}, line, seen


def test_each_reader_of_a_line_gets_its_word(folder):
    """On one line: a reader that is well, one in install mode, one at another address, one with another key, one that
    hears another speed, as libosdp's devices, in a controller without an agent."""
    with PtyLine() as pty:
        well = pty.add(0, key(0))
        pty.add(1, None)
        pty.add(5, key(2))
        pty.add(4, OTHER)
        pty.add(6, key(4)).baud = 9600
        said, line, seen = looked_at(wire(make(folder, "hall-a"), pty, lobby=0, bins=1, cellar=3, roof=4, gate=6))
        assert {command["command"] for command in well.commands} == {osdp.Command.Status}  # nothing moved, nothing lit
    assert said["lobby"][:2] == (True, "secure")
    assert said["bins"].found == "waits in install mode"
    assert "`vantail reader pair bins`" in said["bins"].advice
    assert said["cellar"].found == "at address 5, agent.toml says 3"
    assert "write address = 5 in agent.toml" in said["cellar"].advice
    assert said["roof"].found == "no secure channel: it has another key"
    assert "pair it again with `vantail reader pair roof`" in said["roof"].advice
    assert said["gate"].found == "answers at 9600 baud only, agent.toml says 115200"
    assert "baud = 9600" in said["gate"].advice
    [first, *others] = line.readers
    assert (first.status["vendor"], first.status["firmware"], first.errors) == ("feca00", "1.2.3", 0)
    assert first.polls_s > 0
    assert [reader.shown_polls for reader in others] == ["–"] * 4
    checks = [check for check in seen.checks if check.subject == "reader"]
    assert [check.ok for check in checks] == [True, False, False, False, False]
    assert checks[4].found == f"gate at address 6 of {pty.port}: answers at 9600 baud only, agent.toml says 115200"


def test_a_whole_line_at_another_speed(folder):
    """All readers at 9600, agent.toml says 115200: the advice is to correct agent.toml. With that done all is well."""
    with PtyLine() as pty:
        pty.add(0, key(0)).baud = 9600
        pty.add(1, key(1)).baud = 9600
        made = wire(make(folder, "hall-a"), pty, lobby=0, bins=1)
        said, _, _ = looked_at(made)
        assert [verdict.advice.partition(",")[0] for verdict in said.values()] == ["set baud = 9600"] * 2
        made.config.write_text(made.config.read_text().replace("baud = 115200", "baud = 9600"))
        said, _, _ = looked_at(made)
        assert [verdict.ok for verdict in said.values()] == [True, True]


def test_two_readers_at_one_address_and_a_stranger(folder):
    """Both answer: that is said, though the right one has its session. Who is not in agent.toml is shown, with what to
    write there."""
    with PtyLine() as pty:
        pty.add(0, key(0))
        pty.add(0, OTHER)
        pty.add(7, None)
        said, line, _ = looked_at(wire(make(folder, "hall-a"), pty, lobby=0))
    assert said["lobby"].found == "two readers answer at address 0"
    [stranger] = line.strangers
    assert (stranger.address, stranger.waits_for_key) == (7, True)
    text = "\n".join(drawn(line))
    assert 'add { id = "reader-7", address = 7 } to its readers in agent.toml' in text
    assert "install mode" in text


def test_a_line_that_cannot_be_read(folder):
    """Answers that are none: not taken for a reader that is away."""
    with PtyLine() as pty:
        pty.add(0, key(0))
        pty.change_reply = lambda reply: reply[:-1] + bytes([reply[-1] ^ 1])
        said, _, _ = looked_at(wire(make(folder, "hall-a"), pty, lobby=0))
    assert said["lobby"].found == "something answers at address 0 that cannot be read"


def test_nobody_there(folder):
    """An empty line: cable, polarity, power."""
    with PtyLine() as pty:
        said, _, seen = looked_at(wire(make(folder, "hall-a"), pty, lobby=3))
    assert said["lobby"][:3] == (False, "not there", "not there")
    for word in ("cable", "A and B are not swapped", "12 V", "vantail reader scan"):
        assert word in said["lobby"].advice
    assert ("serial", True) in [(check.subject, check.ok) for check in seen.checks]


def test_without_keys_readers_are_found_all_the_same(folder):
    """The key file cannot be used: who is there is said, unpaired."""
    with PtyLine() as pty:
        pty.add(0, key(0))
        made = wire(make(folder, "hall-a"), pty, lobby=0)
        (made.keys / "osdp.toml").chmod(0o644)
        said, line, seen = looked_at(made)
        assert said["lobby"].word == "not paired"
        assert line.readers[0].status["vendor"] == "feca00"
        assert [check.ok for check in seen.checks if check.subject == "keys"] == [False]


def test_a_running_agent_is_asked(folder):
    """It holds the ports. The reader that is well shows its poll rate and its last card, of which only the last digits
    are said, in both forms; the one with another key is to be paired again."""
    made = make(folder, "hall-a")
    hall, cellar = made.reader("hall-a-in"), made.reader("cellar-in")
    made.reader_keys["cellar-in"] = OTHER
    spoiled = f'cellar-in = "{OTHER.hex()}"\nhall-a-in = "{made.reader_keys["hall-a-in"].hex()}"\n'
    (made.keys / "osdp.toml").write_text(spoiled)
    number = RESIDENT_B

    async def play():
        board = LineBoard(made.board)
        await board.start()
        lines = [ReaderLine(folder / "bus0", [hall]), ReaderLine(folder / "bus1", [cellar])]
        for line in lines:
            line.open()
        try:
            async with running(made):
                await until(lambda: hall.is_secure, "the reader is secure")
                assert hall.present_card(*card_format.encode(int(number)))
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        seen = await doctor.examine(made.config)
                        report = json.loads(json.dumps(_as_object(seen, False)))
                        first, second = report["lines"]
                        if first["readers"][0]["last_card_ends_in"] and second["readers"][0]["trouble"]:
                            return report, "\n".join(_shown(seen))
                        hall.present_card(*card_format.encode(int(number)))
        finally:
            for line in lines:
                line.close()
            await board.stop()

    report, shown = asyncio.run(play())
    [first], [second] = (line["readers"] for line in report["lines"])
    assert first["ok"] is True
    assert first["polls_s"] > 0
    assert first["last_card_ends_in"] == number[-4:]
    assert 0 <= first["last_card_s"] < DEADLINE_S
    assert second["found"] == "no secure channel: it has another key"
    assert "`vantail reader pair cellar-in`" in second["advice"]
    assert str(number) not in json.dumps(report) + shown
    assert re.search(rf"ok   └─ hall-a-in +0 .* …{number[-4:]}, \d+ s ago", shown)
    assert re.search(r"FAIL └─ cellar-in +1  other key", shown)
    assert not answers(made)


def test_a_lost_agent_is_not_fatal(folder):
    """The agent ends between the two questions: what it said first holds."""
    made = make(folder, "hall-a")
    status = {"readers": [], "clock": {"utc_ms": 0}}
    assert [line.readers for line in asked_lines(load(made.config), status)] == [[], []]
