"""Card bits to numbers: literals, parity, lengths, and back."""

import random

import pytest

from edge.reader.card_format import FORMATS, encode, number_of


def bits_of(text: str) -> tuple[int, bytes]:
    digits = text.replace(" ", "")
    return len(digits), int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8), "big")


# Worked by hand from the formats' definitions; facility and card in the order of the wire.
LITERALS = [
    # facility 1, card 2: even over 0000 0001 0000 (one 1: parity 1), odd over 0000 0000 0010 (one 1: parity 0)
    ("1 00000001 0000000000000010 0", "26", 1 << 16 | 2),
    # facility 123, card 4567: 0111 1011 0001 has 7 ones: 1; 0001 1101 0111 has 7 ones: 0
    ("1 01111011 0001000111010111 0", "26", 123 << 16 | 4567),
    ("0 0000000000000000 0000000000000000 1", "34", 0),
    ("1 0000000000000001 0000000000000001 0", "34", 0x10001),
    # 35 data bits; the eighteenth counts in both halves
    ("0 00000000000000000000000000000000000 1", "37", 0),
    ("1 00000000000000000100000000000000000 0", "37", 1 << 17),
    ("11111111 00000000 11111111 00000001", "32", 0xFF00FF01),
]


@pytest.mark.parametrize(("bits", "name", "number"), LITERALS)
def test_literals(bits: str, name: str, number: int) -> None:
    """Bits worked by hand give their number, with the format named and by length, and the number its bits."""
    assert number_of(*bits_of(bits), name) == number
    assert number_of(*bits_of(bits)) == number
    assert encode(number, name) == bits_of(bits)


def test_corporate_1000_literals() -> None:
    """Company 1, card 1 in 35 and 48 bits: each parity bit worked out over the bits that it covers."""
    for name, company_bits, card_bits in (("35", 12, 20), ("48", 22, 23)):
        total = int(name)
        data = f"{1:0{company_bits}b}{1:0{card_bits}b}"
        # positions from the left: 0 odd over all, 1 even over 2,3, 5,6, …, last odd over 1,2, 4,5, …
        row = ["0", "0", *data, "0"]
        row[1] = str(sum(row[at] == "1" for at in range(2, total - 1) if at % 3 != 1) % 2)
        row[-1] = str(1 - sum(row[at] == "1" for at in range(1, total - 1) if at % 3 != 0) % 2)
        row[0] = str(1 - sum(bit == "1" for bit in row[1:]) % 2)
        assert number_of(*bits_of("".join(row)), name) == 1 << card_bits | 1
        assert encode(1 << card_bits | 1, name) == bits_of("".join(row))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_round_trips_and_every_wrong_bit(name: str) -> None:
    """1,000 numbers come back; with parity, any single wrong bit makes the card unknown."""
    entry = FORMATS[name]
    draw = random.Random(entry.bits)
    for step in range(1000):
        number = draw.getrandbits(entry.data_bits)
        bits, data = encode(number, name)
        assert (bits, number_of(bits, data, name)) == (entry.bits, number)
        if entry.parity and step < 100:
            for bit in range(bits):
                wrong = bytearray(data)
                wrong[bit // 8] ^= 0x80 >> bit % 8
                assert number_of(bits, bytes(wrong), name) is None


def test_other_lengths_are_unknown() -> None:
    """A named format accepts its own length only; an unknown length is unknown; so are too many bytes."""
    bits, data = encode(77, "26")
    assert number_of(bits, data, "34") is None
    assert number_of(33, bytes(5)) is None
    assert number_of(0, b"") is None
    assert number_of(32, bytes(5)) is None
    assert number_of(72, bytes(9)) is None
    with pytest.raises(KeyError):
        number_of(bits, data, "27")


def test_the_simulator_gets_a_format_that_fits() -> None:
    """H10302 up to 35 bits, 64 bits above; a number that does not fit is an error."""
    assert encode(2**35 - 1)[0] == 37
    assert encode(2**35)[0] == 64
    assert number_of(*encode(2**64 - 1)) == 2**64 - 1
    for number, name in ((2**24, "26"), (-1, ""), (2**64, "")):
        with pytest.raises(ValueError, match="does not fit"):
            encode(number, name)
