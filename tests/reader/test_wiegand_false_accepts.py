"""R7: what is no well-formed transmission is never accepted.

A false accept is a card, key or press that is reported of a train that nothing well-formed sent: noise, a wrong length,
wrong parity, timing beyond the limits. What the check bits cannot see is not one: a random 26-bit word has right parity
one time in four, and formats without parity (32 bits) or a 4-bit key have no check at all; the oracle here, written
from the standards over strings of bits, says which trains are well-formed.
"""

import time
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from edge.reader import card_format
from edge.reader.radio import RadioReceiver
from edge.reader.wiegand import Limits
from edge.reader.wired_reader import WiredReader
from firmware_sim import pulses

MS = 1_000_000
QUICK = 20_000
FULL = 1_000_000
CARDS = ("26", "32", "34", "35", "37", "48")
CHECKED = ("26", "34", "35", "37", "48")  # those with parity


def is_sound(text: str) -> bool:
    """A card's bits, first to last, by the standards' words."""

    def odd(*places: int) -> bool:
        return "".join(text[place - 1] for place in places).count("1") % 2 == 1

    def span(first: int, last: int) -> range:
        return range(first, last + 1)

    match len(text):
        case 26:
            return not odd(*span(1, 13)) and odd(*span(14, 26))
        case 34:
            return not odd(*span(1, 17)) and odd(*span(18, 34))
        case 37:
            return not odd(*span(1, 19)) and odd(*span(19, 37))
        case 35:
            return (
                not odd(2, *(place for place in span(3, 34) if place % 3 != 2))
                and odd(35, *(place for place in span(2, 33) if place % 3 != 1))
                and odd(*span(1, 35))
            )
        case 48:
            return (
                not odd(2, *(place for place in span(4, 47) if place % 3 != 0))
                and odd(48, *(place for place in span(3, 46) if place % 3 != 2))
                and odd(*span(1, 48))
            )
        case 32 | 40 | 56 | 64:
            return True
    return False


def well_formed(train: list[pulses.Pulse], keypad: str) -> bool:
    """Whether a train, with silence around it, is one transmission within the limits, of a card or the keypad."""
    moments = sorted(at_ns for _, at_ns in train)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    if any(not 100_000 <= gap <= 22 * MS for gap in gaps):
        return False
    text = "".join(str(line) for line, _ in sorted(train, key=lambda pulse: pulse[1]))
    if keypad == "8" and len(text) == 8:
        nibble = text[4:]
        return int(nibble, 2) < 12 and all(high != low for high, low in zip(text[:4], nibble, strict=True))
    return is_sound(text)


def sound_card(chance: Random, name: str, at_ns: int) -> list[pulses.Pulse]:
    number = chance.getrandbits(card_format.FORMATS[name].data_bits)
    return pulses.card(number, name, at_ns, chance.randrange(200_000, 3 * MS))


def bad_train(kind: str, chance: Random, at_ns: int) -> list[pulses.Pulse]:
    """A train of a kind that is not well-formed."""
    if kind == "parity":
        return pulses.with_flipped_bit(sound_card(chance, chance.choice(CHECKED), at_ns), chance)
    if kind == "length":
        known = (8, 26, 32, 34, 35, 37, 40, 48, 56, 64)
        bits = chance.choice([bits for bits in range(1, 90) if bits not in known])
        return pulses.word(bits, chance.getrandbits(bits), at_ns)
    if kind == "glitch":
        return pulses.with_glitch(sound_card(chance, chance.choice(CARDS), at_ns), chance)
    if kind == "slow":
        gap_ns = chance.randrange(22 * MS + 1, 40 * MS)
        return pulses.with_gap(sound_card(chance, chance.choice(CARDS), at_ns), gap_ns, chance)
    if kind == "fast":
        return pulses.card(chance.getrandbits(24), "26", at_ns, chance.randrange(1, 100_000))
    if kind == "key":
        byte = chance.choice([byte for byte in range(256) if byte >> 4 ^ byte & 15 != 15 or byte & 15 > 11])
        return pulses.word(8, byte, at_ns)
    return pulses.noise(chance.randrange(1, 120), at_ns, chance)


KINDS = ("parity", "length", "glitch", "slow", "fast", "key", "noise")


def bursts(train: list[pulses.Pulse]) -> list[list[pulses.Pulse]]:
    """A train cut where 40 ms of silence are."""
    cut: list[list[pulses.Pulse]] = []
    for pulse in train:
        if not cut or pulse[1] - cut[-1][-1][1] >= 40 * MS:
            cut.append([])
        cut[-1].append(pulse)
    return cut


def false_accepts(count: int, seed: int, limits: Limits | None = None) -> tuple[Counter[str], Counter[str]]:
    """(false accepts by kind, trains by kind) over `count` bad trains, each followed now and then by a good one, which
    must be read: what was refused spoils nothing."""
    chance = Random(seed)
    reader = WiredReader("front", "8") if limits is None else WiredReader("front", "8", limits=limits)
    wrong: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    at_ns = 10**12
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        train = bad_train(kind, chance, at_ns)
        accepted = sum(len(play(reader, burst)) for burst in bursts(train))
        wrong[kind] += max(0, accepted - sum(well_formed(burst, "8") for burst in bursts(train)))
        tried[kind] += 1
        at_ns = train[-1][1] + 1000 * MS
        if number % 50 == 0:
            good = pulses.with_jitter(sound_card(chance, chance.choice(CARDS), at_ns), 90_000, chance)
            wrong["missed"] += len(play(reader, good)) != 1
            at_ns = good[-1][1] + 1000 * MS
    return wrong, tried


def play(reader: WiredReader | RadioReceiver, train: list[pulses.Pulse]) -> list[object]:
    words = [reader.decoder.edge(line, at_ns) for line, at_ns in train]
    words.append(reader.decoder.quiet(max(at_ns for _, at_ns in train) + 40 * MS))
    return [value for word in words if word is not None for value in reader.read(word)]


def check(count: int) -> None:
    seed = 0x57494547
    started = time.monotonic()
    wrong, tried = false_accepts(count, seed)
    print(f"seed {seed:#x}: {dict(tried)}, false accepts {dict(wrong)}, {time.monotonic() - started:.1f} s")
    assert sum(tried.values()) == count
    assert sum(wrong.values()) == 0


def test_no_false_accepts() -> None:
    """2·10^4 bad trains: none is accepted, and every good one between them is read."""
    check(QUICK)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_no_false_accepts_in_a_million() -> None:
    """10^6 bad trains, likewise."""
    check(FULL)


def test_the_limits_are_what_refuses() -> None:
    """The negative control: with limits that allow everything, trains of wrong timing are accepted."""
    wrong, _ = false_accepts(2_000, 1, Limits(0, 40 * MS, 40 * MS))
    assert wrong["slow"] > 0
    assert wrong["fast"] > 0


def test_the_oracle_and_the_reader_agree_on_random_words() -> None:
    """Of random words of every length, one period: the same are sound to both; about a quarter of those of 26 bits."""
    chance = Random(26)
    reader = WiredReader("front")
    sound = 0
    for number in range(5_000):
        bits = chance.choice((25, 26, 26, 26, 32, 34, 35, 37, 48))
        train = pulses.word(bits, chance.getrandbits(bits), number * 1000 * MS)
        read = play(reader, train)
        assert bool(read) == well_formed(train, "")
        sound += bits == 26 and bool(read)
    assert 0.2 < sound / (5_000 / 3) < 0.3


def test_missing_pulses_never_give_another_format() -> None:
    """One to three pulses lost of a card: what is left is refused unless it happens to be sound; of formats with
    parity fewer than one in three are, and the count of both is the oracle's."""
    chance = Random(7)
    reader = WiredReader("front")
    accepted = 0
    for number in range(3_000):
        train = pulses.without_some(sound_card(chance, chance.choice(CHECKED), number * 2000 * MS), chance)
        read = sum(len(play(reader, burst)) for burst in bursts(train))
        assert read == sum(well_formed(burst, "") for burst in bursts(train))
        accepted += read
    assert accepted < 1_000


def test_lost_edges_void_the_word() -> None:
    """Where the kernel dropped edges, nothing of that burst is believed, wherever they were lost."""
    for at in range(27):
        reader = WiredReader("front")
        train = pulses.card(4711, "26", 0)
        for number, (line, at_ns) in enumerate(train):
            if number == at:
                reader.decoder.lost(at_ns)
            assert reader.decoder.edge(line, at_ns) is None
        if at == 26:
            reader.decoder.lost(train[-1][1])
        assert reader.decoder.quiet(train[-1][1] + 40 * MS) is None
        assert len(play(reader, pulses.card(4711, "26", 10**12))) == 1


def test_endless_noise_takes_no_memory() -> None:
    """A line that never rests is one refused burst, kept in a bounded list."""
    reader = WiredReader("front")
    for number in range(100_000):
        assert reader.decoder.edge(number & 1, number * 150_000) is None
    assert len(reader.decoder._edges) <= 65
    assert reader.decoder.quiet(10**12) is None
    assert reader.decoder.refused["overlong"] == 1
