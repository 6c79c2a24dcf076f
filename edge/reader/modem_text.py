"""A modem's bytes as lines, and a line's fields. V.250, 5.7: result codes between CR and LF.

Both ends of the buffer are bounded; what is dropped is counted. A line is never printed: it may hold a number.
"""

LONGEST = 512  # the longest that is meant: a message in PDU mode, 2 × 176 digits
_CR, _LF, _DELETE = 13, 10, 127


class Lines:
    """Cuts a stream of bytes into lines. Noise before a line's first printable character is dropped; a line with a
    control character inside or over LONGEST is dropped whole."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._too_long = False
        self.noise = 0  # bytes
        self.dropped = 0  # lines

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete, without their ends; empty ones are left out."""
        lines = []
        for byte in data:
            if byte in (_CR, _LF):
                line = self._end()
                if line:
                    lines.append(line)
            elif not self._line and not self._too_long and not 32 < byte < _DELETE:
                self.noise += byte != 32
            elif len(self._line) >= LONGEST:
                self._too_long = True
            else:
                self._line.append(byte)
        return lines

    def clear(self) -> None:
        """Forget a line that has begun."""
        self._line.clear()
        self._too_long = False

    def _end(self) -> str:
        spoilt = self._too_long or any(byte < 32 or byte == _DELETE for byte in self._line)
        line = "" if spoilt else self._line.decode("latin-1").rstrip()
        self.dropped += spoilt
        self.clear()
        return line


def fields(line: str) -> list[str]:
    """What follows the first colon, cut at commas outside quotes, without the quotes."""
    _, _, rest = line.partition(":")
    found = [""]
    is_quoted = False
    for character in rest.strip():
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            found.append("")
        else:
            found[-1] += character
    return [field.strip() for field in found]


def number_of(found: list[str], at: int) -> int | None:
    """Field `at` as an unsigned number of at most 6 digits; None where it is missing or none."""
    text = found[at] if at < len(found) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 6 else None
