"""`vantail keygen`: make this controller's own key."""

import argparse
import os
from typing import Any

from edge.commands.options import a_path
from edge.failures import CommandError


def add(commands: Any) -> None:
    keygen = commands.add_parser("keygen", help="make this controller's own key, once")
    keygen.add_argument("--keys", required=True, type=a_path, metavar="DIR", help="the keys folder")
    keygen.set_defaults(run=_keygen)


def _keygen(options: argparse.Namespace) -> int:
    from edge.uplink.signing import (
        KeyFileError,
        fingerprint,
        generate_key,
        public_bytes,
        write_private_key,
        write_public_key,
    )

    try:
        options.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = generate_key()
        write_private_key(options.keys / "device.key", key)
        write_public_key(options.keys / "device.pub", public_bytes(key))
    except KeyFileError as error:
        raise CommandError(str(error), os.EX_CANTCREAT) from None
    except OSError as error:
        said = f"{error.filename or options.keys}: cannot be written ({error.strerror}); give --keys another folder"
        raise CommandError(said, os.EX_CANTCREAT) from None
    print(f"device fingerprint {fingerprint(public_bytes(key)).hex()}")
    print(f"next: vantail-cloud provision CONTROLLER --keys {options.keys}")
    return 0
