"""Row R6: the cable is pulled and put back, at every step, for any time: told within 10 s, back within 5 s, and what
was presented meanwhile is not delivered later. In the line's own time; the same on a real port in
test_osdp_peer.py."""

import asyncio
import time

import pytest
from osdp_device import SCBK, Device, Wire, make_link
from osdp_peer import PtyLine

from edge.reader.inputs import CardRead, LineDown, LineUp
from edge.reader.osdp import messages
from edge.reader.osdp.bus import Bus, BusReader
from edge.reader.osdp.facts import Card, NotPaired, Offline, Online, Paired

CARD = messages.Raw(0, 1, 26, b"\x12\x34\x56\x40")
FRESH = messages.Raw(0, 1, 26, b"\x00\x00\x00\x40")
NEW_KEY = bytes.fromhex("c3519a07e8642fbd10953ecc77a4081f")
STEPS_TO_READY = 6
HOUR_MS = 3_600_000
DIRECTIONS = {"commands": (True, False), "replies": (False, True), "both": (True, True)}


def pull(wire: Wire, direction: str) -> int:
    """The moment at which the cable was pulled."""
    wire.cuts_commands, wire.cuts_replies = DIRECTIONS[direction]
    return wire.now_ms


def put_back(wire: Wire) -> int:
    wire.cuts_commands = wire.cuts_replies = False
    return wire.now_ms


def check_works(wire: Wire, within_ms: int = 5000) -> None:
    """The reader is back within five seconds, nothing from before is delivered, and a new card is."""
    back_ms = wire.now_ms
    while not wire.link.is_ready:
        wire.step()
    assert wire.now_ms - back_ms <= within_ms
    wire.run(wire.now_ms + 500)
    assert not wire.of(Card)
    wire.device.queue = [FRESH]
    wire.run(wire.now_ms + 500)
    assert wire.of(Card) == [Card(26, b"\x00\x00\x00\x40", True)]


@pytest.mark.parametrize("keeps_power", [True, False])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("step", range(STEPS_TO_READY + 3))
def test_pulled_at_every_step(step: int, direction: str, keeps_power: bool) -> None:
    """Pulled before each exchange of the handshake and of the session, for 12 s, a minute and an hour."""
    for away_ms in (12_000, 60_000, HOUR_MS):
        wire = Wire(make_link(), Device())
        while wire.exchanges < step:
            wire.step()
        pulled_ms = pull(wire, direction)
        was_up = wire.link.is_ready
        wire.run(pulled_ms + away_ms // 2)
        wire.device.queue = [CARD, messages.Keypad(0, b"12")]
        wire.run(pulled_ms + away_ms)
        (lost,) = wire.of(Offline)
        assert lost.detail == "no answer"
        assert wire.when(Offline) - pulled_ms <= 10_000
        assert len(wire.of(Online)) == was_up
        if not keeps_power:
            wire.device.power_cycle()
        put_back(wire)
        check_works(wire)
        assert wire.link.reports.stale == (2 if keeps_power else 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("away_ms", [1, 30, 150, 400, 900, 2000, 5000])
def test_pulled_for_a_moment(away_ms: int, direction: str) -> None:
    """However short: on line again within 5 s, and told either not at all or once, down and up."""
    for step in range(STEPS_TO_READY + 3):
        wire = Wire(make_link(), Device())
        while wire.exchanges < step:
            wire.step()
        pulled_ms = pull(wire, direction)
        wire.run(pulled_ms + away_ms)
        put_back(wire)
        check_works(wire)
        assert len(wire.of(Offline)) <= 1


def test_pulled_after_an_hour_and_for_an_hour() -> None:
    """A session of an hour, then the cable is away for an hour: as on the first minute."""
    wire = Wire(make_link(), Device())
    wire.pace_ms = 400
    wire.run(HOUR_MS)
    assert wire.link.is_ready
    assert wire.link.sessions == 1
    wire.pace_ms = 3
    pulled_ms = pull(wire, "both")
    wire.run(pulled_ms + 20_000)
    assert wire.when(Offline, pulled_ms) - pulled_ms <= 10_000
    wire.device.queue = [CARD]
    wire.run(pulled_ms + HOUR_MS)
    put_back(wire)
    check_works(wire)
    assert len(wire.of(Offline)) == 1


def test_a_slow_reader_is_back_as_fast() -> None:
    """A reader that needs 120 ms for each answer: on line, and after an hour away back within 5 s."""
    wire = Wire(make_link(), Device())
    wire.answer_ms = 120
    while not wire.link.is_ready:
        wire.step()
    assert wire.now_ms < 5000
    pulled_ms = pull(wire, "both")
    wire.run(pulled_ms + HOUR_MS)
    put_back(wire)
    check_works(wire)


@pytest.mark.parametrize("direction", ["commands", "replies"])
def test_one_lost_frame_costs_nothing(direction: str) -> None:
    """Any single command or answer is lost, of a reader that keeps to section 5 (it repeats its answer to a repeated
    command): no loss is told, the session lives, and each card comes once."""
    for lost_at in range(24):
        wire = Wire(make_link(), Device())
        shown = 0
        while wire.exchanges < 40:
            if wire.link.is_ready and shown < 5:
                wire.device.queue.append(CARD)
                shown += 1
            wire.cuts_commands, wire.cuts_replies = DIRECTIONS[direction]
            if wire.exchanges != lost_at:
                put_back(wire)
            wire.step()
        assert len(wire.of(Card)) == shown == 5
        assert not wire.of(Offline)
        assert wire.link.sessions == 1
        assert wire.link.timeouts == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("step", range(14))
def test_pulled_at_every_step_of_a_rekey(step: int, direction: str) -> None:
    """Pulled at each step of a key change, for 20 s, the controller's power cut too or not: afterwards the reader has
    one of the two keys, proves it, and works; which one is told."""
    for cuts_power in (False, True):
        wire = Wire(make_link(), Device())
        while not wire.link.is_ready:
            wire.step()
        wire.link.rekey(NEW_KEY)
        begun = wire.exchanges
        while wire.exchanges < begun + step:
            wire.step()
        wire.run(pull(wire, direction) + 20_000)
        put_back(wire)
        if cuts_power and not wire.of(Paired):  # what is on the disk then: both keys
            wire.link = make_link(candidate=NEW_KEY)
            wire.link.restart(wire.now_ms)
        check_works(wire)
        assert len(wire.of(Paired)) + len(wire.of(NotPaired)) == 1
        assert wire.device.scbk == (NEW_KEY if wire.of(Paired) else SCBK)
        assert wire.link.keys.ours == (wire.device.scbk,)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("step", range(16))
def test_pulled_at_every_step_of_a_pairing(step: int, direction: str) -> None:
    """Pulled at each step of a pairing, for 20 s, and put back in the window: paired."""
    wire = Wire(make_link(scbk=None), Device(scbk=None))
    wire.link.open_pairing(NEW_KEY, 300_000, 0)
    while wire.exchanges < step:
        wire.step()
    wire.run(pull(wire, direction) + 20_000)
    put_back(wire)
    check_works(wire)
    assert wire.of(Paired) == [Paired()]
    assert set(wire.device.keysets) == {NEW_KEY}


# --- a real port ---------------------------------------------------------------------------------------------------


def polls_while(dead: int, window_s: float = 2.0) -> list[int]:
    """Polls of each of three readers of libosdp within a time, with `dead` readers that are configured and gone."""
    keys = [bytes((number,)) + SCBK[1:] for number in range(3 + dead)]
    readers = [BusReader(f"r{at}", at + 1, key) for at, key in enumerate(keys)]

    async def run(line: PtyLine) -> list[int]:
        got: list[object] = []
        bus = Bus(line.port, 115_200, readers, got.append)
        task = asyncio.create_task(bus.run())
        deadline = time.monotonic() + 20
        while sum(isinstance(each, LineUp | LineDown) for each in got) < 3 + dead:
            assert time.monotonic() < deadline, got
            await asyncio.sleep(0.01)
        before = [status["polls"] for status in bus.status()]
        await asyncio.sleep(window_s)
        after = [status["polls"] for status in bus.status()]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [after[at] - before[at] for at in range(3)]

    with PtyLine() as line:
        for at in range(3):
            line.add(at + 1, keys[at])
        return asyncio.run(run(line))


def test_a_dead_reader_slows_none_of_the_others() -> None:
    """Polls of three readers with a dead one on their line, against without it, by turns: nine tenths at least would be
    its probes' share; less than three quarters is a fault."""
    alone, beside = [0, 0, 0], [0, 0, 0]
    for _ in range(2):
        alone = [sum(pair) for pair in zip(alone, polls_while(0), strict=True)]
        beside = [sum(pair) for pair in zip(beside, polls_while(1), strict=True)]
    ratios = [with_dead / without for with_dead, without in zip(beside, alone, strict=True)]
    print("polls with a dead reader / without:", [round(ratio, 3) for ratio in ratios])
    assert min(ratios) > 0.75


@pytest.mark.parametrize("repeats", [True, False])
def test_one_lost_answer_on_a_real_port(repeats: bool) -> None:
    """libosdp's reader behind a line that repeats its last answer to a repeated command, as section 5 wants it, loses
    nothing; this libosdp on its own ends its session then, and is back within 5 s without an alarm of an attack."""

    async def run(line: PtyLine) -> list[object]:
        got: list[object] = []
        bus = Bus(line.port, 115_200, [BusReader("lobby", 1, SCBK)], got.append)
        task = asyncio.create_task(bus.run())

        async def until(holds, what: str, within_s: float = 10) -> None:
            deadline = time.monotonic() + within_s
            while not holds():
                assert time.monotonic() < deadline, f"{what}: {got}"
                await asyncio.sleep(0.002)

        def of(kind: type) -> list[object]:
            return [each for each in got if isinstance(each, kind)]

        await until(lambda: of(LineUp), "up")

        def lose_one(reply: bytes) -> bytes:
            line.change_reply = lambda reply: reply
            return b""

        line.change_reply = lose_one
        await until(lambda: bus.status()[0]["time_outs"] > 0, "the silence")
        await until(lambda: len(of(LineUp)) == (1 if repeats else 2), "a session", 5)
        line.peers[0].card(26, b"\x12\x34\x56\x40")
        await until(lambda: of(CardRead), "the card")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return got

    with PtyLine() as line:
        line.add().repeats = repeats
        got = asyncio.run(run(line))
    kinds = [type(each).__name__ for each in got]
    assert kinds == (["LineUp", "CardRead"] if repeats else ["LineUp", "LineDown", "LineUp", "CardRead"])


def test_sixteen_readers_lost_at_once() -> None:
    """A full line of libosdp's readers is cut near the controller: each told within 10 s, each back within 5 s; then
    all but three again: those three work on, and the others are told and back as soon."""
    keys = [bytes((number,)) + SCBK[1:] for number in range(16)]
    figures: dict[str, float] = {}

    async def run(line: PtyLine) -> None:
        got: list[object] = []
        bus = Bus(line.port, 115_200, [BusReader(f"r{at}", at + 1, keys[at]) for at in range(16)], got.append)
        task = asyncio.create_task(bus.run())

        async def until(kind: type, count: int, what: str, within_s: float) -> None:
            begun_s = time.monotonic()
            while sum(isinstance(each, kind) for each in got) < count:
                assert time.monotonic() - begun_s < within_s, f"{what}: {got}"
                await asyncio.sleep(0.005)
            figures[what] = round(time.monotonic() - begun_s, 2)

        await until(LineUp, 16, "up", 20)
        line.is_cut = True
        await until(LineDown, 16, "all told", 10)
        line.is_cut = False
        await until(LineUp, 32, "all back", 5)
        away, line.peers[3:] = line.peers[3:], []
        await until(LineDown, 29, "thirteen told", 10)
        line.peers[3:] = away
        await until(LineUp, 45, "thirteen back", 5)
        assert {status["sessions"] for status in bus.status()[:3]} == {2}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with PtyLine() as line:
        for at in range(16):
            line.add(at + 1, keys[at])
        asyncio.run(run(line))
    print("sixteen readers, seconds:", figures)
