"""The file in which a residence goes from one manager to the next, sealed under its transfer number.

MAGIC, 32 bytes hash of the number, 16 bytes salt, the sealed rest, 32 bytes SHA-256 of all before. The key is
HKDF-SHA256 (RFC 5869) of the number's 16 bytes with that salt, so that it seals one file only and its nonce is zero
(ChaCha20-Poly1305, RFC 8439). The hash tells a wrong number from a damaged file, and is as hard to guess as the number.
"""

import hashlib
import hmac
import json
import os
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_stub.errors import DataError
from cloud_stub.transfers.plain import PlainError, from_plain, to_plain
from edge.residence.values import Residence
from edge.uplink.statements import hash_of

MAGIC = b"vantail residence 1\n"
MAX_FILE = 64 << 20  # bytes
MAX_TEXT = 512 << 20  # bytes, once it is unpacked
_HASH, _SALT, _SUM = 32, 16, 32
_HEAD = len(MAGIC) + _HASH + _SALT
_NONCE = bytes(12)
_DAMAGED = "it was damaged or edited; get the file again"


@dataclass(frozen=True)
class Box:
    """A controller's device. device_key: public, hex, "" for none yet. epoch: in force there."""

    controller: str
    device_key: str
    epoch: int


@dataclass(frozen=True)
class Lockdown:
    """A lockdown that lasts. door: "" for all. at_ms: utc."""

    controller: str
    door: str
    who: str
    at_ms: int


@dataclass(frozen=True)
class Statement:
    """A signed release, hex, and to which epoch it leads."""

    epoch: int
    release: str


@dataclass(frozen=True)
class Passage:
    """An event of the history; the columns of passages.models.Event."""

    controller: str
    log: str
    seq: int
    at_ms: int
    trusted: bool
    late: bool
    revision: int
    boot: str
    door: str
    reader: str
    medium: str
    credential: str | None
    result: str
    reason: str
    output: str
    detail: str
    holder: str
    words: str
    commitment: str
    is_purged: bool
    is_doubtful: bool
    received_ms: int


@dataclass(frozen=True)
class Package:
    """Everything that goes along. site_uid, manager_key: hex; the latter, public, signed the releases. manager: the
    number of who lets go. expires_s: utc."""

    site_uid: str
    manager: int
    manager_key: str
    expires_s: int
    issue: int
    releases: tuple[Statement, ...]
    residence: Residence
    boxes: tuple[Box, ...]
    lockdowns: tuple[Lockdown, ...]
    history: tuple[Passage, ...]


def seal(package: Package, secret: bytes) -> bytes:
    """The file's bytes. DataError where it would be too large."""
    salt = os.urandom(_SALT)
    head = MAGIC + hash_of(secret) + salt
    text = zlib.compress(json.dumps(to_plain(package), ensure_ascii=False, separators=(",", ":")).encode())
    raw = head + ChaCha20Poly1305(_key(secret, salt)).encrypt(_NONCE, text, head)
    if len(raw) + _SUM > MAX_FILE:
        raise DataError(f"the file would have more than {MAX_FILE >> 20} MiB; take fewer days with --history-days")
    return raw + hashlib.sha256(raw).digest()


def open_sealed(raw: bytes, secret: bytes) -> Package:
    """What is in a file that was sealed with this number. DataError says whether the file or the number is wrong."""
    if not raw.startswith(MAGIC):
        raise DataError("not a residence's file; take the one that: vantail-cloud transfer authorise wrote")
    if len(raw) < _HEAD + _SUM or hashlib.sha256(raw[:-_SUM]).digest() != raw[-_SUM:]:
        raise DataError(_DAMAGED)
    head = raw[:_HEAD]
    if not hmac.compare_digest(head[len(MAGIC) : len(MAGIC) + _HASH], hash_of(secret)):
        raise DataError("the transfer number is not this file's; take the number that came with it, or the newer file")
    try:
        text = ChaCha20Poly1305(_key(secret, head[-_SALT:])).decrypt(_NONCE, raw[_HEAD:-_SUM], head)
        found = from_plain(Package, json.loads(_unpacked(text)))
        assert isinstance(found, Package)
        return found
    except PlainError as error:
        raise DataError(f"{error}: it was written by another release of vantail; update both sides") from None
    except (InvalidTag, zlib.error, ValueError, RecursionError):
        raise DataError(_DAMAGED) from None


def _unpacked(text: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(text, MAX_TEXT)
    if not unpacking.eof:
        raise DataError(f"more than {MAX_TEXT >> 20} MiB are packed in it; no residence is so large")
    return found


def _key(secret: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=salt, info=b"vantail residence 1").derive(secret)
