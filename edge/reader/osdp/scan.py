"""A search for readers on a serial port that nobody else uses: who answers at which address and speed.

Each address is asked for its ID in the clear, with sequence number 0 (SIA OSDP 2.2, section 6), at each speed; what
answers is asked for its capabilities too. No key of ours is used and none is sent. A reader's session ends by it.

Where `asks_for_key` is given, what answers is also challenged under the published default key (annex D): who answers
that waits in install mode. Nothing follows the challenge, so it gives nothing away.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edge.reader.osdp import messages, secure
from edge.reader.osdp.frame import Frame, Framer, encode
from edge.reader.osdp.native import aes_ecb, crc16
from edge.reader.osdp.translation import has_secure_channel, identity_of
from edge.reader.serial_line import LineError, SerialLine, open_line

BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
ADDRESSES = range(127)
WAIT_MS = 40  # readers answer within a few milliseconds; one that began is waited for
ASKED_AGAIN_MS = 200  # what a reader may take (section 5): for one that has answered once
_BITS_A_BYTE = 10


class Found(NamedTuple):
    """A reader that answered. `vendor`: hex; `firmware`: "1.2.3"; `serial`: hex. `has_secure_channel`: what it says
    of itself, None where it said nothing; whether it has our key is not known from this. `waits_for_key`: it is in
    install mode; None where that was not asked. `answers_twice`: more than one answer came to a question."""

    address: int
    baud: int
    vendor: str
    model: str
    firmware: str
    serial: str
    has_secure_channel: bool | None
    waits_for_key: bool | None = None
    answers_twice: bool = False


class Progress(NamedTuple):
    """How far a scan is: `done` of `total` questions, the next one at `baud`, `address`; `found` so far."""

    done: int
    total: int
    baud: int
    address: int
    found: int


async def scan(
    port: str,
    bauds: Sequence[int] = BAUDS,
    addresses: Sequence[int] = ADDRESSES,
    progress: Callable[[Progress], None] | None = None,
    wait_ms: int = WAIT_MS,
    asks_for_key: bool = False,
    garbled: Callable[[int, int], None] | None = None,
) -> list[Found]:
    """Ask every address at every speed: a question without an answer takes `wait_ms` and its time on the line, so
    all of them at one speed about 6 s. `garbled(baud, address)` is told where something came and no answer could be
    read in it. LineError where the port cannot be opened, or is lost."""
    found: list[Found] = []
    total = len(bauds) * len(addresses)
    for at, baud in enumerate(bauds):
        asking = _Asking(baud)
        await asking.open(port)
        try:
            for step, address in enumerate(addresses):
                if progress is not None:
                    progress(Progress(at * len(addresses) + step, total, baud, address, len(found)))
                reader = await asking.look_at(address, wait_ms, asks_for_key)
                if reader is not None:
                    found.append(reader)
                elif asking.is_garbled and garbled is not None:
                    garbled(baud, address)
        finally:
            await asking.close()
    if progress is not None and total:
        progress(Progress(total, total, bauds[-1], addresses[-1], len(found)))
    return found


class _Asking:
    """The port at one speed, one question at a time."""

    def __init__(self, baud: int) -> None:
        self._baud = baud
        self._framer = Framer(crc16)
        self._line: SerialLine | None = None
        self._answer: asyncio.Future[Frame] | None = None
        self._wanted = (0, 0)
        self._lost = ""
        self._garbled = 0  # stray bytes and bad frames before this address was turned to
        self._surplus = 0  # answers beside the one that was waited for

    async def open(self, port: str) -> None:
        self._line = await open_line(port, self._baud, self._bytes, self._gone)

    async def close(self) -> None:
        if self._line is not None:
            self._line.close()
            for _ in range(2):  # the transport lets go of the port a turn of the loop later
                await asyncio.sleep(0)

    @property
    def is_garbled(self) -> bool:
        """Whether something came from this address that is no frame."""
        return self._framer.is_inside() or self._framer.noise + self._framer.bad_frames > self._garbled

    async def look_at(self, address: int, wait_ms: int, asks_for_key: bool) -> Found | None:
        """Who is at this address, or None."""
        self._surplus = 0
        self._garbled = self._framer.noise + self._framer.bad_frames
        identity = await self._ask(address, 0, messages.AskId(0), wait_ms)
        if not isinstance(identity, messages.Identity):
            return None
        capabilities = await self._ask(address, 1, messages.AskCapabilities(0), ASKED_AGAIN_MS)
        known = capabilities if isinstance(capabilities, messages.Capabilities) else None
        waits_for_key = await self._waits_for_key(address) if asks_for_key else None
        said = identity_of(identity)
        return Found(
            address,
            self._baud,
            said["vendor"],
            said["model"],
            said["firmware"],
            said["serial"],
            has_secure_channel(known),
            waits_for_key,
            self._surplus > 0,
        )

    async def _waits_for_key(self, address: int) -> bool:
        """Whether it answers a challenge under the default key, and with that key."""
        random = os.urandom(8)
        block = bytes((secure.SCS_11, secure.KEY_IS_DEFAULT))
        answer = await self._ask(address, 2, messages.Challenge(random), ASKED_AGAIN_MS, block)
        if not isinstance(answer, messages.ClientCryptogram):
            return False
        session = secure.DefaultKeySession(aes_ecb, random, crc16)
        return bool(secure.is_equal(answer.cryptogram, session.client_cryptogram(answer.random)))

    async def _ask(self, address: int, sequence: int, message: Any, wait_ms: int, security: bytes = b"") -> Any:
        """The answer's value; None after silence, or where it cannot be read."""
        assert self._line is not None
        if self._lost:
            raise LineError(self._lost)
        code, data = messages.pack_command(message)
        command = encode(address, sequence, code, data, security, crc=crc16)
        self._framer.reset()
        self._wanted = (address, sequence)
        self._answer = asyncio.get_running_loop().create_future()
        self._line.write(command)
        try:
            reply = await self._within(len(command) * _BITS_A_BYTE / self._baud + wait_ms / 1000)
            return None if reply is None else messages.unpack_reply(reply.code, reply.data)
        except messages.MessageError:
            return None
        finally:
            self._answer = None

    async def _within(self, wait_s: float) -> Frame | None:
        """The reply that begins within `wait_s`; one that has begun may take as long as it is."""
        assert self._answer is not None
        for more_s in (wait_s, ASKED_AGAIN_MS / 1000):
            done, _ = await asyncio.wait([self._answer], timeout=more_s)
            if done:
                return self._answer.result()
            if not self._framer.is_inside():
                break
        return None

    def _bytes(self, data: bytes) -> None:
        for reply in self._framer.feed(data):
            is_wanted = reply.is_reply and (reply.address, reply.sequence) == self._wanted
            if is_wanted and self._answer is not None and not self._answer.done():
                self._answer.set_result(reply)
            elif reply.is_reply and reply.address == self._wanted[0]:
                self._surplus += 1

    def _gone(self, why: str) -> None:
        self._lost = why
