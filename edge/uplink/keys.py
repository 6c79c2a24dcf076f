"""Key files and the manager that a controller obeys, as they lie on disk.

Until commissioning exists, trust is placed by file: `device.key` is made on the device and never leaves it,
`manager.toml` is written by `vantail-cloud provision`. Private files are refused when others may read them.
"""

import hashlib
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.uplink.sealing import device_seal_private

_KEY_SIZE = 32  # Ed25519 (RFC 8032): private seed and public key
_UID_SIZE = 16
_SLUG = re.compile(r"[a-z0-9-]{1,64}")
_MAX_FILE = 65_536
_U64 = (1 << 64) - 1
_OPTIONAL_KEYS = ("seal_key", "root_key", "recovery_key")


class KeyFileError(Exception):
    """A key file that cannot be used: one line that names the file, what was seen and what to do.
    `missing`: it does not exist. `wrong_mode`: others may read it, or this process may not."""

    def __init__(self, message: str, *, missing: bool = False, wrong_mode: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.wrong_mode = wrong_mode


class Trust(NamedTuple):
    """Who talks with whom: what every signed message names, the key that must have signed what comes in, and who may
    read what is sealed. site_uid: 16 bytes. controller: the device's fingerprint, 16 bytes. public_key: the other
    side's, 32 bytes. seal_to: the other side's seal key, 32 bytes; b"": nothing can be sealed to it. unseal: the
    private half of our own, never printed."""

    site_uid: bytes
    controller: bytes
    epoch: int
    public_key: bytes
    seal_to: bytes = b""
    unseal: bytes = b""

    def __repr__(self) -> str:
        return f"Trust(site={self.site_uid.hex()[:8]}, controller={self.controller.hex()[:8]}, epoch={self.epoch})"


class ManagerTrust(NamedTuple):
    """manager.toml: the one manager that a controller obeys. site, controller: slugs, the words of the topics.
    manager_key: public. code_key: 32 secret bytes, never printed. seal_key: what only the manager may read is sealed
    to it (edge/uplink/sealing.py); b"" where an older manager wrote the file: then no event leaves the controller until
    it is provisioned again, and the doors go on. root_key, serial: what certifies manager_key (certificates.
    OperationalKeys), b"" and 0 where trust was placed by file. recovery_key: the owner's, public, b"" for none."""

    site_uid: bytes
    site: str
    controller: str
    manager_key: bytes
    epoch: int
    manager: int
    code_key: bytes
    seal_key: bytes = b""
    root_key: bytes = b""
    serial: int = 0
    recovery_key: bytes = b""

    def trust(self, device_key: Ed25519PrivateKey) -> Trust:
        """What the controller with this key checks messages from the manager against, and addresses its own with."""
        unseal = device_seal_private(device_key.private_bytes_raw())
        controller = fingerprint(public_bytes(device_key))
        return Trust(self.site_uid, controller, self.epoch, self.manager_key, self.seal_key, unseal)

    def __repr__(self) -> str:
        return f"ManagerTrust(site={self.site!r}, controller={self.controller!r}, epoch={self.epoch})"


def is_slug(text: str) -> bool:
    """A word that may stand in a topic: [a-z0-9-], 1 to 64 characters."""
    return _SLUG.fullmatch(text) is not None


def generate_key() -> Ed25519PrivateKey:
    """A new private key from the operating system's random source."""
    return Ed25519PrivateKey.generate()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of a key's public half."""
    return key.public_key().public_bytes_raw()


def derived_secret(key: Ed25519PrivateKey, purpose: str) -> bytes:
    """32 secret bytes that only this private key gives, others for each purpose (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=f"vantail {purpose}".encode()).derive(key.private_bytes_raw())


def fingerprint(public_key: bytes) -> bytes:
    """The 16 bytes that name a device on the wire: the beginning of SHA-256 of its public key."""
    return hashlib.sha256(public_key).digest()[:16]


def write_private_key(path: str | os.PathLike[str], key: Ed25519PrivateKey) -> None:
    """Write the raw key in hex, mode 0600. KeyFileError where the file exists: a key is never written over."""
    _write_new(Path(path), key.private_bytes_raw().hex() + "\n", 0o600)


def write_public_key(path: str | os.PathLike[str], public_key: bytes) -> None:
    """Write a public key in hex, mode 0644, in place of what was there."""
    _replace(Path(path), public_key.hex() + "\n", 0o644)


def load_private_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """The private key of a file that only its owner may read. KeyFileError otherwise, without its content."""
    return Ed25519PrivateKey.from_private_bytes(_key_of(Path(path), _read(Path(path), private=True)))


def load_public_key(path: str | os.PathLike[str]) -> bytes:
    """The 32 bytes of a public key file. KeyFileError."""
    return _key_of(Path(path), _read(Path(path), private=False))


def load_manager(path: str | os.PathLike[str]) -> ManagerTrust:
    """manager.toml, every key there and in its form. KeyFileError names the key that is wrong, never its value."""
    file = Path(path)
    try:
        found = tomllib.loads(_read(file, private=True))
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"{file}: not TOML: {error}; have it provisioned again") from None
    unknown = sorted(set(found) - set(ManagerTrust._fields))
    if unknown:
        raise KeyFileError(f"{file}: unknown key {unknown[0]!r}; known are {', '.join(ManagerTrust._fields)}")
    return ManagerTrust(
        site_uid=_hex(file, found, "site_uid", _UID_SIZE),
        site=_slug(file, found, "site"),
        controller=_slug(file, found, "controller"),
        manager_key=_hex(file, found, "manager_key", _KEY_SIZE),
        epoch=_number(file, found, "epoch"),
        manager=_number(file, found, "manager"),
        code_key=_hex(file, found, "code_key", _KEY_SIZE),
        serial=_number(file, found, "serial", _U64) if "serial" in found else 0,
        **{name: _hex(file, found, name, _KEY_SIZE) for name in _OPTIONAL_KEYS if name in found},
    )


def write_manager(path: str | os.PathLike[str], manager: ManagerTrust) -> None:
    """Write manager.toml, mode 0600, in place of what was there. ValueError where a name is not a slug."""
    _replace(Path(path), manager_text(manager), 0o600)


def manager_text(manager: ManagerTrust) -> str:
    """The content of manager.toml. ValueError where a name is not a slug."""
    for word in (manager.site, manager.controller):
        if not is_slug(word):
            raise ValueError(f"{word!r} is not a word of a-z, 0-9 and '-'")
    lines = ["# The manager that this controller obeys. Secret: it holds the key of the codes."]
    named = zip(ManagerTrust._fields, manager, strict=True)
    lines += [f"{name} = {_toml(value)}" for name, value in named if value != b"" and (name, value) != ("serial", 0)]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bytes):
        return f'"{value.hex()}"'
    return f'"{value}"' if isinstance(value, str) else str(value)


def _read(path: Path, private: bool) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and mode & 0o077:
                raise KeyFileError(
                    f"{path}: mode {mode:04o} lets others read it; run: chmod 600 {path}", wrong_mode=True
                )
            return file.read(_MAX_FILE).decode("ascii")
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no such file; {_ADVICE.get(path.name, 'make it first')}", missing=True) from None
    except OSError as error:
        denied = isinstance(error, PermissionError)
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}", wrong_mode=denied) from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: not a text file of ASCII letters") from None


_ADVICE = {
    "device.key": "make it with: vantail keygen",
    "device.pub": "make it with: vantail keygen",
    "manager.toml": "have the manager write it with: vantail-cloud provision",
}


def _key_of(path: Path, text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.strip())
    except ValueError:
        raise KeyFileError(f"{path}: not a key in hexadecimal digits") from None
    if len(raw) != _KEY_SIZE:
        raise KeyFileError(f"{path}: {len(raw)} bytes where a key has {_KEY_SIZE}")
    return raw


def _hex(path: Path, found: dict[str, Any], name: str, size: int) -> bytes:
    value = _of_type(path, found, name, str)
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        raise KeyFileError(f"{path}: {name} is not in hexadecimal digits") from None
    if len(raw) != size:
        raise KeyFileError(f"{path}: {name} has {len(raw)} bytes, not {size}")
    return raw


def _slug(path: Path, found: dict[str, Any], name: str) -> str:
    value = _of_type(path, found, name, str)
    if not is_slug(value):
        raise KeyFileError(f"{path}: {name} is not a word of a-z, 0-9 and '-'")
    return str(value)


def _number(path: Path, found: dict[str, Any], name: str, top: int = (1 << 32) - 1) -> int:
    value = _of_type(path, found, name, int)
    if not 0 <= value <= top:
        raise KeyFileError(f"{path}: {name} is outside 0 to {top}")
    return int(value)


def _of_type(path: Path, found: dict[str, Any], name: str, wanted: type) -> Any:
    if name not in found:
        raise KeyFileError(f"{path}: {name} is missing; have it provisioned again")
    if type(found[name]) is not wanted:
        raise KeyFileError(f"{path}: {name} is not {'a number' if wanted is int else 'a text'}")
    return found[name]


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already and is not written over; move it away first") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    _fill(handle, text, mode)


def _replace(path: Path, text: str, mode: int) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    _write_new(beside, text, mode)
    os.replace(beside, path)


def _fill(handle: int, text: str, mode: int) -> None:
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(handle, mode)  # the umask may have taken more away
        file.write(text)
        file.flush()
        os.fsync(handle)
