"""The words of the page that draws doors, in English and French: what events are called, and what the page says.

The same words as on the cloud's pages where both say the same; neither may import the other.
"""

import gettext
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.decision import reasons
from edge.decision.model import ALARM, DENIED, INFO, OPEN
from edge.translations import catalogue

SOURCE = Path(__file__).parent / "locale"
DOMAIN = "door"
LANGUAGES = {"en": "English", "fr": "Français"}

RESULTS = {OPEN: "Opening", DENIED: "Opening DENIED", ALARM: "Alarm", INFO: "Information"}
MEDIA = {
    "badge": "Badge",
    "remote": "Remote",
    "code": "Code",
    "phone": "Telephone",
    "mobile": "Mobile",
    "call": "Call to resident",
    "exit": "Exit button",
    "command": "Command from the manager",
    "schedule": "Week type",
}
DENIALS = {
    reasons.NOT_SECURE: "the reader's line is not secure",
    reasons.LEARNING: "the reader is learning",
    reasons.LOCKED_OUT: "too many wrong codes",
    reasons.LOCKDOWN: "lockdown",
    reasons.UNKNOWN: "unknown",
    reasons.LOST: "declared lost",
    reasons.DISABLED: "disabled",
    reasons.NOT_STARTED: "not valid yet",
    reasons.EXPIRED: "expired",
    reasons.NO_ACCESS: "no access here",
    reasons.CLOCK_UNTRUSTED: "the clock is not trusted",
    reasons.OUTSIDE_SCHEDULE: "outside the week type",
    reasons.CODE_NEEDED: "a code is needed as well",
    reasons.INTERLOCK: "another door is open",
    reasons.PASSBACK: "already inside",
    reasons.REFUSED: "refused by the resident",
    reasons.NOT_COMPLETED: "nobody answered",
    reasons.LOG_FAILURE: "the event could not be recorded",
}
ALARMS = {
    reasons.FORCED: "Door forced",
    reasons.HELD: "Door held open",
    reasons.TAMPER: "Tampering",
    reasons.DURESS: "Opened under duress",
    reasons.LOCKOUT: "Keypad locked after wrong codes",
    reasons.LOG: "The log cannot be written",
    reasons.READER: "Reader trouble",
    reasons.CLOCK: "Clock trouble",
    reasons.PASSBACK: "Entered twice",
    reasons.LINE: "Line trouble",
    reasons.AGENT: "The controller's program failed",
}
INFOS = {
    "door-opened": "Door opened",
    "door-closed": "Door closed",
    "reader-online": "Reader on line",
    "reader-power": "Reader's power",
    "standing-open": "Door stands open by its week type",
    "standing-over": "Door locks again by its week type",
    "tamper-over": "Tampering over",
    "lockout-over": "Keypad free again",
    "clock-trusted": "Clock trusted again",
    "policy": "New policy in force",
    "started": "Controller started",
    "log-recovered": "The log is written again",
    "hold": "Held open",
    "release": "Hold ended",
    "lockdown": "Lockdown",
    "forgive": "Passback forgiven",
}

# What the page's script says; index.html has the rest.
OF_THE_SCRIPT = (
    "Locked", "Unlocked", "not simulated here", "open", "closed", "held open",
    "unplugged", "off line", "secure channel", "waits to be paired", "connected",
    "off", "red", "green", "amber", "blue", "magenta", "cyan", "white",
    "Light: %s", "In", "Out", "Keypad", "Radio receiver", "GSM modem", "Call panel", "Reader: %s",
    "Present this badge", "Call from this telephone", "Ring at the door", "Button %s",
    "Answer", "Refuse", "Hang up", "rings", "talking",
    "lost", "disabled", "stock", "Unknown badge", "a stranger's", "Search for a name or a number",
    "%s more: search for a name or a number", "Nothing found.", "Nothing has happened yet.",
    "No agent listens.", "%s does not answer.", "The page lost its simulator; it keeps trying.",
    "It does not give: the strike is locked.",
)  # fmt: skip


def translator(language: str) -> Callable[[str], str]:
    """English text → the language's; English for a language that is not there."""
    path = SOURCE / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    known: gettext.NullTranslations = catalogue(path) if language in LANGUAGES and path.exists() else _ENGLISH
    return known.gettext


_ENGLISH = gettext.NullTranslations()


def preferred(accept_language: str) -> str:
    """The language that a browser likes best of those that are there (RFC 9110, 12.5.4), else English."""
    wanted = []
    for number, part in enumerate(accept_language.split(",")):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        wanted.append((-weight, number, name.split("-")[0].strip().lower()))
    return next((name for weight, _, name in sorted(wanted) if weight and name in LANGUAGES), "en")


def describe(event: dict[str, Any], name: str, say: Callable[[str], str]) -> dict[str, Any]:
    """What the page shows of an event of the agent's local API; `name`: whose credential it is, "" where unknown."""
    result, reason, medium = event["result"], event["reason"], event["medium"]
    why = ""
    if result == DENIED:
        why = say(DENIALS.get(reason, reason))
    elif result == ALARM:
        why = say(ALARMS.get(reason, reason))
    elif reason:
        why = say(INFOS.get(reason, reason))
    number = "" if medium == "code" else event["credential"]
    return {
        "seq": event["seq"],
        "at_ms": event["at_ms"],
        "door": event["door"],
        "reader": event["reader"],
        "result": result,
        "reason": reason,
        "said": say(RESULTS.get(result, result)),
        "why": why,
        "by": say(MEDIA.get(medium, medium)) if medium else "",
        "who": name,
        "number": number,
        "output": event["output"],
    }
