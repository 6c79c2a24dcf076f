"""Down messages as a manager, or somebody who would like to be it, sends them: over the demo's own broker."""

import threading
from datetime import date
from pathlib import Path

import paho.mqtt.client as paho
import scenario_residence
from paho.mqtt.enums import CallbackAPIVersion
from scenario_demo import Playing
from scenario_processes import DEADLINE_S

from edge.residence.compile import policy_rows, years_around
from edge.residence.reading import read
from edge.uplink import signing

YEARS = years_around(scenario_residence.FIRST_S)
STRANGER = 999999  # a badge that the residence does not know
INTRUDER = f"{STRANGER:010d};;badge;;nord;11;;;;actif;\n"


class Manager:
    """Signs policies with the key of the demo's cloud, for any controller of the demo."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing
        self.key = signing.load_private_key(playing.folder / "cloud" / "manager.key")

    def trust(self, controller: str) -> signing.ManagerTrust:
        return signing.load_manager(self._keys(controller) / "manager.toml")

    def policy(
        self, controller: str, revision: int, passes: str, *, key: object = None, epoch: int = 0, site: bytes = b""
    ) -> bytes:
        """A snapshot of the second residence with those passes, in one message."""
        manager = self.trust(controller)
        folder = self._playing.folder.parent / "mail"
        if not folder.exists():
            scenario_residence.write(folder)
        (folder / "passes.csv").write_text(passes, "utf-8")
        residence, _ = read(folder, date(2027, 6, 21))
        assert residence is not None
        rows = policy_rows(residence, controller, manager.site_uid, manager.code_key, YEARS)
        device = signing.load_private_key(self._keys(controller) / "device.key")
        seal_to = signing.device_seal_public(signing.public_bytes(device))
        trust = manager.trust(device)._replace(seal_to=seal_to)
        trust = trust._replace(epoch=epoch or trust.epoch, site_uid=site or trust.site_uid)
        [raw] = signing.encode_policy_parts(rows, revision, trust, key or self.key)
        return raw

    def send(self, controller: str, raw: bytes) -> None:
        """Publish it where that controller listens."""
        topic = f"v1/{self.trust(controller).site}/{controller}/down/policy"
        publish(self._playing.broker_port, topic, raw)

    def _keys(self, controller: str) -> Path:
        return self._playing.demo.hardware[controller].keys


def publish(port: int, topic: str, raw: bytes) -> None:
    """One message, at least once, by a client that nobody invited."""
    connected = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="stranger")
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert connected.wait(DEADLINE_S)
        client.publish(topic, raw, qos=1).wait_for_publish(DEADLINE_S)
    finally:
        client.disconnect()
        client.loop_stop()
