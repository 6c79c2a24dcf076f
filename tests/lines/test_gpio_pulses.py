"""Wiegand readers and radio receivers from the GPIO lines on: stamps, order, a busy process."""

import asyncio
import time

import pytest
from gpio_scene import MS, chip, line, turn, until

from edge.decision.model import ReaderLine
from edge.lines.gpio import GpioError, GpioLine
from edge.lines.pulse_lines import PulseLines
from edge.reader import card_format
from edge.reader.inputs import CardRead, KeysPressed
from edge.reader.radio import RadioReceiver, RemotePressed
from edge.reader.wired_reader import WiredReader
from firmware_sim import pulses
from firmware_sim.gpio_double import ChipDouble

D0, D1 = 5, 6
LINES = (line(D0, active_low=True, bias="pull-up"), line(D1, active_low=True, bias="pull-up"))


def send(board: ChipDouble, train: list[pulses.Pulse]) -> None:
    for number, at_ns in train:
        board.pulse((D0, D1)[number], at_ns, pulses.WIDTH_NS)


def test_a_card_and_a_key_come_through() -> None:
    """Pulses with the kernel's stamps of this moment: the card after its silence, then a key."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        lines = PulseLines(LINES, WiredReader("front", "8"), heard.append, board.request_lines)
        lines.claim()
        send(board, pulses.card(4711, "26", time.monotonic_ns(), 1 * MS))
        await until(lambda: len(heard) == 1, "the card")
        send(board, pulses.key("7", "8", time.monotonic_ns()))
        await until(lambda: len(heard) == 2, "the key")
        card, key = heard
        assert isinstance(card, CardRead)
        assert card_format.number_of(card.bits, card.data) == 4711
        assert key == KeysPressed("front", "7", True)
        lines.release()
        assert board.requests == {}

    asyncio.run(scene())


def test_a_busy_process_cuts_no_card_in_two() -> None:
    """The card's end is due while more of its pulses wait in the kernel than are read at once: they count first."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        reader = WiredReader("front")
        now_ns = 10**12
        lines = PulseLines(LINES, reader, heard.append, board.request_lines, lambda: now_ns)
        lines.claim()
        train = pulses.card(4711, "48", now_ns)
        send(board, train[:4])
        await turn()
        assert reader.decoder.due_ns is not None
        send(board, train[4:])
        now_ns = train[-1][1] + 50 * MS
        lines._over()  # the timer, before the loop finds what is readable: which comes first is chance
        assert len(heard) == 1
        [card] = heard
        assert isinstance(card, CardRead)
        assert card_format.number_of(card.bits, card.data, "48") == 4711
        assert not any(reader.decoder.refused.values())
        lines.release()

    asyncio.run(scene())


def test_a_card_is_not_told_before_its_silence() -> None:
    """On the kernel's clock: a pulse that comes 39 ms later still belongs to the word and spoils it."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        reader = WiredReader("front")
        now_ns = 10**12
        lines = PulseLines(LINES, reader, heard.append, board.request_lines, lambda: now_ns)
        lines.claim()
        train = pulses.card(1, "26", now_ns)
        send(board, train)
        now_ns = train[-1][1] + 39 * MS
        await turn()
        assert heard == []
        send(board, [(1, now_ns)])
        now_ns += 40 * MS
        await until(lambda: reader.decoder.due_ns is None, "the end of the burst")
        assert heard == []
        assert reader.decoder.refused["slow"] == 1
        lines.release()

    asyncio.run(scene())


def test_a_busy_process_reads_them_all() -> None:
    """Twenty 48-bit cards wait in the kernel: all are read as they were stamped, one after the other."""

    async def scene() -> None:
        board = chip()
        heard: list[CardRead] = []
        start_ns = time.monotonic_ns() - 60_000 * MS
        lines = PulseLines(LINES, WiredReader("front"), heard.append, board.request_lines)  # type: ignore[arg-type]
        lines.claim()
        for number in range(20):
            send(board, pulses.card(number, "48", start_ns + number * 1000 * MS))
        await until(lambda: len(heard) == 20, "the cards")
        assert [card_format.number_of(card.bits, card.data) for card in heard] == list(range(20))
        lines.release()

    asyncio.run(scene())


def test_more_than_the_kernel_keeps() -> None:
    """Thirty cards are more than 1,024 pulses: what was cut is refused, none is misread, the last ones are right."""

    async def scene() -> None:
        board = chip()
        heard: list[CardRead] = []
        reader = WiredReader("front")
        start_ns = time.monotonic_ns() - 60_000 * MS
        lines = PulseLines(LINES, reader, heard.append, board.request_lines)  # type: ignore[arg-type]
        lines.claim()
        for number in range(30):
            send(board, pulses.card(number, "48", start_ns + number * 1000 * MS))
        await until(lambda: len(heard) >= 20 and reader.decoder.due_ns is None, "the cards")
        assert [card_format.number_of(card.bits, card.data) for card in heard] == list(range(30 - len(heard), 30))
        assert reader.decoder.refused["lost"] == 1
        lines.release()

    asyncio.run(scene())


def test_a_held_remote_is_one_press() -> None:
    """Through the lines, once, with its number and button."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        lines = PulseLines(LINES, RadioReceiver("radio", "36"), heard.append, board.request_lines)
        lines.claim()
        start_ns = time.monotonic_ns() - 2_000 * MS
        for train in pulses.held(123456, 3, 36, start_ns, 900):
            send(board, train)
        send(board, pulses.remote(123456, 3, 36, start_ns + 1_700 * MS))
        await until(lambda: len(heard) == 2, "the second press")
        assert heard == [RemotePressed("radio", 123456, 3)] * 2
        lines.release()

    asyncio.run(scene())


def test_the_lines_of_a_reader_are_on_one_chip() -> None:
    """Two chips have two queues of edges, whose order nobody knows."""
    apart = (GpioLine("gpiochip0", "5"), GpioLine("gpiochip1", "6"))
    with pytest.raises(GpioError, match="must be on one chip"):
        PulseLines(apart, WiredReader("front"), lambda value: None, chip().request_lines).claim()


def test_a_chip_that_goes_away_ends_the_reading_until_it_is_back() -> None:
    """It is said in `trouble` and as the reader's line, the lines are given back, and claimed again."""

    async def scene() -> None:
        board = chip()
        heard: list[object] = []
        lines = PulseLines(LINES, WiredReader("front"), heard.append, board.request_lines)
        lines.claim()
        send(board, [(0, 1000)])
        board.is_gone = True
        await turn()
        assert lines.trouble.startswith("GPIO gpiochip0:5: ")
        assert board.requests == {}
        assert heard == [ReaderLine("front", False, lines.trouble)]
        board.is_gone = False
        await until(lambda: not lines.trouble, "the return")
        assert heard[1:] == [ReaderLine("front", True, "")]
        assert len(board.requests) == 2
        lines.release()

    asyncio.run(scene())
