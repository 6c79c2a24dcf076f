"""Noise at a wired keypad: what is no key is never one, and what a keypad without a check cannot see is said."""

from random import Random

import pytest

from edge.reader.inputs import KeysPressed
from edge.reader.wired_reader import WiredReader
from firmware_sim import pulses

MS = 1_000_000
SEED = 0x4B455953


def play(reader: WiredReader, train: list[pulses.Pulse]) -> list[object]:
    words = [reader.decoder.edge(line, at_ns) for line, at_ns in train]
    words.append(reader.decoder.quiet(max(at_ns for _, at_ns in train) + 40 * MS))
    return [value for word in words if word is not None for value in reader.read(word)]


def disturbed(keypad: str, chance: Random, at_ns: int) -> list[pulses.Pulse]:
    """A key with a glitch, with a pulse too slow, or with one bit more or less than the keypad sends."""
    train = pulses.key(chance.choice("0123456789*#"), keypad, at_ns)
    match chance.randrange(4):
        case 0:
            return pulses.with_glitch(train, chance)
        case 1:
            return pulses.with_gap(train, chance.randrange(22 * MS + 1, 40 * MS), chance)
        case 2:
            return train[:-1]
        case _:
            return [*train, (chance.randrange(2), train[-1][1] + 2 * MS)]


@pytest.mark.parametrize("keypad", ["4", "8"])
def test_a_disturbed_key_is_none(keypad: str) -> None:
    """10,000 disturbed keys, seeded: not one is reported, and every whole one between them is."""
    print(f"seed {SEED:#x}")
    chance = Random(SEED)
    reader = WiredReader("front", keypad)
    for number in range(10_000):
        assert play(reader, disturbed(keypad, chance, number * 2000 * MS)) == []
        if number % 20 == 0:
            key = chance.choice("0123456789*#")
            whole = pulses.with_jitter(pulses.key(key, keypad, number * 2000 * MS + 1000 * MS), 90_000, chance)
            assert play(reader, whole) == [KeysPressed("front", key, True)]


def test_a_flipped_bit_in_an_eight_bit_key_is_seen() -> None:
    """Every single wrong bit of every key breaks the complement."""
    reader = WiredReader("front", "8")
    at_ns = 0
    for key in "0123456789*#":
        for at in range(8):
            at_ns += 1000 * MS
            train = pulses.key(key, "8", at_ns)
            train[at] = (1 - train[at][0], train[at][1])
            assert play(reader, train) == []
    assert reader.refused["key"] == 96


def test_a_four_bit_key_has_no_check() -> None:
    """What this cannot promise: a wrong bit makes another key of a 4-bit keypad. Use 8 bits where there is a choice."""
    train = pulses.key("1", "4", 0)
    train[3] = (1 - train[3][0], train[3][1])
    assert play(WiredReader("front", "4"), train) == [KeysPressed("front", "0", True)]


def test_a_buffered_code_with_wrong_parity_is_none() -> None:
    """Each single wrong bit of a whole code is seen by its parity."""
    for keypad in ("26-binary", "26-bcd"):
        reader = WiredReader("front", keypad)
        for at in range(26):
            train = pulses.code("012345", keypad, 0, at * 1000 * MS)
            train[at] = (1 - train[at][0], train[at][1])
            assert play(reader, train) == []


def test_a_buffered_keypad_sends_digits_only() -> None:
    """Six nibbles of which one is no digit are no code."""
    reader = WiredReader("front", "26-bcd")
    assert play(reader, pulses.card(0x1234B5, "26", 0)) == []
    assert reader.refused["key"] == 1


def test_an_unknown_keypad_is_refused() -> None:
    """A name that no keypad has is an error at once."""
    with pytest.raises(KeyError):
        WiredReader("front", "6")
