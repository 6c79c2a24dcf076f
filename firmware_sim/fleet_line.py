"""A controller's line to the broker without a thread of its own: paho, driven by the event loop.

The agent's line (edge/uplink/mqtt.py) has a thread, which is right for one controller and too much for a thousand in
one process.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

KEEPALIVE_S = 60
CARE_EVERY_S = 5.0  # keep-alives are sent, and their absence is noticed, this often
AGAIN_S = (1.0, 10.0)  # a lost line is tried again after a while between these: not all at the same moment
IN_FLIGHT = 20


class FleetLine:
    """Connects when told to and keeps the line up. prefix: v1/SITE/CONTROLLER/. `connected()` follows the broker's
    answer to the subscription; `received(suffix, payload)`."""

    def __init__(
        self,
        broker: str,
        prefix: str,
        connected: Callable[[], None],
        disconnected: Callable[[], None],
        received: Callable[[str, bytes], None],
    ) -> None:
        self._host, self._port = address_of(broker)
        self._prefix = prefix
        self._connected, self._disconnected, self._received = connected, disconnected, received
        self._loop = asyncio.get_running_loop()
        self._care: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._is_wanted = True
        self.is_up = False
        self.connects = 0
        name = "fleet-" + prefix.removeprefix("v1/").strip("/").replace("/", "-")
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_socket_open = self._on_socket_open
        self._client.on_socket_close = self._on_socket_close
        self._client.on_socket_register_write = self._on_write_wanted
        self._client.on_socket_unregister_write = self._on_write_done

    def connect(self) -> None:
        """Begin; a broker that is away is tried again."""
        try:
            self._client.connect(self._host, self._port, KEEPALIVE_S)
        except OSError:
            self._try_again()
            return
        self._take_care()

    def publish(self, suffix: str, payload: bytes, qos: int) -> None:
        """What cannot be handed on is left out: sync sends it again."""
        if self.is_up:
            self._client.publish(self._prefix + suffix, payload, qos)

    def close(self) -> None:
        """For good."""
        self._is_wanted = False
        for timer in (self._care, self._again):
            if timer:
                timer.cancel()
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
            self._client.loop_write()

    def _take_care(self) -> None:
        self._client.loop_misc()
        self._care = self._loop.call_later(CARE_EVERY_S, self._take_care)

    def _try_again(self) -> None:
        if self._is_wanted:
            self._again = self._loop.call_later(random.uniform(*AGAIN_S), self.connect)  # noqa: S311 (no secret)

    def _on_socket_open(self, _client: Any, _data: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(sock, self._client.loop_read)

    def _on_write_done(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _on_write_wanted(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.add_writer(sock, self._client.loop_write)

    def _on_socket_close(self, _client: Any, _data: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if not reason.is_failure:
            # nats-server 2.9.10 leaves some QoS 1 subscriptions deaf after a reconnection; sync needs only QoS 0.
            client.subscribe(self._prefix + "down/#", qos=0)

    def _on_subscribe(self, *_: Any) -> None:
        self.is_up = True
        self.connects += 1
        self._connected()

    def _on_disconnect(self, *_: Any) -> None:
        if self._care:
            self._care.cancel()
        if self.is_up:
            self.is_up = False
            self._disconnected()
        self._try_again()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._received(message.topic.removeprefix(self._prefix), bytes(message.payload))


def address_of(broker: str) -> tuple[str, int]:
    """Host and port of mqtt://HOST[:1883]. ValueError."""
    parts = urlsplit(broker)
    if parts.scheme != "mqtt" or not parts.hostname:
        raise ValueError(f"--broker {broker}: write mqtt://HOST:PORT")
    return parts.hostname, parts.port or 1883
