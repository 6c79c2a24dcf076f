"""Row R5: mutated frames with repaired CRC, and in a session with repaired MAC: no crash, no opening, memory flat."""

import os
import random
from pathlib import Path

import pytest
from osdp_device import Device, connect, make_link

from edge.reader.osdp import frame, messages
from edge.reader.osdp.facts import Card, Online
from edge.reader.osdp.link import Link
from edge.reader.osdp.native import crc16

CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
HARMLESS = [
    messages.Ack(), messages.LocalStatus(0, 0), messages.Nak(9, b""), messages.Keypad(0, b"12"),
    messages.Inputs(b"\x00\x01"), messages.Outputs(b"\x01"), messages.Busy(), messages.Communication(1, 9600),
    messages.Identity(b"\xca\xfe\x00", 2, 1, 0x1234, b"\x01\x02\x03"), messages.Capabilities(b"\x09\x01\x00"),
]  # fmt: skip
SIZES = [pytest.param(10_000, id="quick"), pytest.param(1_000_000, id="full", marks=pytest.mark.full)]


class Mutator:
    """Who sits on the line and changes replies. `repairs_mac`: with the session's keys, so what he makes is authentic:
    now and then a card that nobody has, out of another reply (`strangers`). `openings`: the card that is enrolled; and
    without the keys any card at all."""

    def __init__(self, repairs_mac: bool) -> None:
        self.seed = 20 + repairs_mac
        self.draw = random.Random(self.seed)
        self.repairs_mac = repairs_mac
        self.values = HARMLESS if repairs_mac else [*HARMLESS, CARD]
        self.panel, self.device = make_link(), Device()
        self.now_ms = 0
        self.openings = self.strangers = self.mutated = 0
        self._up()

    def _up(self) -> None:
        """A session, by the reader's own answers."""
        self.device.codes.clear()  # what the device notes for other tests would be all that grows
        self.now_ms += 2000
        self.panel.line_lost(self.now_ms, "next")
        self.device.queue = []
        connect(self.panel, self.device, self.panel.due_ms)
        self.now_ms = self.panel.due_ms

    def step(self) -> None:
        """One mutated reply, in the session or, each eighth time, on the way up to it."""
        if self.mutated % 8 == 0:
            self._mutate_handshake()
        else:
            if not self.panel.is_ready:
                self._up()
            self._mutate(self._command())
        self.mutated += 1

    def _command(self) -> bytes:
        self.now_ms = max(self.now_ms, self.panel.due_ms)
        command = self.panel.next_command(self.now_ms)
        assert command is not None
        return command

    def _mutate_handshake(self) -> None:
        self.device.codes.clear()
        self.panel.restart(self.now_ms)
        for _ in range(self.draw.randrange(4)):
            command = self._command()
            (reply,) = frame.Framer(crc16).feed(self.device.answer(command))
            self.panel.received(reply, self.now_ms)
        self._feed(self._changed(self.device.answer(self._command())))
        self.panel.restart(self.now_ms)

    def _mutate(self, command: bytes) -> None:
        self.device.queue = [self.draw.choice(self.values)]
        reply = self.device.answer(command)
        before = self.device.session._last_mac[False] if self.device.session else None
        out = self._changed(reply)
        if self.repairs_mac and before is not None and len(out) > 13 and out[4] & frame.SECURITY_BIT:
            mac = self.device.session._mac(out[:-6], before)
            out = out[:-6] + mac[:4] + out[-2:]
            self.device.session._last_mac[True] = mac  # the chain goes on from the frame that was changed
        self._feed(out)

    def _changed(self, reply: bytes) -> bytes:
        out = bytearray(reply)
        end = len(reply) - (6 if self.repairs_mac and len(reply) > 13 else 2)
        while bytes(out[:end]) == reply[:end]:
            for _ in range(self.draw.randrange(1, 4)):
                out[self.draw.randrange(2, end)] = self.draw.randrange(256)
        return bytes(out)

    def _feed(self, out: bytes) -> None:
        repaired = out[:-2] + crc16(out[:-2]).to_bytes(2, "little")
        for received in frame.Framer(crc16).feed(repaired):
            for fact in self.panel.received(received, self.now_ms):
                if isinstance(fact, Card) and fact.secure:
                    is_opening = not self.repairs_mac or fact.data == CARD.data
                    self.openings += is_opening
                    self.strangers += not is_opening
        if self.panel.is_waiting:
            self.panel.timed_out(self.now_ms)
            if self.panel.is_secure and not self.repairs_mac:
                self.panel.restart(self.now_ms)
        self.panel.address = 1  # who has the keys may move the reader; here it stays


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("repairs_mac", [False, True])
def test_mutated_frames_open_nothing(repairs_mac: bool, size: int) -> None:
    """No crash, no opening, the link still works afterwards, and memory does not grow."""
    mutator = Mutator(repairs_mac)
    print(f"seed {mutator.seed}")
    while mutator.mutated < size // 10:
        mutator.step()
    early = resident_bytes()
    while mutator.mutated < size:
        mutator.step()
    ratio = resident_bytes() / early
    said = f"{mutator.mutated} frames, {mutator.panel.sessions} sessions, {mutator.strangers} cards of nobody"
    print(f"{said}, memory x {ratio:.3f}")
    assert mutator.openings == 0
    assert ratio < 1.1
    assert len(mutator.panel._suspected) < 64
    mutator._up()
    assert mutator.panel.is_ready


def test_the_negative_control() -> None:
    """The same frames without a change: each card that the reader shows counts."""
    mutator = Mutator(False)
    for _ in range(50):
        mutator.device.queue = [CARD]
        (reply,) = frame.Framer(crc16).feed(mutator.device.answer(mutator._command()))
        mutator.openings += sum(isinstance(fact, Card) for fact in mutator.panel.received(reply, mutator.now_ms))
    assert mutator.openings == 50


def test_online_is_told_after_all_that() -> None:
    """A link that was fed a thousand mutated frames comes on line, and says so."""
    mutator = Mutator(True)
    for _ in range(1000):
        mutator.step()
    panel: Link = mutator.panel
    panel.line_lost(mutator.now_ms, "next")
    facts = connect(panel, mutator.device, mutator.now_ms + 5000)
    assert any(isinstance(fact, Online) for fact in facts)
