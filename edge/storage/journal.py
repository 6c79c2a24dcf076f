"""The header of SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html, "The Write-Ahead Log").

SQLite takes a log whose header it cannot read for an empty one and writes over it; we look first.
"""

import struct
from pathlib import Path

_MAGIC = (0x377F0682, 0x377F0683)  # the last bit: the checksums' byte order
_HEADER = 32


def is_readable(journal: Path) -> bool:
    """Whether SQLite would read the log. One that is shorter than a header holds nothing, and is readable."""
    with journal.open("rb") as file:
        header = file.read(_HEADER)
    if len(header) < _HEADER:
        return True
    magic = struct.unpack(">I", header[:4])[0]
    if magic not in _MAGIC:
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", header[:24])
    first = second = 0
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">2I", header[24:])
