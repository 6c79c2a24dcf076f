"""What an event is called on pages: its kind, result and description, in the words of mission rows B16 and B17."""

from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_noop as _

from cloud_stub.passages import chaining
from edge.decision import reasons
from edge.decision.model import ALARM, DENIED, INFO, OPEN

# medium → kind. An event without a medium is something that the controller noticed.
KINDS = {
    "badge": gettext_lazy("Access by fob"),
    "remote": gettext_lazy("Access by remote"),
    "code": gettext_lazy("Access by code"),
    "phone": gettext_lazy("Access by telephone"),
    "mobile": gettext_lazy("Access by mobile"),
    "call": gettext_lazy("Call to resident"),
    "exit": gettext_lazy("Exit button"),
    "command": gettext_lazy("Command from the manager"),
    "schedule": gettext_lazy("Week type"),
    "": gettext_lazy("Controller"),
}

INCOMPLETE = "incomplete"  # a denial that is shown apart: the call reached nobody
RESULTS = {
    OPEN: gettext_lazy("Opening"),
    DENIED: gettext_lazy("Opening DENIED"),
    INCOMPLETE: gettext_lazy("Communication not completed"),
    ALARM: gettext_lazy("Alarm"),
    INFO: gettext_lazy("Information"),
}

# What is presented decides the word: "APass unknown", "Code unknown".
SUBJECTS = {
    "badge": _("APass"),
    "remote": _("Remote"),
    "code": _("Code"),
    "phone": _("Telephone"),
    "mobile": _("Mobile"),
}
DENIALS = {
    reasons.NOT_SECURE: _("the reader's line is not secure"),
    reasons.LEARNING: _("the reader is learning"),
    reasons.LOCKED_OUT: _("too many wrong codes"),
    reasons.LOCKDOWN: _("lockdown"),
    reasons.UNKNOWN: _("unknown"),
    reasons.LOST: _("declared lost"),
    reasons.DISABLED: _("disabled"),
    reasons.NOT_STARTED: _("not valid yet"),
    reasons.EXPIRED: _("expired"),
    reasons.NO_ACCESS: _("no access here"),
    reasons.CLOCK_UNTRUSTED: _("the clock is not trusted"),
    reasons.OUTSIDE_SCHEDULE: _("outside the week type"),
    reasons.CODE_NEEDED: _("a code is needed as well"),
    reasons.INTERLOCK: _("another door is open"),
    reasons.PASSBACK: _("already inside"),
    reasons.REFUSED: _("refused by the resident"),
    reasons.NOT_COMPLETED: _("nobody answered"),
    reasons.LOG_FAILURE: _("the event could not be recorded"),
}
ALARMS = {
    reasons.FORCED: _("Door forced"),
    reasons.HELD: _("Door held open"),
    reasons.TAMPER: _("Tampering"),
    reasons.DURESS: _("Opened under duress"),
    reasons.LOCKOUT: _("Keypad locked after wrong codes"),
    reasons.LOG: _("The log cannot be written"),
    reasons.READER: _("Reader trouble"),
    reasons.LINE: _("Line trouble"),
    reasons.AGENT: _("The controller's program failed"),
    reasons.CLOCK: _("Clock trouble"),
    reasons.PASSBACK: _("Entered twice"),
}
INFOS = {
    "door-opened": _("Door opened"),
    "door-closed": _("Door closed"),
    "reader-online": _("Reader on line"),
    "reader-power": _("Reader's power"),
    "reader-moved": _("Reader's address or speed changed"),
    "reader-paired": _("Reader paired"),
    "reader-not-paired": _("Reader not paired"),
    "pairing-opened": _("Pairing window opened"),
    "rekey-begun": _("Reader's key is being changed"),
    "standing-open": _("Door stands open by its week type"),
    "standing-over": _("Door locks again by its week type"),
    "tamper-over": _("Tampering over"),
    "lockout-over": _("Keypad free again"),
    "exit-unknown-door": _("Exit button of an unknown door"),
    "clock-trusted": _("Clock trusted again"),
    "policy": _("New policy in force"),
    "policy-refused": _("A policy was refused"),
    "started": _("Controller started"),
    "log-recovered": _("The log is written again"),
    "hold": _("Held open"),
    "release": _("Hold ended"),
    "lockdown": _("Lockdown"),
    "forgive": _("Passback forgiven"),
}

# What is wrong with a controller's log: passages.chaining.
CHAIN = {
    chaining.BROKEN: _("events were changed before they came here"),
    chaining.UNCHAINED: _("events come without proof"),
    chaining.ANEW: _("the proof of events began anew"),
    chaining.UNSEALED: _("events cannot be checked: their key is not for us"),
    chaining.LOST: _("the controller has lost events"),
    chaining.TRUNCATED: _("the controller had more events than it has now"),
    chaining.HEAD: _("the controller's acknowledged events are not those that came here"),
    chaining.FORK: _("events came again with another content"),
}


def chain_alarm(found: str) -> str:
    """What is wrong with a log; a kind that we do not know is shown as it is."""
    return gettext(CHAIN[found]) if found in CHAIN else found


def kind(medium: str) -> str:
    """The kind of an event; a medium that we do not know is shown as it came."""
    return str(KINDS.get(medium, medium))


def result_key(result: str, reason: str) -> str:
    """A key of RESULTS."""
    return INCOMPLETE if (result, reason) == (DENIED, reasons.NOT_COMPLETED) else result


def describe(medium: str, result: str, reason: str) -> str:
    """Why, in one phrase; "" where the result says it all; a reason that we do not know is shown as it came."""
    if result == DENIED:
        why = gettext(DENIALS[reason]) if reason in DENIALS else reason
        if medium in SUBJECTS:
            return gettext("%(subject)s: %(why)s") % {"subject": gettext(SUBJECTS[medium]), "why": why}
        return why[:1].upper() + why[1:]
    if result == OPEN and not reason:
        return ""
    table = ALARMS if result == ALARM else INFOS
    return gettext(table[reason]) if reason in table else reason
