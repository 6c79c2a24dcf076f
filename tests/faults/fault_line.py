"""A line between an MQTT client and its broker that loses, repeats, delays, paces, falls silent and breaks: seeded.

A TCP proxy that understands of MQTT 3.1.1 where a packet ends, and what a PUBLISH and a PUBACK are (sections 2.2, 3.3,
3.4), so that it takes away whole messages and leaves both ends' sessions sane. What it takes with QoS 1 it acknowledges
itself, in the order in which it was sent; what it brings later or again travels with QoS 0. So it also behaves as a
broker that says PUBACK and does not hand on.

It counts what each side acknowledged and what it was given, each message once: two lines, one on each side of a broker,
tell what that broker lost.

`python tests/faults/fault_line.py PORT [--bits-per-s N] [--delay-ms N]` paces a port in a process of its own: it prints
its port, then for each line on stdin one JSON object of what passed, until stdin closes.
"""

import argparse
import asyncio
import hashlib
import json
import random
import sys
from collections import Counter, deque
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2]))  # where this is run as a program

from firmware_sim.network_cut import CHUNK_BYTES, NetworkCut, Streams

PUBLISH, PUBACK = 3, 4
QUEUED_S = 0.25  # what a bottleneck keeps before its sender has to wait
PACED_CHUNK = 1_460  # bytes of a TCP segment: what travels at once
UP, DOWN = "up", "down"


class Faults(NamedTuple):
    """Probabilities for each PUBLISH. late_ms: one that is held back comes within so long, after others."""

    loss: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    late_ms: int = 400


CALM = Faults()


class Pace(NamedTuple):
    """Each way for itself: bits a second, and milliseconds from one end to the other."""

    bits_per_s: float
    delay_ms: float


def packets_of(kept: bytearray, data: bytes) -> list[bytes]:
    """The whole packets in what was kept and `data`; what is left is kept. Section 2.2: type, length, the rest."""
    kept += data
    found, at = [], 0
    while (end := _packet_end(kept, at)) is not None:
        found.append(bytes(kept[at:end]))
        at = end
    del kept[:at]
    return found


def _packet_end(kept: bytearray, at: int) -> int | None:
    length = 0
    for i in range(1, 5):
        if at + i >= len(kept):
            return None
        length |= (kept[at + i] & 0x7F) << 7 * (i - 1)
        if not kept[at + i] & 0x80:
            end = at + i + 1 + length
            return end if end <= len(kept) else None
    raise ValueError("a packet whose length has more than four bytes")


class Published(NamedTuple):
    """A PUBLISH. packet_id: None with QoS 0. without: the same message with QoS 0. name: of topic and payload."""

    packet_id: int | None
    without: bytes
    name: bytes


def published(packet: bytes) -> Published:
    """A PUBLISH packet, cut (section 3.3)."""
    body = next(i for i in range(1, 5) if not packet[i] & 0x80) + 1
    topic_end = body + 2 + int.from_bytes(packet[body : body + 2], "big")
    has_id = bool(packet[0] & 0x06)
    payload = packet[topic_end + 2 * has_id :]
    topic = packet[body:topic_end]
    packet_id = int.from_bytes(packet[topic_end : topic_end + 2], "big") if has_id else None
    head = bytes((PUBLISH << 4 | packet[0] & 1,)) + _length(len(topic) + len(payload))
    return Published(packet_id, head + topic + payload, hashlib.sha256(topic + payload).digest()[:16])


def puback(packet_id: int) -> bytes:
    return bytes((PUBACK << 4, 2)) + packet_id.to_bytes(2, "big")


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        out.append(size & 0x7F | (0x80 if size > 127 else 0))
        size >>= 7
        if not size:
            return bytes(out)


class FaultLine(NetworkCut):
    """`faults` and `silent` may be changed at any time. given, acknowledged: names of the messages that travelled each
    way, and of those that their receiver acknowledged. bytes: each way, as they entered the line."""

    def __init__(self, seed: int = 0, faults: Faults = CALM, pace: Pace | None = None) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.faults, self.pace = faults, pace
        self.silent = False  # half-open: connections are taken and stay, nothing passes
        self.given: dict[str, set[bytes]] = {UP: set(), DOWN: set()}
        self.acknowledged: dict[str, set[bytes]] = {UP: set(), DOWN: set()}
        self.messages: Counter[str] = Counter()  # each way, those that came again counted again
        self.bytes: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.busy_s: dict[str, tuple[float, float]] = {}  # each way: first byte in, last byte out

    def reset(self) -> None:
        """End every connection, as a middlebox that forgot them; new ones are taken."""
        self.dropped += self._abort_all() // 2

    async def _carry(self, near: Streams, far: Streams) -> None:
        up, down = _Way(self, UP, far[1]), _Way(self, DOWN, near[1])
        up.back, down.back = down, up
        ends = [
            asyncio.ensure_future(work) for work in (up.run(near[0]), down.run(far[0]), up.deliver(), down.deliver())
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            for _, writer in (near, far):
                writer.transport.abort() if self.silent else writer.close()


class _Way:
    """One direction of one connection."""

    back: "_Way"

    def __init__(self, line: FaultLine, name: str, writer: asyncio.StreamWriter) -> None:
        self._line, self._name, self._writer = line, name, writer
        self._kept = bytearray()
        self._owed: deque[int] = deque()  # packet ids that wait for their PUBACK, as they were sent
        self._names: dict[int, bytes] = {}
        self._done: set[int] = set()
        self._free_s = 0.0  # when the bottleneck has sent everything
        self._travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Until the end of the connection."""
        while data := await reader.read(PACED_CHUNK if self._line.pace else CHUNK_BYTES):
            if self._line.silent:
                self._line.counts["swallowed"] += len(data)
                continue
            for packet in packets_of(self._kept, data):
                self._take(packet)
            ahead_s = self._free_s - _now() - QUEUED_S
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)

    def _take(self, packet: bytes) -> None:
        kind = packet[0] >> 4
        if kind == PUBLISH:
            self._publish(packet)
        elif kind == PUBACK:
            self.back.answered(int.from_bytes(packet[2:4], "big"))
        else:
            self.put(packet)

    def _publish(self, packet: bytes) -> None:
        message, line = published(packet), self._line
        faults, chance = line.faults, line.chance
        line.given[self._name].add(message.name)
        line.messages[self._name] += 1
        if message.packet_id is not None:
            if message.packet_id in self._names:  # again on this connection: the first one is not answered yet
                self._owed.remove(message.packet_id)
            self._owed.append(message.packet_id)
            self._names[message.packet_id] = message.name
        draw = chance.random()
        if draw < faults.loss + faults.late:
            is_late = draw >= faults.loss
            line.counts["late" if is_late else "lost"] += 1
            if is_late:
                asyncio.get_running_loop().call_later(
                    chance.uniform(0, faults.late_ms) / 1000, self.put, message.without
                )
            if message.packet_id is not None:
                self._settle(message.packet_id)
            return
        self.put(packet)
        if chance.random() < faults.repeat:
            line.counts["repeated"] += 1
            self.put(message.without)

    def answered(self, packet_id: int) -> None:
        """The far end has acknowledged what was sent this way."""
        if packet_id in self._names:
            self._line.acknowledged[self._name].add(self._names[packet_id])
            self._settle(packet_id)

    def _settle(self, packet_id: int) -> None:
        """Brokers want PUBACKs in the order of their messages (section 4.6)."""
        self._done.add(packet_id)
        while self._owed and self._owed[0] in self._done:
            first = self._owed.popleft()
            self._done.discard(first)
            del self._names[first]
            self.back.put(puback(first))

    def put(self, packet: bytes) -> None:
        """Onto the line."""
        line, now = self._line, _now()
        line.bytes[self._name] += len(packet)
        first, _ = line.busy_s.get(self._name, (now, now))
        delay_s = 0.0
        if line.pace is not None:
            self._free_s = max(self._free_s, now) + 8 * len(packet) / line.pace.bits_per_s
            delay_s = self._free_s - now + line.pace.delay_ms / 1000
        line.busy_s[self._name] = (first, now + delay_s)
        self._travelling.put_nowait((now + delay_s, packet))

    async def deliver(self) -> None:
        """What has arrived, to its reader."""
        while True:
            at_s, packet = await self._travelling.get()
            if at_s > _now():
                await asyncio.sleep(at_s - _now())
            if not self._line.silent:
                self._writer.write(packet)
                await self._writer.drain()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _serve(port: int, pace: Pace) -> None:
    line = FaultLine(pace=pace)
    print(await line.start(port), flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"bytes": dict(line.bytes), "busy_s": line.busy_s}), flush=True)
    await line.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="a paced line to a port on loopback")
    parser.add_argument("port", type=int)
    parser.add_argument("--bits-per-s", type=float, default=1e6)
    parser.add_argument("--delay-ms", type=float, default=50)
    options = parser.parse_args()
    asyncio.run(_serve(options.port, Pace(options.bits_per_s, options.delay_ms)))


if __name__ == "__main__":
    main()
