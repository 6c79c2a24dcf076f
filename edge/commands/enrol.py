"""`vantail enrol`: get this controller a certificate for the broker, and a manager that is pending; or renew it."""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.clock import ntp_synchronised
from edge.commands.options import takes_config
from edge.config import Config, load
from edge.failures import CommandError

if TYPE_CHECKING:
    from edge.uplink.enrolling import Enrolled


def add(commands: Any) -> None:
    enrol = commands.add_parser("enrol", help="get a certificate for the broker, and a pending manager")
    enrol.add_argument("--cloud", default="", metavar="URL", help="where the manager's cloud enrols: https://HOST:PORT")
    enrol.add_argument("--token", default="", metavar="T", help="from vantail-cloud enrol-token; good for once")
    enrol.add_argument(
        "--ca-fingerprint",
        default="",
        metavar="HEX",
        help="of the cloud's own authority; without it, the system's list",
    )
    enrol.add_argument(
        "--renew", action="store_true", help="renew the certificate, where it was issued; needs no token"
    )
    enrol.add_argument("--if-due", action="store_true", help="renew only if less than a third of its time is left")
    takes_config(enrol)
    enrol.add_argument("--json", action="store_true", help="one JSON object")
    enrol.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from edge.uplink.cloud_line import DistrustError, EnrolError, RefusedError, UnreachableError
    from edge.uplink.keys import KeyFileError

    codes = {UnreachableError: os.EX_UNAVAILABLE, RefusedError: os.EX_NOPERM, DistrustError: os.EX_PROTOCOL}
    config = load(options.config)
    _check_usage(options)
    _check_owner(Path(config.keys))
    try:
        return _renew(options, config) if options.renew else _enrol(options, config)
    except EnrolError as error:
        raise CommandError(str(error), codes.get(type(error), os.EX_UNAVAILABLE)) from None
    except KeyFileError as error:
        wrong = os.EX_NOPERM if error.wrong_mode else os.EX_DATAERR
        raise CommandError(str(error), os.EX_NOINPUT if error.missing else wrong) from None
    except OSError as error:
        where = error.filename or config.keys
        raise CommandError(f"{where}: {error.strerror}; is it the folder of this user?", os.EX_CANTCREAT) from None
    except ValueError as error:
        raise CommandError(str(error), os.EX_USAGE) from None


def _check_usage(options: argparse.Namespace) -> None:
    digits = options.ca_fingerprint.replace(":", "")
    if options.renew and (options.cloud or options.token or options.ca_fingerprint):
        raise CommandError("--renew goes where the certificate was issued; leave out the others", os.EX_USAGE)
    if options.if_due and not options.renew:
        raise CommandError("--if-due belongs to --renew", os.EX_USAGE)
    if not options.renew and not (options.cloud and options.token):
        raise CommandError("give --cloud and --token, both from the manager, or --renew", os.EX_USAGE)
    if digits and not (len(digits) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in digits)):
        raise CommandError("--ca-fingerprint: write the 64 digits that enrol-token printed", os.EX_USAGE)


def _check_owner(keys: Path) -> None:
    """Files of root in the agent's folder would lock the agent out of them."""
    if keys.exists() and keys.stat().st_uid != os.geteuid():
        raise CommandError(f"{keys}: belongs to another user; run this as its owner (sudo -u …)", os.EX_NOPERM)


def _enrol(options: argparse.Namespace, config: Config) -> int:
    from edge.uplink.enrolling import enrol

    done = enrol(
        Path(config.keys),
        config.controller,
        options.cloud,
        options.token,
        options.ca_fingerprint,
        _is_clock_trusted(config),
    )
    if options.json:
        said = {"site": done.site, "controller": done.controller, "broker": done.broker, **done.files._asdict()}
        print(json.dumps({**said, "valid_until": done.valid_until.isoformat(), "pending": done.manager is not None}))
        return os.EX_OK
    print(
        f"{done.site}/{done.controller}: certificate until {done.valid_until:%Y-%m-%d} in {Path(done.files.ca).parent}"
    )
    if done.manager is None:
        print("this controller obeys that manager already")
    else:
        print(f"manager {done.manager.manager} is pending: nothing of it is obeyed until it is bound on site")
    _print_uplink(options.config, config, done)
    return os.EX_OK


def _print_uplink(path: Path, config: Config, done: "Enrolled") -> None:
    """The lines for agent.toml, which is not ours to write; nothing where it has them."""
    wanted = (done.broker, *done.files)
    uplink = config.uplink
    if uplink and (uplink.broker, uplink.ca, uplink.certificate, uplink.key) == wanted:
        print(f"{path} has the broker and these files already")
        return
    print(f"put this into {path}, in place of its [uplink], and restart the agent:\n\n[uplink]")
    for name, value in zip(("broker", "ca", "certificate", "key"), wanted, strict=True):
        print(f"{name} = {json.dumps(value)}")


def _renew(options: argparse.Namespace, config: Config) -> int:
    from edge.uplink.enrolling import is_renewal_due, renew

    is_trusted = _is_clock_trusted(config)
    # While the clock is not trusted nobody knows what is due: the cloud, which does, sends the same again if it is not.
    if options.if_due and is_trusted and not is_renewal_due(Path(config.keys), datetime.now(UTC)):
        said = "not due yet"
        until = None
    else:
        until = renew(Path(config.keys), config.controller, is_trusted)
        said = f"certificate until {until:%Y-%m-%d}; the agent shows it when it next connects"
    if options.json:
        print(json.dumps({"controller": config.controller, "valid_until": until.isoformat() if until else None}))
    else:
        print(f"{config.controller}: {said}")
    return os.EX_OK


def _is_clock_trusted(config: Config) -> bool:
    return config.clock.rtc or ntp_synchronised()
