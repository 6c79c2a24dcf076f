"""The line to the MQTT broker; the only file here that names paho.

MQTT 3.1.1, QoS 1, clean sessions: nothing is kept in the broker, the ends resend until they are acknowledged.
paho's thread only queues; one worker thread answers, so a slow database never delays keep-alives.
"""

import contextlib
import logging
import queue
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt

from cloud_stub.errors import UsageError

QUEUE_LENGTH = 2000  # messages of at most 64 KiB; what comes when it is full is dropped, counted, and sent again
GROUP = 16  # messages that are answered together, in one commit
DUE_EVERY_S = 0.25  # an order, or a new policy, waits no longer than this, however much comes in
_log = logging.getLogger("vantail.cloud")

Publication = tuple[str, bytes]


class BrokerAddress(NamedTuple):
    host: str
    port: int
    tls: bool


class Work(NamedTuple):
    """What the worker thread calls; none may let an exception out but for `failed` to count it. messages: some that
    came, in their order, to be answered together."""

    messages: Callable[[list[Publication]], list[Publication]]
    due: Callable[[], list[Publication]]
    failed: Callable[[Exception, str], None]
    overrun: Callable[[int], None]


def parse_address(url: str) -> BrokerAddress:
    """mqtt://HOST[:1883] or mqtts://HOST[:8883]. UsageError for anything else."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(url)
        tls = parts.scheme == "mqtts"
        return BrokerAddress(parts.hostname, parts.port or (8883 if tls else 1883), tls)
    except ValueError as error:
        raise UsageError(f"--broker {url}: write mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS") from error


class BrokerLine:
    """Keeps the connection, subscribes on each connect, and answers messages one at a time, in order."""

    def __init__(
        self, address: BrokerAddress, subscriptions: Sequence[str], work: Work, context: ssl.SSLContext | None = None
    ) -> None:
        self._subscriptions = subscriptions
        self._work = work
        self._waiting: queue.Queue[Publication] = queue.Queue(QUEUE_LENGTH)
        self._overrun = 0
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._answer, name="ingest", daemon=True)
        self._address = address
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"vantail-cloud-{secrets.token_hex(4)}",
            protocol=mqtt.MQTTv311,
            clean_session=True,
        )
        self._client.suppress_exceptions = True  # an exception in a callback would end paho's thread silently
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received
        if address.tls:
            self._client.tls_set_context(context)  # None: the system's authorities, and no certificate of ours

    def start(self) -> None:
        """Connect in the background, again and again until `stop`."""
        self._worker.start()
        self._client.connect_async(self._address.host, self._address.port, keepalive=30)
        self._client.loop_start()

    def stop(self, timeout_s: float = 5) -> None:
        """Finish the message in hand, then disconnect. What is queued comes again: it was not acknowledged."""
        self._stopping.set()
        self._worker.join(timeout_s)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def waiting(self) -> int:
        """How many messages came and are not looked at yet."""
        return self._waiting.qsize()

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected()

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            _log.warning("broker refuses us: %s", code)
            return
        _log.info("connected to the broker at %s:%d", self._address.host, self._address.port)
        client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if not self._stopping.is_set():
            _log.warning("broker at %s:%d is away (%s); trying again", self._address.host, self._address.port, code)

    def _received(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            self._waiting.put_nowait((message.topic, bytes(message.payload)))
        except queue.Full:
            self._overrun += 1

    def _answer(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                messages = self._taken(max(0.001, due_s - time.monotonic()))
                self._guarded(messages[0][0], partial(self._work.messages, messages))
            except queue.Empty:
                pass
            if time.monotonic() >= due_s:
                self._count_overrun()
                if self.is_connected:
                    self._guarded("due", self._work.due)
                due_s = time.monotonic() + DUE_EVERY_S

    def _taken(self, timeout_s: float) -> list[Publication]:
        """The next message and those that wait behind it. queue.Empty."""
        messages = [self._waiting.get(timeout=timeout_s)]
        with contextlib.suppress(queue.Empty):
            while len(messages) < GROUP:
                messages.append(self._waiting.get_nowait())
        return messages

    def _guarded(self, what: str, job: Callable[[], list[Publication]]) -> None:
        try:
            answers = job()
            if self.is_connected:  # else paho would keep them; the controller asks again when it is back
                for topic, payload in answers:
                    self._client.publish(topic, payload, qos=1)
        except Exception as error:
            self._work.failed(error, what)

    def _count_overrun(self) -> None:
        count, self._overrun = self._overrun, 0
        if count:
            self._work.overrun(count)
