"""Radio remotes: number and button, once a press, whatever the receiver repeats."""

from random import Random

import pytest

from edge.reader.radio import HELD_NS, MOST_HELD, RadioReceiver, RemotePressed
from firmware_sim import pulses

MS = 1_000_000
SEED = 0x52454D4F


def play(receiver: RadioReceiver, train: list[pulses.Pulse]) -> list[RemotePressed]:
    words = [receiver.decoder.edge(line, at_ns) for line, at_ns in train]
    words.append(receiver.decoder.quiet(max(at_ns for _, at_ns in train) + 40 * MS))
    return [press for word in words if word is not None for press in receiver.read(word)]


@pytest.mark.parametrize(("name", "bits", "number"), [("36", 36, 0xDEADBEEF), ("44", 44, 0x12_3456_789A)])
def test_each_button_and_the_number(name: str, bits: int, number: int) -> None:
    """Four buttons of a transmitter with 32 and with 40 bits of number."""
    receiver = RadioReceiver("gate-radio", name)
    for button in (1, 2, 3, 4):
        seen = play(receiver, pulses.remote(number, button, bits, button * 10_000 * MS))
        assert seen == [RemotePressed("gate-radio", number, button)]


def test_a_literal_word() -> None:
    """Button 2 of transmitter 5, bit by bit."""
    text = "0100" + "0" * 29 + "101"
    train = [(int(bit), at * 2 * MS) for at, bit in enumerate(text)]
    assert play(RadioReceiver("r", "36"), train) == [RemotePressed("r", 5, 2)]


def test_a_literal_channel_word() -> None:
    """26 bits with parity, site 1, channel C, number 43690: the first half has an even, the last an odd count."""
    text = "0" + "000001" + "10" + "1010" + "101010101010" + "1"
    train = [(int(bit), at * 2 * MS) for at, bit in enumerate(text)]
    assert play(RadioReceiver("r", "26-channel"), train) == [RemotePressed("r", 0xAAAA, 3)]


def test_a_held_button_is_one_press() -> None:
    """Ten seconds of repetitions, every 150 ms, are one press; after a pause the next is another."""
    receiver = RadioReceiver("r", "36")
    seen = [press for train in pulses.held(77, 1, 36, 0, 10_000) for press in play(receiver, train)]
    assert seen == [RemotePressed("r", 77, 1)]
    assert receiver.repeats == 66
    assert len(play(receiver, pulses.remote(77, 1, 36, 20_000 * MS))) == 1


def test_half_a_second_is_the_border() -> None:
    """A repetition 500 ms after the last is the same press, a millisecond later it is another."""
    for pause_ns, presses in ((HELD_NS, 1), (HELD_NS + MS, 2)):
        receiver = RadioReceiver("r", "36")
        trains = [pulses.remote(77, 1, 36, start_ns) for start_ns in (0, pause_ns)]
        assert sum(len(play(receiver, train)) for train in trains) == presses


def test_two_people_press_at_once() -> None:
    """Transmissions of two remotes in turn are one press each; another button of the same remote is another press."""
    receiver = RadioReceiver("r", "36")
    seen = []
    for number in range(20):
        press = ((1, 1), (2, 1), (1, 2))[number % 3]
        seen += play(receiver, pulses.remote(*press, 36, number * 150 * MS))
    assert seen == [RemotePressed("r", 1, 1), RemotePressed("r", 2, 1), RemotePressed("r", 1, 2)]


def test_what_is_held_is_bounded() -> None:
    """A thousand remotes in a burst are each heard once, and only the last few are remembered."""
    receiver = RadioReceiver("r", "36")
    trains = [pulses.word(36, 1 << 35 | number + 1, number * 50 * MS, 200_000) for number in range(1000)]
    assert sum(len(play(receiver, train)) for train in trains) == 1000
    assert len(receiver._held) <= MOST_HELD


def test_two_buttons_at_once_are_none() -> None:
    """Of sixteen button patterns the four single ones are presses; a number of zeros or ones alone is a stuck line."""
    receiver = RadioReceiver("r", "36")
    read = [play(receiver, pulses.word(36, pattern << 32 | 9, pattern * 2000 * MS)) for pattern in range(16)]
    assert [bool(presses) for presses in read] == [pattern in (1, 2, 4, 8) for pattern in range(16)]
    assert play(receiver, pulses.remote(0, 1, 36, 10**12)) == []
    assert play(receiver, pulses.remote(0xFFFFFFFF, 1, 36, 2 * 10**12)) == []


def test_noise_is_no_press() -> None:
    """R7 for remotes: of 10,000 disturbed, short, long and slow words none is a press, and the good ones are."""
    print(f"seed {SEED:#x}")
    chance = Random(SEED)
    receiver = RadioReceiver("r", "26-channel")
    for number in range(10_000):
        at_ns = number * 3000 * MS
        good = pulses.card(1 << 18 | chance.randrange(4) << 16 | chance.randrange(1, 0xFFFF), "26", at_ns)
        match number % 5:
            case 0:
                bad = pulses.with_glitch(good, chance)
            case 1:
                bad = pulses.with_gap(good, chance.randrange(22 * MS + 1, 40 * MS), chance)
            case 2:
                bad = pulses.with_flipped_bit(good, chance)
            case 3:
                bad = pulses.without_some(good, chance)
            case _:
                bad = pulses.card(2 << 18 | 5, "26", at_ns)  # another site's
        assert play(receiver, bad) == []
        if number % 20 == 0:
            again = [(line, moment_ns + 1500 * MS) for line, moment_ns in good]
            assert len(play(receiver, pulses.with_jitter(again, 90_000, chance))) == 1


def test_the_status_names_no_transmitter() -> None:
    """Counts and the last refusal, in words."""
    receiver = RadioReceiver("r", "36")
    play(receiver, pulses.remote(123456789, 1, 36, 0))
    play(receiver, pulses.word(35, 123456789, 1000 * MS))
    assert receiver.status()["last_refused"] == "35 bits: wrong length"
    assert "123456789" not in str(receiver.status())
