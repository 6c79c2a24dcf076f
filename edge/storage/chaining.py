"""The chain in the log's file: its keys, and writing records into it.

The last head and the key of the next event stand in the row `head`, so that they are committed with the events, or
undone with them. The key is wrapped under a secret of this device that the file does not hold: an old page of the
write-ahead log gives nobody an old key. Each record also has a check under another such secret, by which this device
alone, long after the MAC's key is gone, names the first record that was touched.
"""

import hmac
import os
import sqlite3
import struct
from collections.abc import Callable
from typing import NamedTuple

from edge.decision import chain
from edge.decision.chain import BEGIN, DROPPED, LATE, LOST, Note
from edge.decision.model import Event
from edge.storage.chain_rows import CHECK, HASHES, beyond

Seal = Callable[[bytes, bytes, int], bytes]
"""seal(key, log id, first event) → the key as only the manager can read it."""


class LogKeys(NamedTuple):
    """What protects a log. local: 32 secret bytes of this device, kept outside the log's file; b"": none, as in tests.
    seal: for the manager, named by seal_id; None: nobody gets the first key, and only this device can verify."""

    local: bytes = b""
    seal: Seal | None = None
    seal_id: bytes = b""

    def key_for(self, purpose: bytes) -> bytes:
        """A key of its own for each purpose: "check", "wrap", "mark"."""
        return HASHES.hmac(self.local, b"vantail log " + purpose)


class Writer:
    """Records into the chain, within one transaction: made from the row `head`, put back there by `save`.
    known: (a stored key, the same unwrapped) of the transaction before, which saves unwrapping it again."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        keys: LogKeys,
        check_key: bytes,
        wrap_key: bytes,
        known: tuple[bytes, bytes],
    ) -> None:
        self._connection, self._keys, self._check_key, self._wrap_key = connection, keys, check_key, wrap_key
        (
            self.log_id, self.last_seq, self.acked, self.dropped, self._dropped_noted, self.head, stored, self._seal_id,
        ) = connection.execute(
            "SELECT log_id, last_seq, acked, dropped, dropped_noted, chain_head, chain_key, chain_seal FROM head"
        ).fetchone()  # fmt: skip
        self._key = known[1] if stored and stored == known[0] else self._unwrapped(stored)
        self._is_new = not self._key or self._seal_id != keys.seal_id

    def event(self, late: bool, revision: int, boot: str, event: Event, commitment: bytes) -> bytes:
        """Give the next event its number, which is `last_seq` then, and its link: MAC, check, the head behind it."""
        self._prepare()
        if self.dropped > self._dropped_noted:
            self._add_note(Note(self.last_seq, DROPPED, self._dropped_noted, self.dropped))
            self._dropped_noted = self.dropped
        body = chain.event_body(self.log_id, self.last_seq + 1, late, revision, boot, event, commitment)
        link = self._add(body, beyond(event, boot))
        self.last_seq += 1
        self._key = chain.key_after(HASHES, self._key)
        return link

    def late(self, first: int, last: int) -> None:
        """Note that events were durable only after their door had moved."""
        self._prepare()
        self._add_note(Note(self.last_seq, LATE, first, last))

    def lost(self, last: int) -> None:
        """Note that the numbers up to `last` were given once, by a file that is not this one any more."""
        self._prepare()
        self._add_note(Note(self.last_seq, LOST, self.last_seq + 1, last))
        self._key = chain.key_after(HASHES, self._key, last - self.last_seq)
        self.last_seq = last

    def save(self, marked: bool, floor_ms: int = 0) -> tuple[bytes, bytes]:
        """Put everything back into the row `head`, and raise the floor of wall time. Returns `known` for the next
        transaction."""
        stored = self._wrapped() if self._key else b""
        self._connection.execute(
            "UPDATE head SET last_seq = ?, dropped = ?, dropped_noted = ?, chain_head = ?, chain_key = ?, "
            "chain_seal = ?, marked = max(marked, ?), floor_ms = max(floor_ms, ?)",
            (
                self.last_seq, self.dropped, self._dropped_noted, self.head,
                stored, self._seal_id, int(marked and bool(self.head)), floor_ms,
            ),
        )  # fmt: skip
        return stored, self._key

    def _prepare(self) -> None:
        """Begin the chain where there is none yet, or none that can be gone on with: then it is seen that it began
        anew, by a note that the manager gets, too."""
        if not self._is_new:
            return
        self._is_new = False
        first = self.last_seq + 1
        head = self.head or chain.genesis(HASHES, self.log_id)
        self._key = os.urandom(chain.KEY)
        self._seal_id = self._keys.seal_id
        sealed = self._keys.seal(self._key, self.log_id, first) if self._keys.seal else b""
        self.head = head
        number = self._add_note(Note(self.last_seq, BEGIN, first, 0), sealed)
        self._connection.execute("INSERT INTO start VALUES (?, ?, ?, ?)", (number, first, head, sealed))

    def _add_note(self, note: Note, sealed: bytes = b"") -> int:
        link = self._add(chain.note_body(self.log_id, note, sealed), b"")
        added = self._connection.execute(
            "INSERT INTO note (after, kind, first, last, chain) VALUES (?, ?, ?, ?, ?)", (*note, link)
        )
        return added.lastrowid or 0

    def _add(self, body: bytes, beyond_body: bytes) -> bytes:
        mac = chain.mac_of(HASHES, self._key, self.head, body)
        self.head = chain.head_after(HASHES, self.head, body, mac)
        return mac + check_of(self._check_key, self.head, beyond_body) + self.head

    def _wrapped(self) -> bytes:
        if not self._keys.local:
            return self._key
        return _xored(self._key, self._pad()) + self._key_tag(self._key)

    def _unwrapped(self, stored: bytes) -> bytes:
        """K(last_seq + 1), or b"" where there is none that these keys can read."""
        if len(stored) == chain.KEY:
            return b"" if self._keys.local else stored
        if len(stored) != chain.KEY + CHECK or not self._keys.local:
            return b""
        key = _xored(stored[: chain.KEY], self._pad())
        return key if hmac.compare_digest(self._key_tag(key), stored[chain.KEY :]) else b""

    def _pad(self) -> bytes:
        # A head never comes again, so a pad is used once.
        return HASHES.hmac(self._wrap_key, b"pad" + self.log_id + struct.pack(">Q", self.last_seq) + self.head)

    def _key_tag(self, key: bytes) -> bytes:
        return HASHES.sha256(b"vantail log tag" + self.head + key)[:CHECK]


def _xored(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def check_of(check_key: bytes, head: bytes, beyond_body: bytes) -> bytes:
    """The check of the record behind which `head` stands. Cut to a quarter, a plain hash behind a key of fixed length
    cannot be extended, and takes a third of an HMAC's time."""
    return HASHES.sha256(check_key + head + beyond_body)[:CHECK]
