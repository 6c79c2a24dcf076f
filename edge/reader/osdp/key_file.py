"""osdp.toml: each reader's base key, and a new one that is on its way to it.

    lobby = "32 hex digits"

    [on-the-way]
    lobby = "32 hex digits"

A new key is written down before it is sent (`propose`), and takes the old one's place when the reader has proved it
(`settle`) or goes when it was given up (`give_up`). So a power cut at any moment leaves the key that the reader has.
"""

import contextlib
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge.reader.osdp.secure import weakness

ON_THE_WAY = "on-the-way"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class ReaderKeyError(ValueError):
    """osdp.toml cannot be used, or must not be changed so. One line: the file, what was seen, what to do; no key."""


class KeyPair(NamedTuple):
    """A reader's present key, None where it was never paired, and the one on its way to it, None where there is none.
    They are BusReader's `scbk` and `candidate`."""

    scbk: bytes | None
    candidate: bytes | None

    def __repr__(self) -> str:
        return f"KeyPair({'a key' if self.scbk else None}, {'a key' if self.candidate else None})"


def read_keys(path: Path) -> dict[str, KeyPair]:
    """Every reader's keys; {} where there is no file yet. ReaderKeyError: others may read it, it is not TOML, a key
    is not 32 hex digits, or two readers have one key."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ReaderKeyError(f"{path}: others may read it; run: chmod 600 {path.name}")
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ReaderKeyError(f"{path}: cannot be read ({type(error).__name__})") from None
    on_the_way = found.pop(ON_THE_WAY, {})
    if not isinstance(on_the_way, dict):
        raise ReaderKeyError(f"{path}: [{ON_THE_WAY}] is no table; remove it")
    present = {reader: _key(path, reader, text) for reader, text in found.items()}
    coming = {reader: _key(path, reader, text) for reader, text in on_the_way.items()}
    _check_distinct(path, present, coming)
    return {reader: KeyPair(present.get(reader), coming.get(reader)) for reader in {**present, **coming}}


def new_key(random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """16 random bytes that are no weak key."""
    while True:
        key = random_bytes(16)
        if not weakness(key):
            return key


def propose(path: Path, reader: str, key: bytes) -> None:
    """Write down that `key` is on its way to the reader; call before the key is sent. ReaderKeyError for a weak key
    and for one that any reader has."""
    keys = read_keys(path)
    why = weakness(key)
    if why:
        raise ReaderKeyError(f"{path}: the new key of reader {reader} is refused: {why}")
    if any(key in pair for pair in keys.values()):
        raise ReaderKeyError(f"{path}: the new key of reader {reader} is in use: make another")
    keys[reader] = KeyPair(keys[reader].scbk if reader in keys else None, key)
    write_keys(path, keys)


def settle(path: Path, reader: str) -> None:
    """The reader has proved the key that was on its way: it is its key now. Nothing where none was."""
    keys = read_keys(path)
    if reader in keys and keys[reader].candidate is not None:
        keys[reader] = KeyPair(keys[reader].candidate, None)
        write_keys(path, keys)


def give_up(path: Path, reader: str) -> None:
    """The key that was on its way is not used: what was before holds. Nothing where none was."""
    keys = read_keys(path)
    if reader in keys and keys[reader].candidate is not None:
        keys[reader] = KeyPair(keys[reader].scbk, None)
        write_keys(path, keys)


def write_keys(path: Path, keys: dict[str, KeyPair]) -> None:
    """Replace the file in one step, for its owner only, on the disk when this returns. OSError where that fails; the
    old file is then still there."""
    text = _text(keys)
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # made for its owner only
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(keys: dict[str, KeyPair]) -> str:
    lines = [f'{_name(reader)} = "{pair.scbk.hex()}"' for reader, pair in sorted(keys.items()) if pair.scbk]
    coming = [f'{_name(reader)} = "{pair.candidate.hex()}"' for reader, pair in sorted(keys.items()) if pair.candidate]
    if coming:
        lines += ["", f"[{ON_THE_WAY}]", *coming]
    return "\n".join([*lines, ""])


def _name(reader: str) -> str:
    """A TOML key: quoted where it must be."""
    if _NAME.fullmatch(reader):
        return reader
    escaped = "".join(
        f"\\{char}" if char in '"\\' else f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else char
        for char in reader
    )
    return f'"{escaped}"'


def _key(path: Path, reader: str, text: object) -> bytes:
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    if len(key) != 16:
        raise ReaderKeyError(f"{path}: the key of reader {reader} is not 32 hex digits")
    return key


def _check_distinct(path: Path, present: dict[str, bytes], coming: dict[str, bytes]) -> None:
    seen: dict[bytes, str] = {}
    for reader, key in [*present.items(), *coming.items()]:
        if key in seen:
            raise ReaderKeyError(f"{path}: readers {seen[key]} and {reader} have the same key; each needs its own")
        seen[key] = reader
