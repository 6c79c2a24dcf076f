"""The high-water mark of a log, outside its file: how far it went, so that an older copy in its place is seen.

One record of fixed size, written over in place after each commit and never flushed: it is what the file holds, or a
little less after a power cut, never more. Its tag is made with a key that the log's file does not hold.
"""

import contextlib
import hmac
import os
import struct
from pathlib import Path
from typing import NamedTuple

_MAGIC = b"vtmark1\n"
_FORM = ">16sQQ32s"
_TAG_SIZE = 32
_SIZE = len(_MAGIC) + struct.calcsize(_FORM) + _TAG_SIZE


class Mark(NamedTuple):
    """How far a log went: log_id: 16 bytes. head: 32 bytes, or b"" before the chain began."""

    log_id: bytes
    last_seq: int
    acked: int
    head: bytes


class HighWater:
    """The mark in the file at `path`, under `key`. `failures`: how often it could not be written."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.failures = 0
        self._key = key
        self._descriptor = -1

    def read(self) -> Mark | None:
        """The mark; None where there is no file. ValueError where the file is not a mark of this device."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self.path}: cannot be read ({error.strerror})") from None
        body, tag = raw[:-_TAG_SIZE], raw[-_TAG_SIZE:]
        if len(raw) != _SIZE or not raw.startswith(_MAGIC) or not hmac.compare_digest(tag, self._tag(body)):
            raise ValueError(f"{self.path}: not a mark that this device wrote")
        mark = Mark(*struct.unpack(_FORM, body[len(_MAGIC) :]))
        return mark if any(mark.head) else mark._replace(head=b"")

    def write(self, mark: Mark) -> None:
        """Put `mark` there. A failure is counted: no record waits for it."""
        body = _MAGIC + struct.pack(_FORM, *mark)
        try:
            if self._descriptor < 0:
                self._begin(body + self._tag(body))
            else:
                os.pwrite(self._descriptor, body + self._tag(body), 0)
        except OSError:
            self.failures += 1

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self, content: bytes) -> None:
        """Flushed once, so that a power cut leaves no empty file; from then on one sector is written over."""
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, _SIZE)
            if is_new:
                os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def doubt(high_water: HighWater | None, log: Mark, was_marked: bool) -> tuple[str, int]:
    """(what the mark says against a log, in words for an alarm; the numbers up to which it knows to be given): those
    are not given again. log: how far its file says that it went. was_marked: it says that there was a mark."""
    if high_water is None:
        return "", 0
    try:
        mark = high_water.read()
    except ValueError as error:
        return f"the high-water mark cannot be relied on: {error}", 0
    if mark is None:
        return (f"the high-water mark {high_water.path} is gone" if was_marked else ""), 0
    if mark.log_id != log.log_id:
        return f"a new log begins: the one before, {mark.log_id.hex()[:8]}, ended at {mark.last_seq}", 0
    if mark.last_seq > log.last_seq:
        said = f"the log ends at {log.last_seq}, and it went up to {mark.last_seq}: is it an older copy?"
        return said, mark.last_seq
    if mark.acked > log.acked:
        return f"the log says acknowledged up to {log.acked}, and it was up to {mark.acked}: is it an older copy?", 0
    return "", 0
