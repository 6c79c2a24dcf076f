"""`vantail-cloud serve` as a process, with a real broker between it and a device: pages, policy, events, kill -9."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import time
import urllib.request

import paho.mqtt.client as mqtt
import pytest
from cloud_device import LOG, Device, event, make_keys
from cloud_doors import free_port
from cloud_example import EXAMPLE
from iotcore import Broker

from cloud_stub.commands import passages
from edge.residence.compile import policy_digest
from edge.uplink import policy_parts, signing

DEADLINE_S = 60


@pytest.fixture
def broker():
    """A broker of this test's own, on loopback."""
    with Broker(port=free_port(), listen="127.0.0.1", max_payload_size=262_144) as running:
        yield running.port


def _cloud(data, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def _serving(data, broker):
    """The server's process and its address; killed at the end if it lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), "serve", "--port", "0", "--until-stdin-closes",
         "--broker", f"mqtt://127.0.0.1:{broker}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


class Line:
    """The device's connection: what comes down goes into a queue."""

    def __init__(self, device, broker):
        self.device = device
        self.came = queue.Queue()
        self._up = queue.Queue()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._client.on_connect = lambda client, *_: client.subscribe(device.topic + "down/#", qos=1)
        self._client.on_subscribe = lambda *_: self._up.put(True)
        self._client.on_message = lambda _client, _data, message: self.came.put((message.topic, message.payload))
        self._client.connect("127.0.0.1", broker)
        self._client.loop_start()
        self._up.get(timeout=DEADLINE_S)

    def until(self, kind, raw, found):
        """Say `raw` again and again, as the edge does, until found(message) is not None."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            self._client.publish(self.device.topic + kind, raw, qos=1)
            answer = self.next(found, 1)
            if answer is not None:
                return answer
        raise AssertionError(f"no answer to {kind}")

    def next(self, found, timeout_s=DEADLINE_S):
        """The first thing that `found` makes of what comes, None when time is over."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            try:
                answer = found(self.came.get(timeout=left))
            except queue.Empty:
                return None
            if answer is not None:
                return answer
        return None

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def bound(tmp_path, broker):
    """A data folder with the example, and hall A's device on its line."""
    data, keys = tmp_path / "data", make_keys(tmp_path / "keys")
    _cloud(data, "import", EXAMPLE)
    _cloud(data, "provision", "hall-a", "--keys", keys)
    _cloud(data, "publish")
    line = Line(Device(keys), broker)
    yield data, line
    line.close()


def _get(address):
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read()


def _first_policy(device):
    return _policy(device, 0)


def _policy(device, revision):
    parts = policy_parts.PolicyParts()

    def found(message):
        topic, payload = message
        return parts.add(payload, device.down, revision) if topic.endswith("down/policy") else None

    return found


def test_a_hello_gets_its_policy_back_and_a_later_one_unasked(bound, broker):
    """Signed for this device, whole, equal to what was published; a new revision follows without another hello."""
    data, line = bound
    with _serving(data, broker) as (process, address):
        delta = line.until("up/hello", line.device.hello(), _first_policy(line.device))
        assert delta.to_revision == 1
        assert policy_digest(delta.rows) == delta.digest
        held = line.device.hello(1, delta.digest)
        line.until("up/hello", held, lambda message: message[0].endswith("down/ack") or None)
        toml = data.parent / "again"
        toml.mkdir()
        for path in EXAMPLE.iterdir():
            text = path.read_text("utf-8").replace("unlock_ms = 4000", "unlock_ms = 4500")
            (toml / path.name).write_text(text, "utf-8")
        _cloud(data, "import", toml)
        _cloud(data, "publish")
        assert line.next(_policy(line.device, 1)).from_revision == 1
        assert _get(address + "healthz") == b"ok\n"
        assert b"Centrale hall A" in _get(address)
        assert b"function" in _get(address + "static/django_htmx/htmx-2.min.js")
        assert b".controllers" in _get(address + "static/vantail/pages.css")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_events_survive_kill_9_and_are_stored_once(bound, broker):
    """What was acknowledged is there after kill -9 and a new start; the repetition doubles nothing."""
    data, line = bound
    device = line.device
    batch = device.batch(1, [event(at_ms=n) for n in range(1, 401)])

    def acked(message):
        return signing.verify_ack(message[1], device.down).up_to if message[0].endswith("down/ack") else None

    with _serving(data, broker) as (process, _):
        assert line.until("up/events", batch, acked) == 400
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with _serving(data, broker) as (_, address):
        assert line.until("up/events", batch, acked) == 400
        hall = json.loads(_get(address + "api/summary"))["controllers"][0]
        assert hall["logs"] == [
            {
                "log": LOG.hex(),
                "stored": 400,
                "distinct": 400,
                "last_seq": 400,
                "acknowledged": 400,
                "said_last": 400,
                "chain": "none",
            }
        ]
    lines = [json.loads(text) for text in _cloud(data, "events", "--json").splitlines()]
    assert [each["seq"] for each in lines] == list(range(1, 401))


def test_noise_on_the_topics_ends_nothing(bound, broker):
    """Garbage, unknown controllers and strange topics are counted; the next hello is answered."""
    data, line = bound
    with _serving(data, broker) as (_, address):
        line.until("up/hello", line.device.hello(), _first_policy(line.device))
        for topic in ("v1/a/b/up/hello", "v1/a/b/up/x/y", line.device.topic + "up/events"):
            for payload in (b"", b"\xff" * 3000, "é".encode()):
                line._client.publish(topic, payload, qos=1)
        line.until("up/hello", line.device.hello(), lambda message: message[0].endswith("down/ack") or None)
        counts = json.loads(_get(address + "api/summary"))["counts"]
        assert counts["unknown-controller"] == 3
        assert counts["unknown-topic"] == 3
        assert sum(count for name, count in counts.items() if name.startswith("refused-")) == 3
        assert "handler-error" not in counts


def test_serve_listens_on_loopback_only_and_says_when_the_port_is_taken(bound, broker):
    """The address is 127.0.0.1; a second server on it is one line and exit 69."""
    data, _ = bound
    with _serving(data, broker) as (_, address):
        assert address.startswith("http://127.0.0.1:")
        port = address.rstrip("/").rsplit(":", 1)[1]
        with open("/proc/net/tcp", encoding="ascii") as table:
            listening = {row.split()[1] for row in table if f":{int(port):04X} " in row and " 0A " in row}
        assert listening == {f"0100007F:{int(port):04X}"}
        second = subprocess.run(
            [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), "serve", "--port", port,
             "--broker", f"mqtt://127.0.0.1:{broker}"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == os.EX_UNAVAILABLE
        assert "--port" in second.stderr
        assert second.stderr.count("\n") == 1


def test_a_server_whose_supervisor_is_gone_ends(bound, broker):
    """When standard input closes it stops as on SIGTERM."""
    data, _ = bound
    with _serving(data, broker) as (process, address):
        assert _get(address + "healthz") == b"ok\n"
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_follow_ends_where_the_interrupt_was_swallowed(run, device, monkeypatch):
    """In a library's callback: then by what the handler remembers. The former handler is put back by the test."""
    looks = []

    def arrived(*_):
        looks.append(None)
        assert len(looks) < 3, "it goes on"
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr(passages, "_arrived", arrived)
    former = signal.getsignal(signal.SIGINT)
    try:
        assert run("events", "--follow")[0] == 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, former)
    assert len(looks) == 1


def test_follow_prints_what_comes_in(bound, broker):
    """A listing that stays shows an event that arrives later; SIGINT ends it, also in the background of a script, where
    it is ignored at first."""
    data, line = bound
    with _serving(data, broker):
        follower = subprocess.Popen(
            [sys.executable, "-m", "cloud_stub.cli", "--data", str(data), "events", "--json", "--follow"],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )  # fmt: skip
        try:
            line.until("up/events", line.device.batch(1, [event()]), lambda message: True)
            assert json.loads(follower.stdout.readline())["seq"] == 1
            follower.send_signal(signal.SIGINT)
            assert follower.wait(timeout=30) == 128 + signal.SIGINT
        finally:
            if follower.poll() is None:
                follower.kill()
            follower.wait()
            follower.stdout.close()
