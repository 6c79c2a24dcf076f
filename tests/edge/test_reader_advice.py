"""What a reader's state means, and what is said to do: a row for each thing that an installer meets."""

import pytest

from edge.inspection.reader_advice import Scanned, judge
from edge.reader.osdp.scan import Found

WELL = {
    "reader": "lobby", "address": 3, "port": "/dev/ttyUSB0", "port_trouble": "", "noise_bytes": 0, "state": "secure",
    "online": True, "secure": True, "ready": True, "paired": True, "trouble": "", "key_change": None,
    "vendor": "feca00", "model": "2.1", "firmware": "1.2.3",
    "polls": 1000, "time_outs": 0, "bad_frames": 0, "ignored_frames": 0, "last_card_s": None,
}  # fmt: skip
CLEAR = {**WELL, "state": "clear", "secure": False, "ready": False}
AWAY = {**CLEAR, "state": "offline", "online": False, "trouble": "no answer", "polls": 0}
PAIR = "vantail reader pair lobby"


def found(address=3, baud=115200, waits=False, twice=False, channel=True):
    return Found(address, baud, "feca00", "2.1", "1.2.3", "00001234", channel, waits, twice)


def scanned(*readers, garbled=(), strangers=(), missing=1):
    return Scanned(readers, frozenset(garbled), strangers, missing)


@pytest.mark.parametrize(
    ("reader", "scan", "ok", "said", "advice"),
    [
        (WELL, None, True, "secure, vendor feca00 model 2.1 firmware 1.2.3", ""),
        (WELL, scanned(found()), True, "secure", ""),
        ({**WELL, "ready": False}, None, True, "secure; hands over", ""),
        ({**WELL, "bad_frames": 11}, None, False, "11 of its 1000 answers could not be read", "120 ohm at both ends"),
        ({**WELL, "bad_frames": 9}, None, True, "secure", ""),
        ({**WELL, "noise_bytes": 40}, None, False, "40 stray bytes", "bias resistors"),
        ({**WELL, "ignored_frames": 900}, None, False, "two readers answer at address 3", "unplug one of them"),
        ({**WELL, "ignored_frames": 50}, None, True, "secure", ""),
        (CLEAR, scanned(found(twice=True)), False, "two readers answer at address 3", "another address"),
        ({**WELL, "port_trouble": "port /dev/x does not exist"}, None, False, "port /dev/x does not exist", ""),
        ({**WELL, "key_change": "KEYSET sent"}, None, False, "is given a new key", "look again"),
        ({**CLEAR, "trouble": "no secure channel: the reader has another key"}, None, False,
         "no secure channel: it has another key", f"pair it again with `{PAIR}`"),
        ({**CLEAR, "trouble": "no secure channel: the reader has another key"}, scanned(found(waits=True)), False,
         "waits in install mode", f"pair it with `{PAIR}`"),
        ({**CLEAR, "trouble": "no secure channel: the reader has only the default key"}, None, False,
         "waits in install mode", PAIR),
        ({**CLEAR, "paired": False, "trouble": "not paired: it has no key yet"}, None, False,
         "not paired: this controller has no key", PAIR),
        ({**CLEAR, "trouble": "no secure channel: the reader says that it has none"}, None, False,
         "no secure channel: the reader says that it has none", "update its firmware or replace it"),
        (AWAY, scanned(found(channel=False)), False, "says that it has none", "replace it"),
        ({**CLEAR, "trouble": "no secure channel: the reader's first MAC is wrong"}, None, False,
         "first MAC is wrong", PAIR),
        ({**AWAY, "trouble": "no secure channel: the reader has another key"}, None, False,
         "no secure channel: it has another key", PAIR),
        (AWAY, None, False, "not there", "sudo systemctl stop vantail"),
        (AWAY, None, False, "not there", "A and B are not swapped"),
        (AWAY, scanned(), False, "not there", "its 12 V supply"),
        (AWAY, scanned(), False, "not there", "vantail reader scan"),
        (AWAY, scanned(found(baud=9600)), False, "at 9600 baud only, agent.toml says 115200", "set baud = 9600"),
        (AWAY, scanned(found(baud=9600)), False, "answers at 9600 baud only", "pair it again"),
        (AWAY, scanned(found(baud=9600), found(1)), False, "answers at 9600 baud only", "115200 baud like the others"),
        (AWAY, scanned(found(5), strangers=(5,)), False, "at address 5, agent.toml says 3", "write address = 5"),
        (AWAY, scanned(found(5), strangers=(5,), missing=2), False, "address 5", "one of them may be it"),
        (AWAY, scanned(found(5), found(6), strangers=(5, 6)), False, "address 5 and 6", "unplug the others"),
        (AWAY, scanned(garbled=[(115200, 3)]), False, "something answers at address 3", "unplug all but one"),
        (AWAY, scanned(garbled=[(9600, 3)]), False, "not there", ""),
    ],
)  # fmt: skip
def test_what_is_said(reader, scan, ok, said, advice):
    """Found and advice of each case; nobody who is well is told to do anything."""
    verdict = judge(reader, 115200, scan)
    assert verdict.ok is ok
    assert said in verdict.found
    assert advice in verdict.advice
    assert verdict.ok or verdict.word
    assert "\n" not in verdict.found + verdict.advice
