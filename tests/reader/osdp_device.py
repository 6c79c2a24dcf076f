"""A reader in a few lines for sans-io tests: it answers a command's bytes with a reply's bytes.

Both ends of these tests are ours; what the other stack says is tested in test_osdp_peer.py.
"""

import random

from edge.reader.osdp import frame, messages, secure
from edge.reader.osdp.link import Link
from edge.reader.osdp.native import aes_ecb, crc16

SCBK = bytes.fromhex("3f0a51c7e2886d149b2ef5a07746d913")
OTHER_KEY = bytes.fromhex("a91d04fe7730c2685b1fe9034dcc8276")
IDENTITY = messages.Identity(b"\xca\xfe\x00", 2, 1, 0x1234, b"\x01\x02\x03")


class Device:
    """`queue` holds reply values for the next polls; `has_channel` False says so in its capabilities; `scbk` None is
    install mode. A command that comes twice gets the answer it got (section 5). `keysets`: the keys it was sent."""

    def __init__(
        self, address: int = 1, scbk: bytes | None = SCBK, seed: int = 1, has_channel: bool = True, inputs: int = 0
    ) -> None:
        self.address = address
        self.scbk = scbk
        self.has_channel = has_channel
        self.inputs = inputs
        self.queue: list[object] = []
        self.session: secure.Session | None = None
        self.is_started = False
        self.codes: list[int] = []
        self.keysets: list[bytes] = []
        self.keyset_answer: object = messages.Ack()
        self._random = random.Random(seed)
        self._last = (b"", b"")

    def power_cycle(self) -> None:
        """Forget what is not stored."""
        self.session, self.is_started, self._last, self.queue = None, False, (b"", b""), []

    def answer(self, command: bytes) -> bytes:
        (asked,) = frame.Framer().feed(command)
        if asked.sequence and command == self._last[0]:
            return self._last[1]
        self._last = (command, self._answer(asked))
        return self._last[1]

    def _answer(self, asked: frame.Frame) -> bytes:
        code, data = asked.code, asked.data
        if asked.sequence == 0:
            self.session, self.is_started = None, False
        if asked.security and asked.security[0] >= secure.SCS_15:
            if self.session is None or not self.is_started:
                return self._no_session(asked)
            try:
                code, data = self.session.open(asked)
            except secure.SecureError:
                return self._no_session(asked)
        self.codes.append(code)
        if code == messages.CHLNG:
            return self._client_cryptogram(asked)
        if code == messages.SCRYPT:
            return self._initial_mac(asked)
        if code == messages.KEYSET:
            return self._take_key(asked, data)
        return self.seal(asked.sequence, self._reply(code))

    def seal(self, sequence: int, value: object) -> bytes:
        """A reply, secured if a session runs."""
        code, data = messages.pack_reply(value)
        if self.session is not None and self.is_started:
            return self.session.seal(self.address, sequence, code, data, True)
        return frame.encode(self.address, sequence, code, data, b"", True)

    def _reply(self, code: int) -> object:
        if code == messages.ID:
            return IDENTITY
        if code == messages.CAP:
            return messages.Capabilities(bytes((1, 1, self.inputs, 4, 1, 1, 9, 1 if self.has_channel else 0, 0)))
        if code == messages.LSTAT:
            return messages.LocalStatus(0, 0)
        if code == messages.ISTAT:
            return messages.Inputs(bytes(self.inputs))
        if code == messages.POLL and self.queue:
            return self.queue.pop(0)
        return messages.Ack()

    def _no_session(self, asked: frame.Frame) -> bytes:
        self.session, self.is_started = None, False
        return self.seal(asked.sequence, messages.Nak(messages.NAK_SECURITY, b""))

    def _take_key(self, asked: frame.Frame, data: bytes) -> bytes:
        self.keysets.append(data[2:])
        reply = self.seal(asked.sequence, self.keyset_answer)
        if isinstance(self.keyset_answer, messages.Ack):
            self.scbk = data[2:]
            self.session, self.is_started = None, False
        return reply

    def _client_cryptogram(self, asked: frame.Frame) -> bytes:
        key = secure.SCBK_D if self.scbk is None else self.scbk
        self.session, self.is_started = secure.Session.__new__(secure.Session), False
        self.session._setup(aes_ecb, key, asked.data, frame.crc16)
        self.pd_random = self._random.randbytes(8)
        value = messages.ClientCryptogram(bytes(8), self.pd_random, self.session.client_cryptogram(self.pd_random))
        code, data = messages.pack_reply(value)
        return frame.encode(self.address, asked.sequence, code, data, bytes((secure.SCS_12, self._mark())), True)

    def _initial_mac(self, asked: frame.Frame) -> bytes:
        if self.session is None:
            return self._no_session(asked)
        right = asked.data == self.session.server_cryptogram(self.pd_random)
        code, data = messages.pack_reply(messages.InitialMac(self.session.start(asked.data)))
        self.is_started = right
        return frame.encode(self.address, asked.sequence, code, data, bytes((secure.SCS_14, 1 if right else 255)), True)

    def _mark(self) -> int:
        return secure.KEY_IS_DEFAULT if self.scbk is None else secure.KEY_IS_OURS


class Wire:
    """A link and a device on a line with a clock of its own: `run` until a moment, silences as long as the link
    waits. `cuts_commands`, `cuts_replies`: what does not get through. `said`: (ms, fact). `change`: what the line
    makes of a reply."""

    def __init__(self, link: Link, device: Device) -> None:
        self.link = link
        self.device = device
        self.now_ms = 0
        self.cuts_commands = self.cuts_replies = False
        self.said: list[tuple[int, object]] = []
        self.exchanges = 0
        self.pace_ms = 3  # what an exchange takes
        self.answer_ms = 0  # how long the reader thinks about it; the link gives up before, or not
        self.change = lambda reply: reply

    def run(self, until_ms: int) -> None:
        while self.now_ms < until_ms:
            self.step(until_ms)

    def step(self, until_ms: int = 1 << 60) -> None:
        """One exchange, or the pause until the next, or until then."""
        self._say(self.link.expire(self.now_ms))
        command = self.link.next_command(self.now_ms)
        if command is None:
            self.now_ms = max(min(self.link.due_ms, until_ms), self.now_ms + 1)
            return
        self.exchanges += 1
        reply = b"" if self.cuts_commands else self.change(self.device.answer(command))
        wait_ms = self.link.wait_ms
        if self.cuts_replies or self.answer_ms > wait_ms:
            reply = b""
        self.now_ms += self.pace_ms + min(self.answer_ms, wait_ms)
        for received in frame.Framer().feed(reply):
            self._say(self.link.received(received, self.now_ms))
        if self.link.is_waiting:
            self.now_ms += max(wait_ms - self.answer_ms, 0)
            self._say(self.link.timed_out(self.now_ms))

    def _say(self, facts: tuple) -> None:
        self.said += [(self.now_ms, fact) for fact in facts]

    def of(self, kind: type) -> list:
        return [fact for _, fact in self.said if isinstance(fact, kind)]

    def when(self, kind: type, since_ms: int = 0) -> int | None:
        """The moment of the first fact of a kind since then."""
        return next((at for at, fact in self.said if at >= since_ms and isinstance(fact, kind)), None)


def make_link(seed: int = 7, address: int = 1, scbk: bytes | None = SCBK, candidate: bytes | None = None) -> Link:
    return Link(address, scbk, aes_ecb, random.Random(seed).randbytes, crc=crc16, candidate=candidate)


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
