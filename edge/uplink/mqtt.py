"""The line to the broker: paho on its own thread, its news handed to the event loop. The only paho file of the edge.

MQTT 3.1.1, QoS at most 1, clean sessions: nothing is expected of the broker but that it passes on most of what it is
given (docs/sync-protocol.md); what it loses, `sync` sends again.
"""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.uplink.keys import is_slug
from edge.uplink.tls import TlsError, TlsFiles, client_context, explain, mind_dates, show_certificate
from edge.uplink.wire import MAX_RAW

_PORTS = {"mqtt": 1883, "mqtts": 8883}
DOWN = ("down/policy", "down/ack", "down/challenge", "down/command")
_MAX_IN_FLIGHT = 20  # messages without PUBACK: 20 to 100 are paho's fastest
_MAX_QUEUED = 100  # in memory; above, publishing is refused and counted
_MAX_HANDED = 1_000  # messages on their way into the loop: a flood ends here
_RECONNECT_S = (1, 30)
_REMEDY = "check ca under [uplink]"


class BrokerError(ValueError):
    """A broker that cannot be used as configured: one line, what was seen and what to do."""


class Broker(NamedTuple):
    """Where the broker listens."""

    host: str
    port: int
    tls: bool


def parse_broker(url: str) -> Broker:
    """The broker of mqtt://host[:1883] or mqtts://host[:8883]. BrokerError; the url is not repeated where it may hold
    a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BrokerError("broker url whose host is not an address") from None
    if parts.username is not None or parts.password is not None:
        raise BrokerError("broker url with a user or password; leave them out, a device shows its certificate")
    if parts.scheme not in _PORTS:
        raise BrokerError(f"broker url {url!r}: begin it with mqtt:// or mqtts://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BrokerError(f"broker url {url!r}: nothing may follow the port")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BrokerError(f"broker url {url!r}: the port is not a number from 1 to 65535") from None
    if not host or port == 0:
        raise BrokerError(f"broker url {url!r}: it needs a host, and a port from 1 to 65535 if any")
    return Broker(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts")


def topic_prefix(site: str, controller: str) -> str:
    """What a controller's topics begin with. ValueError where a word is not [a-z0-9-]."""
    for word in (site, controller):
        if not is_slug(word):
            raise ValueError(f"{word!r} cannot stand in a topic; use a-z, 0-9 and '-'")
    return f"v1/{site}/{controller}/"


class Connection:
    """One controller's connection, kept up until `stop`. `connected()`, `disconnected(detail)` and
    `received(suffix, payload)` are called in `loop`, in the order in which things happened; `connected` follows the
    broker's answer to the subscription. The retained status says {boot, online}; the last will takes it back.
    `clock_trusted` is asked before each attempt, on paho's thread: while it says no, a pinned authority counts without
    the dates of certificates (edge/uplink/tls.py). Left out, dates always count."""

    def __init__(
        self,
        broker: Broker,
        site: str,
        controller: str,
        boot_id: str,
        *,
        loop: asyncio.AbstractEventLoop,
        connected: Callable[[], None],
        disconnected: Callable[[str], None],
        received: Callable[[str, bytes], None],
        tls: TlsFiles | None = None,
        clock_trusted: Callable[[], bool] | None = None,
        keepalive_s: int = 30,
    ) -> None:
        self._prefix = topic_prefix(site, controller)
        self._boot_id = boot_id
        self._loop = loop
        self._connected, self._disconnected, self._received = connected, disconnected, received
        self._handed: deque[tuple[str, bytes]] = deque()
        self._counts: Counter[str] = Counter()
        self._last_error = ""
        self._is_up = False
        self._client = self._make_client(f"vantail-{site}-{controller}")
        self._tls, self._clock_trusted = tls or TlsFiles(), clock_trusted
        self._context = _tls_context(self._tls) if broker.tls else None
        if self._context:
            self._client.tls_set_context(self._context)
        self._client.will_set(self._prefix + "status", self._status_payload(False), qos=1, retain=True)
        self._client.connect_async(broker.host, broker.port, keepalive=keepalive_s)

    def _make_client(self, client_id: str) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        client.suppress_exceptions = True  # else one in a callback ends paho's thread, while is_connected() stays true
        client.max_inflight_messages_set(_MAX_IN_FLIGHT)
        client.max_queued_messages_set(_MAX_QUEUED)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.enable_logger(_line_log(self._line_broke))
        client.on_pre_connect = self._guarded(self._on_pre_connect)
        client.on_connect = self._guarded(self._on_connect)
        client.on_connect_fail = self._guarded(self._on_connect_fail)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_disconnect = self._guarded(self._on_disconnect)
        client.on_message = self._guarded(self._on_message)
        return client

    @property
    def is_connected(self) -> bool:
        """Connected and subscribed."""
        return self._is_up

    def start(self) -> None:
        """Begin to connect, on paho's thread; it tries again for ever."""
        self._client.loop_start()

    def publish(self, suffix: str, payload: bytes, qos: int = 1, retain: bool = False) -> bool:
        """Hand a message to paho. False: not connected, or too many are waiting; it is counted, sync sends again."""
        if self._is_up:
            info = self._client.publish(self._prefix + suffix, payload, qos=min(qos, 1), retain=retain)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                self._counts["published"] += 1
                return True
        self._counts["publish_refused"] += 1
        return False

    def connect_again(self) -> None:
        """Break the connection, so that another one is made: it is up, and nobody seems to be heard on it."""
        line = self._client.socket()
        with contextlib.suppress(OSError):
            if isinstance(line, socket.socket):
                line.shutdown(socket.SHUT_RDWR)

    def stop(self, timeout_s: float = 3.0) -> None:
        """Say that we are off line, disconnect, end the thread. Blocks for `timeout_s` at most: where the line hangs,
        the thread is left to the end of the process."""
        if self._is_up:
            info = self._client.publish(self._prefix + "status", self._status_payload(False), qos=1, retain=True)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                info.wait_for_publish(timeout_s / 2)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="mqtt-stop", daemon=True)
        ending.start()
        ending.join(timeout_s / 2)

    def status(self) -> dict[str, object]:
        """For `status --json`: the line, and what was dropped."""
        names = ("connects", "published", "publish_refused", "messages", "dropped", "callback_errors")
        counts: dict[str, object] = {name: self._counts[name] for name in names}
        return {"connected": self._is_up, **counts, "last_error": self._last_error}

    def _status_payload(self, online: bool) -> bytes:
        return json.dumps({"boot": self._boot_id, "online": online}).encode()

    # --- on paho's thread -------------------------------------------------------------------------------------

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:
                self._counts["callback_errors"] += 1
                self._last_error = f"{type(error).__name__} in {callback.__name__}"

        return run

    def _on_pre_connect(self, _client: paho.Client, _data: object) -> None:
        """Before each attempt: whether dates count now, and our certificate, which may have been renewed."""
        if self._context is None:
            return
        is_left_out = self._tls.ca and self._clock_trusted is not None and not self._clock_trusted()
        mind_dates(self._context, not is_left_out)
        show_certificate(self._context, self._tls)

    def _line_broke(self, error: object) -> None:
        """paho's own word on a line that broke; under TLS 1.3 it is here that we hear what is wrong with us."""
        if isinstance(error, ssl.SSLError):
            self._last_error = explain(error, "the broker", _REMEDY)

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:
        if reason.is_failure:
            self._last_error = f"the broker refuses the connection: {reason}"
            return
        self._counts["connects"] += 1
        # A clean session has forgotten them. QoS 0: what is lost is sent again, and nats-server 2.9 hands nothing on to
        # some subscriptions of QoS 1 after a new connection (docs/scaling.md).
        client.subscribe([(self._prefix + suffix, 0) for suffix in DOWN])
        client.publish(self._prefix + "status", self._status_payload(True), qos=1, retain=True)

    def _on_connect_fail(self, _client: paho.Client, _data: object) -> None:
        # paho calls this while it handles the error, and does not pass it on.
        self._last_error = explain(sys.exc_info()[1], "the broker", _REMEDY) or "the broker cannot be reached"

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: Any, _more: object) -> None:
        if any(reason.is_failure for reason in reasons):
            self._last_error = "the broker refuses the subscription"
            return
        self._is_up = True
        self._last_error = ""
        self._loop.call_soon_threadsafe(self._connected)

    def _on_disconnect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:
        detail = str(reason)
        self._last_error = self._last_error or f"disconnected: {detail}"
        if self._is_up:
            self._is_up = False
            self._loop.call_soon_threadsafe(self._disconnected, detail)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if not message.topic.startswith(self._prefix) or len(self._handed) >= _MAX_HANDED:
            self._counts["dropped"] += 1
            return
        self._counts["messages"] += 1
        # Cut behind the first byte too many: enough for sync to refuse it as oversized, and no more in memory.
        self._handed.append((message.topic.removeprefix(self._prefix), bytes(message.payload[: MAX_RAW + 1])))
        self._loop.call_soon_threadsafe(self._hand_over)

    # --- in the loop ------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        self._received(*self._handed.popleft())


def _tls_context(files: TlsFiles) -> ssl.SSLContext:
    """A context that checks the broker's certificate and name. BrokerError names the file that cannot be used."""
    try:
        return client_context(files)
    except TlsError as error:
        raise BrokerError(str(error)) from None


def _line_log(broke: Callable[[object], None]) -> logging.Logger:
    """A log of paho's own, read by nobody but `broke`, which is given the exception of each error."""

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for argument in record.args or ():
                broke(argument)

    log = logging.Logger("vantail.mqtt", logging.ERROR)
    log.addHandler(Listening())
    return log
