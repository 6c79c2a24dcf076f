"""Cards and keys of a reader on two Wiegand lines, from literal pulses to codes."""

import pytest

from edge.reader import card_format
from edge.reader.inputs import CardRead, KeysPressed
from edge.reader.keypad import BETWEEN_KEYS_MS, Keypad
from edge.reader.wired_reader import WiredReader
from firmware_sim import pulses

MS = 1_000_000
CARD_FORMATS = ("26", "32", "34", "35", "37", "48")


def play(reader: WiredReader, train: list[pulses.Pulse]) -> list[CardRead | KeysPressed]:
    """What the reader reports of a train, and of the silence after it."""
    words = [reader.decoder.edge(line, at_ns) for line, at_ns in train]
    words.append(reader.decoder.quiet(max(at_ns for _, at_ns in train) + 40 * MS))
    return [value for word in words if word is not None for value in reader.read(word)]


def bits(text: str, at_ns: int = 0) -> list[pulses.Pulse]:
    return [(int(bit), at_ns + at * 2 * MS) for at, bit in enumerate(text.replace(" ", ""))]


def test_a_literal_h10301_card() -> None:
    """Facility 36, card 4711: even parity over the first half, odd over the second, written out by hand."""
    [card] = play(WiredReader("front"), bits("1 00100100 0001 001001100111 1"))
    assert card == CardRead("front", 26, bytes((0b10010010, 0b00001001, 0b00110011, 0b11000000)), True)
    assert card_format.number_of(card.bits, card.data) == 36 << 16 | 4711


@pytest.mark.parametrize("name", CARD_FORMATS)
@pytest.mark.parametrize("period_us", [200, 1000, 2000, 20_000])
def test_every_format_at_every_speed(name: str, period_us: int) -> None:
    """The first and the last number of each format, as slowly and as fast as the standard allows."""
    for number in (0, 1, 0x123456, (1 << card_format.FORMATS[name].data_bits) - 1):
        [card] = play(WiredReader("front"), pulses.card(number, name, 10**15, period_us * 1000))
        assert isinstance(card, CardRead)
        assert card.secure
        assert card_format.number_of(card.bits, card.data, name) == number


def test_two_cards_one_after_the_other() -> None:
    """The first is over when the second begins, even if nobody asked in between."""
    reader = WiredReader("front")
    train = pulses.card(1, "26", 0) + pulses.card(2, "34", 200 * MS)
    numbers = [card_format.number_of(card.bits, card.data) for card in play(reader, train)]
    assert numbers == [1, 2]


def test_a_card_of_another_length_goes_on() -> None:
    """It is no noise; with the reader's format it has no number, so it will be unknown."""
    [card] = play(WiredReader("front"), pulses.card(99, "34", 0))
    assert card_format.number_of(card.bits, card.data, "26") is None


def test_wrong_parity_and_length_are_counted_not_told() -> None:
    """The status says what the line brought, in words that name no card."""
    reader = WiredReader("front")
    assert play(reader, bits("0 00100100 0001 001001100111 1")) == []
    assert reader.status()["last_refused"] == "26 bits: wrong parity"
    assert play(reader, bits("10110", 1000 * MS)) == []
    assert reader.status()["refused"] == {
        "glitch": 0, "slow": 0, "overlong": 0, "lost": 0, "length": 1, "parity": 1, "key": 0,
    }  # fmt: skip


@pytest.mark.parametrize("keypad", ["4", "8"])
def test_keys_one_by_one_make_a_code(keypad: str) -> None:
    """Digits, clear and end of a single-key keypad, and a pause that begins anew, through the code collector."""
    reader, collector = WiredReader("front", keypad), Keypad()
    codes = []
    at_ms = 1000
    for text, pause_ms in (("99*4711#", 200), ("12", 200), ("3", BETWEEN_KEYS_MS + 1000), ("4#", 200)):
        for key in text:
            at_ms += pause_ms
            [keys] = play(reader, pulses.key(key, keypad, at_ms * MS))
            assert keys == KeysPressed("front", key, True)
            codes += collector.feed(keys.text, at_ms)
    assert codes == ["4711", "34"]


def test_a_reader_with_keypad_reads_cards_too() -> None:
    """They are told apart by their length."""
    reader = WiredReader("front", "8")
    seen = play(reader, pulses.key("5", "8", 0)) + play(reader, pulses.card(77, "26", 1000 * MS))
    assert [type(value) for value in seen] == [KeysPressed, CardRead]


def test_a_reader_without_keypad_has_no_keys() -> None:
    """Four or eight pulses are noise there."""
    reader = WiredReader("front")
    assert play(reader, pulses.key("5", "4", 0)) + play(reader, pulses.key("5", "8", 1000 * MS)) == []


def test_an_eight_bit_key_needs_its_complement() -> None:
    """Of all 256 bytes the twelve keys are read, and 4 bits are not an 8-bit keypad's."""
    reader = WiredReader("front", "8")
    read = [play(reader, pulses.word(8, byte, byte * 1000 * MS)) for byte in range(256)]
    assert sum(bool(keys) for keys in read) == 12
    assert reader.refused["key"] == 244
    assert play(reader, pulses.key("5", "4", 10**12)) == []


def test_a_buffered_keypad_sends_whole_codes() -> None:
    """With its facility a 26-bit word is a code, with another a card; leading zeros come back."""
    reader, collector = WiredReader("front", "26-binary", facility=7, digits=4), Keypad()
    [keys] = play(reader, pulses.code("0815", "26-binary", 7, 0))
    assert isinstance(keys, KeysPressed)
    assert collector.feed(keys.text, 0) == ["0815"]
    [card] = play(reader, pulses.code("0815", "26-binary", 8, 1000 * MS))
    assert isinstance(card, CardRead)
    [keys] = play(WiredReader("front", "26-bcd"), pulses.code("012345", "26-bcd", 0, 0))
    assert keys == KeysPressed("front", "012345#", True)


def test_a_code_is_not_printed() -> None:
    """Neither the value nor the status shows keys."""
    reader = WiredReader("front", "26-bcd")
    [keys] = play(reader, pulses.code("012345", "26-bcd", 0, 0))
    assert "012345" not in repr(keys) + str(reader.status())
