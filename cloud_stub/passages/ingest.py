"""What the cloud answers to a controller's message. No network here: a message in, messages out.

Order (design, "Sync, in short"): find the controller that the topic names, verify with its device key, commit, and
only then acknowledge.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import InterfaceError, OperationalError
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet

from cloud_stub.passages import contacts, notices, orders, recording, standing, tally
from cloud_stub.passages.holders import Holders
from cloud_stub.passages.models import OPEN_STATES, Order
from cloud_stub.residences import publishing, signature
from cloud_stub.residences.models import Controller
from edge.uplink import signing, wire
from edge.uplink.wire import WireError

SUBSCRIPTION = ("v1/+/+/up/#", "v1/+/+/status")
RESEND_AFTER = timedelta(seconds=30)  # a policy that no hello confirmed
MOST_CHANGES = 3  # that are sent for one revision; then all rows are: what the controller has is not what it says
_log = logging.getLogger("vantail.cloud")


class Message(NamedTuple):
    """To publish, QoS 1, never retained."""

    topic: str
    payload: bytes


class Sent(NamedTuple):
    """The policy that a controller was sent last: which revision, when, and how often."""

    revision: int
    at: datetime
    times: int


class Ingest:
    """Handles the messages of all controllers, one at a time. `manager_key` signs what goes down, `seal_key` opens
    what controllers seal to us (32 bytes, private; the data folder's unless another is given)."""

    def __init__(self, manager_key: Ed25519PrivateKey, seal_key: bytes | None = None) -> None:
        self._key = manager_key
        self._seal_key = signature.seal_key() if seal_key is None else seal_key
        self._holders = Holders()
        self._sent: dict[int, Sent] = {}  # by controller
        self._failed: dict[int, datetime] = {}  # when nothing could be sent to it, by controller
        self.is_early = False  # the last message was a batch whose predecessor has not come yet
        self._take = {
            "up/hello": self._hello,
            "up/events": self._events,
            "up/notice": self._notice,
            "up/reply": self._reply,
            "status": self._status,
        }

    def handle(self, topic: str, payload: bytes, now: datetime) -> list[Message]:
        """The answers to one message, everything that they promise being committed. Refusals are counted.

        What the database raises goes to the caller: then nothing was acknowledged and the controller sends again.
        """
        self.is_early = False
        version, _, name = topic.partition("/")
        site, slug, kind = (*name.split("/", 2), "", "")[:3]
        if version != "v1" or kind not in self._take:
            tally.add(tally.UNKNOWN_TOPIC, topic, now)
            return []
        controller = Controller.objects.filter(site__slug=site, slug=slug).select_related("site").first()
        if controller is None or not controller.device_key:
            tally.add(tally.UNKNOWN_CONTROLLER, f"{site}/{slug}", now)
            return []
        try:
            return self._take[kind](controller, payload, now)
        except WireError as error:
            tally.add(f"refused-{error.reason}", f"{site}/{slug} {kind}: {error}", now)
            _log.warning("%s/%s: %s refused: %s", site, slug, kind, error)
            return []

    def due(self, now: datetime) -> list[Message]:
        """What is to be sent unasked: policies published since a present controller's last hello, or sent 30 s ago and
        not confirmed, and orders. One query while there is nothing. A controller for which that fails is left alone for
        30 s."""
        behind = Q(is_active=True, revision__gt=0, last_contact__gte=now - standing.PRESENT_WITHIN)
        behind &= ~Q(hello_revision=F("revision"), hello_digest=F("digest"))
        ordered = Exists(Order.objects.filter(controller=OuterRef("pk"), state__in=OPEN_STATES))
        found: QuerySet[Any] = Controller.objects.exclude(device_key="").annotate(
            is_behind=ExpressionWrapper(behind, BooleanField()), is_ordered=ordered
        )
        messages: list[Message] = []
        for controller in found.filter(Q(is_behind=True) | Q(is_ordered=True)).select_related("site"):
            if timedelta() <= now - self._failed.get(controller.pk, now - RESEND_AFTER) < RESEND_AFTER:
                continue
            try:
                messages += self._due_to(controller, now)
            except (OperationalError, InterfaceError):  # the database is not there, for none of them
                raise
            except Exception as error:  # the others go on
                self._failed[controller.pk] = now
                _log.error("%s: nothing can be sent to it: %s: %s", controller.slug, type(error).__name__, error)
                tally.add(tally.FAILED, f"{controller.slug}: {type(error).__name__}", now)
        return messages

    def _due_to(self, controller: Any, now: datetime) -> Iterable[Message]:
        """The same of one controller, with what the query above found. What came before an error goes out."""
        if controller.is_ordered:
            yield from self._challenges(controller, now)
        if controller.is_behind and not self._waits(controller, now):
            yield from self._policy(controller, now)

    def _hello(self, controller: Controller, payload: bytes, now: datetime) -> list[Message]:
        hello = signing.verify_hello(payload, self._trust(controller))
        log = recording.take_hello(controller, hello, self._seal_key, now)
        self._say(controller, hello.log_id, log)
        messages = [self._ack(controller, hello.log_id, log)]
        if not log.is_news:  # said again by the broker: the controller may be dead, and have other rows by now
            return messages
        notices.forget(controller, hello.log_id, log.acknowledged, now)
        contacts.touch(controller, now)
        controller.hello_revision, controller.hello_digest = hello.revision, hello.digest.hex()
        controller.hello_log, controller.hello_boot = hello.log_id.hex(), hello.boot_id
        controller.software = hello.software
        controller.save(update_fields=["hello_revision", "hello_digest", "hello_log", "hello_boot", "software"])
        if controller.is_active and not controller.is_up_to_date:
            if hello.revision >= controller.revision:
                publishing.republish_above(controller, hello.revision, now)
                controller.refresh_from_db()
            messages += self._policy(controller, now)
        return messages

    def _events(self, controller: Controller, payload: bytes, now: datetime) -> list[Message]:
        batch = signing.verify_events(payload, self._trust(controller))
        recorded = recording.record(controller, batch, self._holders, self._seal_key, now)
        if recorded.forks:
            _log.error(
                "%s: log %s has %d events that differ from what is stored under the same number (a fork)",
                controller.slug, batch.log_id.hex(), recorded.forks,
            )  # fmt: skip
        self._say(controller, batch.log_id, recorded)
        seqs = [event[0] for event in batch.stretch.events]
        self.is_early = recorded.acknowledged < seqs[-1]
        notices.confirm(controller, batch.log_id, seqs[0], seqs[-1])
        contacts.touch(controller, now)
        return [self._ack(controller, batch.log_id, recorded)]

    def _notice(self, controller: Controller, payload: bytes, now: datetime) -> list[Message]:
        notices.show(controller, signing.verify_notice(payload, self._trust(controller)), self._holders, now)
        return []

    def _reply(self, controller: Controller, payload: bytes, now: datetime) -> list[Message]:
        trust = self._trust(controller)
        reply = signing.verify_reply(payload, trust)
        contacts.touch(controller, now)
        if not reply.challenge:
            is_ours = orders.answer(controller, reply)
        elif command := orders.challenged(controller, reply, now):
            return [Message(down_topic(controller, "command"), signing.encode_command(command, trust, self._key))]
        else:
            is_ours = False
        if not is_ours:
            tally.add(tally.UNKNOWN_REQUEST, f"{controller.slug} request {reply.request.hex()}", now)
        return []

    def _status(self, controller: Controller, payload: bytes, now: datetime) -> list[Message]:
        try:
            contacts.take_status(controller, payload, now)
        except ValueError as error:
            raise WireError(wire.MALFORMED, str(error)) from None
        return []

    def _challenges(self, controller: Controller, now: datetime) -> Iterable[Message]:
        topic, trust = down_topic(controller, "challenge"), self._trust(controller)
        for request in orders.to_ask(controller, now):
            yield Message(topic, signing.encode_challenge(request, trust, self._key))

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

    def _waits(self, controller: Controller, now: datetime) -> bool:
        """For the hello that confirms what was just sent."""
        sent = self._sent.get(controller.pk)
        return sent is not None and sent.revision == controller.revision and now - sent.at < RESEND_AFTER

    def _policy(self, controller: Controller, now: datetime) -> list[Message]:
        """The published policy: what has changed since what the controller said that it has, or all of it."""
        sent, revision, trust = self._sent.get(controller.pk), controller.revision, self._trust(controller)
        times = sent.times + 1 if sent is not None and sent.revision == revision else 1
        base = (controller.hello_revision, controller.hello_digest)
        change = publishing.change_since(controller, *base) if times <= MOST_CHANGES else None
        if change is not None:
            parts = signing.encode_policy_parts(
                change.rows, revision, trust, self._key,
                from_revision=base[0], gone=change.gone, digest=bytes.fromhex(controller.digest),
            )  # fmt: skip
        elif rows := publishing.published_rows(controller):
            parts = signing.encode_policy_parts(rows, revision, trust, self._key)
        else:
            return []
        self._sent[controller.pk] = Sent(revision, now, times)
        what = f"changes since {base[0]}" if change is not None else "all rows"
        _log.info("%s: policy revision %d sent in %d parts, %s", controller.slug, revision, len(parts), what)
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
