"""Card formats: the bits that a card sends to the number by which it is known, and back.

A number is the card's data bits with the parity bits checked and removed, as one unsigned integer (the examples'
README). Formats are data: where the data bits lie, and which bits each parity bit covers. Bit 0 is the one that
the reader sends last.
"""

from typing import NamedTuple

EVEN = 0
ODD = 1
LARGEST_BITS = 64


class Parity(NamedTuple):
    """Bit `bit` makes the count of ones in `covers` (a mask, without `bit`) and itself EVEN or ODD."""

    bit: int
    kind: int
    covers: int


class Format(NamedTuple):
    """`bits` bits on the wire, of which `data_bits` from bit `low` up are the number. The parity bits are set in
    the order given: a later one may cover an earlier one."""

    name: str
    bits: int
    low: int
    data_bits: int
    parity: tuple[Parity, ...]


def _span(high: int, low: int) -> int:
    return (1 << (high + 1)) - (1 << low)


def _raw(bits: int) -> Format:
    return Format(str(bits), bits, 0, bits, ())


# The names are those that a manager writes in a site's `format`.
FORMATS = {
    entry.name: entry
    for entry in (
        # H10301: even over the first half, odd over the second.
        Format("26", 26, 1, 24, (Parity(25, EVEN, _span(24, 13)), Parity(0, ODD, _span(12, 1)))),
        _raw(32),
        Format("34", 34, 1, 32, (Parity(33, EVEN, _span(32, 17)), Parity(0, ODD, _span(16, 1)))),
        # Corporate 1000: two parities over two bits of each three, and one over everything.
        Format(
            "35", 35, 1, 32,
            (
                Parity(33, EVEN, 0x1_B6DB6DB6),
                Parity(0, ODD, 0x3_6DB6DB6C),
                Parity(34, ODD, 0x3_FFFFFFFF),
            ),
        ),
        # H10302 (and H10304, which divides the same bits): the middle bit counts in both halves.
        Format("37", 37, 1, 35, (Parity(36, EVEN, _span(35, 18)), Parity(0, ODD, _span(18, 1)))),
        _raw(40),
        Format(
            "48", 48, 1, 45,
            (
                Parity(46, EVEN, 0x1B6D_B6DB6DB6),
                Parity(0, ODD, 0x36DB_6DB6DB6C),
                Parity(47, ODD, 0x7FFF_FFFFFFFF),
            ),
        ),
        _raw(56),
        _raw(64),
    )
}  # fmt: skip
_BY_LENGTH = {entry.bits: entry for entry in FORMATS.values()}


def number_of(bits: int, data: bytes, format_name: str = "") -> int | None:
    """The number of a card's `bits` bits (first bit highest in `data[0]`), or None for what could be no credential:
    an unknown length, another length than the named format's, wrong parity. `format_name` "": by the length.
    KeyError for a format that does not exist."""
    entry = FORMATS[format_name] if format_name else _BY_LENGTH.get(bits)
    if entry is None or entry.bits != bits or len(data) != (bits + 7) // 8:
        return None
    value = int.from_bytes(data, "big") >> (-bits % 8)
    for parity in entry.parity:
        if (value >> parity.bit & 1) != _parity_bit(value, parity):
            return None
    return value >> entry.low & ((1 << entry.data_bits) - 1)


def encode(number: int, format_name: str = "") -> tuple[int, bytes]:
    """(bits, data) of the card whose number this is. `format_name` "": H10302 where it fits, else 64 bits.
    ValueError for a number that the format cannot hold."""
    if not format_name:
        format_name = "37" if number >> 35 == 0 else "64"
    entry = FORMATS[format_name]
    if number < 0 or number >> entry.data_bits:
        raise ValueError(f"number {number} does not fit in format {entry.name}: it has {entry.data_bits} data bits")
    value = number << entry.low
    for parity in entry.parity:
        value |= _parity_bit(value, parity) << parity.bit
    return entry.bits, (value << (-entry.bits % 8)).to_bytes((entry.bits + 7) // 8, "big")


def _parity_bit(value: int, parity: Parity) -> int:
    return (value & parity.covers).bit_count() & 1 ^ parity.kind
