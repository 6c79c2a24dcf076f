"""`vantail status`: the badge of the cloud's line and its 24 hours, in words, in marks, as data."""

import asyncio
import json
import os
import subprocess
import sys

import pytest
from edge_controller import ask, make, running, until, vantail
from mosquitto_process import Mosquitto, free_port

from edge.commands import status as command
from edge.commands.options import local_time
from edge.connectivity import SLOTS
from edge.console.api import call

AT_MS = 1_795_280_640_000


def sync(badge, waiting=0, since_ms=None):
    return {"badge": badge, "waiting": waiting, "silent_since_ms": since_ms, "strip": [None] * SLOTS}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (sync("up-to-date"), "up to date"),
        (sync("waiting", 1), "1 event waiting"),
        (sync("waiting", 12), "12 events waiting"),
        (sync("silent", 12, AT_MS), "silent since " + local_time(AT_MS)[:16]),
    ],
)
def test_badge_in_words(given, said):
    """The words of the cloud's pages; a time is local, to the minute."""
    assert command.badge_text(given) == said


@pytest.mark.parametrize(("encoding", "drawn"), [("utf-8", "·▁▂▄▇█"), ("ascii", "-_+++#"), ("latin-1", "-_+++#")])
def test_strip_is_drawn_with_what_stdout_can_write(encoding, drawn, monkeypatch):
    """Blocks in UTF-8, else ASCII; only a whole half hour is a full mark, only none at all the lowest."""
    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w", encoding=encoding))  # noqa: SIM115
    with sys.stdout:
        assert command.strip_text([None, 0.0, 0.001, 0.4, 0.999, 1.0]) == drawn


def shown(made, encoding):
    """`vantail status` on a terminal of that encoding."""
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", "status", "--config", str(made.config)],
        capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    return dict(line.split(None, 1) for line in done.stdout.decode(encoding).splitlines() if line[0] != "r")


def open_broker(folder, port):
    """A mosquitto on loopback that anybody may use, with its files in `folder`."""
    folder.mkdir()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n")
    return Mosquitto(folder, port)


def test_running_agent_whose_broker_comes_and_goes(folder):
    """Without a cloud it is silent from its start on, whatever the broker does; the strip knows how the broker was."""
    port = free_port()
    made = make(folder, broker=f"mqtt://127.0.0.1:{port}")

    def is_connected():
        return call(made.api, "status")["uplink"]["connected"]

    async def play():
        async with running(made):
            done = await asyncio.to_thread(vantail, "status", "--config", made.config, "--json")
            away = json.loads(done.stdout)
            assert (away["sync"]["badge"], away["sync"]["strip"][-1]) == ("silent", 0.0)
            assert away["sync"]["waiting"] == away["log"]["unsent"] > 0
            assert abs(away["sync"]["silent_since_ms"] - (away["clock"]["utc_ms"] - away["uptime_s"] * 1000)) < 5_000
            with open_broker(folder / "broker", port):
                await until(is_connected, "the agent finds the broker")
                there = await ask(made, "status")
                assert there["sync"]["badge"] == "waiting"  # for a minute; then it is silent as before
                known = [share for share in there["sync"]["strip"] if share is not None]
                assert max(known) > 0  # two are known where a half hour of the machine's clock ends just now
                assert min(known) < 1
                words = await asyncio.to_thread(shown, made, "utf-8")
                assert words["cloud"] == f"{there['sync']['waiting']} events waiting"
                assert set(words["24"].removeprefix("hours").strip()) < set("·▁▂▃▄▅▆▇█")
            await until(lambda: not is_connected(), "the agent misses the broker")
            gone = await ask(made, "status")
            assert gone["sync"]["badge"] == "silent"
            assert gone["sync"]["silent_since_ms"] == pytest.approx(away["sync"]["silent_since_ms"], abs=1_000)
            words = await asyncio.to_thread(shown, made, "ascii")
            assert words["cloud"] == "silent since " + local_time(gone["sync"]["silent_since_ms"])[:16]
            assert len(words["24"].removeprefix("hours").strip()) == SLOTS

    asyncio.run(play())
