"""The line to Home Assistant's broker: paho on its own thread. Not the cloud's line, which is edge/uplink/mqtt.py.

What is said is retained by the broker or lost; what is heard, where anything is subscribed to at all, is handed to a
short queue, once and at once or not at all.
"""

import queue
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.uplink.mqtt import Broker
from edge.uplink.tls import TlsFiles, client_context, explain

MOST_WAITING = 8  # commands; above, they are dropped and counted
MOST_BYTES = 16  # of a command's payload
STOP_S = 2.0


class Heard(NamedTuple):
    """A message on a subscribed topic, and when it came: monotonic seconds."""

    topic: str
    payload: bytes
    at_s: float


class Line:
    """A connection that is kept up from `start` to `stop`. will_topic: says `offline` for us when we are gone.
    subscribed: topics to listen to; with none, nothing is. `heard` gives what came. `connects` counts connections: a
    new one knows nothing of what was said before. trouble: the last thing that was wrong, "" while all is well."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will_topic: str,
        offline: str,
        *,
        subscribed: Sequence[str] = (),
        username: str = "",
        password: str = "",
        ca: str = "",
    ) -> None:
        self.heard: queue.Queue[Heard] = queue.Queue(MOST_WAITING)
        self.counts: Counter[str] = Counter()
        self.connects = 0
        self.is_up = False
        self.trouble = ""
        self._will_topic, self._offline = will_topic, offline
        self._subscribed = subscribed
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        client.suppress_exceptions = True  # else one in a callback would end paho's thread
        client.max_queued_messages_set(1_000)
        client.reconnect_delay_set(1, 30)
        if username:
            client.username_pw_set(username, password or None)
        if broker.tls:
            client.tls_set_context(client_context(TlsFiles(ca)))
        client.will_set(will_topic, offline, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.connect_async(broker.host, broker.port, keepalive=30)
        self._client = client

    def start(self) -> None:
        """Begin to connect; it is tried again for ever."""
        self._client.loop_start()

    def say(self, topic: str, payload: str, retain: bool = True) -> bool:
        """Publish: what is retained at least once, the rest at most once. False: the line is down, or takes no more."""
        if self.is_up:
            info = self._client.publish(topic, payload, qos=int(retain), retain=retain)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                return True
        self.counts["unsaid"] += 1
        return False

    def stop(self) -> None:
        """Say that we are gone, and go. Blocks for STOP_S at most while that is on its way."""
        if self.is_up:
            info = self._client.publish(self._will_topic, self._offline, qos=1, retain=True)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                info.wait_for_publish(STOP_S)
        self._client.disconnect()
        self._client.loop_stop()

    # --- on paho's thread -----------------------------------------------------------------------------------------

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:
        if reason.is_failure:
            self.trouble = f"refuses the connection: {reason}"
        elif self._subscribed:
            client.subscribe([(topic, 0) for topic in self._subscribed])
        else:
            self._went_up()

    def _on_subscribe(self, _client: paho.Client, _data: object, _mid: int, reasons: Any, _more: object) -> None:
        if any(reason.is_failure for reason in reasons):
            self.trouble = "refuses the subscription: may this user read the doors' topics?"
        else:
            self._went_up()

    def _went_up(self) -> None:
        self.connects += 1
        self.trouble = ""
        self.is_up = True

    def _on_connect_fail(self, _client: paho.Client, _data: object) -> None:
        self.trouble = explain(sys.exc_info()[1], "it", "check --ca") or "cannot be reached"

    def _on_disconnect(self, _client: paho.Client, _data: object, _flags: object, reason: Any, _more: object) -> None:
        self.is_up = False
        self.trouble = self.trouble or f"disconnected: {reason}"

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        """A retained command is one of the past: it would open the door at each connection."""
        if message.retain or len(message.payload) > MOST_BYTES:
            self.counts["retained" if message.retain else "too_long"] += 1
            return
        try:
            self.heard.put_nowait(Heard(message.topic, bytes(message.payload), time.monotonic()))
        except queue.Full:
            self.counts["flooded"] += 1
