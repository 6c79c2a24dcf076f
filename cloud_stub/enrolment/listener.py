"""The address where controllers enrol: HTTPS, three paths, nothing of the pages.

GET /v1/ca is the authority's certificate, for those who know its fingerprint; POST /v1/enrol and /v1/renew are answered
by `issuing`. It faces strangers: a request is small, a connection short, and their number bounded.
"""

import contextlib
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cloud_stub.enrolment.request import MAX_BODY, RefusedError

CONNECTIONS = 16  # at once; one more is closed unanswered, and its controller tries again
LONGEST_S = 15.0  # of one connection, handshake and all
_log = logging.getLogger("vantail.cloud")

Answer = Callable[[bytes], dict[str, str]]


class EnrolListener(ThreadingHTTPServer):
    """Listens from the start; `serve_forever` answers. answers: the path of a POST → what makes its answer. OSError
    where the address cannot be listened on."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64  # five, the default, makes the sixth of a site that starts at once wait a second

    def __init__(
        self, address: str, port: int, context: ssl.SSLContext, ca_text: str, answers: dict[str, Answer]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.context, self.ca_text, self.answers = context, ca_text, answers
        self.turned_away = 0
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__((address, port), _Connection)

    def server_bind(self) -> None:
        """Without asking a name server for our name, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.turned_away += 1
            _log.warning("enrolment: %d connections at once, one more turned away", CONNECTIONS)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """TLS begins here, in the connection's own thread: a slow one holds up nobody."""
        request.settimeout(LONGEST_S)
        try:
            with (
                contextlib.suppress(OSError, ValueError),
                self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as line,
                _cut_after(line, LONGEST_S),
            ):
                line.do_handshake()
                self.finish_request(line, client_address)
        finally:
            self._places.release()


@contextlib.contextmanager
def _cut_after(line: ssl.SSLSocket, longest_s: float) -> Iterator[None]:
    """End a line that takes too long, however often it sends a byte: the waits of its thread end with it."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(line, socket.SHUT_RDWR)  # TLS itself is the other thread's

    ending = threading.Timer(longest_s, cut)
    ending.daemon = True
    ending.start()
    try:
        yield
    finally:
        ending.cancel()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with our certificate; controllers show none here, many have none yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


class _Connection(BaseHTTPRequestHandler):
    """One request, one answer (HTTP/1.0)."""

    server: EnrolListener
    server_version = "vantail-cloud"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path == "/v1/ca":
            self._send(200, {"ca": self.server.ca_text})
        else:
            self._send(404, {"error": f"there is no such address here; {_ADDRESSES}"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        size = int(length) if length.isascii() and length.isdecimal() and len(length) < 10 else 0
        body = self.rfile.read(min(size, 4 * MAX_BODY))  # what is left unread would reset the line, answer and all
        answer = self.server.answers.get(self.path)
        if answer is None:
            self._send(404, {"error": f"there is no such address here; {_ADDRESSES}"})
            return
        if not 0 < size <= MAX_BODY:
            self._send(413, {"error": f"a request has a Content-Length of at most {MAX_BODY} bytes"})
            return
        try:
            self._send(200, answer(body))
        except RefusedError as refusal:
            _log.warning("enrolment: %s refused: %s", self.client_address[0], refusal)
            self._send(refusal.status, {"error": str(refusal)})
        except Exception as error:
            _log.error("enrolment: %s: %s", type(error).__name__, error)
            self._send(500, {"error": "the cloud could not answer; its own log says why"})

    def _send(self, status: int, said: dict[str, str]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: what matters is logged where it is known."""


_ADDRESSES = "known are GET /v1/ca, POST /v1/enrol and POST /v1/renew"
