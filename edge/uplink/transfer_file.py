"""The DAT file: messages of the wire as a CBOR sequence (RFC 8742), carried by hand. docs/dat-file.md describes it.

A header map that nobody trusts, then [kind, message] for each message exactly as it is on the wire, then ["end", how
many]. What a message says is believed for its signature alone, whatever the file says of it. Reading holds one message
at a time.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from edge.uplink import wire
from edge.uplink.keys import is_slug

VERSION = 1
MAX_FILE = 64 * 1024 * 1024  # bytes
MAX_MADE = 40  # characters
CONTROLLER, MANAGER = "controller", "manager"
# No commands: one is good for 10 s only. No notices: the events themselves are there.
HANDOVER = "handover"  # no message: statements.encode_handover, checked as such
KINDS = {CONTROLLER: (HANDOVER, wire.POLICY, wire.ACK), MANAGER: (wire.HELLO, wire.EVENTS)}

NO_DAT_FILE = "no-dat-file"
LATER_VERSION = "later-version"
CUT_SHORT = "cut-short"
OVERSIZED = "oversized"
MALFORMED = "malformed"
REASONS = (NO_DAT_FILE, LATER_VERSION, CUT_SHORT, OVERSIZED, MALFORMED)

_END = "end"
_MAX_ITEM = wire.MAX_RAW + 32  # a message, its kind, and the heads of the three
_MAGIC = b"\xa5" + wire.encode("vantail")  # a map of five, whose first key this is
_KEYS = ("vantail", "for", "site", "controller", "made")


class TransferError(ValueError):
    """A file that is refused. `reason`: one of REASONS; the text says what was seen and what to do, in one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Header(NamedTuple):
    """What a file says of itself, for people and for choosing among files. reader: CONTROLLER or MANAGER. site,
    controller: slugs. made: when, in words."""

    reader: str
    site: str
    controller: str
    made: str


class Item(NamedTuple):
    """A message as it is on the wire; kind: one of KINDS[reader]."""

    kind: str
    message: bytes


def write(file: BinaryIO, header: Header, items: Iterable[Item]) -> int:
    """Write a whole file; how many messages are in it. TransferError `oversized`; ValueError where an item may not be
    in such a file."""
    named = zip(_KEYS, (VERSION, *header), strict=True)
    size = file.write(wire.encode(dict(named)))
    count = 0
    for item in items:
        if item.kind not in KINDS[header.reader] or not 0 < len(item.message) <= wire.MAX_RAW:
            raise ValueError(f"a {item.kind} of {len(item.message)} bytes in a file for the {header.reader}")
        size += file.write(wire.encode([item.kind, item.message]))
        count += 1
        if size > MAX_FILE:
            raise TransferError(OVERSIZED, f"more than {MAX_FILE >> 20} MiB; nothing was written")
    file.write(wire.encode([_END, count]))
    return count


def save(path: Path, header: Header, items: Iterable[Item]) -> int:
    """Write a file at `path`, mode 0600, whole or not at all, and durable when this returns; how many messages are in
    it. As `write`; OSError."""
    with replacing(path) as file:
        return write(file, header, items)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end of the block; after an exception all is as it was. OSError."""
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems of sticks cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def read(file: BinaryIO) -> tuple[Header, Iterator[Item]]:
    """The header, and the messages in their order. TransferError, also while they are gone through: then nothing of
    the file is to be kept."""
    sequence = _Sequence(file)
    header = _header_of(sequence)
    return header, _items_of(sequence, KINDS[header.reader])


class _Sequence:
    """The items of a file, one at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._window = b""
        self._size = 0
        self.number = 0  # of the item that was read last; the header is 0
        self._fill()

    def begins_with(self, start: bytes) -> bool:
        return self._window.startswith(start)

    def is_over(self) -> bool:
        if not self._window:
            self._fill()
        return not self._window

    def next(self) -> Any:
        """TransferError `cut-short`, `oversized`, `malformed`."""
        found = self._decoded()
        if found is None:
            self._fill()
            found = self._decoded()
        if found is None and len(self._window) >= _MAX_ITEM:
            raise TransferError(OVERSIZED, f"item {self.number} is larger than a message may be; get the file again")
        if found is None:
            raise TransferError(CUT_SHORT, f"cut short at item {self.number}; copy the whole file again")
        value, size = found
        self._window = self._window[size:]
        self.number += 1
        return value

    def _decoded(self) -> tuple[Any, int] | None:
        try:
            return wire.decode_first(self._window)
        except wire.WireError:
            raise TransferError(MALFORMED, f"item {self.number} was edited or damaged; get the file again") from None

    def _fill(self) -> None:
        """As much of the file as the largest item may need."""
        while len(self._window) < _MAX_ITEM and (more := self._file.read(_MAX_ITEM - len(self._window))):
            self._window += more
            self._size += len(more)
        if self._size > MAX_FILE:
            raise TransferError(OVERSIZED, f"more than {MAX_FILE >> 20} MiB; no right file is so large")


def _header_of(sequence: _Sequence) -> Header:
    if sequence.is_over() or not sequence.begins_with(_MAGIC):
        raise TransferError(NO_DAT_FILE, "not a DAT file; take the one that the manager or the controller wrote")
    found = sequence.next()
    version = found["vantail"]
    if type(version) is not int or version != VERSION:
        raise TransferError(LATER_VERSION, f"of version {version!r:.20}, this program reads {VERSION}; update it")
    values = tuple(found.values())[1:]
    if tuple(found) != _KEYS or not all(type(value) is str for value in values):
        raise TransferError(MALFORMED, "its header was edited or damaged; get the file again")
    header = Header(*values)
    if header.reader not in KINDS or not (is_slug(header.site) and is_slug(header.controller)):
        raise TransferError(MALFORMED, "its header names no controller; get the file again")
    if len(header.made) > MAX_MADE:
        raise TransferError(MALFORMED, "its header was edited or damaged; get the file again")
    return header


def _items_of(sequence: _Sequence, kinds: tuple[str, ...]) -> Iterator[Item]:
    count = 0
    while True:
        number = sequence.number
        found = sequence.next()
        if found == [_END, count] and type(found[1]) is int:
            break
        if not _is_item(found, kinds):
            raise TransferError(MALFORMED, f"item {number} is nothing that such a file may hold; get the file again")
        yield Item(*found)
        count += 1
    if not sequence.is_over():
        raise TransferError(MALFORMED, f"more follows after its end, item {number}; get the file again")


def _is_item(found: Any, kinds: tuple[str, ...]) -> bool:
    if type(found) is not list or len(found) != 2 or found[0] not in kinds:
        return False
    return type(found[1]) is bytes and 0 < len(found[1]) <= wire.MAX_RAW
