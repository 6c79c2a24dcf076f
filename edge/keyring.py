"""The keys folder of a controller: its own key, its manager's, and its readers'."""

import contextlib
import os
import stat
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from edge.commissioning.journal import PASSWORD, former_name
from edge.config import Config
from edge.reader.osdp.key_file import KeyPair, ReaderKeyError, read_keys
from edge.storage.chaining import LogKeys
from edge.uplink.signing import (
    KeyFileError,
    ManagerTrust,
    derived_secret,
    generate_key,
    load_manager,
    load_private_key,
    public_bytes,
    seal_log_key,
    seal_name,
)


class Keyring(NamedTuple):
    """What `load` found. reader_keys: reader id → its OSDP base keys. modem_pins: modem id → its SIM's PIN. former:
    the managers that were obeyed before, by epoch."""

    device_key: Any
    device_public: bytes
    manager: ManagerTrust
    reader_keys: dict[str, KeyPair]
    modem_pins: dict[str, str]
    former: Mapping[int, ManagerTrust] = MappingProxyType({})

    @property
    def is_new(self) -> bool:
        """Whether this controller obeys nobody."""
        return not self.manager.site

    @property
    def code_key(self) -> bytes:
        """The key under which keyed digits become credential numbers, in the present epoch."""
        return self.manager.code_key

    def code_key_of(self, epoch: int) -> bytes:
        """The key under which the codes in a policy of `epoch` are: the former manager's until the new one's came."""
        return self.former.get(epoch, self.manager).code_key if epoch != self.manager.epoch else self.manager.code_key

    @property
    def first_epoch(self) -> int:
        """The oldest of which anything is known here."""
        return min([self.manager.epoch, *self.former])

    @property
    def log_keys(self) -> LogKeys:
        """What protects the event log: a secret of this device, and the manager whom its first key is sealed to."""
        local, seal_key = derived_secret(self.device_key, "event log"), self.manager.seal_key
        if not seal_key:
            return LogKeys(local)
        return LogKeys(local, partial(seal_log_key, seal_key), seal_name(seal_key))

    def keys_of(self, reader: str) -> KeyPair:
        """An OSDP reader's keys; without any it is not paired yet, and nothing of it opens a door."""
        return self.reader_keys.get(reader, KeyPair(None, None))


def load(config: Config) -> Keyring:
    """Read and check every key that the configuration needs. KeyFileError names the file and what to do."""
    folder = Path(config.keys)
    device_key = load_private_key(folder / "device.key")
    manager = _manager(folder, config.controller)
    if manager.controller != config.controller:
        raise KeyFileError(
            f"{folder / 'manager.toml'}: is for controller {manager.controller}, agent.toml says {config.controller}; "
            "provision this one"
        )
    reader_keys = load_reader_keys(folder / "osdp.toml") if config.bus else {}
    pins = load_pins(folder / "modem.toml", [modem.id for modem in config.modem])
    return Keyring(device_key, public_bytes(device_key), manager, reader_keys, pins, _former(folder))


def _manager(folder: Path, controller: str) -> ManagerTrust:
    """Whom manager.toml names. A controller that has its password, or had a manager before it was reset, may obey
    nobody: a key of which no private half exists any more, so that nothing is ever signed with it."""
    try:
        return load_manager(folder / "manager.toml")
    except KeyFileError as error:
        if not error.missing or not ((folder / PASSWORD).exists() or any(folder.glob("manager-*.toml"))):
            raise
    nobody = public_bytes(generate_key())
    return ManagerTrust(bytes(16), "", controller, nobody, 0, 0, os.urandom(32))


def _former(folder: Path) -> dict[int, ManagerTrust]:
    """Those that were obeyed before. One that cannot be read is left out: that must keep nobody out."""
    found = {}
    for path in folder.glob("manager-*.toml"):
        with contextlib.suppress(KeyFileError):
            manager = load_manager(path)
            if path.name == former_name(manager.epoch):
                found[manager.epoch] = manager
    return found


def load_pins(path: Path, modems: list[str]) -> dict[str, str]:
    """The SIMs' PINs. A SIM without one needs no line, and no file. KeyFileError."""
    if not modems or not path.exists():
        return {}
    pins = {}
    for modem, pin in _read_secrets(path).items():
        if modem not in modems:
            raise KeyFileError(f"{path}: there is no modem {modem}; known are {', '.join(modems)}")
        if not (isinstance(pin, str) and pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 8):
            raise KeyFileError(f"{path}: the PIN of modem {modem} is not a text of 4 to 8 digits")
        pins[modem] = pin
    return pins


def load_reader_keys(path: Path) -> dict[str, KeyPair]:
    """Each paired reader's keys. KeyFileError where the file cannot be used; where there is none, none is paired."""
    try:
        return read_keys(path)
    except ReaderKeyError as error:
        raise KeyFileError(str(error), wrong_mode="chmod" in str(error)) from None


def _read_secrets(path: Path) -> dict[str, Any]:
    """A TOML file of secrets, a line each. KeyFileError where it is missing, open to others, or no TOML."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyFileError(f"{path}: others may read it; run: chmod 600 {path.name}", wrong_mode=True)
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no such file", missing=True) from None
    except tomllib.TOMLDecodeError:
        raise KeyFileError(f'{path}: cannot be read, it is not TOML; it holds a line NAME = "…" each') from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: cannot be read ({error})") from None
