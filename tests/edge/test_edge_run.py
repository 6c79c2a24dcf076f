"""`vantail run` as a process: it works with what there is, and says in one line what it cannot work with."""

import asyncio
import json
import os
import signal
import socket

import pytest
from edge_controller import (
    DEADLINE_S,
    NEVER_AUTO,
    RESIDENT_B,
    STRANGER,
    answers,
    ask,
    make,
    running,
    until,
    vantail,
)

from edge.decision.model import LOCK
from edge.reader import card_format
from firmware_sim.line_board import LineBoard
from firmware_sim.reader_line import ReaderLine

RESIDENT_A = 1111100007


def pulses(board):
    return [strike for strike in board.strikes if strike.ms != LOCK]


def refused(made, code, *names):
    """`vantail run` ends with that code and one line that holds the names."""
    done = made.run("run", "--config", str(made.config))
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("vantail: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not [name for name in names if name not in done.stderr], done.stderr


def test_good_badge_opens_bad_does_not_and_the_commands_agree(folder):
    """Without broker or cloud; `status` and `events`, for people and as JSON, tell what happened."""
    made = make(folder, changes=(NEVER_AUTO,))

    async def play():
        board = LineBoard(made.board)
        await board.start()
        async with running(made):
            await board.wait_connected(DEADLINE_S)
            for number in (RESIDENT_B, STRANGER):
                board.present("hall-b-in", "badge", number)
                await board.barrier(DEADLINE_S)
            assert len(pulses(board)) == 1
            await asyncio.to_thread(look)
        await board.stop()

    def look():
        config = ("--config", str(made.config))
        status = json.loads(made.run("status", *config, "--json").stdout)
        assert (status["controller"], status["policy"]["in_force"]) == ("hall-b", True)
        assert (status["sync"], status["decisions"], status["log"]["unsent"]) == (None, 2, status["log"]["last_seq"])
        text = made.run("status", *config).stdout
        assert "controller hall-b of clos-des-dunes" in text
        assert "cloud      none configured" in text
        lines = [
            json.loads(line)
            for line in made.run("events", *config, "--json", "--medium", "badge").stdout.split("\n")[:-1]
        ]
        assert [(line["result"], line["reason"], line["credential"]) for line in lines] == [
            ("open", "", RESIDENT_B),
            ("denied", "unknown", STRANGER),
        ]
        assert lines[0]["log"] == status["log"]["id"]
        shown = made.run("events", *config, "--result", "denied").stdout
        assert STRANGER in shown
        assert RESIDENT_B not in shown
        by_number = made.run("events", *config, "--credential", RESIDENT_B, "--json").stdout
        assert by_number.count("\n") == 1
        assert made.run("events", *config, "--limit", "1", "--json").stdout.count("\n") == 1
        assert made.run("events", *config, "--since", "2099-01-01", "--json").stdout == ""
        explained = made.run("explain", *config, "--door", "hall-b", "--medium", "badge", "--value", STRANGER, "--json")
        assert explained.returncode == 0
        assert "unknown" in explained.stdout

    asyncio.run(play())


def test_missing_serial_port_stops_no_other_door(folder):
    """The door on the other line opens; status and doctor name the port; and once it is there its reader works too."""
    made = make(folder, "hall-a")
    cellar, hall = made.reader("cellar-in"), made.reader("hall-a-in")

    async def play():
        board = LineBoard(made.board)
        await board.start()
        line, missing = ReaderLine(folder / "bus1", [cellar]), ReaderLine(folder / "bus0", [hall])
        line.open()
        try:
            async with running(made):
                await board.wait_connected(DEADLINE_S)
                await until(lambda: cellar.is_secure, "the other line is secure")
                await ready(made, "cellar-in")
                cellar.present_card(*card_format.encode(RESIDENT_A))
                await until(lambda: pulses(board), "the cellar opens")
                assert pulses(board)[0].door == "cellar"
                status = {one["reader"]: one for one in (await ask(made, "status"))["readers"]}
                assert "bus0" in status["hall-a-in"]["port_trouble"]
                assert (status["hall-a-in"]["ready"], status["cellar-in"]["ready"]) == (False, True)
                done = await asyncio.to_thread(made.run, "doctor", "--config", str(made.config), "--json")
                checks = [check for check in json.loads(done.stdout)["checks"] if check["subject"] == "reader"]
                assert [(check["ok"], "bus0" in check["found"]) for check in checks] == [(False, True), (True, False)]
                assert done.returncode == os.EX_CONFIG
                missing.open()
                await ready(made, "hall-a-in")
                hall.present_card(*card_format.encode(RESIDENT_A))
                await until(lambda: len(pulses(board)) == 2, "the hall opens")
        finally:
            line.close()
            missing.close()
            await board.stop()

    asyncio.run(play())


async def ready(made, reader):
    """The agent takes what is shown to that reader."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            readers = (await ask(made, "status"))["readers"]
            if any(one["reader"] == reader and one["ready"] for one in readers):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_in_good_order(folder, number):
    """Exit code 0, nothing on stderr, the socket gone; and the log opens again with all its events."""
    made = make(folder)

    async def play():
        async with running(made) as process:
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
            assert (await process.stderr.read()) == b""
        assert not made.api.exists()
        async with running(made):
            events = (await ask(made, "events"))["events"]
            assert [event["reason"] for event in events].count("started") == 2

    asyncio.run(play())


def test_second_agent_on_the_same_folder_is_refused(folder):
    """One line and 69 or 74; the first one goes on."""
    made = make(folder)

    async def play():
        async with running(made):
            done = await asyncio.to_thread(made.run, "run", "--config", str(made.config))
            assert done.returncode in (os.EX_UNAVAILABLE, os.EX_IOERR)
            assert done.stderr.count("\n") == 1
            assert "agent" in done.stderr
            assert answers(made)

    asyncio.run(play())


def test_service_manager_is_told(folder, monkeypatch):
    """READY=1 once it works, STOPPING=1 when it is told to end: sd_notify(3)."""
    made = make(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE_S)
        manager.bind(str(folder / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))

        async def play():
            async with running(made):
                assert await asyncio.to_thread(manager.recv, 100) == b"READY=1"
            assert await asyncio.to_thread(manager.recv, 100) == b"STOPPING=1"

        asyncio.run(play())


# --- what it cannot work with -----------------------------------------------------------------------------------


def test_wrong_config_is_one_line(folder):
    """78, the file, the key and what it means."""
    made = make(folder)
    made.config.write_text(made.config.read_text().replace('api = "api"', 'api = "api"\nkeep_events = 1'))
    refused(made, os.EX_CONFIG, str(made.config), "keep_events", "acknowledged")


def test_missing_config_is_one_line(folder):
    """78, and how to give one."""
    done = vantail("run", "--config", folder / "none.toml")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_CONFIG, 1)
    assert "none.toml: no such file" in done.stderr


@pytest.mark.parametrize("name", ["device.key", "manager.toml"])
def test_missing_key_file_is_one_line(folder, name):
    """66, the file, and what makes it."""
    made = make(folder, "hall-a")
    (made.keys / name).unlink()
    refused(made, os.EX_NOINPUT, name, "no such file; ")


@pytest.mark.parametrize("name", ["device.key", "manager.toml", "osdp.toml"])
def test_key_file_that_others_may_read_is_one_line(folder, name):
    """77, the file, and the command that mends it."""
    made = make(folder, "hall-a")
    (made.keys / name).chmod(0o644)
    refused(made, os.EX_NOPERM, name, "chmod 600")


def test_weak_reader_key_is_one_line(folder):
    """78: a key that everybody knows guards no line (here the bytes 0x30 to 0x3F of SCBK-D)."""
    made = make(folder, "hall-a")
    made.reader_keys["hall-a-in"] = bytes(range(0x30, 0x40))
    lines = [f'{name} = "{key.hex()}"\n' for name, key in made.reader_keys.items()]
    (made.keys / "osdp.toml").write_text("".join(lines))
    refused(made, os.EX_CONFIG, "key")
    assert made.reader_keys["hall-a-in"].hex() not in made.run("run", "--config", str(made.config)).stderr


def test_broker_that_is_no_address_is_one_line(folder):
    """78, what was written and what should be."""
    made = make(folder, broker="http://somewhere")
    refused(made, os.EX_CONFIG, "broker", "mqtt://")


def test_data_folder_that_cannot_be_made_is_one_line(folder):
    """71 or 74, and the path."""
    made = make(folder)
    (folder / "blocked").write_text("a file")
    made.config.write_text(made.config.read_text().replace('api = "api"', 'api = "api"\ndata = "blocked/data"'))
    done = made.run("run", "--config", str(made.config))
    assert done.returncode in (os.EX_OSERR, os.EX_IOERR, os.EX_CANTCREAT)
    assert done.stderr.count("\n") == 1
    assert "blocked" in done.stderr
