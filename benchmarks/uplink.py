"""Events on their way to the cloud over a line of 1 Mbit/s and 50 ms each way, beside one JSON message an event with
paho's client (P5): bytes an event, the time for 100,000 of them, and how far ahead that is.

Both sides send the same events with QoS 1 through the same paced line (tests/faults/fault_line.py, a process of its
own) to the same broker, behind which a manager, a process too, takes them. Ours is the agent's own event log, state
machine and connection; what the manager acknowledges has been verified by it. The other side has paho's defaults, and
once more without its limit of 20 messages under way.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "uplink"))

import paho.mqtt.client as mqtt
from report import Row, ahead, as_much, print_rows
from uplink_world import day_of_events

from edge.config import Uplink
from edge.decision.model import Event
from edge.keyring import Keyring
from edge.storage.event_log import EventLog
from edge.synchronising import Synchroniser
from edge.uplink import signing
from edge.uplink.sync import Sync
from firmware_sim.demo import free_port

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES, MOST_TIME, LEAST_AHEAD = 6.0, 1.3, 50.0
BITS_PER_S, DELAY_MS = 1_000_000, 50
TOPIC = "v1/bench/bench/"
WAIT_S = 900  # against hanging, not a measure
CHUNK = 500


class Keys(NamedTuple):
    """Of both ends, fixed: what they are changes nothing of what is measured."""

    device: signing.Ed25519PrivateKey
    manager: signing.Ed25519PrivateKey
    seal: bytes

    @classmethod
    def fixed(cls) -> "Keys":
        make = signing.Ed25519PrivateKey.from_private_bytes
        return cls(make(bytes(range(32))), make(bytes(range(32, 64))), bytes(range(64, 96)))

    def trusted(self) -> signing.ManagerTrust:
        public, seal_to = signing.public_bytes(self.manager), signing.seal_public(self.seal)
        return signing.ManagerTrust(bytes(16), "bench", "bench", public, 1, 1, bytes(32), seal_to)

    def at_the_manager(self) -> signing.Trust:
        public = signing.public_bytes(self.device)
        trust = self.trusted().trust(self.device)
        return trust._replace(public_key=public, seal_to=signing.device_seal_public(public), unseal=self.seal)


class Sent(NamedTuple):
    """Of one side: how many events, bytes and seconds up the line, and seconds until the last was acknowledged."""

    events: int
    up_bytes: int
    line_s: float
    taken_s: float


# --- the parts that are processes of their own ------------------------------------------------------------------


def manage(port: int, seen: Any, ready: Any) -> None:
    """The manager: verifies and acknowledges batches, counts JSON messages; until it is terminated."""
    keys = Keys.fixed()
    trust = keys.at_the_manager()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    committed = 0

    def take(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal committed
        if message.topic.endswith("up/event"):
            json.loads(message.payload)
            seen.value += 1
            return
        if message.topic.endswith("up/hello"):
            log_id, head = signing.verify_hello(message.payload, trust).log_id, b""
        else:
            batch = signing.verify_events(message.payload, trust)
            log_id, head = batch.log_id, batch.stretch.heads[-1]
            if batch.first_seq == committed + 1:
                committed += len(batch.events)
        client.publish(TOPIC + "down/ack", signing.encode_ack(log_id, committed, trust, keys.manager, head), qos=1)

    client.on_message = take
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe(TOPIC + "up/#", qos=1)
    client.loop_forever()


class Line:
    """The paced line, and what has passed it."""

    def __init__(self, port: int) -> None:
        pace = ["--bits-per-s", str(BITS_PER_S), "--delay-ms", str(DELAY_MS)]
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "faults" / "fault_line.py"), str(port), *pace],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def up_bytes(self) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline())["bytes"].get("up", 0))

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def broker_and_manager() -> Iterator[tuple[Line, Any]]:
    """(the line to the broker, how many JSON messages the manager has had)."""
    port, spawn = free_port(), get_context("spawn")
    command = [sys.executable, "-m", "firmware_sim.broker_process", str(port)]
    broker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen, ready = spawn.Value("q", 0), spawn.Event()
    manager = spawn.Process(target=manage, args=(port, seen, ready), daemon=True)
    try:
        _await_port(port)
        manager.start()
        assert ready.wait(60), "the manager does not subscribe"
        line = Line(port)
        try:
            yield line, seen
        finally:
            line.close()
    finally:
        if manager.pid:
            manager.terminate()
        broker.kill()
        broker.wait()


def _await_port(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        assert time.monotonic() < end, "the broker does not listen"
        time.sleep(0.05)


# --- the two sides ----------------------------------------------------------------------------------------------


def ours(folder: Path, events: Sequence[Event], line: Line) -> Sent:
    """The agent's log, full of unsent events, and its way to the manager."""
    keys = Keys.fixed()
    trusted = keys.trusted()
    ring = Keyring(keys.device, signing.public_bytes(keys.device), trusted, {}, {})
    log = EventLog.open(folder / "events.db", boot_id="benchmark", max_unsent=10_000_000, keys=ring.log_keys)
    try:
        for first in range(0, len(events), CHUNK):
            log.record(events[first : first + CHUNK], 1).result()
        return asyncio.run(_drain(log, trusted, keys, line))
    finally:
        log.close()


async def _drain(log: EventLog, trusted: signing.ManagerTrust, keys: Keys, line: Line) -> Sent:
    sync = Sync(
        trusted.trust(keys.device), keys.device, log_id=log.log_id, last_seq=log.last_seq, acked=log.acked,
        version=(1, 1), digest=bytes(32), boot_id="benchmark", software="benchmark", start=log.start,
        session=os.urandom(8),
    )  # fmt: skip
    done, began = asyncio.Event(), 0.0

    def seen(status: dict[str, object], _now_ms: int) -> None:
        nonlocal began
        if status["connected"] and not began:
            began = time.perf_counter()
        if status["acked"] == log.last_seq:
            done.set()

    async def never(*_: object) -> Any:
        raise AssertionError("nothing is commanded here")

    def refused(*what: str) -> None:
        raise AssertionError(what)

    uplink = Uplink(f"mqtt://127.0.0.1:{line.port}")
    way = Synchroniser(uplink, trusted, "benchmark", log, sync, never, refused, lambda: True, never, seen)
    before = line.up_bytes()
    running = asyncio.ensure_future(way.run())
    async with asyncio.timeout(WAIT_S):
        await done.wait()
    taken_s = time.perf_counter() - began
    sent = line.up_bytes() - before
    running.cancel()
    await asyncio.wait([running])
    return Sent(log.last_seq, sent, 8 * sent / BITS_PER_S + 2 * DELAY_MS / 1000, taken_s)


def as_json(seq: int, event: Event) -> bytes:
    """An event as one would write it down."""
    said = {"controller": "bench", "seq": seq, **event._asdict()}
    return json.dumps(said, separators=(",", ":")).encode()


def other(events: Sequence[Event], line: Line, seen: Any, in_flight: int | None) -> Sent:
    """One JSON message an event, until paho has the last PUBACK and the manager the last message."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    if in_flight is not None:
        client.max_inflight_messages_set(in_flight)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", line.port)
    client.loop_start()
    assert connected.wait(60), "no connection"
    messages = [as_json(seq, event) for seq, event in enumerate(events, 1)]
    before, goal = line.up_bytes(), seen.value + len(events)
    began = time.perf_counter()
    sent = [client.publish(TOPIC + "up/event", message, qos=1) for message in messages]
    for one in sent:
        one.wait_for_publish(WAIT_S)
    while seen.value < goal:
        time.sleep(0.001)
    taken_s = time.perf_counter() - began
    size = line.up_bytes() - before
    client.disconnect()
    client.loop_stop()
    return Sent(len(events), size, 8 * size / BITS_PER_S + 2 * DELAY_MS / 1000, taken_s)


def compare(folder: Path, events: int, singly: int) -> list[Row]:
    """singly: how many of the events are sent as messages of their own, which takes long."""
    all_events = [entry[3] for entry in day_of_events(events, seed=1)]
    print(f"{events:,} events of seed 1", file=sys.stderr)
    with broker_and_manager() as (line, seen):
        we = ours(folder, all_events, line)
        peers = {
            "JSON an event, paho": other(all_events[:singly], line, seen, None),
            "JSON an event, paho, no limit under way": other(all_events[:singly], line, seen, 0),
        }
    size = we.up_bytes / we.events
    pace = f"{BITS_PER_S / 1e6:g} Mbit/s, {DELAY_MS} ms each way"
    found = [
        as_much(
            "P5", f"bytes an event up the line, of {events:,}", size, MOST_BYTES, "the most there may be", "B", 1.0
        ),
        as_much("P5", f"{events:,} events over {pace}", we.taken_s, we.line_s, "the line's own time", "s", MOST_TIME),
    ]
    for name, peer in peers.items():
        goal = LEAST_AHEAD if "limit" not in name else None
        what = f"{name} ({peer.events:,})"
        us = we.taken_s / we.events * 1e6
        found.append(ahead("P5", "an event over that line", us, peer.taken_s / peer.events * 1e6, what, "us", goal))
        found.append(ahead("P5", "bytes an event", size, peer.up_bytes / peer.events, what, "B", None))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="events over a slow line beside one JSON message an event (P5)")
    parser.add_argument("--quick", action="store_true", help="fewer messages of one event")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--tiny", action="store_true", help="hardly any: whether every part works, not how fast")
    arguments = parser.parse_args()
    events, singly = (3_000, 100) if arguments.tiny else (100_000, 1_000 if arguments.quick else 10_000)
    with tempfile.TemporaryDirectory(prefix="uplink-") as folder:
        rows = compare(Path(folder), events, singly)
    print_rows("uplink", rows, arguments.json)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
