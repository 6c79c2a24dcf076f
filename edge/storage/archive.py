"""The one file that a backup is: a plain tar with a manifest, its signature, and copies of the two databases.

The manifest has the SHA-256 of each copy, and the controller signs the manifest: the policy in it was verified when it
came, and only what this controller wrote itself is believed again. Nothing in it is opened before that was seen.
"""

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from edge.storage.errors import StorageError
from edge.storage.migrations import EVENTS as EVENT_TABLES
from edge.storage.migrations import POLICY as POLICY_TABLES
from edge.storage.opening import sync_folder

FORMAT = 1
PARTS = EVENTS, POLICY = "events.db", "policy.db"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
NO_KEYS = "none: keep a copy of the keys folder apart from this file"
_KNOWN = {EVENTS: len(EVENT_TABLES.steps), POLICY: len(POLICY_TABLES.steps)}
_MANIFEST_BYTES = 65_536
_CHUNK = 1024 * 1024


class BackupRefused(StorageError):  # noqa: N818 (the word for it)
    """A backup that must not be taken back; everything is as it was."""


class Opened(NamedTuple):
    """A backup as it was packed. raw, signature: of the manifest."""

    manifest: dict[str, Any]
    raw: bytes
    signature: bytes


def describe(folder: Path) -> dict[str, Any]:
    """What the copies in `folder` say of themselves. StorageError where they are no databases of ours."""
    described: dict[str, Any] = {}
    name = EVENTS
    try:
        with closing(sqlite3.connect(f"file:{folder / EVENTS}?mode=ro", uri=True)) as events:
            log_id, last_seq, acked = events.execute("SELECT log_id, last_seq, acked FROM head").fetchone()
            described["log"] = {"id": log_id.hex(), "last_seq": last_seq, "acknowledged": acked}
            described["schema"] = {EVENTS: events.execute("PRAGMA user_version").fetchone()[0]}
        name = POLICY
        with closing(sqlite3.connect(f"file:{folder / POLICY}?mode=ro", uri=True)) as policy:
            epoch, revision, digest = policy.execute("SELECT epoch, revision, digest FROM policy").fetchone()
            described["policy"] = {"epoch": epoch, "revision": revision, "digest": digest.hex()}
            described["schema"][POLICY] = policy.execute("PRAGMA user_version").fetchone()[0]
    except (sqlite3.Error, TypeError, AttributeError) as error:
        raise StorageError(f"{name}: is no database of vantail's ({error})") from error
    return described


def manifest_of(folder: Path, *, controller: str, device: str, software: str, now_ms: int) -> bytes:
    """The manifest of the copies in `folder`, as JSON. controller: its id. device: its key's fingerprint, hex."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in PARTS}
    made_at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")
    head = {"format": FORMAT, "controller": controller, "device": device, "made_at": made_at, "software": software}
    return json.dumps({**head, "keys": NO_KEYS, **describe(folder), "files": files}, indent=1).encode() + b"\n"


def pack(folder: Path, target: Path, manifest: bytes, signature: bytes, *, force: bool) -> int:
    """Put the copies in `folder` into the file `target`, 0600, whole or not at all. How many bytes it has.
    FileExistsError unless `force`; OSError."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with open(draft, "xb", opener=_private) as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name, content in ((MANIFEST, manifest), (SIGNATURE, signature)):
                    tar.addfile(_member(name, len(content)), io.BytesIO(content))
                for name in PARTS:
                    with (folder / name).open("rb") as part:
                        tar.addfile(_member(name, os.fstat(part.fileno()).st_size), part)
            file.flush()
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        if force:
            os.replace(draft, target)
        else:
            os.link(draft, target)  # unlike a rename this never takes another file's place
        sync_folder(target.parent)
    finally:
        draft.unlink(missing_ok=True)
    return size


def sha256_of(path: Path) -> str:
    """Hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(file: Path, folder: Path, vouch: Callable[[Opened], None]) -> Opened:
    """Unpack the backup `file` into `folder` and hold each part against the manifest. vouch: raises where that is not
    this controller's. BackupRefused; OSError where the file cannot be read."""
    small: dict[str, bytes] = {}
    hashes: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                if member.name in small or member.name in hashes:
                    raise BackupRefused(f"{file}: it holds {member.name} twice; make another backup")
                content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None or member.name not in (MANIFEST, SIGNATURE, *PARTS):
                    raise BackupRefused(f"{file}: it holds {member.name!r}, which no backup does")
                if member.name in PARTS:
                    hashes[member.name] = _write_out(content, folder / member.name)
                else:
                    small[member.name] = content.read(_MANIFEST_BYTES)
    except (tarfile.TarError, EOFError) as error:
        raise BackupRefused(f"{file}: it is no whole backup of vantail ({error}); take another one") from error
    missing = [name for name in (MANIFEST, SIGNATURE, *PARTS) if name not in small and name not in hashes]
    if missing:
        raise BackupRefused(f"{file}: it lacks {', '.join(missing)}; it is no whole backup of vantail")
    opened = Opened(_read_manifest(file, small[MANIFEST]), small[MANIFEST], small[SIGNATURE])
    vouch(opened)
    _check_parts(file, folder, opened.manifest, hashes)
    return opened


def _write_out(content: Any, target: Path) -> str:
    digest = hashlib.sha256()
    with open(target, "xb", opener=_private) as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _read_manifest(file: Path, raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        number = manifest["format"]
        for text in (manifest["controller"], manifest["device"], manifest["made_at"], manifest["log"]["id"]):
            if not isinstance(text, str):
                raise TypeError(text)
    except (ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"{file}: its manifest cannot be read ({error!r}); it is damaged or edited") from error
    if number != FORMAT:
        raise BackupRefused(f"{file}: it is of format {number}, this program reads {FORMAT}; install the newer program")
    return dict(manifest)


def _check_parts(file: Path, folder: Path, manifest: dict[str, Any], hashes: dict[str, str]) -> None:
    for name in PARTS:
        said = manifest.get("files", {}).get(name, {}).get("sha256")
        if hashes[name] != said:
            raise BackupRefused(f"{file}: {name} in it is not what was backed up (SHA-256); it is damaged or edited")
    found = describe(folder)
    for name, version in found["schema"].items():
        if version > _KNOWN[name]:
            raise BackupRefused(
                f"{file}: {name} in it has tables of version {version}, this program knows {_KNOWN[name]}; "
                f"install the newer program"
            )
        _check_whole(file, folder / name)
    for what in ("log", "policy"):
        if manifest.get(what) != found[what]:
            raise BackupRefused(f"{file}: its manifest tells of another {what} than it holds; it is damaged or edited")


def _check_whole(file: Path, part: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{part}?mode=ro", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise BackupRefused(f"{file}: {part.name} in it was damaged already when it was backed up ({said})")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
