"""`vantail home-assistant` between a running agent with a simulated board and a real mosquitto."""

import asyncio
import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from edge_controller import DEADLINE_S, NEVER_AUTO, RESIDENT_B, ask, running, until, vantail
from edge_controller import make as make_controller
from mosquitto_process import Mosquitto, free_port
from paho.mqtt import client as paho

from edge.console.api import ApiError
from edge.decision.model import LOCK
from edge.home_assistant import Place
from edge.home_assistant_bridge import MOST_EVENTS, STALE_S, Bridge
from edge.home_assistant_line import MOST_WAITING, Heard
from firmware_sim.line_board import LineBoard

PLACE = Place("homeassistant", "clos-des-dunes", "hall-b")
STATE, EVENT, SET = (PLACE.topic("door", "hall-b", what) for what in ("state", "event", "set"))
PAGE = Path(__file__).parents[2] / "docs" / "home-assistant.md"
PASSWORD = "correct horse"
USERS = ("homeassistant", "vantail", "guest")


def make(folder, may_open=False):
    """hall-b, whose door never opens by itself."""
    made = make_controller(folder, changes=(NEVER_AUTO,))
    if may_open:
        made.config.write_text("api_may_open = true\n" + made.config.read_text())
    return made


class HomeAssistant:
    """What Home Assistant's side sees: every message in order, and what is retained of each topic."""

    def __init__(self, port, **login):
        self.messages = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(**login)
        topics = [("vantail/#", 1), ("homeassistant/#", 1)]
        self._client.on_connect = lambda client, *_: client.subscribe(topics)
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def last(self, topic):
        return next((one.payload.decode() for one in reversed(self.messages) if one.topic == topic), None)

    def all(self, topic):
        return [one.payload.decode() for one in self.messages if one.topic == topic]

    def publish(self, topic, payload, retain=False):
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


def broker_in(folder, port, is_open):
    """mosquitto with a log of who subscribes; with `is_open` False for USERS only, and as our page writes its rules."""
    folder.mkdir()
    lines = [f"listener {port} 127.0.0.1", "log_dest stderr", "log_type all", f"allow_anonymous {str(is_open).lower()}"]
    if not is_open:
        (folder / "users").touch(0o600)
        for user in USERS:
            subprocess.run(["mosquitto_passwd", "-b", str(folder / "users"), user, PASSWORD], check=True)
        rules = re.search(r"^  ```\n(  user .*?)^  ```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]
        written = textwrap.dedent(rules).replace("SITE", PLACE.site).replace("CONTROLLER", PLACE.controller)
        (folder / "rules").write_text(written)
        (folder / "rules").chmod(0o600)
        lines += [f"password_file {folder / 'users'}", f"acl_file {folder / 'rules'}"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    return Mosquitto(folder, port)


@contextlib.contextmanager
def bridging(made, port, *more):
    """`vantail home-assistant` as a process, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", "home-assistant", "--config", str(made.config),
         "--broker", f"mqtt://127.0.0.1:{port}", *map(str, more)],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def password_file(folder, mode=0o600, text=PASSWORD):
    path = folder / "mqtt.password"
    path.touch()
    path.chmod(mode)
    path.write_text(text + "\n")
    return path


def pulses(board):
    return [strike for strike in board.strikes if strike.ms != LOCK]


def test_watching_follows_the_door_and_opens_nothing(folder):
    """Discovery is retained, states follow, passages name nobody, nothing is subscribed to; agent and bridge gone are
    both seen, the latter by the last will."""
    made, port = make(folder), free_port()

    async def play():
        board = LineBoard(made.board)
        await board.start()
        with broker_in(folder / "broker", port, is_open=True) as broker, bridging(made, port) as bridge:
            async with running(made):
                await board.wait_connected(DEADLINE_S)
                seen = HomeAssistant(port)
                await until(lambda: seen.last(PLACE.availability_topic) == "online", "the bridge is there")
                await until(lambda: seen.last(STATE) == "LOCKED", "the door is locked")
                board.present("hall-b-in", "badge", RESIDENT_B)
                await until(lambda: seen.last(STATE) == "UNLOCKED", "the door is unlocked")
                assert board.contact("hall-b", True)
                await until(lambda: seen.last(PLACE.topic("door", "hall-b", "leaf")) == "ON", "the door is open")
                before = len(pulses(board))
                for payload in ("UNLOCK", "OPEN"):
                    seen.publish(SET, payload)
                await until(lambda: seen.all(EVENT), "the passage")
                assert len(pulses(board)) == before == 1
            await until(lambda: seen.last(PLACE.agent_topic) == "OFF", "the agent is missed")
            assert seen.last(PLACE.availability_topic) == "online"
            bridge.kill()
            await until(lambda: seen.last(PLACE.availability_topic) == "offline", "the last will")
            seen.stop()
            check_messages(seen)
            subscribed = [line for line in broker.log().splitlines() if "SUBSCRIBE from" in line]
            assert subscribed  # this test's own
            assert not [line for line in subscribed if PLACE.id in line]
            await asyncio.to_thread(check_retained, port)
        await board.stop()

    asyncio.run(play())


def check_messages(seen):
    said = [json.loads(payload) for payload in seen.all(EVENT)]
    assert [(one["event_type"], one["medium"], one["reader"]) for one in said] == [("open", "badge", "hall-b-in")]
    assert not [one for one in seen.messages if RESIDENT_B.encode() in one.payload]


def check_retained(port):
    """What a Home Assistant that starts only now is told: everything but the passages."""
    late = HomeAssistant(port)
    asyncio.run(until(lambda: late.last(PLACE.availability_topic), "retained messages"))
    late.stop()
    payload = json.loads(late.last(PLACE.discovery_topic))
    assert set(payload) >= {"device", "origin", "components", "availability"}
    assert payload["components"]["hall-b_locked"]["state_topic"] == STATE
    assert all(one.retain for one in late.messages)
    assert late.last(STATE) is not None
    assert late.last(EVENT) is None


def test_opening_where_it_may(folder):
    """OPEN and UNLOCK open once each and are recorded; a retained one, LOCK, noise, a guest's and a locked-down door's
    do not; at SIGTERM it says that it goes. With --names the passage has its number."""
    made, port = make(folder, may_open=True), free_port()
    login = ["--username", "vantail", "--password-file", password_file(folder)]

    async def play():
        board = LineBoard(made.board)
        await board.start()
        with broker_in(folder / "broker", port, is_open=False):
            seen, guest = (HomeAssistant(port, username=user, password=PASSWORD) for user in ("homeassistant", "guest"))
            await asyncio.to_thread(seen.publish, SET, "OPEN", True)
            async with running(made):
                await board.wait_connected(DEADLINE_S)
                with bridging(made, port, "--may-open", "--names", *login) as bridge:
                    await until(lambda: seen.last(STATE) == "LOCKED", "the door is locked")
                    for payload in ("LOCK", "open", "\xff", "OPEN" * 10):
                        seen.publish(SET, payload)
                    seen.publish(PLACE.topic("door", "cellar", "set"), "OPEN")
                    guest.publish(SET, "OPEN")
                    seen.publish(SET, "OPEN")
                    await until(lambda: pulses(board), "it opens")
                    assert len(pulses(board)) == 1
                    assert [one["detail"] for one in await events(made, "open")] == ["home-assistant"]
                    board.present("hall-b-in", "badge", RESIDENT_B)
                    await until(lambda: RESIDENT_B in str(seen.all(EVENT)), "the passage with its number")
                    before = len(pulses(board))
                    await insist(seen, "UNLOCK", lambda: len(pulses(board)) > before)
                    await ask(made, "command", action="lockdown", door="hall-b", who="test")
                    await board.barrier(DEADLINE_S)
                    before = len(pulses(board))
                    await insist(seen, "OPEN", lambda: "lockdown" in str(seen.all(EVENT)))
                    assert len(pulses(board)) == before
                    bridge.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(bridge.wait, DEADLINE_S) == 0
                    assert bridge.stderr.read().count("\n") == 1  # the agent's word on the door that it has not
                await until(lambda: seen.last(PLACE.availability_topic) == "offline", "it said that it goes")
            assert guest.messages == []
            for client in (seen, guest):
                client.stop()
        await board.stop()

    asyncio.run(play())


async def insist(seen, payload, condition):
    """Home Assistant asks until it is done: the bridge takes one opening a second."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"{payload} does nothing"
        seen.publish(SET, payload)
        await asyncio.sleep(0.3)


async def events(made, result):
    answer = await ask(made, "events", medium="command", result=result)
    return answer["events"]


def test_commands_at_the_local_api_are_checked(folder):
    """What makes no sense is refused in words; what does is decided and recorded under who asked."""
    made = make(folder, may_open=True)
    wrong = [
        ({"action": "explode", "door": "hall-b", "who": "test"}, "known are open, hold"),
        ({"action": "open", "door": "cellar", "who": "test"}, "known are hall-b"),
        ({"action": "open", "who": "test"}, "unknown door"),
        ({"action": "open", "door": "hall-b"}, "who commands"),
        ({"action": "open", "door": "hall-b", "who": "a\nb"}, "who commands"),
        ({"action": "hold", "door": "hall-b", "who": "test", "until_ms": "soon"}, "UTC milliseconds"),
    ]

    async def play():
        async with running(made):
            for arguments, said in wrong:
                with pytest.raises(ApiError, match=said):
                    await ask(made, "command", **arguments)
            assert await ask(made, "command", action="open", door="hall-b", who="test") == {
                "ok": True,
                "submitted": True,
            }
            while not (found := await events(made, "open")):
                await asyncio.sleep(0.01)
            assert [(one["door"], one["detail"]) for one in found] == [("hall-b", "test")]

    asyncio.run(play())


def test_refused_login_is_said_and_a_closed_agent_opens_for_nobody(folder):
    """The login is tried again and again: doors do not depend on it. Without api_may_open the socket opens no door, and
    --may-open says what is missing."""
    made, port = make(folder), free_port()

    async def play():
        with broker_in(folder / "broker", port, is_open=False):
            async with running(made):
                login = ["--username", "vantail", "--password-file", password_file(folder, text="wrong")]
                with bridging(made, port, *login) as bridge:
                    said = await asyncio.to_thread(bridge.stderr.readline)
                    assert said.startswith("vantail: the broker refuses the connection")
                    assert "wrong" not in said
                    assert bridge.poll() is None
                with bridging(made, port, "--may-open", *login) as bridge:
                    assert await asyncio.to_thread(bridge.wait, DEADLINE_S) == os.EX_CONFIG
                    assert "set api_may_open = true" in bridge.stderr.read()
                with pytest.raises(ApiError, match="no door is opened by this socket"):
                    await ask(made, "command", action="open", door="hall-b", who="test")
                assert await events(made, "open") == []

    asyncio.run(play())


@pytest.mark.parametrize(
    ("arguments", "mode", "code", "said"),
    [
        (["--broker", "http://ha"], 0o600, os.EX_USAGE, "begin it with mqtt://"),
        (["--broker", "mqtt://home:secret@ha"], 0o600, os.EX_USAGE, "give --username and --password-file"),
        (["--broker", "mqtt://127.0.0.1", "--prefix", "a/#"], 0o600, os.EX_USAGE, "make a topic"),
        (["--broker", "mqtt://127.0.0.1", "--password-file", "FILE"], 0o600, os.EX_USAGE, "--username"),
        (["--broker", "mqtt://127.0.0.1", "--username", "a", "--password-file", "FILE"], 0o640, os.EX_NOPERM, "chmod"),
        (["--broker", "mqtt://127.0.0.1", "--username", "a", "--password-file", "no"], 0o600, os.EX_NOINPUT, "no"),
    ],
)
def test_wrong_options_are_one_line(folder, arguments, mode, code, said):
    """Each names what to do, and none shows a password."""
    path = password_file(folder, mode)
    done = vantail("home-assistant", *(path if one == "FILE" else one for one in arguments))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert PASSWORD not in done.stderr


# --- without a broker: what is bounded ------------------------------------------------------------------------------


class StillLine:
    """A line on which nothing moves."""

    def __init__(self):
        self.heard = queue.Queue(MOST_WAITING)
        self.is_up, self.connects, self.trouble = True, 1, ""
        self.said = []

    def say(self, topic, payload, retain=True):
        self.said.append((topic, payload, retain))
        return True

    def start(self):
        pass

    def stop(self):
        pass


def bridge_of(ask, may_open=True):
    return Bridge(ask, PLACE, StillLine(), may_open=may_open, names=False, tell=lambda said: None)


def test_flood_and_stale_commands_open_once(folder):
    """Twenty at once are one opening; one that waited too long for the agent is none; nor any without may_open."""
    asked = []
    bridge = bridge_of(lambda op, **arguments: asked.append((op, arguments)))
    now_s = time.monotonic()
    bridge._obey(Heard(SET, b"OPEN", now_s - STALE_S - 1))
    assert asked == []
    for _ in range(20):
        bridge._obey(Heard(SET, b"OPEN", time.monotonic()))
    assert asked == [("command", {"action": "open", "door": "hall-b", "who": "home-assistant"})]
    assert bridge.counts == {"dropped": 20, "opened": 1}
    watching = bridge_of(lambda op, **arguments: asked.append((op, arguments)), may_open=False)
    watching._obey(Heard(SET, b"OPEN", time.monotonic()))
    assert len(asked) == 1


def test_history_is_not_told_and_a_restored_log_begins_at_its_end():
    """The first look asks for nothing; then what came since, page by page; another log counts from its own end."""
    asks = []

    def ask(op, **arguments):
        if op == "status":
            return status
        asks.append(arguments)
        return {"log": status["log"]["id"], "events": []}

    bridge, stopping = bridge_of(ask), threading.Event()
    status = {
        "software": "vantail 1", "uplink": None, "sync": None, "clock": {"utc_ms": 0}, "doors": [],
        "log": {"id": "a", "last_seq": 40},
    }  # fmt: skip
    bridge._show(status)
    assert asks == []
    status["log"] = {"id": "a", "last_seq": 42}
    bridge._show(status)
    assert asks == [{"after_seq": 40, "limit": MOST_EVENTS}]
    status["log"] = {"id": "b", "last_seq": 7}
    bridge._show(status)
    assert len(asks) == 1
    said = len(bridge._line.said)
    bridge._show(status)
    assert len(bridge._line.said) == said  # nothing changed, nothing is said
    stopping.set()
    bridge.run(stopping)
