"""Row R6 with the other stack: the cable of libosdp's reader is pulled before, and put back after, each exchange of the
handshake and of the session, for twelve seconds and for an hour of the line's own time.

test_osdp_cable.py has the same for a reader of ours, for moments, and on a real port with fifteen others beside it.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from osdp_device import SCBK, Wire, make_link

from edge.reader.inputs import CardRead, LineDown, LineUp
from edge.reader.osdp.bus import Bus, BusReader
from edge.reader.osdp.facts import Card, Offline, Online
from edge.reader.osdp.reports import Reports
from firmware_sim.osdp_reader import OsdpReader
from firmware_sim.reader_line import ReaderLine

ADDRESS = 1
STALE = (26, b"\x12\x34\x56\x40")
FRESH = (26, b"\x00\x00\x00\x40")
TOLD_MS, BACK_MS = 10_000, 5_000
AWAY_MS = {"twelve seconds": 12_000, "an hour": 3_600_000}
# Before which exchange it is pulled: what is under way then. The reader is ready after the last but two.
STEPS = (
    "identity",
    "capabilities",
    "challenge",
    "cryptogram",
    "first sealed",
    "second sealed",
    "a poll",
    "a later poll",
)
HANDSHAKE = 4
CUTS = {"commands": (True, False), "replies": (False, True), "both": (True, True)}


class Sleeper(OsdpReader):
    """libosdp's reader as the `Wire` of sans-io tests asks one: a command's bytes, its answer's bytes."""

    def __init__(self) -> None:
        super().__init__("lobby", ADDRESS, SCBK)

    def answer(self, command: bytes) -> bytes:
        return self.exchange(command)


def line_at_step(step: int) -> tuple[Wire, Sleeper]:
    """A line on which `step` exchanges have gone well."""
    reader = Sleeper()
    wire = Wire(make_link(), reader)  # type: ignore[arg-type]
    while wire.exchanges < step:
        wire.step()
    return wire, reader


def is_back_within(wire: Wire) -> int:
    """How long the reader takes to be ready."""
    put_back_ms = wire.now_ms
    while not wire.link.is_ready:
        wire.step(put_back_ms + 60_000)
        assert wire.now_ms - put_back_ms < 60_000, "it never came back"
    return wire.now_ms - put_back_ms


def test_the_steps_are_what_they_are_called() -> None:
    """The exchanges before a session are the four of the handshake, and then it is on line."""
    wire, _ = line_at_step(HANDSHAKE - 1)
    assert not wire.link.is_secure
    wire, reader = line_at_step(HANDSHAKE)
    assert wire.link.is_secure
    assert reader.is_secure
    wire, _ = line_at_step(len(STEPS) - 2)
    assert wire.link.is_ready


@pytest.mark.parametrize("away", AWAY_MS)
@pytest.mark.parametrize("keeps_power", [True, False])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_unplugged_before_each_step(step: int, cut: str, keeps_power: bool, away: str) -> None:
    """Told within 10 s, once; back within 5 s; a card of meanwhile is not delivered then, the next one is."""
    wire, reader = line_at_step(step)
    pulled_ms = wire.now_ms
    wire.cuts_commands, wire.cuts_replies = CUTS[cut]
    reader.unplug(keep_power=keeps_power)
    if cut == "replies":  # what it is told still arrives
        reader.plug_in()
    wire.run(pulled_ms + AWAY_MS[away] // 2)
    took = reader.present_card(*STALE)
    assert took == (keeps_power or cut == "replies")
    wire.run(pulled_ms + AWAY_MS[away])
    assert len(wire.of(Offline)) == 1
    assert wire.when(Offline) - pulled_ms <= TOLD_MS
    assert not wire.link.is_ready
    wire.cuts_commands = wire.cuts_replies = False
    reader.plug_in()
    assert is_back_within(wire) <= BACK_MS
    wire.run(wire.now_ms + 500)
    assert not wire.of(Card)
    assert reader.present_card(*FRESH)
    wire.run(wire.now_ms + 500)
    assert wire.of(Card) == [Card(*FRESH, True)]


@pytest.mark.parametrize("lost", ["command", "reply"])
@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_one_exchange_lost_at_each_step(step: int, lost: str) -> None:
    """Whichever command or answer is lost, the reader is on line within 5 s, and a card shown then comes once."""
    wire, reader = line_at_step(step)
    wire.cuts_commands, wire.cuts_replies = CUTS["commands" if lost == "command" else "replies"]
    wire.step()
    wire.cuts_commands = wire.cuts_replies = False
    wire.step()  # where a session ended by it, both sides know now
    assert is_back_within(wire) <= BACK_MS
    wire.run(wire.now_ms + 500)
    assert reader.present_card(*FRESH)
    wire.run(wire.now_ms + 500)
    assert wire.of(Card) == [Card(*FRESH, True)]


def test_after_an_hour_of_polling() -> None:
    """A session an hour old ends and comes back as one of the first minute."""
    wire, reader = line_at_step(len(STEPS))
    wire.pace_ms = 1000
    wire.run(AWAY_MS["an hour"])
    assert (wire.link.sessions, len(wire.of(Online))) == (1, 1)
    wire.pace_ms = 3
    pulled_ms = wire.now_ms
    reader.unplug()
    wire.run(pulled_ms + AWAY_MS["an hour"])
    assert wire.when(Offline) - pulled_ms <= TOLD_MS
    reader.plug_in()
    assert is_back_within(wire) <= BACK_MS


def test_a_link_that_took_what_is_left_would_deliver_the_stale_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with the reports' guard out of the way, the card of meanwhile comes."""
    wire, reader = line_at_step(len(STEPS))
    reader.unplug(keep_power=True)
    wire.run(wire.now_ms + 12_000)
    reader.present_card(*STALE)
    monkeypatch.setattr(Reports, "is_stale", property(lambda _: False, lambda _, value: None), raising=False)
    reader.plug_in()
    wire.run(wire.now_ms + 3000)
    assert [card.data for card in wire.of(Card)] == [STALE[1]]


# --- a real port ----------------------------------------------------------------------------------------------------


class CutLine(ReaderLine):
    """A line that is unplugged when the panel's `cut_at`th frame has come."""

    cut_at = 0
    frames = 0

    def _hear(self, data: bytes) -> None:
        self.frames += data[:1] == b"\x53"  # SOM (SIA OSDP 2.2, section 5); a frame comes in one piece here
        if self.frames == self.cut_at:
            self.unplug()
        super()._hear(data)


async def until(holds: Callable[[], object], what: str, within_s: float) -> float:
    """How long it took; fails after `within_s`."""
    begun_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begun_s < within_s, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun_s


def test_unplugged_at_each_frame_on_a_real_port(tmp_path: Path) -> None:
    """The pair of two readers is pulled in a handshake and in the session: both told within 10 s, both back within 5 s,
    and no card of meanwhile is delivered."""
    keys = [SCBK, bytes(reversed(SCBK))]

    async def run() -> list[object]:
        readers = [OsdpReader(f"r{at}", at + 1, key) for at, key in enumerate(keys)]
        line = CutLine(tmp_path / "bus", readers)
        got: list[object] = []
        bus = Bus(
            str(line.path), 115_200, [BusReader(f"r{at}", at + 1, key) for at, key in enumerate(keys)], got.append
        )
        line.open()
        task = asyncio.create_task(bus.run())

        def count(kind: type) -> int:
            return sum(isinstance(each, kind) for each in got)

        def all_are(is_up: bool) -> bool:
            return all(status["ready"] == is_up for status in bus.status())

        def are_back(ups: int) -> bool:
            return count(LineUp) >= ups + 2 and all_are(True)

        for cut_at in (8, 40):
            line.frames, line.cut_at = 0, cut_at
            line.close()  # begin at the first frame again
            line.plug()
            line.open()
            await until(lambda: not line.is_plugged, "the cut", 20)
            ups = count(LineUp)
            await until(lambda: all_are(False) and count(LineDown) >= 2, "told", TOLD_MS / 1000)
            for reader in readers:
                assert reader.present_card(*STALE)
            line.plug()
            await until(functools.partial(are_back, ups), "back", BACK_MS / 1000)
        assert count(CardRead) == 0
        readers[0].present_card(*FRESH)
        await until(lambda: count(CardRead), "a card", 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        line.close()
        return got

    got = asyncio.run(run())
    assert [each.data for each in got if isinstance(each, CardRead)] == [FRESH[1]]
