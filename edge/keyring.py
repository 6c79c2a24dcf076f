"""The keys folder of a controller: its own key, its manager's, and its readers'."""

import stat
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from edge.config import Config
from edge.uplink.signing import KeyFileError, ManagerTrust, load_manager, load_private_key, public_bytes


class Keyring(NamedTuple):
    """What `load` found. reader_keys: reader id → 16-byte SCBK. modem_pins: modem id → its SIM's PIN."""

    device_key: Any
    device_public: bytes
    manager: ManagerTrust
    reader_keys: dict[str, bytes]
    modem_pins: dict[str, str]

    @property
    def code_key(self) -> bytes:
        """The key under which keyed digits become credential numbers."""
        return self.manager.code_key


def load(config: Config) -> Keyring:
    """Read and check every key that the configuration needs. KeyFileError names the file and what to do."""
    folder = Path(config.keys)
    device_key = load_private_key(folder / "device.key")
    manager = load_manager(folder / "manager.toml")
    if manager.controller != config.controller:
        raise KeyFileError(
            f"{folder / 'manager.toml'}: is for controller {manager.controller}, agent.toml says {config.controller}; "
            "provision this one"
        )
    wanted = [reader.id for bus in config.bus for reader in bus.readers]
    reader_keys = load_reader_keys(folder / "osdp.toml", wanted) if wanted else {}
    pins = load_pins(folder / "modem.toml", [modem.id for modem in config.modem])
    return Keyring(device_key, public_bytes(device_key), manager, reader_keys, pins)


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


def load_reader_keys(path: Path, wanted: list[str]) -> dict[str, bytes]:
    """Each wanted reader's SCBK. KeyFileError where the file is missing, open to others, or lacks one."""
    found = _read_secrets(path)
    keys = {}
    for reader in wanted:
        if reader not in found:
            raise KeyFileError(f"{path}: no key for reader {reader}; add the one that was paired with it")
        try:
            keys[reader] = bytes.fromhex(str(found[reader]))
        except ValueError:
            keys[reader] = b""
        if len(keys[reader]) != 16:
            raise KeyFileError(f"{path}: the key of reader {reader} is not 32 hex digits")
    same = [reader for reader in wanted if list(keys.values()).count(keys[reader]) > 1]
    if same:
        raise KeyFileError(f"{path}: readers {', '.join(same)} have the same key; each needs its own")
    return keys


def _read_secrets(path: Path) -> dict[str, Any]:
    """A TOML file of secrets, a line each. KeyFileError where it is missing, open to others, or no TOML."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyFileError(f"{path}: others may read it; run: chmod 600 {path.name}", wrong_mode=True)
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        said = f'{path}: no such file; it holds one line READER = "32 hex digits" for each reader'
        raise KeyFileError(said, missing=True) from None
    except tomllib.TOMLDecodeError:
        raise KeyFileError(f'{path}: cannot be read, it is not TOML; it holds a line NAME = "…" each') from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path}: cannot be read ({error})") from None
