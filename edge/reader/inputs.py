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


ReaderInput = CardRead | KeysPressed | LineUp | LineDown | TamperSeen | PowerSeen | Suspicion
