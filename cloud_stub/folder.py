"""The data folder: the database (unless it is elsewhere), the secrets made at first start, the compiled translations.

Everything in it is private to the user that runs the cloud: folder 0700, files 0600.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from cloud_stub import translations
from cloud_stub.errors import ConfigError, FolderError

SECRET_KEY = "secret.key"  # noqa: S105 (the file's name); signs Django's cookies
MANAGER_KEY = "manager.key"  # Ed25519, signs what controllers obey; raw hex
SEAL_KEY = "seal.key"  # X25519, opens what controllers seal to us; raw hex
ENVIRONMENT = "VANTAIL_CLOUD_DATA"


def prepare(path: Path) -> Path:
    """Make the folder at `path` ready and return it, resolved. FolderError where it cannot be written."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = path.resolve()
        with locked(folder):
            _make_once(folder / SECRET_KEY, lambda: secrets.token_urlsafe(50))
            _make_once(folder / MANAGER_KEY, lambda: secrets.token_hex(32))  # any 32 bytes are an Ed25519 key
            _make_once(folder / SEAL_KEY, lambda: secrets.token_hex(32))  # and so they are an X25519 key
            translations.compile_all(folder / "locale")
    except OSError as error:
        raise FolderError(f"data folder {path}: {error.strerror}; choose another with --data DIR") from error
    return folder


def read_secret(path: Path) -> str:
    """A secret's text. ConfigError where it is missing, or others could read it."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read; start vantail-cloud with this data folder once") from error
    if mode & 0o077:
        raise ConfigError(f"{path}: mode {mode:04o} lets others read a secret; run: chmod 600 {path}")
    return text


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for its one-time work (secrets, migrations) against a second process that starts too."""
    with open(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as handle:
        flock(handle, LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _make_once(path: Path, make: Callable[[], str]) -> None:
    if not path.exists():
        write_private(path, make() + "\n")
