"""The fault line itself: packets are cut where they end, what is taken is acknowledged in order, a pace is kept."""

import asyncio
import contextlib
import random
import time

from fault_line import DOWN, UP, FaultLine, Faults, Pace, packets_of, puback, published

DEADLINE_S = 30


def publish(packet_id, payload, topic=b"t/up", qos=1):
    """MQTT 3.1.1, section 3.3, for bodies below 2 MiB."""
    body = len(topic).to_bytes(2, "big") + topic + (packet_id.to_bytes(2, "big") if qos else b"") + payload
    size, length = len(body), b""
    while size > 127:
        length, size = length + bytes((size & 0x7F | 0x80,)), size >> 7
    return bytes((0x30 | qos << 1,)) + length + bytes((size,)) + body


class Ends:
    """A line with nothing but sockets at its ends: `near` says and hears what a client does, `far` what a broker."""

    def __init__(self, line):
        self.line = line

    async def __aenter__(self):
        accepted = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(lambda *far: accepted.set_result(far), "127.0.0.1", 0)
        port = await self.line.start(self._server.sockets[0].getsockname()[1])
        self.near = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(DEADLINE_S):
            self.far = await accepted
        return self

    async def __aexit__(self, *_):
        self.near[1].close()
        self.far[1].close()
        await self.line.stop()
        self._server.close()

    async def hear(self, at, count):
        """That many packets that arrive at an end."""
        kept, found = bytearray(), []
        async with asyncio.timeout(DEADLINE_S):
            while len(found) < count:
                data = await at[0].read(65536)
                assert data, "the line ended"
                found += packets_of(kept, data)
        return found

    async def is_over(self, at):
        """Whether the connection ends there, by whatever word, and nothing was heard."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionResetError):
                return await at[0].read() == b""
        return True


def run(story, **options):
    async def play():
        async with Ends(FaultLine(**options)) as ends:
            await story(ends)

    asyncio.run(play())


def test_packets_are_cut_wherever_the_stream_is_cut():
    """Byte by byte, in random pieces, and at once; lengths of one, two and three bytes."""
    packets = [publish(1, b"x" * size) for size in (0, 1, 115, 116, 117, 16_300, 70_000)] + [b"\xc0\x00", puback(9)]
    stream, chance = b"".join(packets), random.Random(1)
    for _ in range(20):
        kept, found, at = bytearray(), [], 0
        while at < len(stream):
            step = chance.choice((1, 7, 5_000, 100_000))
            found += packets_of(kept, stream[at : at + step])
            at += step
        assert found == packets
        assert not kept


def test_a_publish_is_cut_into_what_it_says():
    """QoS 1 and 0, and the same message without its packet id."""
    one = published(publish(77, b"payload"))
    assert (one.packet_id, one.without) == (77, publish(0, b"payload", qos=0))
    assert published(one.without) == (None, one.without, one.name)


def test_a_calm_line_changes_no_byte():
    """Both ways, and it knows who acknowledged what."""

    async def story(ends):
        ends.near[1].write(publish(1, b"a") + publish(2, b"b") + b"\xc0\x00")
        assert await ends.hear(ends.far, 3) == [publish(1, b"a"), publish(2, b"b"), b"\xc0\x00"]
        ends.far[1].write(puback(1) + publish(9, b"down"))
        assert await ends.hear(ends.near, 2) == [puback(1), publish(9, b"down")]
        assert ends.line.acknowledged == {UP: {published(publish(5, b"a")).name}, DOWN: set()}
        assert len(ends.line.given[UP]) == 2

    run(story)


def test_what_is_lost_is_acknowledged_in_order():
    """A message between two is lost: its PUBACK waits for that of the first, as brokers and clients expect."""

    async def story(ends):
        ends.near[1].write(publish(1, b"a"))
        await ends.hear(ends.far, 1)
        ends.line.faults = Faults(loss=1)
        ends.near[1].write(publish(2, b"b"))
        while not ends.line.counts["lost"]:
            await asyncio.sleep(0.001)
        ends.line.faults = Faults()
        ends.near[1].write(publish(3, b"c"))
        assert await ends.hear(ends.far, 1) == [publish(3, b"c")]
        ends.far[1].write(puback(1) + puback(3))
        assert await ends.hear(ends.near, 3) == [puback(1), puback(2), puback(3)]
        assert len(ends.line.acknowledged[UP]) == 2  # the far end never said that it had the second

    run(story)


def test_repeated_and_late_messages_need_no_second_puback():
    """What comes again, or after others, comes with QoS 0."""

    async def story(ends):
        ends.near[1].write(publish(1, b"a"))
        assert await ends.hear(ends.far, 2) == [publish(1, b"a"), publish(0, b"a", qos=0)]
        ends.line.faults = Faults(late=1, late_ms=50)
        ends.near[1].write(publish(2, b"b"))
        assert await ends.hear(ends.far, 1) == [publish(0, b"b", qos=0)]
        ends.far[1].write(puback(1))
        assert await ends.hear(ends.near, 2) == [puback(1), puback(2)]

    run(story, faults=Faults(repeat=1))


def test_a_silent_line_takes_everything_and_says_nothing():
    """Half-open: neither end is told; once it is reset, both are."""

    async def story(ends):
        ends.line.silent = True
        ends.near[1].write(publish(1, b"a"))
        while not ends.line.counts["swallowed"]:
            await asyncio.sleep(0.001)
        ends.line.reset()
        assert await ends.is_over(ends.near)
        assert await ends.is_over(ends.far)
        assert ends.line.given[UP] == set()

    run(story)


def test_a_paced_line_takes_the_time_of_its_bytes():
    """At 1 Mbit/s and 50 ms no byte is early; a bottleneck in front of a sender that never stops keeps a quarter of a
    second of it, and no more."""
    size = 50_000

    async def story(ends):
        began = time.monotonic()
        ends.near[1].write(publish(1, b"x" * size))
        await ends.hear(ends.far, 1)
        assert time.monotonic() - began >= 8 * size / 1e6 + 0.05

    run(story, pace=Pace(1e6, 50))
