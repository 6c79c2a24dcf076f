"""A card reader, keypad, or both, on two Wiegand lines: words to values of edge.reader.inputs. Sans-io.

What it reports is marked secure, as the line runs inside the wall: Wiegand has no channel that could be. Whoever opens
the reader's housing can listen and replay, so wire its tamper switch, and prefer OSDP where the outside is public.
"""

from typing import Any

from edge.reader import card_format, wired_keypad
from edge.reader.inputs import CardRead, KeysPressed
from edge.reader.wiegand import DEFAULT, Decoder, Limits, Word


class WiredReader:
    """One reader. `decoder` takes its pulses; `read` makes values of the words.

    keypad: a name of wired_keypad.FORMATS, "" where it has none: then short words are refused, not keys.
    facility, digits: of a buffered keypad, see wired_keypad.keys_of. KeyError: no such keypad.
    A word of a length that no card has, or with wrong parity, is line noise to a wired reader: it is counted and
    shown in status, and nobody is told. One of another length than the reader's format goes on, and is unknown.
    """

    def __init__(
        self, reader: str, keypad: str = "", facility: int = 0, digits: int = 0, limits: Limits = DEFAULT
    ) -> None:
        self.reader = reader
        self.decoder = Decoder(limits)
        self._keypad = wired_keypad.FORMATS[keypad] if keypad else None
        self._facility = facility
        self._digits = digits
        self.cards = 0
        self.keys = 0
        self.refused = {"length": 0, "parity": 0, "key": 0}
        self.last_refused = ""

    def read(self, word: Word) -> list[CardRead | KeysPressed]:
        """What the word stands for: a card, keys, or nothing (refused, and counted)."""
        data = (word.value << (-word.bits % 8)).to_bytes((word.bits + 7) // 8, "big")
        is_card = any(entry.bits == word.bits for entry in card_format.FORMATS.values())
        number = card_format.number_of(word.bits, data) if is_card else None
        if is_card and number is None:
            return self._refuse("parity", word)
        if self._keypad is not None:
            value = word.value if number is None else number
            keys = wired_keypad.keys_of(self._keypad, word.bits, value, self._facility, self._digits)
            if keys == wired_keypad.REFUSED:
                return self._refuse("key", word)
            if keys is not None:
                self.keys += 1
                return [KeysPressed(self.reader, keys, True)]
        if not is_card:
            return self._refuse("length", word)
        self.cards += 1
        return [CardRead(self.reader, word.bits, data, True)]

    def status(self) -> dict[str, Any]:
        """For people: plain values, no numbers of cards, no keys."""
        return {
            "reader": self.reader,
            "kind": "wiegand",
            "cards": self.cards,
            "keys": self.keys,
            "refused": {**self.decoder.refused, **self.refused},
            "last_refused": self.last_refused or self.decoder.last_refused,
        }

    def _refuse(self, why: str, word: Word) -> list[CardRead | KeysPressed]:
        self.refused[why] += 1
        self.last_refused = f"{word.bits} bits: wrong {why}"
        return []
