"""Sealing to one reader: only who has the private half of a seal key can read it.

X25519 (RFC 7748) with a new key each time, HKDF-SHA256 (RFC 5869) over both public halves, ChaCha20-Poly1305 (RFC
8439). A key is used for one text, so that the nonce is zero. 32 bytes of the new public half, the text, 16 of a tag.

The manager has a seal key of its own. A device's seal key is its signing key, mapped from Ed25519's curve to X25519's
(RFC 7748, section 4.1), so that whoever knows a device can seal to it.
"""

import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_SIZE = 32
OVERHEAD = 48  # bytes that a sealed text is longer
_NONCE = bytes(12)
_PRIME = (1 << 255) - 19


def seal(seal_key: bytes, text: bytes, what: bytes) -> bytes:
    """`text` for whom `seal_key` (32 bytes, public) belongs to. what: names it; the same has to be said to open it."""
    private = X25519PrivateKey.generate()
    own = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(seal_key))
    return own + ChaCha20Poly1305(_key(shared, own, seal_key)).encrypt(_NONCE, text, what)


def unseal(private_key: bytes, sealed: bytes, what: bytes) -> bytes | None:
    """The text; None where it was sealed to somebody else, is named otherwise, or was touched."""
    if len(sealed) < OVERHEAD:
        return None
    private = X25519PrivateKey.from_private_bytes(private_key)
    own, rest = sealed[:KEY_SIZE], sealed[KEY_SIZE:]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(own))
        return ChaCha20Poly1305(_key(shared, own, seal_public(private_key))).decrypt(_NONCE, rest, what)
    except (InvalidTag, ValueError):
        return None


def seal_public(private_key: bytes) -> bytes:
    """The public half, 32 bytes, of a private key of 32 bytes."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


@lru_cache(maxsize=4096)
def device_seal_public(device_public: bytes) -> bytes:
    """The seal key, 32 bytes, of the device with this Ed25519 key. ValueError where no point has it."""
    y = int.from_bytes(device_public, "little") & ((1 << 255) - 1)
    if len(device_public) != KEY_SIZE or y >= _PRIME or y == 1:
        raise ValueError("not an Ed25519 key")
    return ((1 + y) * pow(1 - y, -1, _PRIME) % _PRIME).to_bytes(KEY_SIZE, "little")


def device_seal_private(device_private: bytes) -> bytes:
    """The private half, 32 bytes, of a device's seal key: the scalar of its Ed25519 seed (RFC 8032, section 5.1.5);
    X25519 clamps it alike."""
    return hashlib.sha512(device_private).digest()[:KEY_SIZE]


def seal_log_key(seal_key: bytes, key: bytes, log_id: bytes, first: int) -> bytes:
    """The first key of a log's chain, that of event `first`, for the manager."""
    return seal(seal_key, key, _log_key(log_id, first))


def unseal_log_key(private_key: bytes, sealed: bytes, log_id: bytes, first: int) -> bytes:
    """The key again; b"" where it is not for us."""
    return unseal(private_key, sealed, _log_key(log_id, first)) or b""


def seal_name(seal_key: bytes) -> bytes:
    """16 bytes that name a seal key."""
    return hashlib.sha256(seal_key).digest()[:16]


def _log_key(log_id: bytes, first: int) -> bytes:
    return b"vantail log key" + log_id + first.to_bytes(8, "big")


def _key(shared: bytes, own: bytes, theirs: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=own + theirs, info=b"vantail seal 1").derive(shared)
