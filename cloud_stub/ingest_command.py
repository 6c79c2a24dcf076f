"""`vantail-cloud ingest`: stores what controllers report and answers them, without pages; several side by side."""

import argparse
import asyncio
import os
import signal
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from cloud_stub.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from cloud_stub.answering import Answering

EXAMPLES = """\
examples:
  vantail-cloud --data cloud --database postgresql://vantail@db/vantail ingest --broker nats://n1:4222,n2:4222,n3:4222
  vantail-cloud --data cloud ingest --broker mqtt://127.0.0.1:1883

With nats:// as many as you like may run, on as many machines, each with a copy of the data folder's keys and the same
PostgreSQL. With mqtt:// or mqtts:// exactly one, and no `serve` beside it."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options of `ingest`."""
    parser.epilog, parser.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--broker", required=True, metavar="URL", help="nats://HOST:PORT[,HOST:PORT…], tls://…, mqtt://… or mqtts://…"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input closes (for a supervisor)"
    )


def run_ingest(options: argparse.Namespace) -> int:
    """Until SIGTERM or SIGINT. A line on stdout says when messages can come."""
    from django.db import connections

    connections.close_all()  # this thread does not need its own any more
    scheme = options.broker.partition("://")[0]
    if scheme in ("nats", "tls"):
        asyncio.run(_on_nats(options.broker, options.until_stdin_closes))
    elif scheme in ("mqtt", "mqtts"):
        _on_mqtt(options.broker, options.until_stdin_closes)
    else:
        raise UsageError("--broker: begin it with nats://, tls://, mqtt:// or mqtts://")
    return os.EX_OK


async def _on_nats(url: str, watch_stdin: bool) -> None:
    if find_spec("nats") is None:
        raise UnavailableError("nats-py is not installed; run: pip install 'vantail[cloud,nats]'")
    from django.conf import settings

    from cloud_stub import nats_line
    from cloud_stub.database import Leadership
    from cloud_stub.enrolment.ca_folder import client_context

    servers = nats_line.parse_servers(url)
    answering, leadership = _answering(), Leadership(settings.DATA)
    work = nats_line.Work(answering.answers, answering.due, leadership.is_ours, answering.failed)
    line = nats_line.NatsLine(servers, work, client_context(settings.DATA) if servers.tls else None)
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if watch_stdin:
        _watch_stdin(lambda: loop.call_soon_threadsafe(stopping.set))
    await line.run(stopping, lambda: print(f"ingest from {', '.join(servers.addresses)}", flush=True))


def _on_mqtt(url: str, watch_stdin: bool) -> None:
    from django.conf import settings

    from cloud_stub.broker import BrokerLine, Work, parse_address
    from cloud_stub.enrolment.ca_folder import client_context
    from cloud_stub.passages.ingest import SUBSCRIPTION

    address = parse_address(url)
    context, answering = client_context(settings.DATA) if address.tls else None, _answering()
    work = Work(answering.messages, answering.due, answering.failed, answering.overrun)
    line = BrokerLine(address, SUBSCRIPTION, work, context)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if watch_stdin:
        _watch_stdin(stopped.set)
    line.start()
    print(f"ingest from {address.host}:{address.port}", flush=True)
    stopped.wait()
    line.stop()


def _answering() -> "Answering":
    from cloud_stub.answering import Answering
    from cloud_stub.passages.ingest import Ingest
    from cloud_stub.residences.signature import manager_key

    return Answering(Ingest(manager_key()))


def _watch_stdin(closed: Callable[[], object]) -> None:
    def wait() -> None:
        while os.read(0, 4096):
            pass
        closed()

    threading.Thread(target=wait, name="stdin", daemon=True).start()
