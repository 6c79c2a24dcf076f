"""What a worker does with messages, whatever line they come by: it answers them in groups, each group one commit.

A flush of the disk costs more than storing an event, and most messages hold one event. Nothing is published before the
commit that it promises.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction

from cloud_stub.passages import tally
from cloud_stub.passages.ingest import Ingest

_log = logging.getLogger("vantail.cloud")


class Arrived(NamedTuple):
    """A message, and when the broker had it, where it says so: several workers may look at messages in another order
    than they came."""

    topic: str
    payload: bytes
    at: datetime | None = None


class Answer(NamedTuple):
    """What becomes of one message. publications: (topic, payload) each. is_early: what it builds on has not come yet,
    so it is worth another look. is_failed: nothing of it is stored."""

    publications: Sequence[tuple[str, bytes]]
    is_early: bool = False
    is_failed: bool = False


class Answering:
    """Answers by `ingest`, on one thread. now: what time it is."""

    def __init__(self, ingest: Ingest, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._ingest, self._now = ingest, now

    def answers(self, messages: Sequence[Arrived]) -> list[Answer]:
        """One for each of them. Where one of them fails, the others are answered all the same."""
        # Rows are locked controller by controller, in one order: two workers then never wait for each other. What one
        # controller says, its status included, stays in the order in which it came.
        order = sorted(range(len(messages)), key=lambda place: messages[place].topic.split("/")[:3])
        if len(messages) > 1:
            try:
                with transaction.atomic():
                    found = {place: self._answer(messages[place]) for place in order}
                return [found[place] for place in range(len(messages))]
            except Exception as error:
                _log.warning("%d messages again, one by one (%s)", len(messages), type(error).__name__)
                close_old_connections()
        return [self._guarded(message) for message in messages]

    def messages(self, messages: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """All that is to be published for some messages."""
        return [each for answer in self.answers([Arrived(*each) for each in messages]) for each in answer.publications]

    def due(self) -> list[tuple[str, bytes]]:
        """What is to be published unasked."""
        return list(self._ingest.due(self._now()))

    def failed(self, error: Exception, what: str) -> None:
        """Say and count that something went wrong; a lost connection is made anew by whoever asks next."""
        _log.error("%s: %s: %s; the controller will send again", what, type(error).__name__, error)
        close_old_connections()
        self._count(tally.FAILED, f"{what}: {type(error).__name__}", 1)

    def overrun(self, count: int) -> None:
        """Count messages that were dropped."""
        self._count(tally.OVERRUN, "messages came faster than they could be stored", count)

    def _answer(self, message: Arrived) -> Answer:
        publications = self._ingest.handle(message.topic, message.payload, message.at or self._now())
        return Answer(publications, self._ingest.is_early)

    def _guarded(self, message: Arrived) -> Answer:
        try:
            with transaction.atomic():
                return self._answer(message)
        except Exception as error:
            self.failed(error, message.topic)
            return Answer((), is_failed=True)

    def _count(self, name: str, detail: str, count: int) -> None:
        """Must not end the worker where the database itself is the trouble."""
        try:
            tally.add(name, detail, self._now(), count)
        except DatabaseError as error:
            _log.error("a count could not be kept: %s", error)
