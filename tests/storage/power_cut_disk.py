"""A disk that loses power: what a program wrote and flushed, in order, and the states that a cut may leave of it.

POSIX read strictly (fsync(2)): what was written to a file is on the disk once that file was flushed, a name that came,
moved or went once its folder was. Before that each sector of a write is there or is not, in any order; one that was
being written may hold rubbish. Names follow one another, as every journalling file system keeps them. What the disk
is trusted with: a flush that was answered is true, and bytes that nobody wrote stay (SQLite's "powersafe overwrite").
"""

import random
from pathlib import Path
from typing import NamedTuple

SECTORS = (512, 4096)
KINDS = ("kept", "dropped", "torn", "reordered", "garbled")


class Create(NamedTuple):
    """A name for a new, empty file. file: its number, which stays when the name moves."""

    name: str
    file: int


class Rename(NamedTuple):
    old: str
    new: str


class Remove(NamedTuple):
    name: str


class SyncNames(NamedTuple):
    """The folder was flushed."""


class Write(NamedTuple):
    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    file: int
    size: int


class Sync(NamedTuple):
    """The file was flushed."""

    file: int


class LostSync(NamedTuple):
    """The flush of the file failed: the kernel gives up what was to be written, and no later flush writes it
    (fsync(2), "EIO")."""

    file: int


class Mark(NamedTuple):
    """Something that the program said at this moment, as "recorded" 17."""

    what: str
    value: object


Operation = Create | Rename | Remove | SyncNames | Write | Truncate | Sync | LostSync | Mark


class Tape:
    """What one folder went through, in order. Names are those of files in it."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.names: dict[str, int] = {}
        self.begins = 0  # how many operations made what was there before
        self._files = 0

    def load(self, folder: Path) -> None:
        """Begin with what `folder` holds, as flushed."""
        for path in sorted(folder.iterdir()):
            file = self.create(path.name)
            self.operations += [Write(file, 0, path.read_bytes()), Sync(file)]
        self.append(SyncNames())
        self.begins = len(self.operations)

    def create(self, name: str) -> int:
        """The number of the file `name`, made where there is none."""
        if name not in self.names:
            self._files += 1
            self.names[name] = self._files
            self.operations.append(Create(name, self._files))
        return self.names[name]

    def rename(self, old: str, new: str) -> None:
        self.names[new] = self.names.pop(old)
        self.operations.append(Rename(old, new))

    def remove(self, name: str) -> None:
        if self.names.pop(name, None) is not None:
            self.operations.append(Remove(name))

    def mark(self, what: str, value: object) -> None:
        self.operations.append(Mark(what, value))

    def append(self, operation: Operation) -> None:
        self.operations.append(operation)

    def grown(self, file: int) -> int:
        """How far the file was written since it was last made empty."""
        end = 0
        for operation in self.operations:
            if isinstance(operation, Truncate) and operation.file == file:
                end = operation.size
            elif isinstance(operation, Write) and operation.file == file:
                end = max(end, operation.offset + len(operation.data))
        return end


class Disk:
    """The disk as a tape runs over it. `cut` says what could be on it if power went now.

    marks: the last value of each mark."""

    def __init__(self) -> None:
        self.marks: dict[str, object] = {}
        self._files: dict[int, bytearray] = {}  # as flushed
        self._unsynced: dict[int, list[Write | Truncate]] = {}
        self._names: dict[str, int] = {}  # as flushed
        self._unsynced_names: list[Create | Rename | Remove] = []

    def run(self, operation: Operation) -> None:
        """Let one operation happen."""
        match operation:
            case Mark(what, value):
                self.marks[what] = value
            case Create() | Rename() | Remove():
                self._unsynced_names.append(operation)
                if isinstance(operation, Create):
                    self._files[operation.file], self._unsynced[operation.file] = bytearray(), []
            case SyncNames():
                _change_names(self._names, self._unsynced_names)
                self._unsynced_names = []
            case Sync(file):
                for change in self._unsynced[file]:
                    _change(self._files[file], change)
                self._unsynced[file] = []
            case LostSync(file):
                self._unsynced[file] = []
            case Write() | Truncate():
                self._unsynced[operation.file].append(operation)

    def cut(self, choice: random.Random) -> tuple[str, dict[str, bytes]]:
        """One state that a cut at this moment may leave: in words, and name → content."""
        kind, sector = choice.choice(KINDS), choice.choice(SECTORS)
        names = dict(self._names)
        kept = {"kept": len(self._unsynced_names), "dropped": 0}.get(kind, choice.randint(0, len(self._unsynced_names)))
        _change_names(names, self._unsynced_names[:kept])
        content = {}
        for name, file in names.items():
            data = bytearray(self._files[file])
            for change in _surviving(self._unsynced[file], kind, sector, choice):
                _change(data, change)
            content[name] = bytes(data)
        return f"{kind}, sectors of {sector}, {kept} of {len(self._unsynced_names)} changes of names", content


def write_out(content: dict[str, bytes], folder: Path) -> None:
    """Make `folder` hold exactly these files."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def _change_names(names: dict[str, int], changes: list[Create | Rename | Remove]) -> None:
    for change in changes:
        match change:
            case Create(name, file):
                names[name] = file
            case Rename(old, new):
                names[new] = names.pop(old)
            case Remove(name):
                names.pop(name, None)


def _change(data: bytearray, change: Write | Truncate) -> None:
    size = change.size if isinstance(change, Truncate) else change.offset
    if len(data) < size:
        data.extend(bytes(size - len(data)))
    if isinstance(change, Truncate):
        del data[size:]
    else:
        data[size : size + len(change.data)] = change.data


def _surviving(
    changes: list[Write | Truncate], kind: str, sector: int, choice: random.Random
) -> list[Write | Truncate]:
    if kind == "kept":
        return changes
    if kind == "dropped":
        return []
    pieces = [piece for change in changes for piece in _sectors(change, sector)]
    if kind == "torn":
        return pieces[: choice.randint(0, len(pieces))]
    share = choice.choice((0.1, 0.5, 0.9))
    kept = [piece for piece in pieces if choice.random() < share]
    if kind == "garbled":
        kept = [_garbled(piece, choice) if choice.random() < 0.2 else piece for piece in kept]
    return kept


def _sectors(change: Write | Truncate, sector: int) -> list[Write | Truncate]:
    """The write as the disk does it: a piece for each sector that it touches."""
    if isinstance(change, Truncate):
        return [change]
    pieces: list[Write | Truncate] = []
    at, end = change.offset, change.offset + len(change.data)
    while at < end:
        upto = min(end, (at // sector + 1) * sector)
        pieces.append(Write(change.file, at, change.data[at - change.offset : upto - change.offset]))
        at = upto
    return pieces


def _garbled(piece: Write | Truncate, choice: random.Random) -> Write | Truncate:
    if isinstance(piece, Truncate):
        return piece
    return piece._replace(data=choice.randbytes(len(piece.data)))
