"""The log of one controller of a fleet: in memory, chained as the real one, kept until it is acknowledged.

The real log is a file with a thread and a flush a commit, which a thousand controllers on one machine would not have
to themselves. What goes over the wire is the same.
"""

import hashlib
import hmac
import os
import random
from collections import deque
from typing import NamedTuple

from edge.decision import chain
from edge.decision.model import Event
from edge.uplink import signing

HASHES = chain.Hashes(lambda data: hashlib.sha256(data).digest(), lambda key, data: hmac.digest(key, data, "sha256"))
REVISION = 1
BADGES = 300  # of a residence
BOOT = "fleet"


class _Kept(NamedTuple):
    event: Event
    head: bytes


class FleetLog:
    """Numbered from 1. seal_key: the manager's public one, to which the chain's first key is sealed."""

    def __init__(self, log_id: bytes, seal_key: bytes) -> None:
        self.log_id = log_id
        self.last_seq = self.acked = 0
        self._kept: deque[_Kept] = deque()  # of acked + 1 to last_seq
        self._secret = os.urandom(chain.SALT)
        self._key = os.urandom(chain.KEY)
        head = chain.genesis(HASHES, log_id)
        self.start = chain.Start(1, head, signing.seal_log_key(seal_key, self._key, log_id, 1))
        self._begin = chain.Note(0, chain.BEGIN, 1, 0)
        self._head = self._after(head, chain.note_body(log_id, self._begin, self.start.sealed))

    def record(self, event: Event) -> int:
        """Its number."""
        seq = self.last_seq + 1
        is_personal = chain.is_personal(event)
        covered = chain.commit(HASHES, chain.salt_of(HASHES, self._secret, seq), event) if is_personal else b""
        self._head = self._after(
            self._head, chain.event_body(self.log_id, seq, False, REVISION, BOOT, event, covered)
        )  # fmt: skip
        self._key = chain.key_after(HASHES, self._key)
        self._kept.append(_Kept(event, self._head))
        self.last_seq = seq
        return seq

    def stretch(self, first_seq: int, limit: int) -> chain.Stretch:
        """At most `limit` events from `first_seq` on, as storage's log gives them."""
        at = first_seq - self.acked - 1
        kept = [self._kept[i] for i in range(at, min(at + limit, len(self._kept)))]
        is_begun = first_seq == 1
        return chain.Stretch(
            tuple([(first_seq + i, False, REVISION, each.event) for i, each in enumerate(kept)]),
            (BOOT,) * len(kept),
            (b"",) * len(kept),
            (self._begin,) if is_begun else (),
            ((1, self._secret),),
            (self.start,) if is_begun else (),
            tuple([each.head for each in kept]),
        )

    def acknowledge(self, up_to: int) -> None:
        """Forget what the cloud has."""
        while self.acked < up_to:
            self._kept.popleft()
            self.acked += 1

    def _after(self, head: bytes, body: bytes) -> bytes:
        return chain.head_after(HASHES, head, body, chain.mac_of(HASHES, self._key, head, body))


def passage(chance: random.Random, door: str, at_ms: int) -> Event:
    """What happens at a door: mostly a resident's badge, or the door after it; now and then an exit or a refusal."""
    kind = chance.random()
    number = 4_640_000_000 + int(BADGES * chance.random() ** 2)
    if kind < 0.35:
        return Event(at_ms, True, door, f"{door}-in", "badge", number, "open", "", "door", "")
    if kind < 0.85:
        return Event(at_ms, True, door, "", "", None, "info", "door-opened" if kind < 0.6 else "door-closed", "", "")
    if kind < 0.95:
        return Event(at_ms, True, door, "", "exit", None, "open", "", "door", "")
    return Event(at_ms, True, door, f"{door}-in", "badge", number, "denied", "outside-schedule", "", "")
