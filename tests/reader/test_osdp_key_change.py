"""A key change's rules in the line's own time: what readers may do wrong, how often KEYSET goes out, when it ends."""

import asyncio
import time

import pytest
from osdp_device import SCBK, Device, Wire, make_link
from osdp_peer import PtyLine

from edge.reader.inputs import LineUp, NotPaired, Paired
from edge.reader.osdp import facts, frame, messages
from edge.reader.osdp.bus import Bus, BusReader
from edge.reader.osdp.facts import Offline, Online, Suspect
from edge.reader.osdp.key_change import ReaderKeys

NEW_KEY = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
WINDOW_MS = 60_000


def changing(has_key: bool, device: Device | None = None) -> Wire:
    """A wire with a rekey, or a pairing in its window, just begun."""
    wire = Wire(make_link(scbk=SCBK if has_key else None), device or Device(scbk=SCBK if has_key else None))
    if has_key:
        while not wire.link.is_ready:
            wire.step()
        wire.link.rekey(NEW_KEY)
    else:
        wire.link.open_pairing(NEW_KEY, WINDOW_MS, 0)
    return wire


@pytest.mark.parametrize("has_key", [True, False])
def test_the_new_key_is_proved_within_a_second(has_key: bool) -> None:
    """One KEYSET, the proof, on line; what was being waited for is told on the way."""
    wire = changing(has_key)
    stages = []
    while not wire.of(facts.Paired):
        stages.append(wire.link.keys.stage(wire.now_ms)[0])
        wire.step()
    assert wire.now_ms < 1000
    assert list(dict.fromkeys(stages)) == [
        "sending the new key" if has_key else "waiting for a reader in install mode",
        "proving the new key",
    ]
    assert wire.device.keysets == [NEW_KEY]
    assert wire.link.keys.stage(0) is None
    assert not wire.of(Offline)
    assert not wire.of(Suspect)


@pytest.mark.parametrize("has_key", [True, False])
@pytest.mark.parametrize("kind", [3, 4, 6, 9])
def test_a_reader_that_refuses_the_key_is_not_asked_again(has_key: bool, kind: int) -> None:
    """An authentic NAK: NotPaired with its reason at once, one KEYSET, the old key holds."""
    wire = changing(has_key)
    wire.device.keyset_answer = messages.Nak(kind, b"")
    wire.run(wire.now_ms + 10_000)
    (told,) = wire.of(facts.NotPaired)
    assert told.detail == f"the reader refused the new key: {messages.NAK_WORDS[kind]}"
    assert wire.device.keysets == [NEW_KEY]
    assert wire.link.is_ready == has_key


def test_a_reader_that_says_yes_and_keeps_its_old_key() -> None:
    """It proves the old one afterwards: NotPaired, and the old one holds; one KEYSET."""
    wire = changing(True)
    keep = wire.device._take_key

    def forgetful(asked: frame.Frame, data: bytes) -> bytes:
        reply = keep(asked, data)
        wire.device.scbk = SCBK
        return reply

    wire.device._take_key = forgetful
    wire.run(wire.now_ms + 10_000)
    assert wire.of(facts.NotPaired) == [facts.NotPaired("the reader still has its old key")]
    assert wire.device.keysets == [NEW_KEY]
    assert wire.link.is_ready


def test_a_reader_that_says_yes_and_stays_in_install_mode() -> None:
    """It never proves the new key: the window ends with that reason, and it was sent the key once."""
    wire = changing(False)
    keep = wire.device._take_key

    def forgetful(asked: frame.Frame, data: bytes) -> bytes:
        reply = keep(asked, data)
        wire.device.scbk = None
        return reply

    wire.device._take_key = forgetful
    wire.run(WINDOW_MS + 5000)
    (told,) = wire.of(facts.NotPaired)
    assert told.detail.startswith("time is up: it was sent the key and has not proved it")
    assert wire.when(facts.NotPaired) - WINDOW_MS < 1500
    assert wire.device.keysets == [NEW_KEY]
    assert not wire.of(Online)


@pytest.mark.parametrize("has_key", [True, False])
def test_a_key_that_never_arrives_is_sent_in_three_sessions_at_most(has_key: bool) -> None:
    """KEYSET is swallowed on the line each time: three sessions try, then it is given up."""
    wire = changing(has_key)
    sent = []
    answer = wire.device.answer

    def swallow(command: bytes) -> bytes:
        (asked,) = frame.Framer().feed(command)
        if asked.code == messages.KEYSET:
            sent.append(command)
            return b""
        return answer(command)

    wire.device.answer = swallow
    wire.run(WINDOW_MS + 5000)
    assert len(wire.of(facts.NotPaired)) == 1
    assert len(set(sent)) == 3  # each with the same bytes as often as any command
    assert len(sent) == 3 * 4
    assert not wire.device.keysets
    assert wire.link.is_ready == has_key


def test_in_the_window_nothing_that_the_reader_says_counts() -> None:
    """Cards and keys under the default key, in place of an answer to KEYSET: none is delivered."""
    wire = changing(False)
    wire.device.keyset_answer = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
    wire.run(5000)
    assert [type(fact).__name__ for _, fact in wire.said] == ["NotPaired", "Offline"]


def test_a_reader_with_its_key_needs_no_window() -> None:
    """The window was opened while it was away; it comes back with its present key: told, on line, nothing changed."""
    wire = Wire(make_link(), Device())
    wire.link.open_pairing(NEW_KEY, WINDOW_MS, 0)
    wire.run(3000)
    assert wire.of(facts.NotPaired) == [
        facts.NotPaired("the reader has proved its present key: change it with rekey")
    ]  # fmt: skip
    assert wire.link.is_ready
    assert not wire.device.keysets


def test_a_reader_that_died_in_a_rekey_can_be_replaced() -> None:
    """The rekey never ends, even after a restart with both keys; a window for the new reader takes its place."""
    for restarts in (False, True):
        wire = changing(True)
        wire.cuts_replies = True
        wire.run(wire.now_ms + 30_000)
        if restarts:
            wire.link = make_link(candidate=NEW_KEY)
            wire.run(wire.now_ms + 5000)
        wire.device = Device(scbk=None)
        wire.cuts_replies = False
        another = bytes(reversed(NEW_KEY))
        wire.link.open_pairing(another, WINDOW_MS, wire.now_ms)
        wire.run(wire.now_ms + 5000)
        assert wire.of(facts.Paired) == [facts.Paired()]
        assert wire.link.keys.ours == (another,)
        assert wire.link.is_ready


def test_one_challenge_serves_both_keys() -> None:
    """With a key on its way the reader is challenged once; its cryptogram says which key it has."""
    for has in (SCBK, NEW_KEY):
        wire = Wire(make_link(candidate=NEW_KEY), Device(scbk=has))
        wire.run(2000)
        assert wire.device.codes.count(messages.CHLNG) == 1
        assert wire.link.is_ready
        assert len(wire.of(facts.Paired)) == (has == NEW_KEY)


# --- on ports ------------------------------------------------------------------------------------------------------


def run_with(buses: list[Bus], holds, within_s: float = 10) -> None:
    """Run the buses until something holds."""

    async def run() -> None:
        tasks = [asyncio.create_task(bus.run()) for bus in buses]
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_a_window_closes_without_a_port() -> None:
    """The port is not there at all: the window closes all the same."""
    got: list[object] = []
    bus = Bus("/dev/no-such-port", 9600, [BusReader("lobby", 1, None)], got.append, tell=got.append)
    bus.open_pairing("lobby", NEW_KEY, 400)
    run_with([bus], lambda: any(isinstance(each, NotPaired) for each in got))
    assert bus.pairing == ""


def test_two_lines_go_their_own_ways() -> None:
    """A pairing on one line while a reader works on another, and a third line's port is not there."""
    got: list[object] = []
    with PtyLine() as first, PtyLine() as second:
        first.add(1, None)
        second.add(1, SCBK)
        buses = [
            Bus(first.port, 115_200, [BusReader("desk", 1, None)], got.append, tell=got.append),
            Bus(second.port, 115_200, [BusReader("lobby", 1, SCBK)], got.append, tell=got.append),
            Bus("/dev/no-such-port", 115_200, [BusReader("yard", 1, SCBK)], got.append, tell=got.append),
        ]
        buses[0].open_pairing("desk", NEW_KEY)
        run_with(buses, lambda: sum(isinstance(each, LineUp) for each in got) == 2)
    assert got.count(Paired("desk")) == 1
    assert {each.reader for each in got if isinstance(each, LineUp)} == {"desk", "lobby"}


def test_the_default_key_is_for_an_open_window_only() -> None:
    """Never in a rekey, and not a millisecond after the window's end: whoever listens knows it."""
    keys = ReaderKeys(1, SCBK, None)
    keys.begin(NEW_KEY, None)
    assert not any(keys.wants_default(now_ms) for now_ms in range(0, 600_000, 1000))
    keys = ReaderKeys(1, SCBK, None)
    keys.begin(NEW_KEY, 5000)
    assert any([keys.wants_default(4998), keys.wants_default(4999)])
    assert not any([keys.wants_default(5000), keys.wants_default(5001)])
