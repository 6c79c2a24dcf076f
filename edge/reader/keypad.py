"""Keys to codes: digits are collected until the end key.

Sans-io: the time of each key is an argument. One collector a reader.
"""

END = "#\r"  # a keypad's # arrives as enter (SIA OSDP 2.2, section 7)
CLEAR = "*\x7f"
OVERLONG = ""  # in place of a code: more than LARGEST_CODE digits were entered, a wrong entry whatever they were
LARGEST_CODE = 12
BETWEEN_KEYS_MS = 10_000


class Keypad:
    """Collects one reader's keys."""

    def __init__(self) -> None:
        self._digits = ""
        self._last_ms = 0

    def feed(self, text: str, now_ms: int) -> list[str]:
        """The codes that `text` completes: digits, or OVERLONG. An end key alone, and other keys, are nothing."""
        if now_ms - self._last_ms > BETWEEN_KEYS_MS:
            self._digits = ""
        self._last_ms = now_ms
        codes = []
        for key in text:
            if key in "0123456789":
                # One digit too many is kept, to know that the entry was too long, and no more.
                self._digits = (self._digits + key)[: LARGEST_CODE + 1]
            elif key in CLEAR:
                self._digits = ""
            elif key in END and self._digits:
                codes.append(self._digits if len(self._digits) <= LARGEST_CODE else OVERLONG)
                self._digits = ""
        return codes
