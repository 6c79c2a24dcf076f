"""The policy's rows, which are the truth that an image is compiled from.

A change enters in one transaction or not at all, and its version is checked inside that transaction. The digest
is the sum of the rows' SHA-256 modulo 2^256: it follows each row that comes or goes, and shows drift; it
authenticates nothing, which is the signature's part.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from hashlib import sha256
from pathlib import Path

from edge.decision import rows
from edge.decision.policy import VerifiedDelta
from edge.storage.database import DatabaseThread
from edge.storage.errors import PolicyRefused, StorageError
from edge.storage.migrations import POLICY
from edge.storage.opening import OpenReport, sync_folder

_DIGEST_MASK = (1 << 256) - 1
_KEYS_AT_ONCE = 500  # bound values of one statement
_FIND = "SELECT packed FROM row WHERE key IN ({})"


class PolicyStore:
    """The policy in one file, and its image file beside it. Make it with `open`. on_new_file: called on the storage
    thread with the report, where the file turned out damaged while it was open; then the version is (0, 0)."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self.image_path = database.path.with_suffix(".image")
        self.on_new_file: Callable[[OpenReport], object] = lambda report: None
        self._version, self._digest = database.read(_read_head).result()
        database.after_damage(lambda old: None, lambda new, _: self._begin_anew(new))

    @classmethod
    def open(cls, path: Path | str, *, check: bool = True) -> "PolicyStore":
        """Open or begin the store at `path`; blocks. StorageError where the file cannot be used; a damaged one
        is set aside, see `report`: then the version is (0, 0) and a snapshot is needed."""
        return cls(DatabaseThread.open(path, POLICY, check=check))

    @property
    def database(self) -> DatabaseThread:
        """The thread behind the file, for a backup."""
        return self._database

    @property
    def report(self) -> OpenReport:
        """How opening went."""
        return self._database.report

    def version(self) -> tuple[int, int]:
        """(epoch, revision) as committed; (0, 0) for none."""
        return self._version

    def digest(self) -> bytes:
        """The digest as committed, 32 bytes."""
        return self._digest

    def apply(self, delta: VerifiedDelta) -> "Future[None]":
        """Make the change durable as a whole. PolicyRefused where its version, keys or digest do not fit what is
        stored, StorageError where the disk refuses: then everything is as it was."""

        def after(_: None) -> None:
            self._version, self._digest = (delta.epoch, delta.to_revision), delta.digest

        return self._database.write(lambda connection: _apply(connection, delta), after=after)

    def rows(self) -> "Future[list[bytes]]":
        """All packed rows, in the order of their keys."""
        return self._database.read(
            lambda connection: [row for (row,) in connection.execute("SELECT packed FROM row ORDER BY key")]
        )

    def recomputed_digest(self) -> "Future[bytes]":
        """The digest of the rows as they are in the file; another than `digest()` means that the file was
        changed behind our back."""
        return self._database.read(
            lambda connection: _digest_bytes(_hash_sum(row for (row,) in connection.execute("SELECT packed FROM row")))
        )

    def forget(self) -> "Future[None]":
        """Let go of rows that cannot be used, after a copy was set aside: the revision that they were is taken again,
        an older one is not."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM row")
            connection.execute("UPDATE policy SET revision = max(revision - 1, 0), digest = ?", (bytes(32),))

        def after(_: None) -> None:
            self._version, self._digest = (self._version[0], max(self._version[1] - 1, 0)), bytes(32)

        return self._database.write(work, after=after)

    def write_image(self, image: bytes) -> "Future[None]":
        """Put `image` at image_path, whole or not at all. A mapping of the one before stays valid."""
        return self._database.read(lambda _: _replace_file(self.image_path, image))

    def discard_image(self) -> "Future[None]":
        """Remove the image, where it is in doubt."""
        return self._database.read(lambda _: self.image_path.unlink(missing_ok=True))

    def close(self, timeout_s: float = 10) -> None:
        """Finish what is queued and close the file; blocks."""
        self._database.close(timeout_s)

    def _begin_anew(self, connection: sqlite3.Connection) -> None:
        self._version, self._digest = _read_head(connection)
        self.on_new_file(self.report)


def _read_head(connection: sqlite3.Connection) -> tuple[tuple[int, int], bytes]:
    epoch, revision, digest = connection.execute("SELECT epoch, revision, digest FROM policy").fetchone()
    return (epoch, revision), digest


def _apply(connection: sqlite3.Connection, delta: VerifiedDelta) -> None:
    version, digest = _read_head(connection)
    _check_version(delta, version)
    new = _by_key(delta)
    if delta.from_revision == 0:
        total = 0
        connection.execute("DELETE FROM row")
    else:
        total = int.from_bytes(digest, "big") - _hash_sum(_stored(connection, [*new, *delta.gone]))
        connection.executemany("DELETE FROM row WHERE key = ?", ((key,) for key in delta.gone))
    connection.executemany("INSERT OR REPLACE INTO row (key, packed) VALUES (?, ?)", new.items())
    after = _digest_bytes(total + _hash_sum(new.values()))
    if after != delta.digest:
        raise PolicyRefused(
            f"{_name(delta)} refused: the rows would have digest {after.hex()[:8]}…, it promises "
            f"{delta.digest.hex()[:8]}…; this controller keeps version {_words(version)} and asks for a snapshot",
            needs_snapshot=True,
        )
    connection.execute("UPDATE policy SET epoch = ?, revision = ?, digest = ?", (delta.epoch, delta.to_revision, after))


def _check_version(delta: VerifiedDelta, version: tuple[int, int]) -> None:
    """PolicyRefused unless the change leads upwards from exactly what is stored (a snapshot: from anything)."""
    if (delta.epoch, delta.to_revision) <= version:
        raise PolicyRefused(
            f"{_name(delta)} refused: this controller already has version {_words(version)}, which is "
            f"{'the same' if (delta.epoch, delta.to_revision) == version else 'newer'}; it keeps that one",
            needs_snapshot=False,
        )
    if delta.from_revision == 0:
        return
    if (delta.epoch, delta.from_revision) != version:
        raise PolicyRefused(
            f"{_name(delta)} refused: it builds on version {delta.epoch}.{delta.from_revision}, this controller has "
            f"{_words(version)}; it keeps that one and asks for a snapshot",
            needs_snapshot=True,
        )


def _by_key(delta: VerifiedDelta) -> dict[bytes, bytes]:
    new: dict[bytes, bytes] = {rows.key_of(row): row for row in delta.rows}
    if len(new) < len(delta.rows) or any(key in new for key in delta.gone):
        raise PolicyRefused(
            f"{_name(delta)} refused: it names a row twice; this controller keeps what it has and asks for a snapshot",
            needs_snapshot=True,
        )
    return new


def _stored(connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[bytes]:
    """The packed rows that are stored under `keys`."""
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        for (packed,) in connection.execute(_FIND.format(",".join("?" * len(some))), some):
            yield packed


def _hash_sum(packed_rows: Iterable[bytes]) -> int:
    return sum(int.from_bytes(sha256(row).digest(), "big") for row in packed_rows)


def _digest_bytes(total: int) -> bytes:
    return (total & _DIGEST_MASK).to_bytes(32, "big")


def _name(delta: VerifiedDelta) -> str:
    kind = "snapshot" if delta.from_revision == 0 else "delta"
    return f"policy {kind} {delta.epoch}.{delta.to_revision}"


def _words(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _replace_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    try:
        with open(temporary, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: {error.strerror}: the image could not be written; the rows are whole, free space or check the "
            f"disk"
        ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
