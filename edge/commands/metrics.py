"""`vantail metrics`: the running agent for Prometheus, once to stdout or at an address."""

import argparse
import ipaddress
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

from edge.commands.options import takes_config
from edge.config import load
from edge.console.api import ApiError, call
from edge.failures import CommandError

DEFAULT_LISTEN = "127.0.0.1:9464"
ASK_S = 5.0  # half of Prometheus' own patience
EXAMPLES = """The agent is asked through its local socket at each scrape, and opens no port itself. Who may read the
metrics sees when doors open; there is neither password nor TLS: put a proxy before it where others shall read it.

exit codes without --listen: 0, or 69 where no agent answers; vantail_up 0 is printed then all the same.

examples:
  vantail metrics
  vantail metrics > vantail.new; mv vantail.new /var/lib/prometheus/node-exporter/vantail.prom
  vantail metrics --listen
  vantail metrics --listen 127.0.0.1:9470
  vantail metrics --listen 192.0.2.7:9464 --exposed
"""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def add(commands: Any) -> None:
    metrics = commands.add_parser(
        "metrics",
        help="the running agent for Prometheus",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    takes_config(metrics)
    metrics.add_argument(
        "--listen",
        nargs="?",
        const=DEFAULT_LISTEN,
        metavar="ADDRESS:PORT",
        help=f"answer scrapes there until stopped (without a value {DEFAULT_LISTEN}; port 0: any free one)",
    )
    metrics.add_argument("--exposed", action="store_true", help="let --listen be an address that others reach")
    metrics.set_defaults(run=_metrics)


def _metrics(options: argparse.Namespace) -> int:
    listen = parse_listen(options.listen, options.exposed) if options.listen is not None else None
    api = Path(load(options.config).api)
    try:
        from edge import metrics
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed; run: pip install 'vantail[metrics]'"
        raise CommandError(said, os.EX_UNAVAILABLE) from None
    if listen is not None:
        return _serve(api, listen)
    failures: list[ApiError] = []

    def ask() -> dict[str, Any]:
        try:
            return call(api, "status", ASK_S)
        except ApiError as error:
            failures.append(error)
            raise

    sys.stdout.write(metrics.exposition(ask).decode())
    sys.stdout.flush()
    if failures:
        raise failures[0]
    return 0


def _serve(api: Path, listen: Address) -> int:
    from edge import metrics

    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)  # before the threads are: they inherit it
    try:
        server = metrics.serve(lambda: call(api, "status", ASK_S), *listen)
    except OSError as error:
        said = f"--listen {listen.host}:{listen.port}: {error.strerror}; give another address or port"
        raise CommandError(said, os.EX_UNAVAILABLE) from None
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    print(f"vantail: metrics at http://{host}:{server.server_port}/metrics", file=sys.stderr, flush=True)
    signal.sigwait(stops)
    server.shutdown()
    server.server_close()
    return 0


def parse_listen(text: str, is_exposed: bool) -> Address:
    """ADDRESS:PORT of --listen. CommandError where it is none, or others would reach it and --exposed is not given;
    where it is, stderr is warned."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]"))
        if not 0 <= int(port) <= 65_535:
            raise ValueError
    except ValueError:
        raise CommandError(
            f"--listen {text}: give an IP address and a port, as {DEFAULT_LISTEN}", os.EX_USAGE
        ) from None
    if not address.is_loopback:
        if not is_exposed:
            said = f"--listen {text}: others than this machine reach it; add --exposed where that is meant"
            raise CommandError(said, os.EX_USAGE)
        print(f"vantail: whoever reaches {text} reads when doors open: no password, no TLS", file=sys.stderr)
    return Address(str(address), int(port))
