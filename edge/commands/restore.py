"""`vantail restore`: take a backup back, while no agent runs."""

import argparse
import os
from pathlib import Path
from typing import Any

from edge.commands.backup import SIGNED, agent_runs
from edge.commands.options import a_path, takes_config
from edge.config import Config, load
from edge.failures import CommandError


def add(commands: Any) -> None:
    restore = commands.add_parser(
        "restore",
        help="take a backup back, while no agent runs",
        description="Take a backup of this controller back, while no agent runs. What is there is set aside, never "
        "erased. The log of the backup is kept for reading, and a new one begins. A policy older than one that was in "
        "force here is refused.",
    )
    takes_config(restore)
    restore.add_argument("file", type=a_path, metavar="FILE", help="that vantail backup wrote")
    restore.add_argument(
        "--without-policy", action="store_true", help="take the log alone; the policy that is here stays"
    )
    restore.set_defaults(run=_restore)


def _restore(options: argparse.Namespace) -> int:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from edge.opening_files import POLICY_FLOOR
    from edge.storage import restoring
    from edge.storage.archive import BackupRefused
    from edge.storage.errors import StorageError
    from edge.uplink.signing import KeyFileError, load_private_key

    config = load(options.config)
    if agent_runs(Path(config.api)):
        raise CommandError(f"an agent runs at {config.api}; stop it first: systemctl stop vantail", os.EX_TEMPFAIL)
    try:
        key = load_private_key(Path(config.keys) / "device.key").public_key()
        assert isinstance(key, Ed25519PublicKey)
        done = restoring.restore(
            Path(config.data),
            options.file,
            policy_floor=POLICY_FLOOR,
            with_policy=not options.without_policy,
            vouch=lambda opened: _check_origin(options.file, config, key, opened),
        )
    except KeyFileError as error:
        raise CommandError(str(error), os.EX_NOPERM if error.wrong_mode else os.EX_NOINPUT) from None
    except BackupRefused as error:
        raise CommandError(str(error), os.EX_DATAERR) from None
    except StorageError as error:
        raise CommandError(str(error), os.EX_TEMPFAIL if "agent" in str(error) else os.EX_IOERR) from None
    except FileNotFoundError as error:
        raise CommandError(f"{error.filename}: no such file", os.EX_NOINPUT) from None
    except OSError as error:
        raise CommandError(f"{error.filename or config.data}: {error.strerror}", os.EX_IOERR) from None
    _tell(done)
    return 0


def _check_origin(file: Path, config: Config, key: Any, opened: Any) -> None:
    """Raise BackupRefused unless this controller's own device signed the manifest."""
    from cryptography.exceptions import InvalidSignature

    from edge.storage.archive import BackupRefused
    from edge.uplink.signing import fingerprint

    of, device = opened.manifest["controller"], opened.manifest["device"]
    if of != config.controller:
        raise BackupRefused(f"{file}: it is of controller {of}, this is {config.controller}; take this one's")
    ours = fingerprint(key.public_bytes_raw()).hex()
    if device != ours:
        raise BackupRefused(
            f"{file}: it was made with device key {device[:8]}…, here is {ours[:8]}…; put the keys folder of then back"
        )
    try:
        key.verify(opened.signature, SIGNED + opened.raw)
    except InvalidSignature:
        raise BackupRefused(f"{file}: its signature does not fit its manifest; it is damaged or edited") from None


def _tell(done: Any) -> None:
    if done.trouble:
        print(f"note: {done.trouble}; limits that only rise are those of the backup alone")
    print(f"log       new: {done.log_id.hex()}")
    print(f"closed    {done.closed}: the backup's log; {done.unsent} of its events were not acknowledged by the cloud")
    if done.policy is not None:
        print(f"policy    {done.policy[0]}.{done.policy[1]}")
    else:
        print("policy    as it was")
    print(f"aside     {done.aside}: what was here before")
