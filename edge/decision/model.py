"""The values that the decision core takes and gives: moments, inputs, outputs, events.

Portable: runs on CPython and MicroPython, so value types are namedtuple subclasses whose bare annotations give
the types. Times are milliseconds: `mono_ms` on the monotonic clock, `utc_ms` since 1970-01-01T00:00:00Z.
"""

from collections import namedtuple

# What a person presents. A credential is known by (medium, number); numbers are unsigned, at most 64 bits.
BADGE = 1  # number: the card's data bits, parity removed
REMOTE = 2  # number: the transmitter's; a button 1-4 goes with it
CODE = 3  # number: the first 8 bytes, big-endian, of HMAC-SHA256(code key, digits in ASCII); never the digits
PHONE = 4  # number: E.164 digits without "+" or "00"
MOBILE = 5  # number: as the cloud gives it

MEDIUM_WORDS = {BADGE: "badge", REMOTE: "remote", CODE: "code", PHONE: "phone", MOBILE: "mobile"}
MEDIUM_OF_WORD = {"badge": BADGE, "remote": REMOTE, "code": CODE, "phone": PHONE, "mobile": MOBILE}

# Results of an event.
OPEN = "open"
DENIED = "denied"
ALARM = "alarm"  # `reason` is the alarm's kind, one of reasons.ALARMS
INFO = "info"  # `reason` says what happened: door-opened, reader-online, policy, started, …

# Durations of a Strike that are not a pulse.
LOCK = 0
HOLD = -1


class Moment(namedtuple("Moment", ("mono_ms", "utc_ms", "trusted", "floor_ms"))):
    """Now. `trusted`: wall time was vouched for in this boot. `floor_ms`: the earliest that utc can be, proven."""

    __slots__ = ()
    mono_ms: int
    utc_ms: int
    trusted: bool
    floor_ms: int


# --- inputs: what happened ------------------------------------------------------------------------------------


class Presented(namedtuple("Presented", ("reader", "door", "medium", "number", "button", "secure"))):
    """A credential at a reader, or at a door where the medium needs no reader (then `reader` is "").
    `number` None: nothing that could be a credential (bad parity, unknown format). `button`: 1-4 of a remote,
    else 0. `secure` False: the reader's channel is not, so nothing may open."""

    __slots__ = ()
    reader: str
    door: str
    medium: int
    number: "int | None"
    button: int
    secure: bool


class ExitPressed(namedtuple("ExitPressed", ("door",))):
    """The exit button (REX)."""

    __slots__ = ()
    door: str


class Contact(namedtuple("Contact", ("door", "is_open"))):
    """The door position switch changed (already debounced)."""

    __slots__ = ()
    door: str
    is_open: bool


class Tamper(namedtuple("Tamper", ("source", "door", "is_on"))):
    """A tamper switch changed. `source`: reader id, or "" for the cabinet."""

    __slots__ = ()
    source: str
    door: str
    is_on: bool


class ReaderLine(namedtuple("ReaderLine", ("reader", "is_online", "detail"))):
    """A reader came on line (secured) or went away."""

    __slots__ = ()
    reader: str
    is_online: bool
    detail: str


class ReaderAlarm(namedtuple("ReaderAlarm", ("reader", "detail"))):
    """A reader's line did what an attack would do."""

    __slots__ = ()
    reader: str
    detail: str


class LineAlarm(namedtuple("LineAlarm", ("door", "detail"))):
    """A relay board or a line does not do what it should; `door` "" where it serves several."""

    __slots__ = ()
    door: str
    detail: str


class CallStarted(namedtuple("CallStarted", ("door", "call_code"))):
    """A visitor asked at a door's panel for the resident behind `call_code`."""

    __slots__ = ()
    door: str
    call_code: str


class CallProgress(namedtuple("CallProgress", ("door", "what", "key"))):
    """Of the running call: `what` is "answered", "refused", "ended" or "key" (then `key` is the key pressed)."""

    __slots__ = ()
    door: str
    what: str
    key: str


class Command(namedtuple("Command", ("action", "door", "until_ms", "who"))):
    """From the manager, verified: "open", "hold" (until utc `until_ms`), "unhold", "lockdown", "release" (ends both),
    "forgive". `door` "" means every door of this controller."""

    __slots__ = ()
    action: str
    door: str
    until_ms: int
    who: str


class PolicyReplaced(namedtuple("PolicyReplaced", ("index",))):
    """A new policy, verified, stored and compiled, takes over. `index`: decision.index.Index."""

    __slots__ = ()


class Started(namedtuple("Started", ("kept", "detail"))):
    """The first input after a start. `kept`: {name: bytes}, everything that Keep outputs asked to keep."""

    __slots__ = ()


class LogTrouble(namedtuple("LogTrouble", ("door", "detail"))):
    """Events could not be written (`detail` says why): the log alarm goes up once until LogRecovered."""

    __slots__ = ()


class LogAlarm(namedtuple("LogAlarm", ("detail",))):
    """The log or the policy's file is not as it was left, or fills up: an alarm each time."""

    __slots__ = ()
    detail: str


class AgentAlarm(namedtuple("AgentAlarm", ("detail",))):
    """The agent itself did what it should not: it ended without being told to."""

    __slots__ = ()
    detail: str


class LogRecovered(namedtuple("LogRecovered", ("late",))):
    """The log is written again; `late` events were recorded late."""

    __slots__ = ()


class Noted(namedtuple("Noted", ("what", "door", "reader", "detail"))):
    """Something that the rim wants in the log and that changes nothing at a door."""

    __slots__ = ()


class LearningReader(namedtuple("LearningReader", ("reader", "outcome"))):
    """The reader is out of use while it learns a commissioning key, and shows the lasting `outcome`; "" = it works
    again."""

    __slots__ = ()
    reader: str
    outcome: str


class PasswordAlarm(namedtuple("PasswordAlarm", ("detail",))):
    """Somebody guesses the controller's password."""

    __slots__ = ()
    detail: str


class Tick(namedtuple("Tick", ())):
    """Nothing happened but time; run what is due."""

    __slots__ = ()


# --- outputs: what shall happen, performed in order -----------------------------------------------------------


class Event(
    namedtuple(
        "Event",
        ("at_ms", "trusted", "door", "reader", "medium", "credential", "result", "reason", "output", "detail"),
    )
):
    """One line of the log. `medium`: a word of MEDIUM_WORDS, or "call", "exit", "command", "schedule", "".
    `credential`: its number, or None. `output`: the output that moved, "exit" for an exit button, else "".
    `detail`: at most 80 characters for people (call code, button, who commanded)."""

    __slots__ = ()
    at_ms: int
    trusted: bool
    door: str
    reader: str
    medium: str
    credential: "int | None"
    result: str
    reason: str
    output: str
    detail: str


class Record(namedtuple("Record", ("event",))):
    """Make `event` durable before what follows is performed."""

    __slots__ = ()
    event: Event


class Strike(namedtuple("Strike", ("door", "output", "ms"))):
    """Unlock a door's output for `ms`, or LOCK it, or HOLD it unlocked. A LOCK follows each pulse when it is due."""

    __slots__ = ()
    door: str
    output: str
    ms: int


class Indicate(namedtuple("Indicate", ("reader", "outcome"))):
    """Show and sound `outcome`, a key of indications.TABLE, at a reader."""

    __slots__ = ()
    reader: str
    outcome: str


class Dial(namedtuple("Dial", ("door", "panel", "number", "delay_s"))):
    """Call `number` (E.164 digits) for a visitor; hang up after `delay_s` unless answered (a HangUp follows then)."""

    __slots__ = ()


class HangUp(namedtuple("HangUp", ("door", "panel"))):
    """End the panel's call."""

    __slots__ = ()


class Keep(namedtuple("Keep", ("name", "value"))):
    """Keep `value` (bytes; empty: forget) under `name` across restarts."""

    __slots__ = ()
    name: str
    value: bytes
