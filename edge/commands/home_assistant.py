"""`vantail home-assistant`: the running agent's doors in Home Assistant, through an MQTT broker that both can reach."""

import argparse
import ipaddress
import os
import re
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.options import takes_config
from edge.config import load
from edge.console.api import ApiError, call
from edge.failures import CommandError
from edge.home_assistant import OFFLINE, Place

if TYPE_CHECKING:
    from edge.uplink.mqtt import Broker

ASK_S = 5.0
AGAIN_S = 1.0
MOST_SECRET = 1_024  # bytes of a password file
EXAMPLES = """A process beside the agent, which it asks through the local socket. It shows each door's lock, its contact
where it has one, and its passages; it opens nothing unless --may-open is given, and then for whoever may write to
that broker. docs/home-assistant.md says more.

examples:
  vantail home-assistant --broker mqtt://127.0.0.1
  vantail home-assistant --broker mqtts://ha.example --ca ca.pem --username vantail --password-file mqtt.password
  vantail home-assistant --broker mqtt://127.0.0.1 --username vantail --password-file mqtt.password --may-open
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "home-assistant",
        help="the doors in Home Assistant, until stopped",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(parser)
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtt://HOST[:1883] or mqtts://HOST[:8883]")
    parser.add_argument("--ca", default="", metavar="FILE", help="who signed the broker's certificate, as PEM")
    parser.add_argument("--username", default="", metavar="NAME", help="at the broker")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="one line, of mode 0600")
    parser.add_argument("--prefix", default="homeassistant", metavar="TOPIC", help="of discovery (homeassistant)")
    parser.add_argument("--names", action="store_true", help="passages with the numbers of badges and telephones")
    parser.add_argument("--may-open", action="store_true", help="let Home Assistant open doors")
    parser.set_defaults(run=_home_assistant)


def _home_assistant(options: argparse.Namespace) -> int:
    from edge.home_assistant_bridge import Bridge  # paho is slow to import, and of no use to the other commands
    from edge.home_assistant_line import Line
    from edge.uplink.tls import TlsError

    broker = _broker(options)
    password = _password(options)
    if not re.fullmatch(r"[\w-]+(/[\w-]+)*", options.prefix):
        raise CommandError(f"--prefix {options.prefix}: letters, digits, '_', '-' and '/' make a topic", os.EX_USAGE)
    api = Path(load(options.config).api)
    stopping = _until_told()

    def ask(op: str, **arguments: object) -> dict[str, Any]:
        return call(api, op, ASK_S, **arguments)

    status = _first_status(ask, stopping)
    if status is None:
        return 0
    if options.may_open and not status["api_may_open"]:
        said = "--may-open: the agent allows it not; set api_may_open = true in agent.toml and restart it"
        raise CommandError(said, os.EX_CONFIG)
    place = Place(options.prefix, status["site"], status["controller"])
    try:
        line = Line(
            broker,
            place.id,
            place.availability_topic,
            OFFLINE,
            subscribed=[place.command_topic("+")] if options.may_open else [],
            username=options.username,
            password=password,
            ca=options.ca,
        )
    except TlsError as error:
        raise CommandError(f"--ca: {error}", os.EX_NOINPUT) from None
    Bridge(ask, place, line, may_open=options.may_open, names=options.names, tell=_tell).run(stopping)
    return 0


def _broker(options: argparse.Namespace) -> "Broker":
    from edge.uplink.mqtt import BrokerError, parse_broker

    if "@" in options.broker:
        raise CommandError("--broker: leave the user out of it; give --username and --password-file", os.EX_USAGE)
    try:
        broker = parse_broker(options.broker)
    except BrokerError as error:
        raise CommandError(f"--broker: {error}", os.EX_USAGE) from None
    if not broker.tls and not _is_loopback(broker.host) and (options.password_file or options.may_open):
        _tell(f"the way to {broker.host} is in clear: who listens there reads the password and may open; use mqtts://")
    return broker


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _password(options: argparse.Namespace) -> str:
    """The one line of --password-file, which others may not read."""
    path = options.password_file
    if path is None:
        return ""
    if not options.username:
        raise CommandError("--password-file: give --username too", os.EX_USAGE)
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CommandError(f"{path}: others may read it; run: chmod 600 {path.name}", os.EX_NOPERM)
            text = file.read(MOST_SECRET + 1).decode().rstrip("\r\n")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", os.EX_NOINPUT) from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: not UTF-8; write the password as one line of text", os.EX_DATAERR) from None
    if not text or "\n" in text or len(text) > MOST_SECRET:
        raise CommandError(f"{path}: write the password as one line of text", os.EX_DATAERR)
    return text


def _first_status(ask: Any, stopping: threading.Event) -> dict[str, Any] | None:
    """The agent says which controller this is, and is waited for. None: told to stop before it answered."""
    is_told = False
    while not stopping.is_set():
        try:
            return dict(ask("status"))
        except ApiError as error:
            if not is_told:
                _tell(f"{error}; waiting for it")
            is_told = True
            time.sleep(AGAIN_S)
    return None


def _until_told() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _tell(said: str) -> None:
    print(f"vantail: {said}", file=sys.stderr, flush=True)
