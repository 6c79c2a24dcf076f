"""`vantail-sim fleet`: its controllers say what a cloud believes, and its report says what was acknowledged."""

import asyncio
import contextlib
import io
import json
import random
import socket
import subprocess
import sys

import pytest

from edge.decision import chain
from edge.uplink import signing
from firmware_sim import fleet_command
from firmware_sim.demo import free_port
from firmware_sim.fleet_figures import Bar, Figures, told
from firmware_sim.fleet_line import address_of
from firmware_sim.fleet_log import HASHES, FleetLog, passage
from firmware_sim.fleet_sites import write

LOG = bytes(range(16))
SEAL_KEY = bytes(range(32))  # the manager's private one


def _log(events):
    chance, log = random.Random(1), FleetLog(LOG, signing.seal_public(SEAL_KEY))
    for n in range(events):
        log.record(passage(chance, "hall", 1_795_590_000_000 + n))
    return log


def test_a_fleet_s_log_is_a_chain_that_the_manager_can_prove():
    """From its sealed first key on, in stretches cut anywhere; a changed event is found."""
    log = _log(50)

    def follower():
        def unseal(sealed, log_id, first):
            return signing.unseal_log_key(SEAL_KEY, sealed, log_id, first)

        return chain.Follower(HASHES, LOG, 0, b"", b"", unseal)

    whole = follower()
    for first, count in ((1, 7), (8, 30), (38, 13)):
        whole.follow(log.stretch(first, count))
        assert whole.is_proven
    assert whole.seq == 50
    stretch = log.stretch(1, 50)
    changed = stretch.events[9][3]._replace(door="vault")
    events = (*stretch.events[:9], (10, False, 1, changed), *stretch.events[10:])
    with pytest.raises(chain.Misfit):
        follower().follow(stretch._replace(events=events))


def test_what_is_acknowledged_is_forgotten_and_the_rest_kept():
    """Memory is bounded by what is under way."""
    log = _log(10)
    before = log.stretch(5, 6)
    log.acknowledge(4)
    assert log.stretch(5, 6) == before


def test_the_report_says_what_is_missing():
    """All acknowledged or not, in words and as one object."""
    figures = Figures(2, events=10, acked=9, seconds=2.0, batch_ms=[1.0] * 99 + [50.0])
    report = figures.report()
    assert (report["ok"], report["ack_ms"]) == (False, {"p50": 1.0, "p99": 50.0, "worst": 50.0})
    assert told(report).endswith("NOT all acknowledged")
    figures.acked = 10
    assert json.loads(json.dumps(figures.report()))["ok"]


def test_a_bar_on_a_terminal_only():
    """A file gets none of it."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for out, is_shown in ((io.StringIO(), False), (Terminal(), True)):
        Bar(out).show("events", 5, 10, "5 sent")
        assert ("[###############...............] 5 sent" in out.getvalue()) is is_shown


@pytest.mark.parametrize("url", ["mqtts://n1", "n1:1883", "mqtt://"])
def test_a_broker_that_is_none(url):
    """One line that says what to write."""
    with pytest.raises(ValueError, match="mqtt://HOST:PORT"):
        address_of(url)


def test_a_broker_needs_the_cloud_s_data():
    """Whose controllers would they be?"""
    words = ["fleet", "--broker", "mqtt://127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-m", "firmware_sim.cli", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 65
    assert done.stderr == (
        "vantail-sim: --broker and --data belong together: the cloud whose data that is answers on that broker\n"
    )


@contextlib.contextmanager
def _broker():
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "firmware_sim.broker_process", str(port)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert child.poll() is None
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()
        child.stdin.close()


def test_a_fleet_that_nobody_answers_says_so(tmp_path, monkeypatch):
    """Events go out, none is acknowledged: the report is not ok. The control of the test below."""
    monkeypatch.setattr(fleet_command, "DRAIN_S", 0.2)
    write(tmp_path, "fleet-0", ["fleet-0-000"])
    keys = tmp_path / "keys" / "fleet-0" / "fleet-0-000"
    manager = signing.ManagerTrust(
        bytes(16), "fleet-0", "fleet-0-000", bytes(32), 1, 4711, bytes(32), signing.seal_public(SEAL_KEY)
    )
    signing.write_manager(keys / "manager.toml", manager)
    with _broker() as broker:
        report = asyncio.run(fleet_command.load([keys], broker, 30, 0.3, 1, Bar(io.StringIO())))
    assert report["events"] > 0
    assert (report["acked"], report["ok"], report["connects"]) == (0, False, 1)


def test_a_fleet_with_a_broker_and_a_cloud_of_its_own(tmp_path):
    """Registered, connected, every event acknowledged."""
    words = ["fleet", "--controllers", "3", "--events-per-s", "30", "--seconds", "1", "--dir", tmp_path, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "firmware_sim.cli", *map(str, words)], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["acked"] == report["events"] > 0
    assert report["connects"] == 3
    assert report["bytes_an_event"] > 0
    assert done.stderr == ""
