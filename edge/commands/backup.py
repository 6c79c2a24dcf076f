"""`vantail backup`: log and policy in one file, while the agent runs or not."""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from edge import __version__
from edge.commands.options import a_path, takes_config
from edge.config import Config, load
from edge.console.api import call
from edge.failures import CommandError

SIGNED = b"vantail backup manifest\0"  # before the manifest: the device's key signs other things too
_LONGEST_S = 600.0


def add(commands: Any) -> None:
    backup = commands.add_parser(
        "backup",
        help="put log and policy in one file, while the agent runs or not",
        description="Put log and policy in one file. It holds no keys: keep a copy of the keys folder apart from it. "
        "It names who came in when; keep it no longer than you keep that.",
    )
    takes_config(backup)
    backup.add_argument("file", type=a_path, metavar="FILE", help="to write; a tar, readable by its owner alone")
    backup.add_argument("--force", action="store_true", help="take the place of a FILE that is there")
    backup.set_defaults(run=_backup)


def _backup(options: argparse.Namespace) -> int:
    from edge.storage.archive import describe, manifest_of, pack
    from edge.storage.errors import StorageError
    from edge.uplink.signing import KeyFileError, fingerprint, load_private_key, public_bytes

    config, target = load(options.config), options.file.absolute()
    if target.exists() and not options.force:
        raise CommandError(f"{target}: is there already; give another name, or --force", os.EX_CANTCREAT)
    if not target.parent.is_dir():
        raise CommandError(f"{target.parent}: no such folder; make it, or give FILE another one", os.EX_CANTCREAT)
    try:
        key = load_private_key(Path(config.keys) / "device.key")
        folder = _copies(config, target)
        try:
            manifest = manifest_of(
                folder,
                controller=config.controller,
                device=fingerprint(public_bytes(key)).hex(),
                software=f"vantail {__version__}",
                now_ms=int(time.time() * 1000),
            )
            size = pack(folder, target, manifest, key.sign(SIGNED + manifest), force=options.force)
            found = describe(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except KeyFileError as error:
        raise CommandError(str(error), os.EX_NOPERM if error.wrong_mode else os.EX_NOINPUT) from None
    except StorageError as error:
        raise CommandError(str(error), os.EX_IOERR) from None
    except FileExistsError:
        raise CommandError(f"{target}: is there already; give another name, or --force", os.EX_CANTCREAT) from None
    except PermissionError as error:
        raise CommandError(f"{error.filename}: no permission; run as the agent's user", os.EX_NOPERM) from None
    except OSError as error:
        raise CommandError(f"{error.filename or target}: {error.strerror}", os.EX_CANTCREAT) from None
    log, policy = found["log"], found["policy"]
    print(
        f"{target}: {size / 1e6:.1f} MB, events up to {log['last_seq']} of log {log['id'][:8]}, "
        f"policy {policy['epoch']}.{policy['revision']}; it holds no keys"
    )
    return 0


def _copies(config: Config, target: Path) -> Path:
    """A folder with copies of both databases: from the agent where one runs, else made here."""
    from edge.storage.archive import PARTS
    from edge.storage.backup import COPIES, check_owner, check_room, copy_unused

    if agent_runs(Path(config.api)):
        return Path(call(Path(config.api), "backup", timeout_s=_LONGEST_S)["folder"])
    data = Path(config.data)
    sources = tuple(data / name for name in PARTS)
    if data.is_dir():
        check_owner(data)
    check_room(target.parent, sources)
    folder = Path(tempfile.mkdtemp(prefix="." + COPIES, dir=target.parent))
    try:
        for source in sources:
            copy_unused(source, folder / source.name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def agent_runs(api: Path) -> bool:
    """Whether somebody listens at the agent's socket. CommandError where that cannot be told."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(str(api))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except PermissionError:
        raise CommandError(f"{api}: no permission; run as the agent's user", os.EX_NOPERM) from None
    except OSError as error:
        raise CommandError(f"{api}: the agent cannot be asked ({error})", os.EX_UNAVAILABLE) from None
    return True
