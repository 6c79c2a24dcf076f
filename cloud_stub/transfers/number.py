"""The transfer number: 16 random bytes as 28 letters and digits that can be read over the telephone.

Base 32 without I, L, O and U, 26 digits; then two that are the number's remainder by the prime 997. Powers of 32 differ
modulo 997 within its length, so one wrong digit, or any two that were swapped, are seen.
"""

from cloud_stub.errors import DataError
from edge.uplink.statements import SECRET_SIZE

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011")
_PRIME = 997
_LENGTH, _CHECK, GROUP = 26, 2, 4


class NumberError(DataError):
    """What was typed is no transfer number. It is not repeated: it may be nearly right."""


def text_of(secret: bytes) -> str:
    """The number as it is told, in groups of four."""
    value = int.from_bytes(secret, "big")
    letters = _in_digits(value, _LENGTH) + _in_digits(value % _PRIME, _CHECK)
    return "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def secret_of(text: str) -> bytes:
    """The 16 bytes again, however it was grouped. NumberError."""
    letters = "".join(each for each in text.upper() if each not in "- .\t").translate(_READ_AS)
    if any(letter not in _DIGITS for letter in letters) or len(letters) != _LENGTH + _CHECK:
        raise NumberError(f"a transfer number has {_LENGTH + _CHECK} letters and digits in groups of {GROUP}; check it")
    value, check = _value(letters[:_LENGTH]), _value(letters[_LENGTH:])
    if value % _PRIME != check or value >= 1 << (8 * SECRET_SIZE):
        raise NumberError("the transfer number is mistyped somewhere: its check digits do not fit; check it")
    return value.to_bytes(SECRET_SIZE, "big")


def _in_digits(value: int, count: int) -> str:
    return "".join(_DIGITS[value >> (5 * place) & 31] for place in reversed(range(count)))


def _value(letters: str) -> int:
    value = 0
    for letter in letters:
        value = value * 32 + _DIGITS.index(letter)
    return value
