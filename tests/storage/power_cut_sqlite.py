"""The product's storage on a SQLite whose files we see: each write and flush goes on a tape, and may be made to fail.

apsw brings a SQLite of its own and lets Python stand between it and the disk (https://www.sqlite.org/vfs.html).
edge/storage calls sqlite3.connect; `beneath` gives it a connection of apsw that looks like sqlite3's. What Python
itself writes into the folder (image, mark, files set aside) is seen by watching `os`.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest
from power_cut_disk import LostSync, Sync, SyncNames, Tape, Truncate, Write

from edge.storage import opening

Refuse = Callable[[str, str], None]  # (call, name): raises where that call shall fail
_numbers = count(1)
_IOERR = {
    "open": apsw.SQLITE_CANTOPEN, "read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC, "truncate": apsw.SQLITE_IOERR_TRUNCATE, "delete": apsw.SQLITE_IOERR_DELETE,
}  # fmt: skip


def allow(call: str, name: str) -> None:
    """Refuse nothing."""


class Faults:
    """Refuses the `first`-th call and the `more` after it, of files whose name begins with `names`. number: EIO fails
    any call, ENOSPC those that take room, EROFS those that change something. While `is_on`, every such call fails.

    refused: how many calls failed."""

    def __init__(self, number: int, first: int = 0, more: int = 0, names: str = "") -> None:
        self.number, self.is_on, self.calls, self.refused, self._names = number, False, 0, 0, names
        self._failing = range(0)
        self.fail_in(first, more)

    def fail_in(self, first: int, more: int = 0) -> None:
        """Refuse the `first`-th call from now on (0: none), and the `more` after it."""
        self._failing = range(self.calls + first, self.calls + first + more + 1) if first else range(0)

    def __call__(self, call: str, name: str) -> None:
        if call not in _CALLS_OF[self.number] or not name.startswith(self._names):
            return
        self.calls += 1
        if self.is_on or self.calls in self._failing:
            self.refused += 1
            raise _failure(self.number, call)


_CALLS_OF = {
    errno.EIO: ("open", "read", "write", "sync", "truncate", "delete", "rename"),
    errno.ENOSPC: ("open", "write", "sync", "rename"),
    errno.EROFS: ("open", "write", "truncate", "delete", "rename"),
}


def _failure(number: int, call: str) -> Exception:
    """What SQLite's unix layer makes of that errno (os_unix.c: ENOSPC of a write is SQLITE_FULL)."""
    if call == "rename":
        return OSError(number, os.strerror(number))
    if number == errno.ENOSPC and call == "write":
        return apsw.FullError(os.strerror(number))
    failure = (apsw.CantOpenError if call == "open" else apsw.IOError)(os.strerror(number))
    failure.extendedresult = _IOERR[call]
    return failure


class _File(apsw.VFSFile):
    def __init__(self, vfs: "_Vfs", path: Any, flags: list[int]) -> None:
        self._name = os.path.basename(path.filename() if isinstance(path, apsw.URIFilename) else str(path))
        self._tape, self._refuse = vfs.tape, vfs.refuse
        self._refuse("open", self._name)
        super().__init__("", path, flags)
        self._number = self._tape.create(self._name)
        # SQLite's unix layer flushes the folder with the first flush of a journal (os_unix.c, UNIXFILE_DIRSYNC).
        self._names_too = not flags[0] & apsw.SQLITE_OPEN_MAIN_DB

    def xRead(self, amount: int, offset: int) -> bytes:
        self._refuse("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._refuse("write", self._name)
        super().xWrite(data, offset)
        self._tape.append(Write(self._number, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        self._refuse("truncate", self._name)
        super().xTruncate(size)
        self._tape.append(Truncate(self._number, size))

    def xSync(self, flags: int) -> None:
        try:
            self._refuse("sync", self._name)
        except apsw.Error:
            self._tape.append(LostSync(self._number))
            raise
        self._tape.append(Sync(self._number))  # the real file needs no flush: the tape is the disk
        if self._names_too:
            self._tape.append(SyncNames())
            self._names_too = False


class _Vfs(apsw.VFS):
    def __init__(self, tape: Tape, refuse: Refuse) -> None:
        self.tape, self.refuse = tape, refuse
        self.name = f"watched-{next(_numbers)}"
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, path: str, sync_names: bool) -> None:
        self.refuse("delete", os.path.basename(path))
        super().xDelete(path, sync_names)
        self.tape.remove(os.path.basename(path))
        if sync_names:
            self.tape.append(SyncNames())


class Cursor:
    """What edge/storage and sqlite-utils ask of a sqlite3.Cursor."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection, self._rows = connection, connection.cursor()
        self._ahead: tuple | None = None
        self.description: Any = None

    def run(self, way: str, sql: str, values: Any) -> "Cursor":
        self._rows.exec_trace = self._note  # apsw forgets the columns of a statement that gave no row
        with _as_sqlite3():
            getattr(self._rows, way)(sql, values)
            self._ahead = self._rows.fetchone()
        self._rows.exec_trace = None  # else a circle, and a statement that is never finished
        self.rowcount = self._connection.changes()
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def _note(self, rows: Any, sql: str, values: Any) -> bool:
        self.description = rows.get_description()
        return True

    def __iter__(self) -> Iterator[tuple]:
        while (row := self.fetchone()) is not None:
            yield row

    def fetchone(self) -> tuple | None:
        """A row; as sqlite3 does, the next one is asked for at once, so that the end of a statement is never put off:
        PRAGMA journal_mode commits there."""
        row = self._ahead
        if row is not None:
            with _as_sqlite3():
                self._ahead = self._rows.fetchone()
        return row

    def fetchall(self) -> list[tuple]:
        return list(self)


class Connection:
    """What edge/storage and sqlite-utils ask of a sqlite3.Connection. `reword`: may change a statement."""

    isolation_level = None

    def __init__(self, path: Path, vfs: str, timeout_s: float, reword: Callable[[str], str]) -> None:
        self._reword = reword
        with _as_sqlite3():
            self._connection = apsw.Connection(str(path), vfs=vfs)
            self._connection.set_busy_timeout(round(timeout_s * 1000))

    def execute(self, sql: str, values: Any = ()) -> Cursor:
        return Cursor(self._connection).run("execute", self._reword(sql), values)

    def executemany(self, sql: str, lines: Iterable[Any]) -> Cursor:
        return Cursor(self._connection).run("executemany", self._reword(sql), lines)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self._connection.total_changes()

    def close(self) -> None:
        with suppress(apsw.Error):  # nor does sqlite3 say what went wrong when it closes
            self._connection.close()


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    """Errors under the names that Python's own module gives them."""
    try:
        yield
    except apsw.Error as error:
        code = getattr(error, "extendedresult", getattr(error, "result", 0))
        plain = getattr(error, "result", 0)
        broken = plain in (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB)
        kind = sqlite3.IntegrityError if plain == apsw.SQLITE_CONSTRAINT else sqlite3.OperationalError
        told = (sqlite3.DatabaseError if broken else kind)(str(error))
        told.sqlite_errorcode = code
        names = apsw.mapping_extended_result_codes
        told.sqlite_errorname = names.get(code) or apsw.mapping_result_codes.get(plain, "")
        raise told from error


class _Sqlite3:
    """The module sqlite3 as edge/storage/opening.py sees it."""

    def __init__(self, vfs: _Vfs, reword: Callable[[str], str]) -> None:
        self._vfs, self._reword = vfs, reword

    def connect(self, path: Path, timeout: float = 5.0, **_: object) -> Connection:
        return Connection(path, self._vfs.name, timeout, self._reword)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


@contextmanager
def beneath(folder: Path, tape: Tape, refuse: Refuse = allow, reword: Callable[[str], str] = str) -> Iterator[None]:
    """Inside the block, what edge/storage does in `folder` goes on `tape`."""
    with pytest.MonkeyPatch.context() as patch:
        vfs = _Vfs(tape, refuse)
        patch.setattr(opening, "sqlite3", _Sqlite3(vfs, reword))
        watch_os(folder, tape, refuse, patch)
        yield
        vfs.unregister()


def watch_os(folder: Path, tape: Tape, refuse: Refuse, patch: pytest.MonkeyPatch) -> None:
    """Put on the tape what goes through `os`: new names, renames, removals, flushes."""
    real = {name: getattr(os, name) for name in ("open", "fsync", "pwrite", "ftruncate", "rename", "replace", "unlink")}

    def ours(path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.path.dirname(os.path.abspath(path)) == str(folder)

    def open_file(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        if ours(path) and flags & os.O_CREAT:
            tape.create(os.path.basename(path))
        return real["open"](path, flags, mode, **more)

    def flush(descriptor: int) -> None:
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        if where == str(folder):
            tape.append(SyncNames())
        elif ours(where):
            if not tape.grown(tape.names[os.path.basename(where)]):
                _catch_up(Path(where), tape)  # written by `write`, which is not watched
            tape.append(Sync(tape.names[os.path.basename(where)]))
        else:
            real["fsync"](descriptor)

    def write(descriptor: int, data: bytes, offset: int) -> int:
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        if ours(where):
            tape.append(Write(tape.names[os.path.basename(where)], offset, data))
        return real["pwrite"](descriptor, data, offset)

    def truncate(descriptor: int, size: int) -> None:
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        if ours(where):
            tape.append(Truncate(tape.names[os.path.basename(where)], size))
        real["ftruncate"](descriptor, size)

    def move(way: str) -> Callable[[Any, Any], None]:
        def moved(old: Any, new: Any) -> None:
            if ours(old):
                refuse("rename", os.path.basename(old))
                if os.path.basename(old) not in _OF_SQLITE and not tape.grown(tape.create(os.path.basename(old))):
                    _catch_up(Path(old), tape)
            real[way](old, new)
            if ours(old):
                tape.rename(os.path.basename(old), os.path.basename(new))

        return moved

    def remove(path: Any, **more: Any) -> None:
        real["unlink"](path, **more)
        if ours(path):
            tape.remove(os.path.basename(path))

    for name, watched in (
        ("open", open_file), ("fsync", flush), ("rename", move("rename")), ("replace", move("replace")),
        ("unlink", remove), ("pwrite", write), ("ftruncate", truncate),
    ):  # fmt: skip
        patch.setattr(os, name, watched)


_OF_SQLITE = {name + end for name in ("events.db", "policy.db") for end in ("", "-wal", "-shm", "-journal")}


def _catch_up(path: Path, tape: Tape) -> None:
    """What Python wrote into a file of its own, as one write: between this and its flush a cut tears it."""
    file = tape.create(path.name)
    tape.append(Truncate(file, 0))
    tape.append(Write(file, 0, path.read_bytes()))
