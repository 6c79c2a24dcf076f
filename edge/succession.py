"""A new manager at its first start: what was begun is ended, the former one's log is closed, its policy stays in force.

A log belongs to the manager of one epoch, which its file says (kept under LOG_EPOCH). What its manager has not got
stays in it for that manager; nobody else is ever sent it.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.commissioning import files, journal
from edge.commissioning.handover import Standing
from edge.config import Config
from edge.decision.index import Index
from edge.keyring import Keyring
from edge.storage import restoring
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.state_store import StateStore
from edge.uplink import statements
from edge.uplink.keys import KeyFileError, load_manager, load_private_key
from edge.uplink.wire import WireError

LOG_EPOCH = "log-epoch"  # kept in each log: the manager's epoch under which it was begun


def resume(config: Config) -> None:
    """Before the keys are read: end what a power cut left half done, as far as the disk lets it. Where it does not, the
    doors go on all the same, and the next start tries again. KeyFileError."""
    folder = Path(config.keys)
    names = _names(folder)
    if not set(names) & {journal.MANAGER, journal.HANDOVER, journal.RESET}:
        return
    device_key = load_private_key(folder / "device.key")
    resumed = journal.resume(names, _epoch(folder), waiting_epoch(folder, device_key), None)
    try:
        files.perform(folder, resumed.steps)
    except files.StepError as error:
        print(f"vantail: what a change of manager left could not be put right: {error}", file=sys.stderr)


def clean_up(folder: Path, device_key: Ed25519PrivateKey) -> None:
    """Take away what a binding that failed had written. files.StepError, KeyFileError."""
    epoch, waiting = _epoch(folder), waiting_epoch(folder, device_key)
    files.perform(folder, journal.resume(_names(folder), epoch, waiting, None).steps)


def standing(config: Config, keys: Keyring) -> Standing:
    """How the controller stands, for the hand-over."""
    if not keys.is_new:
        return Standing(keys.manager.site_uid, keys.manager.epoch, config.controller)
    floor = journal.resume(_names(Path(config.keys)), None, None, None).floor
    return Standing(b"", floor, config.controller)


def waiting_epoch(folder: Path, device_key: Ed25519PrivateKey) -> int | None:
    """To which epoch the statements that wait lead; None where none do, or they cannot be read."""
    try:
        _, claim, _ = statements.decode_handover((folder / journal.HANDOVER).read_bytes())
        return statements.verify_claim(claim, device_key).epoch if claim else None
    except (OSError, WireError):
        return None


def log_of_present(
    log: EventLog, open_log: Callable[[], EventLog], mark: Path, keys: Keyring
) -> tuple[EventLog, dict[str, bytes], str]:
    """The log of the present manager, which is `log`, or another that begins where that one is a former manager's; what
    is kept in it; and "", or why no other could begin: then the former one's goes on, as the doors must, nothing of it
    may be sent, and the next start tries again. open_log: opens the log of the data folder again. Blocks. StorageError,
    OSError."""
    state = StateStore(log.database)
    kept, epoch = state.load().result(), keys.manager.epoch
    trouble = ""
    begun = _number(kept.get(LOG_EPOCH))
    if begun is not None and begun != epoch and not keys.is_new:  # after a reset to factory it goes on
        floor_ms, data = state.floor_ms().result(), log.report.path.parent
        log.close()
        try:
            restoring.begin_another(data, {**kept, LOG_EPOCH: b"%d" % epoch}, floor_ms)
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)  # it was the former log's, and would call the new one a forgery
        except (OSError, StorageError) as error:
            if (data / restoring.PLAN).exists():  # from there on only the next start can end it
                raise
            trouble = str(error)
        log = open_log()
        kept = StateStore(log.database).load().result()
    elif begun is None:
        state.keep({LOG_EPOCH: b"%d" % epoch})
    return log, kept, trouble


def is_of_present(kept: Mapping[str, bytes], keys: Keyring) -> bool:
    """Whether a closed log is the present manager's. One that does not say was begun before there were others."""
    begun = _number(kept.get(LOG_EPOCH))
    return (keys.first_epoch if begun is None else begun) == keys.manager.epoch


def may_stay_in_force(index: Index, keys: Keyring) -> bool:
    """Whether the policy that is stored opens doors: the manager's own, or until that came the former one's of the same
    site. Who obeys nobody lets nobody in."""
    if keys.is_new:
        return False
    return bool(index.version[0] == keys.manager.epoch or index.site.uid == keys.manager.site_uid)


def _epoch(folder: Path) -> int | None:
    try:
        return load_manager(folder / journal.MANAGER).epoch
    except KeyFileError as error:
        if error.missing:
            return None
        raise


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _number(kept: bytes | None) -> int | None:
    return int(kept) if kept and kept.isdigit() else None
