"""The files of a transfer: written whole or not at all, readable by their owner alone."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cloud_stub.errors import DataError, FolderError, MissingInputError
from cloud_stub.folder import read_secret
from cloud_stub.residences.models import Controller
from edge.uplink.statements import HANDOVER
from edge.uplink.transfer_file import CONTROLLER, Header, Item, TransferError, replacing, save
from edge.uplink.transfer_file import read as read_dat


def check_free(path: Path, is_forced: bool) -> None:
    """FolderError where a file is there already."""
    if path.exists() and not is_forced:
        raise FolderError(f"{path}: is there already; give another name, or --force")


def make_folder(path: Path) -> Path:
    """A folder of our own. FolderError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror}") from error
    return path


def write(path: Path, raw: bytes) -> None:
    """FolderError."""
    try:
        with replacing(path) as file:
            file.write(raw)
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror}") from error


def read(path: Path, most: int) -> bytes:
    """A file of at most `most` bytes. MissingInputError, DataError."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror}") from error
    if len(raw) > most:
        raise DataError(f"{path}: more than {most >> 20} MiB; no right file is so large")
    return raw


def read_password(path: Path) -> str:
    """The one line of a file that only its owner may read. MissingInputError, ConfigError."""
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file; write the controller's password into it")
    return read_secret(path)


def handover_item(statement: bytes) -> Item:
    """What goes into a DAT file."""
    return Item(HANDOVER, statement)


def write_dat(path: Path, controller: Controller, items: Iterable[Item], now: datetime) -> None:
    """FolderError, DataError."""
    header = Header(CONTROLLER, controller.site.slug, controller.slug, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    try:
        save(path, header, items)
    except TransferError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise FolderError(f"{error.filename or path}: {error.strerror}") from error


def read_handover(path: Path) -> bytes:
    """The hand-over in a DAT file. DataError, MissingInputError."""
    try:
        with path.open("rb") as file:
            found = [item.message for item in read_dat(file)[1] if item.kind == HANDOVER]
    except TransferError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror}") from error
    if len(found) != 1:
        raise DataError(f"{path}: {len(found)} hand-overs in it where there is one; take what transfer revoke wrote")
    return found[0]
