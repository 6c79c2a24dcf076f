"""What a reader's state means for the person at the door, and what to do about it: facts in, one line out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edge.reader.osdp.scan import Found

MOST_BAD = 0.01  # of the exchanges: more bad frames, or more stray bytes, say that the line is disturbed
FEW = 10  # so many may come from plugging something in
TWICE = 0.1  # of the exchanges with a second answer: two readers at one address

_CABLE = "check its cable, that A and B are not swapped, and its 12 V supply"
_ABOUT_KEYS = ("no secure channel", "not paired")  # troubles of one that answers, also between two of its tries
_DISTURBED = "120 ohm at both ends of the line and nowhere else, GND along with A and B, no branches, fewer metres"


class Verdict(NamedTuple):
    """`word`: for a table. `found`: what was seen. `advice`: what to do, "" where nothing is to be done."""

    ok: bool
    word: str
    found: str
    advice: str = ""


class Scanned(NamedTuple):
    """What a scan of the reader's line brought, where there was one. `found`: everybody who answered, at any speed;
    `garbled`: (baud, address) where something came that cannot be read; `strangers`: addresses at the line's own speed
    that agent.toml does not have; `missing`: how many of its readers answered at no speed."""

    found: Sequence[Found]
    garbled: frozenset[tuple[int, int]]
    strangers: Sequence[int]
    missing: int


def judge(reader: Mapping[str, Any], baud: int, scanned: Scanned | None = None) -> Verdict:
    """`reader`: one dict of Bus.status(). `baud`: the line's, as agent.toml has it."""
    if reader["port_trouble"]:
        return Verdict(False, "no port", reader["port_trouble"])
    if reader["key_change"] is not None:
        return Verdict(False, "pairing", f"is given a new key: {reader['key_change']}", "look again when that is over")
    here = _here(reader, baud, scanned)
    if _answers_twice(reader, here):
        advice = "unplug one of them and give it another address with its maker's tool"
        return Verdict(False, "two of them", f"two readers answer at address {reader['address']}", advice)
    if reader["ready"]:
        return _judge_line(reader)
    if reader["secure"]:
        return Verdict(True, "secure", "secure; hands over what it kept from before, which opens nothing")
    if reader["online"] or here is not None or reader["trouble"].startswith(_ABOUT_KEYS):
        return _judge_key(reader, here)
    return _judge_absence(reader, baud, scanned)


def _here(reader: Mapping[str, Any], baud: int, scanned: Scanned | None) -> Found | None:
    if scanned is None:
        return None
    return next((one for one in scanned.found if (one.address, one.baud) == (reader["address"], baud)), None)


def _answers_twice(reader: Mapping[str, Any], here: Found | None) -> bool:
    surplus = reader["ignored_frames"]
    return (here is not None and here.answers_twice) or (surplus > FEW and surplus > TWICE * reader["polls"])


def _judge_line(reader: Mapping[str, Any]) -> Verdict:
    """On line: how good the line is."""
    said = f"secure, vendor {reader['vendor']} model {reader['model']} firmware {reader['firmware']}"
    limit = max(FEW, MOST_BAD * reader["polls"])
    if reader["bad_frames"] > limit:
        share = f"{reader['bad_frames']} of its {reader['polls']} answers could not be read"
        return Verdict(False, "disturbed", f"{said}; {share}", f"the line is disturbed: {_DISTURBED}")
    if reader["noise_bytes"] > limit:
        advice = f"give the line its bias resistors at one end, and {_DISTURBED}"
        return Verdict(False, "noise", f"{said}; {reader['noise_bytes']} stray bytes between the answers", advice)
    return Verdict(True, "secure", said)


def _judge_key(reader: Mapping[str, Any], here: Found | None) -> Verdict:
    """It answers, and has no secure channel with us."""
    name, trouble = reader["reader"], reader["trouble"]
    pair = f"`vantail reader pair {name}`"
    if (here is not None and here.waits_for_key) or "default key" in trouble:
        return Verdict(
            False, "install mode", "waits in install mode", f"pair it with {pair}, on a cable that is in sight"
        )
    if "has none" in trouble or (here is not None and here.has_secure_channel is False):
        found = "no secure channel: the reader says that it has none"
        return Verdict(
            False, "no channel", found, "update its firmware or replace it: without one no card of it counts"
        )
    if not reader["paired"]:
        advice = f"set it to install mode (its manual says how), then {pair}"
        return Verdict(False, "not paired", "not paired: this controller has no key for it yet", advice)
    if "another key" in trouble:
        advice = f"pair it again with {pair}, once it is reset to install mode (its manual says how)"
        return Verdict(False, "other key", "no secure channel: it has another key", advice)
    if trouble and trouble != "no answer":
        return Verdict(False, "not secure", trouble, f"look again in a minute; then pair it again with {pair}")
    return Verdict(False, "begins", "answers, and has no session yet", "look again in a minute")


def _judge_absence(reader: Mapping[str, Any], baud: int, scanned: Scanned | None) -> Verdict:
    """Nobody answers where it should."""
    address = reader["address"]
    if scanned is None:
        advice = f"{_CABLE}; to have other speeds and addresses tried: sudo systemctl stop vantail, then doctor again"
        said = "" if reader["trouble"] in ("", "no answer") else f" ({reader['trouble']})"
        return Verdict(False, "not there", f"not there{said}", advice)
    if (baud, address) in scanned.garbled:
        advice = f"two readers with one address, or a disturbed line: unplug all but one; {_DISTURBED}"
        return Verdict(False, "garbled", f"something answers at address {address} that cannot be read", advice)
    elsewhere = [one.baud for one in scanned.found if one.address == address and one.baud != baud]
    if elsewhere:
        return _other_speed(baud, elsewhere[0], any(one.baud == baud for one in scanned.found))
    if len(scanned.strangers) == scanned.missing == 1:
        at = scanned.strangers[0]
        advice = f"write address = {at} in agent.toml, or give the reader address {address} with its maker's tool"
        return Verdict(False, f"at address {at}", f"at address {at}, agent.toml says {address}", advice)
    if scanned.strangers:
        said = " and ".join(map(str, scanned.strangers))
        advice = "one of them may be it: unplug the others to see which, then correct its address in agent.toml"
        return Verdict(False, "not there", f"not there, but agent.toml does not know who is at address {said}", advice)
    advice = f"{_CABLE}; `vantail reader scan` looks at every address and speed"
    return Verdict(False, "not there", "not there", advice)


def _other_speed(baud: int, its: int, others_are_here: bool) -> Verdict:
    found = f"answers at {its} baud only, agent.toml says {baud}"
    if others_are_here:  # one line has one speed
        advice = f"give it {baud} baud like the others with its maker's tool, or set baud = {its} and them to it"
    else:
        advice = f"set baud = {its}, or give the reader {baud} baud with its maker's tool and pair it again"
    return Verdict(False, f"{its} baud", found, advice)
