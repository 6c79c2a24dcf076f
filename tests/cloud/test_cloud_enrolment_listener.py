"""The address where controllers enrol: what it answers, and whom it does not wait for."""

import contextlib
import http.client
import json
import socket
import ssl
import time

import pytest
from enrolment_box import (
    DEADLINE_S,
    listening,
)

from cloud_stub.enrolment import listener, opening
from cloud_stub.enrolment.request import MAX_BODY


def said_by(door, method, path, body=None, headers=None):
    context = ssl.create_default_context(cadata=door.ca_text)
    line = http.client.HTTPSConnection("localhost", door.server_port, timeout=DEADLINE_S, context=context)
    line.request(method, path, body, headers or {})
    answer = line.getresponse()
    found = answer.status, json.loads(answer.read())
    line.close()
    return found


def test_the_listener_has_three_addresses_and_no_page(door):
    """The pages ask for no login, so they are not here; each answer is JSON and a line."""
    assert said_by(door, "GET", "/v1/ca") == (200, {"ca": door.ca_text})
    for method, path in (("GET", "/"), ("GET", "/api/summary"), ("POST", "/language"), ("GET", "/v1/enrol")):
        status, said = said_by(door, method, path, b"{}" if method == "POST" else None)
        assert status == 404
        assert "POST /v1/enrol" in said["error"]
    assert said_by(door, "POST", "/v1/enrol", b"{}")[0] == 400
    assert said_by(door, "POST", "/v1/renew", b"x" * (MAX_BODY + 1))[0] == 413
    assert said_by(door, "POST", "/v1/renew", None, {"Content-Length": "-1"})[0] == 413


def test_the_listener_is_on_loopback(door):
    """As everything is that was not told otherwise."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = {row.split()[1] for row in table if f":{door.server_port:04X} " in row and " 0A " in row}
    assert rows == {f"0100007F:{door.server_port:04X}"}


@contextlib.contextmanager
def stranger(made):
    """A connection that says nothing."""
    with socket.create_connection(("127.0.0.1", made.server_port), timeout=DEADLINE_S) as line:
        yield line


def is_cut(line) -> bool:
    """Waits until the other side has ended the connection."""
    with contextlib.suppress(OSError):
        while line.recv(1024):
            pass
    return True


def test_many_strangers_keep_nobody_out_for_long(door):
    """Above the bound one is turned away at once and counted; when they are gone there is room again."""
    with contextlib.ExitStack() as lines:
        for _ in range(listener.CONNECTIONS):
            lines.enter_context(stranger(door))
        with stranger(door) as extra:
            assert is_cut(extra)
        assert door.turned_away == 1
    end = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError):
            assert said_by(door, "GET", "/v1/ca")[0] == 200
            return
        assert time.monotonic() < end


def test_slow_strangers_are_cut(hall, data, monkeypatch):
    """Whoever says nothing, or stops half-way in HTTP, or sends a byte now and then."""
    monkeypatch.setattr(listener, "LONGEST_S", 0.3)
    made = opening.open_listener(data, opening.EnrolAddress("127.0.0.1", 0, []))
    context = ssl.create_default_context(cadata=made.ca_text)
    with listening(made), stranger(made) as silent:
        assert is_cut(silent)
        for head in (b"POST /v1/enrol HTTP/1.1\r\n", b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"):
            with stranger(made) as raw, context.wrap_socket(raw, server_hostname="localhost") as line:
                end = time.monotonic() + DEADLINE_S
                with contextlib.suppress(OSError):
                    line.sendall(head)
                    while time.monotonic() < end:
                        line.sendall(b"x")
                        time.sleep(0.02)
                assert time.monotonic() < end


def test_a_port_that_is_taken_is_one_line(door, data):
    """69, and which option to change."""
    from cloud_stub.errors import UnavailableError

    with pytest.raises(UnavailableError, match="--enrol-port"):
        opening.open_listener(data, opening.EnrolAddress("127.0.0.1", door.server_port, []))
