"""What the cloud answers to a controller's message. No network here: a message in, messages out.

Order (design, "Sync, in short"): find the controller that the topic names, verify with its device key, commit, and
only then acknowledge.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_stub.passages import recording, tally
from cloud_stub.passages.holders import Holders
from cloud_stub.residences import publishing, signature
from cloud_stub.residences.models import Controller
from edge.uplink import signing
from edge.uplink.wire import WireError

SUBSCRIPTION = "v1/+/+/up/#"
RESEND_AFTER = timedelta(seconds=30)  # a policy that no hello confirmed
PRESENT_WITHIN = timedelta(minutes=11)  # a connected controller says hello every 5 min; two may be lost
_log = logging.getLogger("vantail.cloud")


class Message(NamedTuple):
    """To publish, QoS 1, never retained."""

    topic: str
    payload: bytes


class Ingest:
    """Handles the messages of all controllers, one at a time. `manager_key` signs what goes down, `seal_key` opens
    what controllers seal to us (32 bytes, private; the data folder's unless another is given)."""

    def __init__(self, manager_key: Ed25519PrivateKey, seal_key: bytes | None = None) -> None:
        self._key = manager_key
        self._seal_key = signature.seal_key() if seal_key is None else seal_key
        self._holders = Holders()
        self._sent: dict[int, tuple[int, datetime]] = {}  # controller → revision sent, when

    def handle(self, topic: str, payload: bytes, now: datetime) -> list[Message]:
        """The answers to one message, everything that they promise being committed. Refusals are counted.

        What the database raises goes to the caller: then nothing was acknowledged and the controller sends again.
        """
        parts = topic.split("/")
        if len(parts) != 5 or parts[0] != "v1" or parts[3] != "up" or parts[4] not in ("hello", "events"):
            tally.add(tally.UNKNOWN_TOPIC, topic, now)
            return []
        site, slug, kind = parts[1], parts[2], parts[4]
        controller = Controller.objects.filter(site__slug=site, slug=slug).select_related("site").first()
        if controller is None or not controller.device_key:
            tally.add(tally.UNKNOWN_CONTROLLER, f"{site}/{slug}", now)
            return []
        try:
            if kind == "hello":
                return self._hello(controller, signing.verify_hello(payload, self._trust(controller)), now)
            return self._events(controller, signing.verify_events(payload, self._trust(controller)), now)
        except WireError as error:
            tally.add(f"refused-{error.reason}", f"{site}/{slug} {kind}: {error}", now)
            _log.warning("%s/%s: %s refused: %s", site, slug, kind, error)
            return []

    def due(self, now: datetime) -> list[Message]:
        """Policies published since a present controller's last hello, or sent 30 s ago and not confirmed."""
        messages: list[Message] = []
        present = Controller.objects.filter(
            is_active=True, revision__gt=0, last_contact__gte=now - PRESENT_WITHIN
        ).exclude(device_key="")
        for controller in present.select_related("site"):
            revision, at = self._sent.get(controller.pk, (0, now))
            waits = revision == controller.revision and now - at < RESEND_AFTER
            if not controller.is_up_to_date and not waits:
                messages += self._policy(controller, now)
        return messages

    def _hello(self, controller: Controller, hello: signing.Hello, now: datetime) -> list[Message]:
        log = recording.take_hello(controller, hello, self._seal_key, now)
        self._say(controller, hello.log_id, log)
        controller.hello_revision, controller.hello_digest = hello.revision, hello.digest.hex()
        controller.software, controller.last_contact = hello.software[:200], now
        controller.save(update_fields=["hello_revision", "hello_digest", "software", "last_contact"])
        messages = [self._ack(controller, hello.log_id, log)]
        if controller.is_active and not controller.is_up_to_date:
            if hello.revision >= controller.revision:
                publishing.republish_above(controller, hello.revision, now)
                controller.refresh_from_db()
            messages += self._policy(controller, now)
        return messages

    def _events(self, controller: Controller, batch: signing.EventsBatch, now: datetime) -> list[Message]:
        recorded = recording.record(controller, batch, self._holders, self._seal_key, now)
        if recorded.forks:
            _log.error(
                "%s: log %s has %d events that differ from what is stored under the same number (a fork)",
                controller.slug, batch.log_id.hex(), recorded.forks,
            )  # fmt: skip
        self._say(controller, batch.log_id, recorded)
        Controller.objects.filter(pk=controller.pk).update(last_contact=now)
        return [self._ack(controller, batch.log_id, recorded)]

    def _say(self, controller: Controller, log_id: bytes, recorded: recording.Recorded) -> None:
        for found in recorded.findings:
            _log.error(
                "%s: ALARM: log %s does not fit together (%s), events %d to %d",
                controller.slug, log_id.hex(), found.kind, found.first, found.last,
            )  # fmt: skip

    def _trust(self, controller: Controller) -> signing.Trust:
        return trust_of(controller, self._seal_key)

    def _ack(self, controller: Controller, log_id: bytes, recorded: recording.Recorded) -> Message:
        trust, up_to = self._trust(controller), recorded.acknowledged
        payload = signing.encode_ack(log_id, up_to, trust, self._key, recorded.head)
        return Message(down_topic(controller, "ack"), payload)

    def _policy(self, controller: Controller, now: datetime) -> Iterable[Message]:
        rows = publishing.published_rows(controller)
        if not rows:
            return []
        self._sent[controller.pk] = (controller.revision, now)
        parts = signing.encode_policy_parts(rows, controller.revision, self._trust(controller), self._key)
        _log.info("%s: policy revision %d sent in %d parts", controller.slug, controller.revision, len(parts))
        return [Message(down_topic(controller, "policy"), part) for part in parts]


def trust_of(controller: Controller, seal_key: bytes) -> signing.Trust:
    """Who must have signed what comes from a controller, and how what goes to it is addressed. seal_key: private, of
    what is sealed to us."""
    return signing.Trust(
        site_uid=bytes.fromhex(controller.site.uid),
        controller=bytes.fromhex(controller.fingerprint),
        epoch=controller.epoch,
        public_key=bytes.fromhex(controller.device_key),
        seal_to=signing.device_seal_public(bytes.fromhex(controller.device_key)),
        unseal=seal_key,
    )


def down_topic(controller: Controller, kind: str) -> str:
    """Where a controller listens for messages of `kind`."""
    return f"v1/{controller.site.slug}/{controller.slug}/down/{kind}"
