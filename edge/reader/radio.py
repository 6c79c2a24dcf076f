"""A radio receiver on two Wiegand lines: transmitters' words to (number, button), once a press. Sans-io.

The receiver knows the radio side: whether a transmission may be believed (rolling code) is decided there, and a
transmitter with a fixed code can be copied. The line from it runs inside the wall. Formats are data.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from edge.reader import card_format
from edge.reader.wiegand import DEFAULT, Decoder, Limits, Word

HELD_NS = 500_000_000  # transmitters repeat several times a second for as long as the button is held
MOST_HELD = 16


@dataclass(frozen=True, slots=True)
class RemotePressed:
    """A transmitter's button 1 to 4 was pressed. `number`: the transmitter's, unsigned, at most 64 bits."""

    reader: str
    number: int
    button: int


class RadioFormat(NamedTuple):
    """Words of `bits` bits. `parity`: the card format whose parity bits frame them, or "" for none; what follows
    counts in the bits that are left, bit 0 sent last. `number_bits` of number from bit `number_low`; the button
    from bit `button_low`: one bit each, the first button's highest (`one_hot`), or a number from 0 in two bits. Bits
    of `fixed_mask` are always `fixed`."""

    bits: int
    parity: str
    number_low: int
    number_bits: int
    button_low: int
    one_hot: bool
    fixed_mask: int
    fixed: int


FORMATS = {
    # Four buttons, then the transmitter's number. Nothing but the one button bit checks them.
    "36": RadioFormat(36, "", 0, 32, 32, True, 0, 0),
    "44": RadioFormat(44, "", 0, 40, 40, True, 0, 0),
    # 26 bits with site code 1 in six bits, two bits of channel A to D, a number of 16 (Cardin RCQ504W00, mode 3).
    "26-channel": RadioFormat(26, "26", 0, 16, 16, False, 0xFC0000, 0x040000),
}


class RadioReceiver:
    """One receiver. `decoder` takes its pulses; `read` makes values of the words. KeyError: no such format."""

    def __init__(self, reader: str, format_name: str, limits: Limits = DEFAULT) -> None:
        self.reader = reader
        self.decoder = Decoder(limits)
        self._format = FORMATS[format_name]
        self._held: dict[tuple[int, int], int] = {}
        self.presses = 0
        self.repeats = 0
        self.refused = {"length": 0, "parity": 0, "button": 0, "number": 0}
        self.last_refused = ""

    def read(self, word: Word) -> list[RemotePressed]:
        """The press that a word begins: nothing for one that is refused or that repeats a press. A repetition within
        HELD_NS of the last one belongs to the same press, however long the button is held."""
        seen = _read(self._format, word)
        if isinstance(seen, str):
            self.refused[seen] += 1
            self.last_refused = f"{word.bits} bits: wrong {seen}"
            return []
        self._held = {press: at_ns for press, at_ns in self._held.items() if word.at_ns - at_ns <= HELD_NS}
        is_new = seen not in self._held
        self._held.pop(seen, None)
        self._held[seen] = word.at_ns
        if len(self._held) > MOST_HELD:
            del self._held[next(iter(self._held))]
        if not is_new:
            self.repeats += 1
            return []
        self.presses += 1
        return [RemotePressed(self.reader, *seen)]

    def status(self) -> dict[str, Any]:
        """For people: plain values, no numbers of transmitters."""
        return {
            "reader": self.reader,
            "kind": "radio",
            "presses": self.presses,
            "repeats": self.repeats,
            "refused": {**self.decoder.refused, **self.refused},
            "last_refused": self.last_refused or self.decoder.last_refused,
        }


def _read(entry: RadioFormat, word: Word) -> tuple[int, int] | str:
    """(number, button), or what is wrong with the word."""
    if word.bits != entry.bits:
        return "length"
    value = word.value
    if entry.parity:
        data = (value << (-word.bits % 8)).to_bytes((word.bits + 7) // 8, "big")
        checked = card_format.number_of(word.bits, data, entry.parity)
        if checked is None:
            return "parity"
        value = checked
    number = value >> entry.number_low & ((1 << entry.number_bits) - 1)
    button = _button(entry, value)
    if button is None:
        return "button"
    if value & entry.fixed_mask != entry.fixed or number in (0, (1 << entry.number_bits) - 1):
        return "number"  # another site's, or a line that was stuck
    return number, button


def _button(entry: RadioFormat, value: int) -> int | None:
    if entry.one_hot:
        return {0b1000: 1, 0b0100: 2, 0b0010: 3, 0b0001: 4}.get(value >> entry.button_low & 15)
    return (value >> entry.button_low & 3) + 1
