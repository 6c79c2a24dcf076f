"""Taking a backup back, whole or not at all, without turning any clock, number or policy back.

The log of a backup is closed: it keeps its id and its events, for reading and for sending what the cloud has not
acknowledged, and nothing is written to it again. A new log with an id of its own begins, so that no number of an old
log is given twice. What only rises (the floor of wall time, the newest policy that was in force) is the higher of the
backup's and of what is there.

Everything new is made and flushed in a folder of its own first. Then a plan is put beside it, and from that moment the
restore is done: whatever cuts it off, `finish` carries it to its end before the files are opened again.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from edge.storage.archive import EVENTS, POLICY, BackupRefused, Opened, unpack
from edge.storage.backup import check_owner
from edge.storage.errors import StorageError
from edge.storage.event_log import EventLog
from edge.storage.opening import sync_folder
from edge.storage.state_store import StateStore

NEW = "restoring"  # the folder in which everything new is made
PLAN = "restore.plan"
RESTORED = "restored"  # kept: what to write down once the new log is open
_NUMBER = re.compile(r"^(?:events\.db\.closed-(\d+)|before-restore-(\d+)/events\.db)$")
KEPT_APART = (".damaged-", ".closed-")  # parts of names of files that stay where they are

Version = tuple[int, int]


class Present(NamedTuple):
    """What is there before a restore. kept: None where events.db is missing or cannot be read; trouble says why."""

    kept: dict[str, bytes] | None
    floor_ms: int
    policy: Version
    trouble: str


class Restored(NamedTuple):
    """What a restore did. closed: the log of the backup, unsent of its events not acknowledged then. aside: the folder
    with the files that were there. policy: None where the present one stays. log_id: the new log's."""

    log_id: bytes
    closed: Path
    unsent: int
    policy: Version | None
    aside: Path
    trouble: str


# --- the restore ------------------------------------------------------------------------------------------------


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Inside the block no other restore, and no agent that is about to start, works in `data`. StorageError."""
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{data}: a restore is under way; try again once it has ended") from None
        yield
    finally:
        os.close(descriptor)


def restore(
    data: Path, backup: Path, *, policy_floor: str, with_policy: bool, vouch: Callable[[Opened], None]
) -> Restored:
    """Take `backup` back into the data folder of an agent that does not run.

    policy_floor: the kept name of the newest policy ever in force. vouch: raises where the manifest is not this
    controller's. StorageError, BackupRefused, OSError: then all is as it was."""
    data.mkdir(0o700, parents=True, exist_ok=True)
    check_owner(data)
    with alone(data):
        _finish(data)
        present = _look_at_present(data, policy_floor)
        new = data / NEW
        new.mkdir(0o700)
        try:
            opened = unpack(backup, new, vouch)
            report = _prepare(data, opened, present, policy_floor, with_policy)
            _decide(data, report.aside.name, with_policy)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _finish(data)
    return report


def finish(data: Path) -> bool:
    """Carry a restore that was cut off to its end; to be called before the files in `data` are opened. Whether there
    was one. StorageError where another process is at it."""
    if not (data / PLAN).exists() and not (data / NEW).exists():
        return False
    with alone(data):
        return _finish(data)


def closed_logs(data: Path) -> list[Path]:
    """The logs that restores closed, oldest first: those of backups, and those that they took the place of. Each opens
    as an EventLog, whose unsent events go to the cloud under its own id."""
    found = [*data.glob(f"{EVENTS}{KEPT_APART[1]}*"), *data.glob(f"before-restore-*/{EVENTS}")]
    named = [(_NUMBER.match(str(path.relative_to(data))), path) for path in found]
    numbered = [(int(name[1] or name[2]), path) for name, path in named if name]
    return [path for _, path in sorted(numbered)]


def _look_at_present(data: Path, policy_floor: str) -> Present:
    """StorageError where an agent has the files open."""
    try:
        with _locked(data / POLICY) as connection:
            policy = tuple(connection.execute("SELECT epoch, revision FROM policy").fetchone())
    except (sqlite3.Error, TypeError, FileNotFoundError):
        policy = (0, 0)
    try:
        with _locked(data / EVENTS) as connection:
            kept = dict(connection.execute("SELECT name, value FROM kept").fetchall())
            floor_ms = connection.execute("SELECT floor_ms FROM head").fetchone()[0]
    except FileNotFoundError:
        return Present(None, 0, policy, f"there was no {EVENTS}")
    except (sqlite3.Error, TypeError) as error:
        return Present(None, 0, policy, f"{EVENTS} could not be read ({error})")
    return Present(kept, floor_ms, max(policy, version_of(kept.get(policy_floor))), "")


@contextmanager
def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StorageError(f"{path}: an agent has it open; stop the agent first") from error
            raise
        yield connection


def version_of(kept: bytes | None) -> Version:
    """(epoch, revision) of the kept floor of policies; (0, 0) where it cannot be read: that must keep nobody out."""
    epoch, _, revision = (kept or b"0 0").partition(b" ")
    return (int(epoch), int(revision)) if epoch.isdigit() and revision.isdigit() else (0, 0)


def _prepare(data: Path, opened: Opened, present: Present, policy_floor: str, with_policy: bool) -> Restored:
    """Make every new file in the folder for it, and flush them."""
    new = data / NEW
    with closing(sqlite3.connect(f"file:{new / EVENTS}?mode=ro", uri=True)) as connection:
        backup_kept = dict(connection.execute("SELECT name, value FROM kept").fetchall())
        backup_floor_ms, acked, last_seq = connection.execute("SELECT floor_ms, acked, last_seq FROM head").fetchone()
    version = (opened.manifest["policy"]["epoch"], opened.manifest["policy"]["revision"])
    floor = max(present.policy, version_of(backup_kept.get(policy_floor)))
    if with_policy and version < floor:
        raise BackupRefused(
            f"the backup's policy {_words(version)} is older than {_words(floor)}, which was in force here: refused; "
            f"give --without-policy to restore the log alone and keep the policy"
        )
    closed = _free_name(data, f"{EVENTS}{KEPT_APART[1]}{{}}")
    os.rename(new / EVENTS, new / closed)
    # Who is locked out or inside is newer in the file that is there.
    kept = dict(backup_kept if present.kept is None else present.kept)
    kept[policy_floor] = b"%d %d" % (max(floor, version) if with_policy else floor)
    made_at, log = opened.manifest["made_at"], opened.manifest["log"]["id"]
    kept[RESTORED] = f"backup of {made_at}, log {log[:8]} closed".encode()
    log_id = _begin_log(new / EVENTS, kept, max(present.floor_ms, backup_floor_ms))
    if not with_policy:
        (new / POLICY).unlink()
    aside = data / _free_name(data, "before-restore-{}")
    sync_folder(new)
    return Restored(log_id, data / closed, last_seq - acked, version if with_policy else None, aside, present.trouble)


def _begin_log(path: Path, kept: dict[str, bytes], floor_ms: int) -> bytes:
    log = EventLog.open(path)
    try:
        state = StateStore(log.database)
        state.keep(kept).result()
        state.raise_floor(floor_ms).result()
        return log.log_id
    finally:
        log.close()


def _free_name(folder: Path, form: str) -> str:
    number = 1
    while (folder / form.format(number)).exists():
        number += 1
    return form.format(number)


# --- from the old files to the new ones, whatever happens ---------------------------------------------------------


def _decide(data: Path, aside: str, with_policy: bool) -> None:
    """Write the plan: from here on the new files are the ones that count."""
    stems = (Path(EVENTS).stem + ".", *((Path(POLICY).stem + ".",) if with_policy else ()))
    old = [
        name for name in sorted(os.listdir(data)) if name.startswith(stems) and not any(a in name for a in KEPT_APART)
    ]
    draft = data / (PLAN + ".new")
    with open(draft, "wb", opener=_private) as file:
        file.write(json.dumps({"aside": aside, "old": old, "new": sorted(os.listdir(data / NEW))}).encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, data / PLAN)
    sync_folder(data)


def _finish(data: Path) -> bool:
    """Do what the plan says and is not done yet; without a plan, drop what was made for none."""
    try:
        plan = json.loads((data / PLAN).read_bytes())
    except FileNotFoundError:
        shutil.rmtree(data / NEW, ignore_errors=True)
        (data / (PLAN + ".new")).unlink(missing_ok=True)
        return False
    aside, new = data / plan["aside"], data / NEW
    aside.mkdir(0o700, exist_ok=True)
    for name in plan["old"]:
        # What stands aside already is the old one: the one of that name in `data` is the new one then.
        if not (aside / name).exists() and (data / name).exists():
            os.rename(data / name, aside / name)
    sync_folder(aside)
    sync_folder(data)
    for name in plan["new"]:
        if (new / name).exists():
            os.rename(new / name, data / name)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(new)
    sync_folder(data)
    (data / PLAN).unlink()
    sync_folder(data)
    return True


def _words(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


# --- without a backup -----------------------------------------------------------------------------------------------


def begin_another(data: Path, kept: dict[str, bytes], floor_ms: int) -> None:
    """Close the log in `data`, which nobody has open, as a restore closes one, and begin another with `kept`; the
    policy stays. Whole or not at all. StorageError, OSError."""
    with alone(data):
        _finish(data)
        new = data / NEW
        new.mkdir(0o700)
        try:
            _begin_log(new / EVENTS, kept, floor_ms)
            sync_folder(new)
            _decide(data, _free_name(data, "before-restore-{}"), with_policy=False)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        _finish(data)
