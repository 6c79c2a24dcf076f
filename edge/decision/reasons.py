"""Why a passage was refused, and which alarms exist: stable words, in the order in which they are checked.

Portable: runs on CPython and MicroPython. The words travel in events, on the wire and in day files; never rename one.
Source: examples/README.md, "Reasons of a denial".
"""

NOT_SECURE = "not-secure"  # the reader's channel is not
LEARNING = "learning"  # the reader is being used to commission
LOCKED_OUT = "locked-out"
LOCKDOWN = "lockdown"
UNKNOWN = "unknown"
LOST = "lost"
DISABLED = "disabled"
NOT_STARTED = "not-started"
EXPIRED = "expired"
NO_ACCESS = "no-access"  # door, output, medium or button
CLOCK_UNTRUSTED = "clock-untrusted"  # a date or schedule would have to be read
OUTSIDE_SCHEDULE = "outside-schedule"
CODE_NEEDED = "code-needed"  # a badge at a door that now asks for badge and code
INTERLOCK = "interlock"
PASSBACK = "passback"

LADDER = (
    NOT_SECURE, LEARNING, LOCKED_OUT, LOCKDOWN, UNKNOWN, LOST, DISABLED, NOT_STARTED, EXPIRED, NO_ACCESS,
    CLOCK_UNTRUSTED, OUTSIDE_SCHEDULE, CODE_NEEDED, INTERLOCK, PASSBACK,
)  # fmt: skip

# Of a call to a resident.
REFUSED = "refused"
NOT_COMPLETED = "not-completed"

# After the fact, where a door denies when its log cannot be written.
LOG_FAILURE = "log-failure"

DENIALS = LADDER + (REFUSED, NOT_COMPLETED, LOG_FAILURE)

FORCED = "forced"
HELD = "held"
TAMPER = "tamper"
DURESS = "duress"
LOCKOUT = "lockout"
LOG = "log"
READER = "reader"
LINE = "line"
AGENT = "agent"
CLOCK = "clock"
# PASSBACK is an alarm's kind too: a soft area that was entered twice.

ALARMS = (FORCED, HELD, TAMPER, DURESS, LOCKOUT, LOG, READER, LINE, AGENT, CLOCK, PASSBACK)
