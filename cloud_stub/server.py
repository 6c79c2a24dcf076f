"""`vantail-cloud serve`: the pages (waitress) and the MQTT ingest in one process, until SIGTERM or SIGINT."""

import logging
import os
import signal
import sys
import threading

from django.conf import settings
from waitress.server import create_server

from cloud_stub.answering import Answering
from cloud_stub.broker import BrokerLine, Work, parse_address
from cloud_stub.enrolment.ca_folder import client_context
from cloud_stub.enrolment.opening import EnrolAddress, open_listener
from cloud_stub.errors import UnavailableError
from cloud_stub.passages import api
from cloud_stub.passages.ingest import SUBSCRIPTION, Ingest
from cloud_stub.residences.signature import manager_key

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_log = logging.getLogger("vantail.cloud")


def serve(
    broker: str, listen: str, port: int, names: list[str], watch_stdin: bool, enrol: EnrolAddress | None = None
) -> None:
    """Serve until told to stop. `names`: host names besides `listen` that browsers may use. port 0: a free one.
    watch_stdin: end when standard input closes too, so that a supervisor that dies leaves nothing behind. enrol: where
    controllers enrol; its address is the second line on stdout.

    UnavailableError where the address cannot be listened on. A broker that is away is waited for.
    """
    address = parse_address(broker)
    context = client_context(settings.DATA) if address.tls else None
    answering = Answering(Ingest(manager_key()))
    work = Work(answering.messages, answering.due, answering.failed, answering.overrun)
    line = BrokerLine(address, SUBSCRIPTION, work, context)
    api.watch_queue(lambda: line.waiting)
    settings.ALLOWED_HOSTS += [f"[{listen}]" if ":" in listen else listen, *names]
    from cloud_stub.wsgi import application

    try:
        server = create_server(application, host=listen, port=port, threads=8, ident="vantail-cloud")
    except (OSError, ValueError) as error:  # waitress: ValueError for a name that nothing resolves
        why = getattr(error, "strerror", None) or error
        raise UnavailableError(
            f"cannot listen on {listen}:{port} ({why}); choose another with --port or --listen"
        ) from error
    if listen not in LOOPBACK:
        _log.warning(
            "%s is reachable by others and the pages ask for no login: put a proxy before it that does", listen
        )
    enrolment = open_listener(settings.DATA, enrol) if enrol else None
    web = threading.Thread(target=server.run, name="web", daemon=True)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if watch_stdin:
        threading.Thread(target=_await_stdin, args=(stopped,), name="stdin", daemon=True).start()
    line.start()
    web.start()
    host = f"[{listen}]" if ":" in listen else listen
    print(f"http://{host}:{server.effective_port}/", flush=True)
    if enrol and enrolment:
        print(f"https://{enrol.host}:{enrolment.server_port}/", flush=True)
    stopped.wait()
    if enrolment:
        enrolment.shutdown()
        enrolment.server_close()
    line.stop()
    server.close()
    sys.stdout.flush()


def _await_stdin(closed: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    closed.set()
