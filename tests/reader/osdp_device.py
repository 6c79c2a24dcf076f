"""A reader in a few lines for sans-io tests: it answers a command's bytes with a reply's bytes.

Both ends of these tests are ours; what the other stack says is tested in test_osdp_peer.py.
"""

import random

from edge.reader.osdp import frame, messages, secure
from edge.reader.osdp.bus import aes_ecb
from edge.reader.osdp.link import Link

SCBK = bytes.fromhex("3f0a51c7e2886d149b2ef5a07746d913")
OTHER_KEY = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")
IDENTITY = messages.Identity(b"\xca\xfe\x00", 2, 1, 0x1234, b"\x01\x02\x03")


class Device:
    """`queue` holds reply values for the next polls; `has_channel` False says so in its capabilities."""

    def __init__(self, address: int = 1, scbk: bytes = SCBK, seed: int = 1, has_channel: bool = True) -> None:
        self.address = address
        self.scbk = scbk
        self.has_channel = has_channel
        self.queue: list[object] = []
        self.session: secure.Session | None = None
        self.is_started = False
        self.codes: list[int] = []
        self._random = random.Random(seed)

    def answer(self, command: bytes) -> bytes:
        (asked,) = frame.Framer().feed(command)
        code = asked.code
        if asked.security and asked.security[0] >= secure.SCS_15:
            assert self.session is not None
            code, _ = self.session.open(asked)
        self.codes.append(code)
        if code == messages.CHLNG:
            return self._client_cryptogram(asked)
        if code == messages.SCRYPT:
            return self._initial_mac(asked)
        return self.seal(asked.sequence, self._reply(code))

    def seal(self, sequence: int, value: object) -> bytes:
        """A reply, secured if a session runs."""
        code, data = messages.pack_reply(value)
        if self.session is not None and self.is_started:
            return self.session.seal(self.address, sequence, code, data, True)
        return frame.encode(self.address, sequence, code, data, b"", True)

    def _reply(self, code: int) -> object:
        if code == messages.ID:
            self.session, self.is_started = None, False
            return IDENTITY
        if code == messages.CAP:
            return messages.Capabilities(bytes((4, 1, 1, 9, 1 if self.has_channel else 0, 0)))
        if code == messages.LSTAT:
            return messages.LocalStatus(0, 0)
        if code == messages.POLL and self.queue:
            return self.queue.pop(0)
        return messages.Ack()

    def _client_cryptogram(self, asked: frame.Frame) -> bytes:
        self.session, self.is_started = secure.Session(aes_ecb, self.scbk, asked.data), False
        self.pd_random = self._random.randbytes(8)
        value = messages.ClientCryptogram(bytes(8), self.pd_random, self.session.client_cryptogram(self.pd_random))
        code, data = messages.pack_reply(value)
        return frame.encode(self.address, asked.sequence, code, data, bytes((secure.SCS_12, 1)), True)

    def _initial_mac(self, asked: frame.Frame) -> bytes:
        assert self.session is not None
        right = asked.data == self.session.server_cryptogram(self.pd_random)
        code, data = messages.pack_reply(messages.InitialMac(self.session.start(asked.data)))
        self.is_started = right
        return frame.encode(self.address, asked.sequence, code, data, bytes((secure.SCS_14, 1 if right else 255)), True)


def make_link(seed: int = 7, address: int = 1, scbk: bytes = SCBK) -> Link:
    return Link(address, scbk, aes_ecb, random.Random(seed).randbytes)


def exchange(link: Link, device: Device, now_ms: int = 0, change=lambda reply: reply) -> tuple:
    """One command and its answer (changed on the way): what the link made of it."""
    command = link.next_command(now_ms)
    assert command is not None
    facts: tuple = ()
    for received in frame.Framer().feed(change(device.answer(command))):
        facts += link.received(received, now_ms)
    if link.is_waiting:
        facts += link.timed_out(now_ms)
    return facts


def connect(link: Link, device: Device, now_ms: int = 0) -> tuple:
    """Exchanges until the reader is on line: what happened on the way."""
    facts: tuple = ()
    for _ in range(20):
        facts += exchange(link, device, now_ms)
        if any(type(fact).__name__ == "Online" for fact in facts):
            return facts
    raise AssertionError(f"not on line after 20 exchanges: {facts}")
