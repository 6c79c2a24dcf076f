"""`vantail metrics`: a running agent scraped by Prometheus' own parser, once and over HTTP; and no agent at all."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from edge_controller import DEADLINE_S, ask, make, running, until, vantail
from prometheus_client.parser import text_string_to_metric_families

from edge.cli import main
from edge.commands import metrics as command
from edge.failures import CommandError
from edge.metrics import DOOR_STATES, families
from edge.reader import card_format
from firmware_sim.line_board import LineBoard
from firmware_sim.reader_line import ReaderLine

RESIDENT_A = 1111100007
COUNTED = {
    "vantail_decisions_total": lambda status: status["decisions"],
    "vantail_last_decision_seconds": lambda status: status["decision_us"] / 1e6,
    "vantail_clock_trusted": lambda status: status["clock"]["trusted"],
    "vantail_policy_in_force": lambda status: 1,
    "vantail_policy_epoch": lambda status: 1,
    "vantail_policy_revision": lambda status: 1,
    "vantail_events_recorded_total": lambda status: status["log"]["last_seq"],
    "vantail_events_stored": lambda status: status["log"]["total"],
    "vantail_events_unsent": lambda status: status["log"]["unsent"],
    "vantail_events_dropped_total": lambda status: 0,
    "vantail_events_late_total": lambda status: 0,
    "vantail_unwired_outputs_total": lambda status: 0,
    "vantail_uplink_connected": lambda status: 0,
    "vantail_uplink_batches_total": lambda status: 0,
    "vantail_uplink_resends_total": lambda status: 0,
}


def parsed(text):
    """{(sample name, frozen labels): value} of an exposition."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def one(found, name, **labels):
    return found[name, frozenset(labels.items())]


@contextlib.contextmanager
def listening(made):
    """`vantail metrics --listen` on a free port; gives a function that scrapes it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "metrics", "--config", str(made.config), "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        url = process.stderr.readline().split()[-1]
        assert url.startswith("http://127.0.0.1:"), url

        def scrape():
            with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
                return parsed(answer.read().decode())

        yield scrape
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_running_agent_is_scraped_and_its_end_is_seen(folder):
    """A badge opens a door: decisions, door and readers say so, as `status` does; then the agent ends, up becomes 0
    and nothing else is told any more."""
    made = make(folder, "hall-a", broker="mqtt://127.0.0.1:1")
    cellar = made.reader("cellar-in")

    async def play():
        board, line = LineBoard(made.board), ReaderLine(folder / "bus1", [cellar])
        await board.start()
        line.open()
        try:
            with listening(made) as scrape:
                async with running(made):
                    await board.wait_connected(DEADLINE_S)
                    await until(lambda: scrape().get(key("vantail_reader_ready", reader="cellar-in")), "reader ready")
                    before = await asyncio.to_thread(scrape)
                    assert one(before, "vantail_door_state", door="cellar", vantail_door_state="secure") == 1
                    cellar.present_card(*card_format.encode(RESIDENT_A))
                    await until(lambda: board.is_unlocked("cellar", "door"), "the cellar opens")
                    after = await asyncio.to_thread(scrape)
                    status = await ask(made, "status")
                    assert {name: one(after, name) for name in COUNTED} == {
                        name: value(status) for name, value in COUNTED.items()
                    }
                    check_parts(before, after, status)
                assert await asyncio.to_thread(scrape) == {key("vantail_up"): 0}
        finally:
            line.close()
            await board.stop()

    asyncio.run(play())


def key(name, **labels):
    return name, frozenset(labels.items())


def check_parts(before, after, status):
    assert one(after, "vantail_up") == 1
    assert one(before, "vantail_decisions_total") == 0
    assert one(after, "vantail_decisions_total") == 1
    assert one(after, "vantail_last_decision_seconds") > 0
    state = {name: one(after, "vantail_door_state", door="cellar", vantail_door_state=name) for name in DOOR_STATES}
    assert {name for name, value in state.items() if value} == {"unlocked"}
    readers = {name: one(after, "vantail_reader_online", reader=name) for name in ("cellar-in", "hall-a-in")}
    assert readers == {"cellar-in": 1, "hall-a-in": 0}
    version = status["software"].split()[1]
    assert one(after, "vantail_build_info", version=version, site="clos-des-dunes", controller="hall-a") == 1


def test_once_to_stdout_and_without_an_agent(folder):
    """The same text, and code 0; with no agent vantail_up 0 all the same, one line on stderr, and code 69."""
    made = make(folder)

    async def play():
        async with running(made):
            return await asyncio.to_thread(vantail, "metrics", "--config", made.config)

    done = asyncio.run(play())
    assert (done.returncode, done.stderr) == (0, "")
    found = parsed(done.stdout)
    assert one(found, "vantail_door_leaf_open", door="hall-b") == 0
    assert not [name for name, _ in found if "uplink" in name]
    away = vantail("metrics", "--config", made.config)
    assert (away.returncode, parsed(away.stdout)) == (os.EX_UNAVAILABLE, {key("vantail_up"): 0})
    assert away.stderr.startswith("vantail: no agent answers")
    assert away.stderr.count("\n") == 1


def status_with_everything():
    reader = {"reader": "in", "online": True, "secure": True, "ready": False, "time_outs": 3, "bad_frames": 2}
    return {
        "software": "vantail 1.2", "site": "a", "controller": "b", "uptime_s": 5, "decisions": 7, "decision_us": 140.0,
        "clock": {"trusted": True}, "unwired_outputs": 1, "policy": {"in_force": True, "epoch": 1, "revision": 42},
        "log": {"last_seq": 9, "total": 8, "unsent": 3, "dropped": 2, "late": 1},
        "doors": [{"id": "front", "state": "held", "has_contact": True, "leaf_open": True}],
        "readers": [{**reader, "sessions": 4}],
        "uplink": {
            "connected": True, "in_flight": 1, "batches": 5, "resends": 2, "hellos": 3, "notices": 2, "commands": 0,
            "refused": {"signature": 6, "version": 1}, "line": {"connects": 2, "dropped": 0},
        },
        "sync": {"silent_s": 0},
    }  # fmt: skip


def test_names_follow_the_conventions_and_everything_is_explained():
    """Counters end in _total, times are seconds, every metric has a text, refused messages have a reason each."""
    seen = list(families(status_with_everything()))
    names = [family.name for family in seen]
    assert len(set(names)) == len(names) > 25
    for family in seen:
        assert family.name.startswith("vantail_")
        assert family.documentation.endswith(".")
        assert not {"ms", "us", "percent"} & set(family.name.split("_"))
        if family.type == "counter":
            assert {sample.name for sample in family.samples} == {family.name + "_total"}
    samples = {(sample.name, *sample.labels.values()): sample.value for family in seen for sample in family.samples}
    assert samples["vantail_uplink_refused_total", "signature"] == 6
    assert samples["vantail_last_decision_seconds",] == pytest.approx(140e-6)


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.1:x", ":9464", "door.example:9464", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(text):
    """One line that shows how an address is written."""
    with pytest.raises(CommandError, match="give an IP address and a port") as raised:
        command.parse_listen(text, is_exposed=False)
    assert raised.value.code == os.EX_USAGE


def test_only_this_machine_may_read_unless_asked_otherwise(capsys):
    """Loopback in each of its spellings; any other address needs --exposed, and stderr then warns."""
    loopback = [command.parse_listen(text, False) for text in ("127.0.0.1:9464", "localhost:1", "[::1]:2")]
    assert loopback == [("127.0.0.1", 9464), ("127.0.0.1", 1), ("::1", 2)]
    assert capsys.readouterr().err == ""
    for text in ("0.0.0.0:9464", "[::]:9464", "192.0.2.7:9464"):
        with pytest.raises(CommandError, match="add --exposed"):
            command.parse_listen(text, is_exposed=False)
        assert command.parse_listen(text, is_exposed=True).port == 9464
        assert "no password, no TLS" in capsys.readouterr().err


def test_taken_port_and_missing_package_are_one_line_each(folder, monkeypatch, capsys):
    """Both name what to do."""
    made = make(folder)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = vantail("metrics", "--config", made.config, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "give another address or port" in done.stderr
    assert done.stderr.count("\n") == 1
    monkeypatch.delitem(sys.modules, "edge.metrics")
    monkeypatch.delattr("edge.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert main(["metrics", "--config", str(made.config)]) == os.EX_UNAVAILABLE
    assert "pip install 'vantail[metrics]'" in capsys.readouterr().err
