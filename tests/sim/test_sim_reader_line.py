"""The simulated OSDP readers, with libosdp's own control panel at the other end of the pty."""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

import osdp
import pytest
from sim_panel import Panel, until

from edge.decision import indications
from firmware_sim.osdp_reader import EVENTS_WAITING, OsdpReader
from firmware_sim.reader_lights import now_ms
from firmware_sim.reader_line import ReaderLine, precise_loop

KEY = bytes.fromhex("8d3b1f0c5a7e49d2b6604c91e2f7a835")
OTHER_KEY = bytes.fromhex("17c2e9405bd8634fa10e7d96b82c53f4")
CARD_BITS = 37
CARD = bytes.fromhex("0123456788")

GREEN_FOR_FIVE_SECONDS = {
    "command": osdp.Command.LED,
    "reader": 0,
    "led_number": 0,
    "temporary": True,
    "control_code": 2,
    "on_count": 10,
    "off_count": 0,
    "on_color": indications.GREEN,
    "off_color": indications.GREEN,
    "timer_count": 50,
}
RED_FOR_GOOD = {**GREEN_FOR_FIVE_SECONDS, "temporary": False, "control_code": 1, "on_color": indications.RED}


def test_card_seen_and_light_shown_over_a_secure_channel(tmp_path: Path) -> None:
    """A card reaches libosdp's panel bit for bit, and the panel's LED command lights the reader for its time."""

    async def play() -> None:
        reader = OsdpReader("hall-in", 5, KEY)
        line = ReaderLine(tmp_path / "hall", [reader])
        line.open()
        panel = Panel(str(tmp_path / "hall"), [(5, KEY)])
        await until(lambda: panel.is_secure() and reader.is_secure)
        assert reader.present_card(CARD_BITS, CARD)
        await until(lambda: panel.events)
        [(_, event)] = panel.events
        assert (event["event"], event["length"], event["data"]) == (osdp.Event.CardRead, CARD_BITS, CARD)

        panel.submit(RED_FOR_GOOD)
        panel.submit(GREEN_FOR_FIVE_SECONDS)
        await until(lambda: len(reader.seen) == 2)
        lit_ms = now_ms()
        assert [seen.kind for seen in reader.seen] == ["led", "led"]
        assert reader.color(lit_ms) == indications.GREEN
        assert reader.color(lit_ms + 5001) == indications.RED
        await panel.close()
        line.close()

    asyncio.run(play())


def test_keys_tamper_buzzer_and_output(tmp_path: Path) -> None:
    """Keys travel as OSDP's codes, the housing's tamper unasked, and buzzer and output obey the panel."""

    async def play() -> None:
        reader = OsdpReader("hall-in", 0, KEY)
        line = ReaderLine(tmp_path / "hall", [reader])
        line.open()
        panel = Panel(str(tmp_path / "hall"), [(0, KEY)])
        await until(panel.is_secure)
        assert reader.press("1*#")
        assert reader.press("42#", buffered=True)
        assert reader.tamper(True)
        await until(lambda: len(panel.events) == 5)
        events = [event for _, event in panel.events]
        assert [event["data"] for event in events[:4]] == [b"1", b"\x7f", b"\r", b"42\r"]
        assert events[4]["event"] == osdp.Event.Status
        assert events[4]["report"] == b"\x01\x00"

        panel.submit(
            {"command": osdp.Command.Buzzer, "reader": 0, "control_code": 2, "on_count": 2, "off_count": 1}
            | {"rep_count": 3}
        )
        panel.submit({"command": osdp.Command.Output, "output_no": 1, "control_code": 5, "timer_count": 50})
        await until(lambda: len(reader.seen) == 2)
        at_ms = now_ms()
        assert reader.is_output_on(1, at_ms)
        assert not reader.is_output_on(1, at_ms + 5001)
        assert not reader.is_output_on(0, at_ms)
        await panel.close()
        line.close()

    asyncio.run(play())


def test_unplugged_reader_is_gone_and_comes_back(tmp_path: Path) -> None:
    """An unplugged reader falls silent and dark, takes no card, and after plugging in is secured anew."""

    async def play() -> None:
        reader = OsdpReader("hall-in", 1, KEY)
        line = ReaderLine(tmp_path / "hall", [reader])
        line.open()
        panel = Panel(str(tmp_path / "hall"), [(1, KEY)])
        await until(panel.is_secure)
        reader.unplug()
        assert not reader.present_card(CARD_BITS, CARD)
        assert reader.color(now_ms()) == indications.BLACK
        assert reader.missed == 1
        heard, said = line.bytes_in, line.bytes_out
        await until(lambda: line.bytes_in > heard)
        assert line.bytes_out == said
        await panel.close()  # libosdp's panel waits up to 300 s before it looks again; a new one looks at once
        reader.plug_in()
        assert not reader.is_secure
        panel = Panel(str(tmp_path / "hall"), [(1, KEY)])
        await until(panel.is_secure)
        assert reader.present_card(CARD_BITS, CARD)
        await until(lambda: panel.events)
        assert len(panel.events) == 1
        await panel.close()
        line.close()

    asyncio.run(play())


def test_unplugged_data_pair_keeps_what_was_read(tmp_path: Path) -> None:
    """With only the data pair pulled a card waits in the reader: what a stale card looks like to a panel."""

    async def play() -> None:
        reader = OsdpReader("hall-in", 1, KEY)
        line = ReaderLine(tmp_path / "hall", [reader])
        line.open()
        reader.unplug(keep_power=True)
        assert reader.present_card(CARD_BITS, CARD)
        reader.plug_in()
        panel = Panel(str(tmp_path / "hall"), [(1, KEY)])
        await until(lambda: panel.events)
        await panel.close()
        line.close()

    asyncio.run(play())


def test_wrong_key_never_becomes_secure(tmp_path: Path) -> None:
    """A panel with another key gets no secure channel from the reader (the control of the tests above)."""

    async def play() -> None:
        reader = OsdpReader("hall-in", 1, KEY)
        line = ReaderLine(tmp_path / "hall", [reader])
        line.open()
        panel = Panel(str(tmp_path / "hall"), [(1, OTHER_KEY)])
        await until(lambda: line.bytes_out > 90)  # identity, capabilities and osdp_CCRYPT are out
        looks = panel.looks
        await until(lambda: panel.looks > looks + 50)  # with the right key three are enough
        assert not panel.is_secure()
        assert not reader.is_secure
        await panel.close()
        line.close()

    asyncio.run(play())


def test_readers_share_a_line(tmp_path: Path) -> None:
    """Three readers on one line, each with its key, are told apart by their addresses."""

    async def play() -> None:
        keys = [KEY, OTHER_KEY, bytes(reversed(KEY))]
        readers = [OsdpReader(f"r{n}", n, key) for n, key in enumerate(keys)]
        line = ReaderLine(tmp_path / "bus", readers)
        line.open()
        panel = Panel(str(tmp_path / "bus"), list(enumerate(keys)))
        await until(lambda: all(panel.is_secure(n) for n in range(3)))
        readers[2].present_card(CARD_BITS, CARD)
        readers[0].press("7")
        await until(lambda: len(panel.events) == 2)
        assert {(n, event["event"]) for n, event in panel.events} == {
            (2, osdp.Event.CardRead),
            (0, osdp.Event.KeyPress),
        }
        await panel.close()
        line.close()

    asyncio.run(play())


def test_two_readers_with_one_address_are_refused(tmp_path: Path) -> None:
    """A line with an address twice could never work, so it is refused by name."""
    with pytest.raises(ValueError, match="same address"):
        ReaderLine(tmp_path / "bus", [OsdpReader("a", 1, KEY), OsdpReader("b", 1, KEY)])


# A POLL to address 0, sequence 0, CRC, outside a secure channel: SIA OSDP 2.2, packet format. The reader
# refuses it (NAK 6, secure channel required): 9 bytes back (7 of the frame, NAK, its code).
POLL = bytes.fromhex("530008000460")


def _crc16(data: bytes) -> int:
    crc = 0x1D0F  # SIA OSDP 2.2, Annex C
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def _exchange_s(path: Path, baud: int | None) -> tuple[float, bytes]:
    async def play() -> tuple[float, bytes]:
        line = ReaderLine(path, [OsdpReader("hall-in", 0, KEY)], baud)
        line.open()
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        reply = bytearray()
        loop = asyncio.get_running_loop()
        loop.add_reader(port, lambda: reply.extend(os.read(port, 100)))
        start_s = time.perf_counter()
        os.write(port, POLL + _crc16(POLL).to_bytes(2, "little"))
        await until(lambda: len(reply) >= 9)
        elapsed_s = time.perf_counter() - start_s
        loop.remove_reader(port)
        os.close(port)
        line.close()
        return elapsed_s, bytes(reply)

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(play())


def test_byte_times_elapse_on_a_paced_line(tmp_path: Path) -> None:
    """At 600 baud a POLL and its NAK need their byte times, in both directions; unpaced they need less."""
    paced_s, reply = _exchange_s(tmp_path / "slow", 600)
    assert reply[-4] == 0x41  # NAK
    byte_times_s = (len(POLL) + 2 + len(reply)) * 10 / 600
    assert paced_s >= byte_times_s
    quick_s, quick_reply = _exchange_s(tmp_path / "quick", None)
    assert quick_reply == reply
    assert quick_s < byte_times_s


def test_port_vanishes_with_its_adapter_and_comes_back(tmp_path: Path) -> None:
    """A closed line reads as an error at the other end and its name is gone; opened again it works."""

    async def play() -> None:
        line = ReaderLine(tmp_path / "hall", [OsdpReader("hall-in", 1, KEY)])
        line.open()
        port = os.open(tmp_path / "hall", os.O_RDWR | os.O_NOCTTY)
        line.close()
        assert not (tmp_path / "hall").is_symlink()
        try:
            assert os.read(port, 1) == b""
        except OSError:
            pass
        os.close(port)
        line.open()
        panel = Panel(str(tmp_path / "hall"), [(1, KEY)])
        await until(panel.is_secure)
        await panel.close()
        line.close()

    asyncio.run(play())


def test_reader_keeps_a_bounded_number_of_events() -> None:
    """A reader that nobody polls takes so many cards and counts the rest as missed."""
    reader = OsdpReader("hall-in", 1, KEY)
    taken = [reader.present_card(CARD_BITS, CARD) for _ in range(EVENTS_WAITING + 3)]
    assert taken.count(True) == EVENTS_WAITING
    assert reader.missed == 3


def test_power_cut_forgets_waiting_events() -> None:
    """A reader that lost its power has room again: what waited in it is gone."""
    reader = OsdpReader("hall-in", 1, KEY)
    for _ in range(EVENTS_WAITING):
        reader.present_card(CARD_BITS, CARD)
    reader.unplug()
    reader.plug_in()
    assert reader.present_card(CARD_BITS, CARD)
    assert reader.missed == 0


def test_commands_do_not_wear_none_out() -> None:
    """libosdp drops a reference to None at each command; the reader puts it back (else Python dies in time)."""
    reader = OsdpReader("hall-in", 0, KEY, enforce_secure=False)
    outputs = []
    for sequence in (0, 1, 2, 3):  # osdp_OUT: output 0, on for 5 s
        frame = bytes.fromhex("53000c00") + bytes([4 | sequence]) + bytes.fromhex("6800053200")
        outputs.append(frame + _crc16(frame).to_bytes(2, "little"))
    reader.exchange(outputs[0])
    gc.collect()
    gc.disable()
    before = sys.getrefcount(None)
    for _ in range(100):
        for sequence in (1, 2, 3):
            reader.exchange(outputs[sequence])
    after = sys.getrefcount(None)
    gc.enable()
    assert len(reader.seen) == 301
    assert abs(after - before) < 100
