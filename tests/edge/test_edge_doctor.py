"""`vantail doctor`: what it says of a controller that is well, and of each thing that is not."""

import asyncio
import json
import os
import socket

import pytest
from edge_controller import DEADLINE_S, make, running

from edge.inspection import doctor
from edge.lines.released import released_outputs
from firmware_sim.line_board import LineBoard
from firmware_sim.modbus_board import ModbusRelayBoard
from firmware_sim.reader_line import ReaderLine


def examined(made):
    """{subject: [Check]} of a controller's folder."""
    checks = {}
    for check in asyncio.run(doctor.examine(made.config)).checks:
        checks.setdefault(check.subject, []).append(check)
    return checks


@pytest.fixture
def vouched(monkeypatch):
    """A kernel that says that NTP keeps the time; the machine of a test may have none."""
    monkeypatch.setattr(doctor, "ntp_synchronised", lambda: True)


@pytest.fixture
def broker():
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"mqtt://127.0.0.1:{listening.getsockname()[1]}"


def only_wrong(checks):
    """The subjects that are not well, each with its one check's words."""
    return {subject: [check for check in found if not check.ok] for subject, found in checks.items()
            if not all(check.ok for check in found)}  # fmt: skip


def test_well_controller_without_an_agent(folder, vouched, broker):
    """Everything is looked at directly, the serial lines too."""
    made = make(folder, "hall-a", broker)

    async def play():
        lines = [ReaderLine(folder / "bus0", [made.reader("hall-a-in")])]
        lines.append(ReaderLine(folder / "bus1", [made.reader("cellar-in")]))
        for line in lines:
            line.open()
        checks = (await doctor.examine(made.config)).checks
        for line in lines:
            line.close()
        return checks

    checks = asyncio.run(play())
    assert [check for check in checks if not check.ok] == []
    subjects = [check.subject for check in checks]
    for subject in ("config", "keys", "data", "agent", "clock", "disk", "user", "broker"):
        assert subjects.count(subject) == 1
    assert (subjects.count("serial"), subjects.count("reader")) == (2, 2)


def test_well_controller_with_its_agent(folder, vouched):
    """The agent holds the ports: it is asked how the readers are."""
    made = make(folder, "hall-a")

    async def play():
        board = LineBoard(made.board)
        await board.start()
        readers = [made.reader("hall-a-in"), made.reader("cellar-in")]
        lines = [ReaderLine(folder / f"bus{at}", [reader]) for at, reader in enumerate(readers)]
        for line in lines:
            line.open()
        try:
            async with running(made), asyncio.timeout(DEADLINE_S):
                while True:
                    checks = (await doctor.examine(made.config)).checks
                    if all(check.ok for check in checks):
                        return checks
        finally:
            for line in lines:
                line.close()
            await board.stop()

    checks = asyncio.run(play())
    assert [check.found.split()[0] for check in checks if check.subject == "reader"] == ["hall-a-in", "cellar-in"]
    assert all("secure" in check.found for check in checks if check.subject == "reader")
    assert any(check.subject == "agent" and "running" in check.found for check in checks)


def test_wrong_config_is_the_only_thing_said(folder):
    """Nothing else can be looked at."""
    made = make(folder)
    made.config.write_text("controller = 3\n")
    [check] = asyncio.run(doctor.examine(made.config)).checks
    assert (check.subject, check.ok) == ("config", False)
    assert "controller" in check.found
    assert check.advice


@pytest.mark.parametrize(
    ("subject", "spoil", "words"),
    [
        ("keys", lambda made: (made.keys / "device.key").unlink(), ("device.key", "no such file")),
        ("keys", lambda made: (made.keys / "manager.toml").chmod(0o644), ("manager.toml", "chmod 600")),
        ("keys", lambda made: (made.keys / "osdp.toml").chmod(0o644), ("osdp.toml", "chmod 600")),
    ],
)
def test_each_wrong_key_file_is_named(folder, vouched, subject, spoil, words):
    """In the same words as `vantail run` would use."""
    made = make(folder, "hall-a")
    spoil(made)
    [check] = only_wrong(examined(made))[subject]
    assert not [word for word in words if word not in check.found + check.advice]


def test_missing_port_is_named_for_each_line(folder, vouched):
    """And nothing else is wrong with this controller."""
    wrong = only_wrong(examined(make(folder, "hall-a")))
    assert list(wrong) == ["serial"]
    assert ["bus0" in wrong["serial"][0].found, "bus1" in wrong["serial"][1].found] == [True, True]


RELAY = '[[door]]\nid = "front"\noutputs = { door = "gpio:gpiochip0:17" }\n'


@pytest.mark.parametrize(("kept", "ok"), [("Y", False), ("N", True)])
def test_what_a_released_relay_does_is_said_with_how_to_mend_it(folder, vouched, monkeypatch, tmp_path, kept, ok):
    """On Raspberry Pi OS: the very line, the file, the section, and the restart. Nothing where it is set."""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    driver = tmp_path / "sys/module/pinctrl_bcm2835/parameters"
    driver.mkdir(parents=True)
    (driver / "persist_gpio_outputs").write_text(kept)
    monkeypatch.setattr(doctor, "released_outputs", lambda: released_outputs(tmp_path))
    made = make(folder)
    made.config.write_text(made.config.read_text() + RELAY)
    [check] = examined(made)["gpio"]
    assert check.ok is ok
    words = ("`dtparam=strict_gpiod`", "under [all]", "/boot/firmware/config.txt", "sudo reboot")
    assert [word in check.advice for word in words] == [not ok] * 4


BOARD = """[[door]]
id = "front"
outputs = {{ door = "modbus:relays:0" }}
[[modbus]]
id = "relays"
port = "{port}"
unit = {unit}
timer = "{timer}"
"""


def test_relay_board_without_an_agent_is_asked_for_its_relays(folder, vouched):
    """It answers, and no relay moves; at another address it does not, with what to check; without a pulse timer it
    is not good enough."""
    made = make(folder)
    bare = made.config.read_text()

    async def play():
        board = ModbusRelayBoard(folder / "relays", 255, 8, "flash")
        await board.start()
        seen = []
        try:
            for unit, timer in ((255, "flash"), (254, "flash"), (255, "none")):
                made.config.write_text(bare + BOARD.format(port=board.path, unit=unit, timer=timer))
                checks = (await doctor.examine(made.config)).checks
                seen.append([check for check in checks if check.subject == "modbus"])
            assert not any(board.relays)
        finally:
            await board.stop()
        return seen

    well, silent, bare_board = asyncio.run(play())
    assert [(check.ok, "unit 255" in check.found, "relay 0 is at rest" in check.found) for check in well] == [
        (True,) * 3
    ]
    assert [(check.ok, "check its power, address and speed" in check.found) for check in silent] == [(False, True)]
    assert [check.ok for check in bare_board] == [True, False]
    assert "no pulse timer of its own" in bare_board[1].found
    assert "'flash'" in bare_board[1].advice


def test_relay_board_of_a_running_agent(folder, vouched):
    """The agent holds its port: it is asked how the board is, and says so too when it went."""
    made = make(folder)
    port = folder / "relays"
    made.config.write_text(made.config.read_text() + BOARD.format(port=port, unit=255, timer="flash"))

    async def modbus(holds):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                [check] = [one for one in (await doctor.examine(made.config)).checks if one.subject == "modbus"]
                if holds(check):
                    return check

    async def play():
        line_board = LineBoard(made.board)
        await line_board.start()
        board = ModbusRelayBoard(port, 255, 8, "flash")
        await board.start()
        try:
            async with running(made):
                well = await modbus(lambda check: check.ok)
                board.unplug()
                return well, await modbus(lambda check: not check.ok)
        finally:
            await board.stop()
            await line_board.stop()

    well, gone = asyncio.run(play())
    assert "relays 0 front/door" in well.found
    assert "port" in gone.found


def test_broker_that_does_not_answer_is_no_door_trouble(folder, vouched):
    """It says so, that the doors work without it, and why it does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    made = make(folder, broker=f"mqtt://127.0.0.1:{port}")
    [check] = only_wrong(examined(made))["broker"]
    assert f"mqtt://127.0.0.1:{port} does not answer (" in check.found
    assert "()" not in check.found
    assert "the doors work without it" in check.advice


def test_clock_without_a_source_says_what_to_start(folder, monkeypatch):
    """NTP, or a declared battery-backed clock, which is then enough."""
    monkeypatch.setattr(doctor, "ntp_synchronised", lambda: False)
    made = make(folder)
    [check] = only_wrong(examined(made))["clock"]
    assert "NTP" in check.advice
    assert "rtc = true" in check.advice
    made.config.write_text(made.config.read_text().replace("[simulated]", "[clock]\nrtc = true\n\n[simulated]"))
    assert "clock" not in only_wrong(examined(made))


def test_full_disk_is_said(folder, vouched, monkeypatch):
    """With how much is free."""
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 5 * 1024 * 1024})())
    [check] = only_wrong(examined(make(folder)))["disk"]
    assert "5 MiB free" in check.found
    assert check.advice


def test_command_shows_a_line_a_check_and_the_exit_code_tells(folder):
    """For people and as one JSON object; 78 where anything is wrong."""
    made = make(folder, "hall-a")
    done = made.run("doctor", "--config", str(made.config))
    assert done.returncode == os.EX_CONFIG
    assert "FAIL serial" in done.stdout
    as_json = made.run("doctor", "--config", str(made.config), "--json")
    assert as_json.returncode == os.EX_CONFIG
    assert as_json.stdout.count("\n") == 1
    report = json.loads(as_json.stdout)
    assert report["ok"] is False
    assert {"subject", "ok", "found", "advice"} == set(report["checks"][0])
