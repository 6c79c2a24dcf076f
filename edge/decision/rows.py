"""The rows that make a policy, and their one canonical packing.

Portable: runs on CPython and MicroPython. A packed row is its table's number (one byte), then its fields in
order, as TABLES declares them: integers big-endian in the width named, texts in UTF-8 behind a 2-byte length,
flags one byte 0 or 1, lists behind a 2-byte count. The key fields come first, so a row's key is a prefix of the
row: `key_of(row)`. A packed row is what travels, what is stored and what is hashed: there is one form of each.
"""

import struct
from collections import namedtuple

# Field kinds. Integers are range-checked when packed.
U8 = "B"
U16 = "H"
U32 = "I"
U64 = "Q"
I32 = "i"
I64 = "q"
_FLAG = "?"
_TEXT = "s"
_BYTES = "b"

# Schedules that exist everywhere, without a row.
ALWAYS = 0
NEVER = 1
FIRST_SCHEDULE = 2

# Rows of a week type: Monday is 0, as in Python's weekday(); 7 replaces the weekday's row on a holiday.
HOLIDAY_ROW = 7

# Reader directions.
IN = 0
OUT = 1

# Credential states. A pass in stock has no row.
ACTIVE = 0
STATE_LOST = 1
STATE_DISABLED = 2

# Credential flags.
DURESS = 1  # opens like any other, an alarm goes up elsewhere
EXTENDED = 2  # the door's longer time
EMERGENCY = 4  # beats a lockdown

# Passback modes of an area.
SOFT = 0
HARD = 1
TIMED = 2

ALL_BUTTONS = 15  # bit n-1: button n


class RowError(ValueError):
    """A row that no policy can hold. The message names the row and what is wrong with it."""


class Site(namedtuple("Site", ("uid", "name", "untrusted_allow", "manager"))):
    """uid: 16 random bytes. untrusted_allow: scheduled credentials open while the clock is not trusted."""

    __slots__ = ()
    uid: bytes
    name: str
    untrusted_allow: bool
    manager: int


class Offset(namedtuple("Offset", ("from_s", "offset_s"))):
    """From utc `from_s` on, local time is utc + `offset_s`. The last one holds for ever."""

    __slots__ = ()
    from_s: int
    offset_s: int


class Holiday(namedtuple("Holiday", ("day", "name"))):
    """day: local days since 1970-01-01."""

    __slots__ = ()
    day: int
    name: str


class Schedule(namedtuple("Schedule", ("id", "name", "intervals"))):
    """A week type. intervals: (row 0-7, start_min, end_min), local minutes of the day on which it starts;
    end < start runs over midnight; end 1440 is midnight."""

    __slots__ = ()
    id: int
    name: str
    intervals: tuple


class Area(namedtuple("Area", ("id", "mode", "timed_min"))):
    """An anti-passback area."""

    __slots__ = ()
    id: str
    mode: int
    timed_min: int


class Door(
    namedtuple(
        "Door",
        (
            "id", "name", "outputs", "unlock_ms", "extended_ms", "held_open_s", "auto_open", "first_card",
            "deny_on_log_failure", "relock_on_open", "area_in", "area_out", "interlock", "badge_and_code",
        ),
    )
):  # fmt: skip
    """outputs: names, the main strike first. auto_open, badge_and_code: schedule ids (NEVER: not at all).
    interlock: ids of doors that must be closed for this one to open. area_in: entered by its `in` readers and
    left by its `out` readers; area_out: the area on the other side, "" for none."""

    __slots__ = ()
    id: str
    name: str
    outputs: tuple
    unlock_ms: int
    extended_ms: int
    held_open_s: int
    auto_open: int
    first_card: bool
    deny_on_log_failure: bool
    relock_on_open: bool
    area_in: str
    area_out: str
    interlock: tuple
    badge_and_code: int


class Reader(namedtuple("Reader", ("id", "door", "kind", "direction", "output", "keypad", "format"))):
    """kind: "osdp", "wiegand", "radio", "gsm". output: "" for the door's first. format: a card format's name,
    "" for the reader kind's own."""

    __slots__ = ()
    id: str
    door: str
    kind: str
    direction: int
    output: str
    keypad: bool
    format: str


class Group(namedtuple("Group", ("id", "name", "grants"))):
    """An access group. grants: (door, output or "" for the first, media mask of 1 << medium, button mask,
    schedule id)."""

    __slots__ = ()
    id: int
    name: str
    grants: tuple


class Credential(
    namedtuple("Credential", ("medium", "number", "group", "from_s", "to_s", "state", "flags", "output", "holder"))
):
    """from_s, to_s: utc, [from, to), 0 for open. output: of a code, the one it was given for ("" the door's
    first). holder: for people, at most 80 characters."""

    __slots__ = ()
    medium: int
    number: int
    group: int
    from_s: int
    to_s: int
    state: int
    flags: int
    output: str
    holder: str


class Panel(namedtuple("Panel", ("id", "door", "modem", "open_key"))):
    """Where visitors call residents. modem: reader id of the GSM modem that dials."""

    __slots__ = ()
    id: str
    door: str
    modem: str
    open_key: str


class Display(namedtuple("Display", ("panel", "call_code", "name", "auto_open", "numbers"))):
    """What a panel shows and whom it calls. numbers: up to three of (E.164 number, delay_s)."""

    __slots__ = ()
    panel: str
    call_code: str
    name: str
    auto_open: int
    numbers: tuple


class Mode(namedtuple("Mode", ("door", "lockdown", "who"))):
    """A lasting state that the manager set. door "": all doors."""

    __slots__ = ()
    door: str
    lockdown: bool
    who: str


class Privacy(namedtuple("Privacy", ("names_persons",))):
    """Whether events say who came. Where the row is missing they do."""

    __slots__ = ()
    names_persons: bool


# table number → (type, how many fields are the key, field kinds). A tuple kind is a list of such tuples; a list
# kind [k] is a list of single values. Numbers are on the wire: never reuse one.
TABLES = {
    1: (Site, 0, (_BYTES, _TEXT, _FLAG, U32)),
    2: (Offset, 1, (I64, I32)),
    3: (Holiday, 1, (I32, _TEXT)),
    4: (Schedule, 1, (U16, _TEXT, (U8, U16, U16))),
    5: (Area, 1, (_TEXT, U8, U16)),
    6: (
        Door, 1,
        (_TEXT, _TEXT, [_TEXT], U32, U32, U16, U16, _FLAG, _FLAG, _FLAG, _TEXT, _TEXT, [_TEXT], U16),
    ),
    7: (Reader, 1, (_TEXT, _TEXT, _TEXT, U8, _TEXT, _FLAG, _TEXT)),
    8: (Group, 1, (U16, _TEXT, (_TEXT, _TEXT, U8, U8, U16))),
    9: (Credential, 2, (U8, U64, U16, I64, I64, U8, U8, _TEXT, _TEXT)),
    10: (Panel, 1, (_TEXT, _TEXT, _TEXT, _TEXT)),
    11: (Display, 2, (_TEXT, _TEXT, _TEXT, U16, (U64, U16))),
    12: (Mode, 1, (_TEXT, _FLAG, _TEXT)),
    13: (Privacy, 0, (_FLAG,)),
}  # fmt: skip
SITE, OFFSET, HOLIDAY, SCHEDULE, AREA, DOOR, READER, GROUP, CREDENTIAL, PANEL, DISPLAY, MODE, PRIVACY = range(1, 14)
CREDENTIAL_KEY_SIZE = 10  # table, medium, number
_CREDENTIAL_OUTPUT = 30  # where the output's length stands, behind group, validity, state and flags
_NUMBER_OF = {TABLES[number][0].__name__: number for number in TABLES}
_FORMS = {kind: ">" + kind for kind in (U8, U16, U32, U64, I32, I64)}
_SIZES = {kind: struct.calcsize(_FORMS[kind]) for kind in _FORMS}
_BOUNDS = {
    U8: (0, 255), U16: (0, 65535), U32: (0, 4294967295), U64: (0, 18446744073709551615),
    I32: (-2147483648, 2147483647), I64: (-9223372036854775808, 9223372036854775807),
}  # fmt: skip


def pack(row):
    """The canonical bytes of a row value. RowError where a field does not fit."""
    number = _NUMBER_OF[type(row).__name__]
    kinds = TABLES[number][2]
    out = bytearray((number,))
    for i in range(len(kinds)):
        _pack_field(kinds[i], row[i], row, out)
    return bytes(out)


def unpack(data):
    """The row value of canonical bytes. RowError where they are not exactly one row of a known table."""
    if not data or data[0] not in TABLES:
        raise RowError("row of an unknown table: %s" % (data[0] if data else "empty"))
    row_type, _, kinds = TABLES[data[0]]
    values = []
    at = 1
    for kind in kinds:
        value, at = _unpack_field(kind, data, at)
        values.append(value)
    if at != len(data):
        raise RowError("%s row has %d bytes too many" % (row_type.__name__, len(data) - at))
    return row_type(*values)


def key_of(data):
    """The key of a packed row: its table number and key fields, packed."""
    if not data or data[0] not in TABLES:
        raise RowError("row of an unknown table: %s" % (data[0] if data else "empty"))
    _, keys, kinds = TABLES[data[0]]
    if data[0] == CREDENTIAL and len(data) >= CREDENTIAL_KEY_SIZE:
        return bytes(data[:CREDENTIAL_KEY_SIZE])  # nearly all rows are these
    at = 1
    for kind in kinds[:keys]:
        _, at = _unpack_field(kind, data, at)
    return bytes(data[:at])


def checked_key(data):
    """The key of a packed row that can be unpacked. RowError for any other."""
    if _is_credential(data):  # nearly all rows are these: looked at without unpacking, six times as fast
        return bytes(data[:CREDENTIAL_KEY_SIZE])
    unpack(data)
    return key_of(data)


def _is_credential(data):
    """Whether it is a credential's whole row, with its two texts at the end. False leaves it open."""
    if len(data) < _CREDENTIAL_OUTPUT + 4 or data[0] != CREDENTIAL:
        return False
    holder = _CREDENTIAL_OUTPUT + 2 + data[_CREDENTIAL_OUTPUT] * 256 + data[_CREDENTIAL_OUTPUT + 1]
    if len(data) < holder + 2 or len(data) != holder + 2 + data[holder] * 256 + data[holder + 1]:
        return False
    try:
        bytes(data[_CREDENTIAL_OUTPUT + 2 : holder]).decode()
        bytes(data[holder + 2 :]).decode()
    except ValueError:
        return False
    return True


def cut_credential(data):
    """(medium, number, what it shares with others: bytes) of a packed credential, without unpacking it: a million
    rows are cut where one unpack would take ten times as long. The row must be a credential's."""
    end = _CREDENTIAL_OUTPUT + 2
    if len(data) < end:
        raise RowError("row is cut short")
    end += data[_CREDENTIAL_OUTPUT] * 256 + data[_CREDENTIAL_OUTPUT + 1]
    return (
        data[1],
        int.from_bytes(data[2:CREDENTIAL_KEY_SIZE], "big"),
        bytes((data[1],)) + data[CREDENTIAL_KEY_SIZE:end],
    )


def describe(row):
    """A row's short name for people: its table and key."""
    keys = TABLES[_NUMBER_OF[type(row).__name__]][1]
    return "%s %s" % (type(row).__name__.lower(), " ".join(str(value) for value in row[:keys]))


def _pack_field(kind, value, row, out):
    if isinstance(kind, tuple) or isinstance(kind, list):
        inner = kind if isinstance(kind, tuple) else (kind[0],)
        if len(value) > 65535:
            raise RowError("%s: a list of %d entries is too long" % (describe(row), len(value)))
        out.extend(struct.pack(">H", len(value)))
        for entry in value:
            parts = entry if isinstance(kind, tuple) else (entry,)
            for i in range(len(inner)):
                _pack_field(inner[i], parts[i], row, out)
    elif kind == _TEXT or kind == _BYTES:
        raw = value.encode() if kind == _TEXT else value
        if len(raw) > 65535:
            raise RowError("%s: a text of %d bytes is too long" % (describe(row), len(raw)))
        out.extend(struct.pack(">H", len(raw)))
        out.extend(raw)
    elif kind == _FLAG:
        out.append(1 if value else 0)
    else:
        low, high = _BOUNDS[kind]
        if not low <= value <= high:
            raise RowError("%s: %d is outside %d to %d" % (describe(row), value, low, high))
        out.extend(struct.pack(">" + kind, value))


def _unpack_field(kind, data, at):
    if isinstance(kind, tuple) or isinstance(kind, list):
        count, at = _number("H", data, at)
        inner = kind if isinstance(kind, tuple) else (kind[0],)
        if all([part in _SIZES for part in inner]):
            return _unpack_numbers(inner, count, isinstance(kind, tuple), data, at)
        entries = []
        for _ in range(count):
            parts = []
            for part_kind in inner:
                value, at = _unpack_field(part_kind, data, at)
                parts.append(value)
            entries.append(tuple(parts) if isinstance(kind, tuple) else parts[0])
        return tuple(entries), at
    if kind == _TEXT or kind == _BYTES:
        length, at = _number("H", data, at)
        raw = bytes(data[at : at + length])
        if len(raw) != length:
            raise RowError("row is cut short")
        if kind == _BYTES:
            return raw, at + length
        try:
            return raw.decode(), at + length
        except ValueError:
            raise RowError("row has a text that is not UTF-8")  # noqa: B904 (no chaining on MicroPython)
    if kind == _FLAG:
        value, at = _number("B", data, at)
        if value > 1:
            raise RowError("row has a flag of %d" % value)
        return value == 1, at
    return _number(kind, data, at)


def _unpack_numbers(inner, count, are_tuples, data, at):
    """A list of numbers, or of tuples of numbers, at once."""
    form = ">" + "".join(inner) * count
    end = at + struct.calcsize(form)
    if end > len(data):
        raise RowError("row is cut short")
    flat = struct.unpack_from(form, data, at)
    width = len(inner)
    return tuple([flat[i : i + width] for i in range(0, len(flat), width)]) if are_tuples else flat, end


def _number(kind, data, at):
    form, end = _FORMS[kind], at + _SIZES[kind]
    if end > len(data):
        raise RowError("row is cut short")
    return struct.unpack_from(form, data, at)[0], end
