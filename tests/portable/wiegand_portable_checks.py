"""The Wiegand decoder's and keypads' checks that also run on MicroPython: no pytest, no typing.

Run as a script with the project's root as its argument; prints what it found, then "ok" and the number of checks.
"""

import sys

sys.path.insert(0, sys.argv[1])

from edge.reader import wiegand, wired_keypad

MS = 1000000
checks = 0


def check(holds, what):
    global checks
    checks += 1
    if not holds:
        raise AssertionError(what)


def feed(decoder, text, at_ns, period_ns=2 * MS):
    """Pulses for a string of 0 and 1; the word that is over 40 ms later."""
    found = []
    for at in range(len(text)):
        found.append(decoder.edge(int(text[at]), at_ns + at * period_ns))
    found.append(decoder.quiet(at_ns + (len(text) - 1) * period_ns + 40 * MS))
    return [word for word in found if word is not None]


def check_words():
    decoder = wiegand.Decoder()
    text = "10110010110100111010011010"
    [word] = feed(decoder, text, 5000 * MS)
    check((word.bits, word.value) == (26, int(text, 2)), "26 bits")
    check(word.at_ns == 5050 * MS, "the last pulse")
    for bits in (1, 4, 8, 48, 64):
        [word] = feed(decoder, "1" * bits, (6000 + 1000 * bits) * MS)
        check(word.value == (1 << bits) - 1, "all ones")
    check(feed(decoder, "0" * 65, 90000 * MS) == [], "too many")
    check(decoder.refused["overlong"] == 1, "counted")
    check(decoder.due_ns is None, "nothing under way")


def check_faults():
    decoder = wiegand.Decoder()
    check(feed(decoder, "1010", MS, 99000) == [] and decoder.refused["glitch"] == 1, "too fast")
    check(len(feed(decoder, "1010", 1000 * MS, 100000)) == 1, "as fast as may be")
    check(len(feed(decoder, "1010", 2000 * MS, 22 * MS)) == 1, "as slow as may be")
    check(feed(decoder, "1010", 3000 * MS, 22 * MS + 1) == [] and decoder.refused["slow"] == 1, "too slow")
    decoder.edge(1, 4000 * MS)
    decoder.lost(4001 * MS)
    check(decoder.quiet(4041 * MS) is None and decoder.refused["lost"] == 1, "lost")
    # The two lines' interrupts told out of order.
    decoder.edge(0, 5002 * MS)
    decoder.edge(1, 5000 * MS)
    check(decoder.quiet(5042 * MS)[:2] == (2, 2), "sorted")


def check_keys():
    four, eight = wired_keypad.FORMATS["4"], wired_keypad.FORMATS["8"]
    keys = [wired_keypad.keys_of(four, 4, nibble, 0, 0) for nibble in range(16)]
    check(keys == list("0123456789*#") + [""] * 4, "4 bits")
    good = {}
    for byte in range(256):
        key = wired_keypad.keys_of(eight, 8, byte, 0, 0)
        if key:
            good[byte] = key
    check(good[0xF0] == "0" and good[0x69] == "9" and good[0x5A] == "*" and good[0x4B] == "#", "8 bits, literally")
    check(len(good) == 12, "twelve of 256")
    check(wired_keypad.keys_of(eight, 4, 5, 0, 0) is None, "not its length")
    bcd, binary = wired_keypad.FORMATS["26-bcd"], wired_keypad.FORMATS["26-binary"]
    check(wired_keypad.keys_of(bcd, 26, 0x012345, 0, 0) == "012345#", "six digits")
    check(wired_keypad.keys_of(bcd, 26, 0x01234A, 0, 0) == "", "no digit")
    check(wired_keypad.keys_of(binary, 26, 7 << 16 | 42, 7, 4) == "0042#", "zeros given back")
    check(wired_keypad.keys_of(binary, 26, 7 << 16 | 42, 7, 0) == "42#", "as many as there are")
    check(wired_keypad.keys_of(binary, 26, 7 << 16 | 42000, 7, 4) == "", "more than it can send")
    check(wired_keypad.keys_of(binary, 26, 8 << 16 | 42, 7, 4) is None, "a card")


check_words()
check_faults()
check_keys()
print("ok", checks)
