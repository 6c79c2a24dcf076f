"""The controller's password: digits, as a terminal without letters can type them, kept as a salted scrypt hash.

scrypt (RFC 7914) with its parameters beside the hash, so that they may rise. Five wrong tries lock for 30 s, doubling
up to 15 min: the same rule as for codes, with a count of its own, so that a guesser here locks no resident's keypad.
"""

import hashlib
import hmac
import secrets
import tomllib
from itertools import pairwise
from typing import NamedTuple

from edge.commissioning import refusals
from edge.decision.lockout import Lockout
from edge.decision.model import Moment

COST, BLOCK, LANES = 1 << 14, 8, 1  # N, r, p: 16 MiB; RFC 7914 section 2
_MAX_MEMORY = 64 << 20
_MAX_COST, _MAX_BLOCK, _MAX_LANES = 1 << 15, 8, 4
_SALT_SIZE, _HASH_SIZE = 16, 32
FEWEST_DIGITS, MOST_DIGITS = 6, 16
FIRST_DIGITS = 8  # of one that the controller makes itself
_WAY_ON = "remove it and make another password: vantail init --password"


class PasswordError(Exception):
    """The password's file cannot be used: one line that says what was seen and what to do."""


class Password(NamedTuple):
    """What is kept. epoch: in which it was chosen; 0 where the controller made it itself."""

    salt: bytes
    hash: bytes
    cost: int
    block: int
    lanes: int
    epoch: int

    def __repr__(self) -> str:
        return f"Password(epoch={self.epoch})"

    def matches(self, text: str) -> bool:
        """Whether it is `text`. Takes 50 ms and more, and 16 MiB: not for the thread that opens doors."""
        found = _scrypt(text[: MOST_DIGITS + 1], self.salt, self.cost, self.block, self.lanes)
        return hmac.compare_digest(found, self.hash)

    def toml(self) -> str:
        """The text of password.toml."""
        named = zip(Password._fields, self, strict=True)
        lines = [
            f'{name} = "{value.hex()}"' if isinstance(value, bytes) else f"{name} = {value}" for name, value in named
        ]
        return "\n".join(["# The controller's password, salted and hashed (scrypt).", *lines]) + "\n"


def make(text: str, epoch: int) -> Password:
    """The password `text`, with a new salt. As slow as `matches`. ValueError where `weakness` has something to say."""
    if weakness(text):
        raise ValueError("too weak a password")
    salt = secrets.token_bytes(_SALT_SIZE)
    return Password(salt, _scrypt(text, salt, COST, BLOCK, LANES), COST, BLOCK, LANES, epoch)


def draw() -> str:
    """A random password, to be shown once, at the first start."""
    while True:
        text = "".join(str(secrets.randbelow(10)) for _ in range(FIRST_DIGITS))
        if not weakness(text):
            return text


def weakness(text: str) -> str:
    """ "" or refusals.WEAK_PASSWORD: too short or long, not digits, one digit throughout, or a row up or down."""
    if not (text.isascii() and text.isdecimal() and FEWEST_DIGITS <= len(text) <= MOST_DIGITS):
        return refusals.WEAK_PASSWORD
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(text)}
    return refusals.WEAK_PASSWORD if steps in ({0}, {1}, {9}) else ""


def parse(text: str) -> Password:
    """The content of password.toml. PasswordError, without the content."""
    try:
        found = tomllib.loads(text)
        password = Password(
            bytes.fromhex(found["salt"]), bytes.fromhex(found["hash"]), found["cost"], found["block"], found["lanes"],
            found["epoch"],
        )  # fmt: skip
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError):
        raise PasswordError(f"password.toml: damaged; {_WAY_ON}") from None
    numbers = password[2:]
    most = (_MAX_COST, _MAX_BLOCK, _MAX_LANES, 1 << 32)
    is_right = all(type(number) is int and 0 <= number <= top for number, top in zip(numbers, most, strict=True))
    is_right = is_right and min(numbers[:3]) > 0 and password.cost.bit_count() == 1 < password.cost
    if not is_right or (len(password.salt), len(password.hash)) != (_SALT_SIZE, _HASH_SIZE):
        raise PasswordError(f"password.toml: not values of this program; {_WAY_ON}")
    return password


def _scrypt(text: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(text.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MAX_MEMORY, dklen=_HASH_SIZE)


class Gate:
    """Who may try the password, and when. One try at a time: `begin`, the slow comparison elsewhere, `end`."""

    def __init__(self, kept: bytes, moment: Moment) -> None:
        self.lockout = Lockout()
        self.lockout.restore(kept, moment)
        self._is_trying = False

    def begin(self, moment: Moment) -> str:
        """ "" where a password may be compared now: `end` has to follow, whatever happens."""
        self.lockout.due(moment.mono_ms)
        if self.lockout.is_locked(moment.mono_ms):
            return refusals.LOCKED
        if self._is_trying:
            return refusals.BUSY
        self._is_trying = True
        return ""

    def end(self, is_right: bool, moment: Moment) -> tuple[str, bool, bytes]:
        """(reason, whether that is worth an alarm, what to keep across a restart). A right one resets nothing.
        ValueError where no try was begun."""
        if not self._is_trying:
            raise ValueError("no try was begun")
        self._is_trying = False
        is_alarm = not is_right and self.lockout.wrong(moment.mono_ms)
        return "" if is_right else refusals.WRONG_PASSWORD, is_alarm, self.lockout.keep(moment)

    def left_ms(self, moment: Moment) -> int:
        """Of a lock."""
        return max(0, (self.lockout.until_ms() or 0) - moment.mono_ms)
