"""A controller's device, as far as the cloud can tell: keys of its own, signed hellos and batches of events."""

import itertools
from pathlib import Path

from cloud_stub.passages.ingest import Ingest
from cloud_stub.residences import signature
from cloud_stub.residences.models import Controller
from cloud_stub.residences.provisioning import provision
from edge.decision.model import Event
from edge.uplink import policy_parts, signing

LOG = bytes(range(16))
AT_MS = 1_795_590_000_000  # 2026-11-25T07:00:00Z
_hellos = itertools.count(1)


def event(number=1111100007, result="open", reason="", **fields):
    """An event at hall A's reader unless said otherwise."""
    values = {
        "at_ms": AT_MS, "trusted": True, "door": "hall-a", "reader": "hall-a-in", "medium": "badge",
        "credential": number, "result": result, "reason": reason, "output": "door" if result == "open" else "",
        "detail": "",
    }  # fmt: skip
    return Event(**{**values, **fields})


def make_keys(folder: Path) -> Path:
    """A keys folder as `vantail keygen` leaves it."""
    folder.mkdir(parents=True, mode=0o700)
    key = signing.generate_key()
    signing.write_private_key(folder / "device.key", key)
    signing.write_public_key(folder / "device.pub", signing.public_bytes(key))
    return folder


def bind(controller: Controller, folder: Path, replace: bool = False) -> "Device":
    """A new device with its keys in `folder`, registered for `controller`."""
    provision(controller, make_keys(folder), signature.manager_public_key(), replace)
    return Device(folder)


class Device:
    """As its keys folder says it: see make_keys, then `vantail-cloud provision`."""

    def __init__(self, folder: Path) -> None:
        self.key = signing.load_private_key(folder / "device.key")
        self.manager = signing.load_manager(folder / "manager.toml")
        self.topic = f"v1/{self.manager.site}/{self.manager.controller}/"

    @property
    def down(self) -> signing.Trust:
        """Trust for what comes from the manager."""
        return self.manager.trust(self.key)

    def hello(self, revision=0, digest=bytes(32), log_id=LOG, last_seq=0, acked=0, **more) -> bytes:
        """The next one of its session, unless `more` names another."""
        said = signing.Hello(revision, digest, log_id, last_seq, acked, "boot-1", "vantail 0.1.0")
        said = said._replace(**{"number": next(_hellos), **more})
        return signing.encode_hello(said, self.down, self.key)

    def batch(self, first_seq, events, log_id=LOG) -> bytes:
        logged = [(first_seq + i, False, 1, each) for i, each in enumerate(events)]
        raw, count = signing.encode_events(log_id, logged, self.down, self.key)
        assert count == len(events)
        return raw

    def acked(self, messages) -> list[int]:
        """How far each acknowledgement among `messages` goes."""
        acks = [payload for topic, payload in messages if topic == self.topic + "down/ack"]
        return [signing.verify_ack(raw, self.down).up_to for raw in acks]

    def policy(self, messages, revision=0):
        """The verified policy among `messages`, None where there is none."""
        parts = policy_parts.PolicyParts()
        delta = None
        for topic, payload in messages:
            if topic == self.topic + "down/policy":
                delta = parts.add(payload, self.down, revision)
        return delta


def ingest() -> Ingest:
    return Ingest(signature.manager_key())
