"""`vantail console`: the installer's page for a telephone, opened on site, for minutes."""

import argparse
import asyncio
import ipaddress
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from edge.commands.options import takes_config
from edge.commands.terminal import FRENCH, PATIENCE_S
from edge.config import load
from edge.console.api import call
from edge.failures import CommandError

MINUTES = 15
EXAMPLES = """the page asks for the controller's password; who listens on the network it is used on could read it,
so use the controller's own access point or a cable where you can.

examples:
  vantail console open                             on this machine's own address, with a QR code to scan
  vantail console open --listen 192.168.1.20:8080 --minutes 30
"""


def add(commands: Any) -> None:
    console = commands.add_parser("console", help="the installer's page, for a telephone")
    actions = console.add_subparsers(dest="action", required=True, metavar="ACTION")
    opened = actions.add_parser(
        "open",
        help="serve the page for 15 minutes",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(opened)
    opened.add_argument("--listen", default="", metavar="ADDRESS[:PORT]", help="default: this machine's own address")
    opened.add_argument("--minutes", type=int, default=MINUTES, metavar="N", help="1 to 60 (default: %(default)s)")
    opened.set_defaults(run=_open)


def _open(options: argparse.Namespace) -> int:
    from edge.translations import catalogue

    try:
        from edge.console.installer_page import InstallerPage
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{error.name} is not installed; run: pip install 'vantail[console]'", os.EX_UNAVAILABLE
        ) from None
    if not 1 <= options.minutes <= 60:
        raise CommandError(f"--minutes {options.minutes}: write 1 to 60", os.EX_USAGE)
    host, port = _address(options.listen or _own_address())
    api = Path(load(options.config).api)
    call(api, "ping")

    async def ask(op: str, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(partial(call, api, op, PATIENCE_S, **arguments))

    page = InstallerPage(ask, {"en": str, "fr": catalogue(FRENCH).gettext}, frozenset({host}))
    try:
        asyncio.run(_serve(page, host, port, options.minutes))
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port} ({error.strerror})", os.EX_UNAVAILABLE) from None
    return 0


async def _serve(page: Any, host: str, port: int, minutes: int) -> None:
    port = await page.start(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/{page.word}/"
    if sys.stdout.isatty():
        import segno

        segno.make(url, error="l").terminal(compact=True)
    print(url, flush=True)
    try:
        await asyncio.sleep(minutes * 60)
    finally:
        page.stop()


def _address(text: str) -> tuple[str, int]:
    """An address of this machine and a port, 0 for a free one. CommandError: every address of the machine at once is
    none."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or text.startswith("[") else (text, "", "0")
    host = host.strip("[]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port or "0")
    except ValueError:
        raise CommandError(f"--listen {text}: write ADDRESS or ADDRESS:PORT, in digits", os.EX_USAGE) from None
    if address.is_unspecified or not 0 <= number <= 65535:
        raise CommandError(f"--listen {text}: write one address of this controller, not all of them", os.EX_USAGE)
    return str(address), number


def _own_address() -> str:
    """Of the interface that would be used to reach others; loopback where there is none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
