"""The manager's own keys and number. The root key certifies one operational key (manager.key) at a time by a serial
that only rises; a controller that was handed over obeys what the root certified last.

root.key is made once, in the data folder, and belongs off line afterwards: it is only needed to hand a controller over
and to renew manager.key.
"""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection, transaction

from cloud_stub import folder
from cloud_stub.errors import ConfigError
from cloud_stub.residences import signature
from cloud_stub.residences.models import Controller
from cloud_stub.transfers.models import Manager
from edge.uplink import signing
from edge.uplink.statements import encode_certificate, verify_certificate

ROOT_KEY = "root.key"  # Ed25519, raw hex


def identity(check: bool = True) -> Manager:
    """Who we are. ConfigError before `set_up`, and with `check` where manager.key is not the key that the root
    certified."""
    found = Manager.objects.first()
    if found is None:
        raise ConfigError("this manager has no number and no root key yet; run: vantail-cloud manager set --number N")
    root, raw = bytes.fromhex(found.root_key), bytes.fromhex(found.certificate)
    if check and verify_certificate(raw, root).key != signature.manager_public_key():
        raise ConfigError(
            "manager.key is not the key that the root key certified; run: vantail-cloud manager renew-key"
        )
    return found


def root_print(manager: Manager) -> str:
    """What of the root key a person compares: as statements.Claim.root_print shows it at the controller."""
    digits = hashlib.sha256(b"vantail root 1" + bytes.fromhex(manager.root_key)).hexdigest()[:16]
    return " ".join(digits[at : at + 4] for at in range(0, 16, 4))


def set_up(number: int | None, cloud: str | None) -> Manager:
    """Make the manager's root key and first certificate, or change number and address. ConfigError."""
    found = Manager.objects.first()
    if found is None:
        if number is None:
            raise ConfigError("a manager begins with its number; give --number N")
        root = _make_root()
        public = signing.public_bytes(root).hex()
        found = Manager(number=number, root_key=public, serial=1, certificate=_certify(root, 1))
    found.number = found.number if number is None else number
    found.cloud = found.cloud if cloud is None else cloud
    found.save()
    return found


def is_root_here() -> bool:
    """Whether the private root key lies in the data folder."""
    return bool((settings.DATA / ROOT_KEY).exists())


def root_key(path: str, manager: Manager) -> Ed25519PrivateKey:
    """The private root key, from `path` or, with "", the data folder. ConfigError."""
    file = Path(path) if path else settings.DATA / ROOT_KEY
    try:
        key = signing.load_private_key(file)
    except signing.KeyFileError as error:
        advice = "" if path else "; if it is kept off line, bring it and name it with --root-key FILE"
        raise ConfigError(f"{error}{advice}") from error
    if signing.public_bytes(key).hex() != manager.root_key:
        raise ConfigError(f"{file}: not this manager's root key; take the one whose print manager show prints")
    return key


def renew(manager: Manager, root: Ed25519PrivateKey, is_forced: bool) -> int:
    """A new operational key under the next serial, which is returned. ConfigError where controllers obey the present
    key: they learn of a new one by a hand-over alone, until then they refuse what it signs."""
    if connection.vendor == "postgresql":
        raise ConfigError("the database names the keys of its manager; renewing them needs SQLite in this release")
    bound = Controller.objects.filter(is_active=True).exclude(device_key="").count()
    if bound and not is_forced:
        raise ConfigError(
            f"{bound} controllers obey the present key and would refuse the new one until each is handed over or "
            "provisioned again; add --force if that is wanted"
        )
    key, serial = signing.generate_key(), manager.serial + 1
    with transaction.atomic():
        certificate = encode_certificate(signing.public_bytes(key), serial, root).hex()
        Manager.objects.filter(pk=manager.pk).update(serial=serial, certificate=certificate)
        # Last: where this fails nothing was changed; where only the commit does, `identity` says so.
        folder.write_private(settings.DATA / folder.MANAGER_KEY, key.private_bytes_raw().hex() + "\n")
    return serial


def _make_root() -> Ed25519PrivateKey:
    path = settings.DATA / ROOT_KEY
    try:
        if not path.exists():
            signing.write_private_key(path, signing.generate_key())
        return signing.load_private_key(path)
    except signing.KeyFileError as error:
        raise ConfigError(str(error)) from error


def _certify(root: Ed25519PrivateKey, serial: int) -> str:
    return encode_certificate(signature.manager_public_key(), serial, root).hex()
