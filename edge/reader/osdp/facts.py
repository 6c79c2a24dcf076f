"""What a reader's link reports: small values, without the reader's name, which the bus adds.

Portable: runs on CPython and MicroPython. Source of the replies: SIA OSDP 2.2, section 7.
"""

from collections import namedtuple


class Card(namedtuple("Card", ("bits", "data", "secure"))):
    """A card was read: `bits` bits in `data`, the first one in the highest bit of the first byte (section 7.10).
    bits 0: the reader sent characters, which no format knows."""

    __slots__ = ()
    bits: int
    data: bytes
    secure: bool


class Keys(namedtuple("Keys", ("keys", "secure"))):
    """Keys were pressed (section 7)."""

    __slots__ = ()
    keys: bytes
    secure: bool


class Online(namedtuple("Online", ("detail",))):
    """A secure session has begun, and what the reader kept from before it is gone."""

    __slots__ = ()
    detail: str


class Offline(namedtuple("Offline", ("detail",))):
    """There is no secure session, and why."""

    __slots__ = ()
    detail: str


class Tamper(namedtuple("Tamper", ("is_on",))):
    """The reader's tamper switch changed (section 7)."""

    __slots__ = ()
    is_on: bool


class Power(namedtuple("Power", ("failed",))):
    """The reader's power changed (section 7)."""

    __slots__ = ()
    failed: bool


class InputStates(namedtuple("InputStates", ("states",))):
    """The reader's inputs, a bool each: once a session, and when one changes (section 7)."""

    __slots__ = ()
    states: "tuple[bool, ...]"


class OutputStates(namedtuple("OutputStates", ("states",))):
    """The reader's outputs, a bool each: when it was asked (section 7)."""

    __slots__ = ()
    states: "tuple[bool, ...]"


class Moved(namedtuple("Moved", ("address", "baud"))):
    """The reader will answer at another address, or at another speed (section 7, answer to COMSET)."""

    __slots__ = ()
    address: int
    baud: int


class Paired(namedtuple("Paired", ())):
    """The reader has proved its new key, in a handshake with it; no other one is accepted any more."""

    __slots__ = ()


class NotPaired(namedtuple("NotPaired", ("detail",))):
    """The new key is given up, and why; the key from before holds."""

    __slots__ = ()
    detail: str


class Suspect(namedtuple("Suspect", ("detail",))):
    """The line did what an attack would do."""

    __slots__ = ()
    detail: str
