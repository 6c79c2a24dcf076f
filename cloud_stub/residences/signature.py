"""The manager's keys: what controllers obey is signed with one, what they seal is opened with the other."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from cloud_stub import folder
from cloud_stub.errors import ConfigError
from edge.uplink import signing


def manager_key() -> Ed25519PrivateKey:
    """The private key in the data folder. ConfigError where it is missing, open to others, or not a key."""
    path: Path = settings.DATA / folder.MANAGER_KEY
    try:
        return signing.load_private_key(path)
    except signing.KeyFileError as error:
        raise ConfigError(str(error)) from error


def manager_public_key() -> bytes:
    """Its public half, 32 raw bytes."""
    return signing.public_bytes(manager_key())


def seal_key() -> bytes:
    """The private key in the data folder that opens what controllers seal to us, 32 raw bytes. ConfigError."""
    path: Path = settings.DATA / folder.SEAL_KEY
    try:
        key = bytes.fromhex(folder.read_secret(path))
    except ValueError as error:
        raise ConfigError(f"{path}: not a key in hexadecimal digits; restore it from a backup") from error
    if len(key) != 32:
        raise ConfigError(f"{path}: {len(key)} bytes where a key has 32; restore it from a backup")
    return key


def seal_public_key() -> bytes:
    """Its public half, 32 raw bytes."""
    return signing.seal_public(seal_key())
