"""The manager's operational key: what controllers obey is signed with it."""

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
