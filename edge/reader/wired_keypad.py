"""What keypads send over Wiegand: single keys of 4 or 8 bits, whole codes of 26.

A nibble is a digit, 10 is * (clear), 11 is # (end). Portable: runs on CPython and MicroPython.
"""

from collections import namedtuple

NIBBLE = 1  # four bits, no check at all
COMPLEMENT = 2  # the nibble with its complement before it
BINARY = 3  # H10301 with a facility of the keypad's own, the code as a 16-bit number: leading zeros are lost
BCD = 4  # H10301 with six digits of four bits

_KEYS = "0123456789*#"
REFUSED = ""


class KeypadFormat(namedtuple("KeypadFormat", ("bits", "kind"))):
    """Words of `bits` bits are this keypad's, of one of the kinds above."""

    __slots__ = ()
    bits: int
    kind: int


FORMATS = {
    "4": KeypadFormat(4, NIBBLE),
    "8": KeypadFormat(8, COMPLEMENT),
    "26-binary": KeypadFormat(26, BINARY),
    "26-bcd": KeypadFormat(26, BCD),
}


def keys_of(entry: KeypadFormat, bits: int, value: int, facility: int, digits: int) -> "str | None":
    """The keys that a word stands for, REFUSED for one that no keypad sends, None for a word that is not the
    keypad's. `value`: of 26 bits the 24 without parity, checked before. A whole code ends with #.

    facility: the one that a "26-binary" keypad is set to; words of another are cards. digits: how many it waits
    for, to give leading zeros back; 0 where that varies (then a code that begins with 0 cannot be used).
    """
    if bits != entry.bits:
        return None
    if entry.kind == NIBBLE:
        return _key(value)
    if entry.kind == COMPLEMENT:
        return _key(value & 15) if value >> 4 ^ value & 15 == 15 else REFUSED
    if entry.kind == BCD:
        keys = "".join([_key(value >> shift & 15) for shift in range(20, -1, -4)])
        return keys + "#" if len(keys) == 6 and "*" not in keys and "#" not in keys else REFUSED
    if value >> 16 != facility:
        return None
    text = str(value & 0xFFFF)
    if digits and len(text) > digits:
        return REFUSED
    return "0" * (digits - len(text)) + text + "#"


def _key(nibble: int) -> str:
    return _KEYS[nibble] if nibble < len(_KEYS) else REFUSED
