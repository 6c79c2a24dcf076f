"""What a reader reports, whatever its kind: values that the agent hands to the decision core."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card: `bits` bits in `data`, the first one in the highest bit of the first byte; `card_format.number_of`
    makes a number of it. `secure` False: it did not come through a secure session, so nothing may open."""

    reader: str
    bits: int
    data: bytes
    secure: bool


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """Keys in the order pressed: digits, "#" for enter, "*" for clear. Never printed: it may be a code."""

    reader: str
    text: str = field(repr=False)
    secure: bool


@dataclass(frozen=True, slots=True)
class LineUp:
    """The reader is there and its secure session has begun."""

    reader: str
    detail: str


@dataclass(frozen=True, slots=True)
class LineDown:
    """The reader has no secure session, and why. Once each time, and once at the start if it is not there."""

    reader: str
    detail: str


@dataclass(frozen=True, slots=True)
class TamperSeen:
    """The reader's tamper switch changed."""

    reader: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """The reader's power failed, or came back."""

    reader: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The reader's line did what an attack would do."""

    reader: str
    detail: str


@dataclass(frozen=True, slots=True)
class InputsSeen:
    """The reader's own inputs, input 0 first, active or not: once a session, and when one changes."""

    reader: str
    states: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class OutputsSeen:
    """The reader's own outputs, output 0 first: when it was asked."""

    reader: str
    states: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class ReaderMoved:
    """The reader answers at another address, or at another speed, from now on."""

    reader: str
    address: int
    baud: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The reader has proved its new key: keep it, and forget the old one."""

    reader: str


@dataclass(frozen=True, slots=True)
class NotPaired:
    """The reader's new key was given up, and why: the old one, if there was one, holds."""

    reader: str
    detail: str


ReaderInput = CardRead | KeysPressed | LineUp | LineDown | TamperSeen | PowerSeen | Suspicion
# Of an installer's and a line's interest; nobody presented anything.
ReaderNews = InputsSeen | OutputsSeen | ReaderMoved | Paired | NotPaired
