"""Puts the enrolment listener together, for `vantail-cloud serve --enrol-port`."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.db import connections

from cloud_stub.enrolment import authority, ca_folder, issuing
from cloud_stub.enrolment.listener import Answer, EnrolListener, server_context
from cloud_stub.errors import UnavailableError, UsageError


class EnrolAddress(NamedTuple):
    """Where to listen, and the names under which controllers reach it. port 0: a free one."""

    address: str
    port: int
    hosts: list[str]

    @property
    def host(self) -> str:
        """What stands in its URL."""
        host = self.hosts[0] if self.hosts else self.address
        return f"[{host}]" if ":" in host else host


def open_listener(data: Path, where: EnrolAddress) -> EnrolListener:
    """Listen and answer in a thread of its own, until `shutdown`. UnavailableError where the address is taken."""
    now = datetime.now(UTC)
    ca = ca_folder.open_authority(data, now)
    hosts = list(dict.fromkeys([*where.hosts, "localhost", "127.0.0.1", "::1"]))
    try:
        issued = authority.issue_server(ca, hosts, now)
    except ValueError as error:
        raise UsageError(f"--enrol-host: {error}") from error
    pair = ca_folder.write_pair(ca_folder.tls_folder(data), "serve", issued)
    answers = {"/v1/enrol": _answer(issuing.enrol), "/v1/renew": _answer(issuing.renew)}
    ca_text = authority.certificate_text(ca.certificate)
    try:
        listener = EnrolListener(where.address, where.port, server_context(*pair), ca_text, answers)
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {where.address}:{where.port} ({error.strerror}); "
            "choose another with --enrol-port or --enrol-listen"
        ) from error
    threading.Thread(target=listener.serve_forever, name="enrol", daemon=True).start()
    return listener


def _answer(job: Callable[[bytes, datetime], dict[str, str]]) -> Answer:
    """The answer in a thread that ends with its connection, and so must its line to the database."""

    def answer(body: bytes) -> dict[str, str]:
        try:
            return job(body, datetime.now(UTC))
        finally:
            connections.close_all()

    return answer
