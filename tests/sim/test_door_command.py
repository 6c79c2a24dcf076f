"""`vantail-sim door`: what it makes of an agent.toml, its one-line errors, a serial line, a reader to be paired."""

import asyncio
import os
import re
import shutil
import tty
from argparse import Namespace
from datetime import date
from pathlib import Path

import pytest
from door_stage import make_controller
from edge_controller import EXAMPLE, READERS, running

from edge.console.api import call
from edge.decision import reasons
from edge.residence.reading import read
from edge.translations import parse
from firmware_sim import door_words
from firmware_sim.cli import main
from firmware_sim.door_bench import ActError, Bench
from firmware_sim.door_command import assemble
from firmware_sim.door_page import FILES, DoorPage
from firmware_sim.door_places import DoorPlace, ReaderPlace
from firmware_sim.door_port import SerialPort
from firmware_sim.door_wallet import of_residence
from firmware_sim.line_board import LineBoard

DEADLINE_S = 30  # against hanging, not a measure


@pytest.mark.parametrize(
    ("change", "arguments", "code", "said"),
    [
        (("", ""), ["--config", "none.toml"], os.EX_CONFIG, "no such file"),
        (("[[door]]", "[[dor]]"), [], os.EX_CONFIG, "unknown key 'dor'"),
        (("", ""), ["--building", "nowhere"], os.EX_NOINPUT, "no such folder"),
        (("", ""), ["--install-mode", "attic"], os.EX_USAGE, "known are hall-a-in, cellar-in"),
        (("", ""), ["--port", "a", "--port", "b", "--port", "c"], os.EX_USAGE, "3 times for 2 lines"),
        (("", ""), ["--port", "/dev/null", "--port", "/dev/null"], os.EX_OSERR, "not a serial port"),
        (("", ""), ["--page-port", "70000"], os.EX_USAGE, "1 to 65535"),
        (('port = "bus0"', 'port = "/dev/null"'), [], os.EX_UNAVAILABLE, "--port"),
        (('controller = "hall-a"', 'controller = "hall-z"'), ["--building", str(EXAMPLE)], os.EX_DATAERR, "hall-z"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(example, tmp_path, capsys, change, arguments, code, said):
    """With the exit code of sysexits.h, and nothing left behind."""
    config = tmp_path / "agent.toml"
    config.write_text(example.config.read_text().replace(*change) if change[0] else example.config.read_text())
    shutil.copytree(example.keys, tmp_path / "keys")
    given = arguments if "--config" in arguments else ["--config", str(config), *arguments]
    assert main(["door", *given]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "board").exists()


def test_a_reader_without_a_key_is_asked_for(example, tmp_path, capsys):
    """Without its key a reader cannot talk; the line says what to do, and prints no other reader's key."""
    shutil.copytree(example.folder / "keys", tmp_path / "keys")
    shutil.copy(example.config, tmp_path)
    (tmp_path / "keys" / "osdp.toml").write_text("")
    assert main(["door", "--config", str(tmp_path / "agent.toml")]) == os.EX_NOINPUT
    assert "--install-mode" in capsys.readouterr().err


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return make_controller(tmp_path_factory.mktemp("door"))


def test_readers_behind_a_serial_port_serve_a_real_agent(example):
    """Two ptys as a null modem cable stand for adapter and box: an agent finds its reader through them."""
    masters, paths = [], []
    for _ in range(2):
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        masters.append(master)
        paths.append((slave, os.ttyname(slave)))

    async def live() -> None:
        loop = asyncio.get_running_loop()

        def carry(at: int) -> None:
            os.write(masters[1 - at], os.read(masters[at], 4096))

        for at in (0, 1):
            loop.add_reader(masters[at], carry, at)

        async def is_ready() -> bool:
            status = await asyncio.to_thread(call, example.api, "status", 10.0)
            return any(line["reader"] == "hall-a-in" and line["ready"] for line in status["readers"])

        port = SerialPort(paths[0][1], [example.reader("hall-a-in")], 115200, pytest.fail)
        port.open()
        try:
            async with running(example), asyncio.timeout(DEADLINE_S):
                while not await is_ready():  # the secure session first, then what the reader kept from before it
                    await asyncio.sleep(0.02)
                assert port.readers[0].is_secure
        finally:
            port.close()
            port.close()
            for master in masters:
                loop.remove_reader(master)

    bus = example.folder / "bus0"
    bus.unlink(missing_ok=True)
    bus.symlink_to(paths[1][1])
    try:
        asyncio.run(live())
        assert Path(paths[0][1]).exists()  # a port of the machine stays, unlike a pty that was published
    finally:
        for number in (*masters, *(slave for slave, _ in paths)):
            os.close(number)


def test_an_adapter_that_is_pulled_is_said(example):
    """Once, in a line that names the port."""
    said: list[str] = []

    async def pulled() -> None:
        master, slave = os.openpty()
        path = os.ttyname(slave)
        port = SerialPort(path, [example.reader("hall-a-in")], 9600, said.append)
        port.open()
        os.close(slave)
        os.close(master)
        async with asyncio.timeout(DEADLINE_S):
            while not said:
                await asyncio.sleep(0.01)
        assert path in said[0]

    asyncio.run(pulled())
    assert len(said) == 1


def test_the_page_is_served_on_this_machine_only():
    """Who can open it can open the doors."""
    with pytest.raises(ValueError, match="this machine only"):
        asyncio.run(DoorPage([]).start("0.0.0.0"))


def test_hands_off_while_a_day_is_played(tmp_path):
    """A demo that plays its day lets nobody move what it measures."""
    door = DoorPlace("hall", "Hall", {"door": "simulated"})
    page = DoorPage([Bench("box", [door], LineBoard(tmp_path / "board"), {}, [])])
    page.hands_off = "the day is played; wait"
    with pytest.raises(ActError, match="the day is played"):
        page.act({"do": "force", "door": "hall"})
    page.hands_off = ""
    page.act({"do": "force", "door": "hall"})


def test_a_strike_that_is_not_simulated_is_not_said_to_be_locked():
    """A relay on the box's own GPIO: nobody here sees it."""
    door = DoorPlace("hall", "Hall", {"door": "gpio:gpiochip0:17"}, (ReaderPlace("hall-in", "osdp"),))
    bench = Bench("box", [door.with_readers((), False)], None, {}, [])
    assert bench.look(0)["hall"]["outputs"] == {"door": None}


def test_whose_a_credential_is():
    """By badge, remote and telephone; nobody's name for a code or a stranger."""
    residence, problems = read(EXAMPLE, date(2026, 11, 23))
    assert residence is not None, problems
    wallet = of_residence(residence)
    assert wallet.name_of("badge", "1111100007") == "Solomon"
    assert wallet.name_of("remote", "0750089741") == "Jolly, Michael"
    assert wallet.name_of("phone", "33612000001") == "Solomon"
    assert wallet.name_of("badge", "9999999999") == wallet.name_of("code", "00000000000000ab") == ""
    assert wallet.find("badge", "élise")["total"] == 1
    assert {thing["value"] for thing in wallet.find("visit", "", ("a",))["things"]} == {"A1", "A2", "A3"}


def test_every_word_of_the_page_is_in_french_and_none_is_left_over():
    """What the templates, the script and the events say; also that the script asks for no word that it is not given."""
    page = (FILES / "index.html").read_text("utf-8")
    script = "".join(path.read_text("utf-8") for path in FILES.glob("*.js"))
    asked = set(re.findall(r'(?:words|say)\["(.+?)"\]', script))
    assert asked <= set(door_words.OF_THE_SCRIPT)
    tables = (door_words.RESULTS, door_words.MEDIA, door_words.DENIALS, door_words.ALARMS, door_words.INFOS)
    said = {word for table in tables for word in table.values()} | set(door_words.OF_THE_SCRIPT)
    said |= set(re.findall(r"\{\{ (.+?) \}\}", page))
    known = parse((door_words.SOURCE / "fr" / "LC_MESSAGES" / "door.po").read_text("utf-8"))
    assert said == set(known) - {""}
    assert set(reasons.DENIALS) <= set(door_words.DENIALS)
    assert set(reasons.ALARMS) <= set(door_words.ALARMS)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("fr", "fr"),
        ("de, fr;q=0.5, en;q=0.4", "fr"),
        ("en-US,fr;q=0.9", "en"),
        ("fr;q=0", "en"),
        ("", "en"),
        ("fr;q=x", "en"),
    ],
)
def test_the_language_that_a_browser_likes_best(accepted, language):
    """RFC 9110, 12.5.4."""
    assert door_words.preferred(accepted) == language


def test_install_mode_makes_readers_that_wait_to_be_paired(example):
    """Named ones have no key whatever osdp.toml says; the others keep theirs."""
    options = Namespace(config=example.config, building=None, port=[], install_mode=["cellar-in"])
    bench = assemble(options).bench
    assert {name: device.is_paired for name, device in bench.readers.items()} == {"hall-a-in": True, "cellar-in": False}
    assert {door.id: [reader.id for reader in door.readers] for door in bench.doors} == {
        "hall-a": ["hall-a-in"],
        "cellar": ["cellar-in"],
    }
    assert set(READERS["hall-a"]) == set(bench.readers)
