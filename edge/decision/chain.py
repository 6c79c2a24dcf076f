"""The chain over the records of a log: what each one's MAC covers, and how both ends follow it. Portable.

With head 0 made from the log's id and K(n) the key of event n:

    mac(n)   = HMAC-SHA256(K(n), head || body(n))[:16]     head: after the record before
    head'    = SHA-256(head || body(n) || mac(n))
    K(n + 1) = SHA-256(label || K(n)), and K(n) is dropped

Between two events stand notes, which say of the log itself what nobody may take away unseen; a note's MAC uses the key
of the event that follows it, and does not step the key. Who holds the first key can compute every MAC, so that only
the head at the end of a batch has to travel. Who holds none can still follow the heads to one that the manager signed.

Personal data (is_personal) is covered by a salted commitment, so that it can go and the chain stays whole.
`hashes` are passed in: hashlib and hmac on CPython, others elsewhere.
"""

import struct
from collections import namedtuple

from edge.decision import model

MAC = 16  # bytes; likewise below
HEAD = 32
KEY = 32
SALT = 32
COMMITMENT = 16
MAX_TEXT = 200  # characters of a text in a record: what the wire carries (uplink.messages.MAX_TEXT)
MAX_LOST = 10_000_000  # keys that a lost stretch may step over
MAX_SAID = 32  # of a controller's doors and readers with what happens there
_SAID = {}  # type: ignore[var-annotated]  # (MicroPython has no typing)

# Kinds of notes, and what their `first` and `last` are.
LATE = 1  # events `first` to `last` were durable only after the door had moved
DROPPED = 2  # not written, the log being full: from `first` to `last`, counted since the log began
LOST = 3  # numbers `first` to `last` were given once, and their events are gone
BEGIN = 4  # the chain begins here, or anew, with another first key; first: the next event, last: 0

# Commands are events without a medium; their detail names who gave them.
_COMMANDS = ("open", "hold", "release", "lockdown", "forgive")
_TOLD = ("call", "command")  # media whose detail names a resident or a manager


class Hashes(namedtuple("Hashes", ("sha256", "hmac"))):
    """sha256(data) and hmac(key, data), that is HMAC-SHA256: 32 bytes each."""

    __slots__ = ()


class Note(namedtuple("Note", ("after", "kind", "first", "last"))):
    """A record that is no event, written after event `after`. `first`, `last`: see the kinds."""

    __slots__ = ()
    after: int
    kind: int
    first: int
    last: int


class Start(namedtuple("Start", ("first", "head", "sealed"))):
    """Of a BEGIN note: K(first), sealed to the manager (empty: to nobody), and the head before the note."""

    __slots__ = ()
    first: int
    head: bytes
    sealed: bytes


class Stretch(namedtuple("Stretch", ("events", "boots", "proofs", "notes", "secrets", "starts", "heads"))):
    """Contiguous events of a log with what it takes to check them, as they go to the manager.

    events: (seq, late as first written, policy revision, Event). boots: a text for each. proofs: for each b"", or a
    salt (SALT bytes), or, where the personal data is gone, its commitment (COMMITMENT bytes). notes: those between
    the event before the first and the last, in order. secrets: (first seq, secret), of days. starts: one for each
    BEGIN among the notes. heads: after each event, b"" where it is not known; one that came over the wire has the
    last one only."""

    __slots__ = ()
    events: tuple
    boots: tuple
    proofs: tuple
    notes: tuple
    secrets: tuple
    starts: tuple
    heads: tuple


def plain(events):
    """A stretch of events that no chain covers."""
    count = len(events)
    return Stretch(tuple(events), ("",) * count, (b"",) * count, (), (), (), (b"",) * count)


def cut(stretch, count):
    """The first `count` events of a stretch, and what belongs to them."""
    last = stretch.events[count - 1][0]
    notes = tuple([note for note in stretch.notes if note.after < last])
    begun = len([note for note in notes if note.kind == BEGIN])
    secrets = tuple([secret for secret in stretch.secrets if secret[0] <= last])
    return Stretch(
        stretch.events[:count], stretch.boots[:count], stretch.proofs[:count], notes, secrets,
        stretch.starts[:begun], stretch.heads[:count],
    )  # fmt: skip


# --- what is covered --------------------------------------------------------------------------------------------


def is_personal(event):
    """Whether the event says who: by a credential, or in its detail (whom a visitor called, who commanded)."""
    if event.credential is not None:
        return True
    if not event.detail:
        return False
    return event.medium in _TOLD or (event.medium == "" and event.result == model.INFO and event.reason in _COMMANDS)


def without_person(event):
    """The event as it is when its personal data is gone."""
    return model.Event(
        event.at_ms, event.trusted, event.door, event.reader, event.medium, None, event.result, event.reason,
        event.output, "",
    )  # fmt: skip


def salt_of(hashes, secret, seq):
    """The salt of event `seq` under the secret of its day."""
    return hashes.hmac(secret, struct.pack(">Q", seq))


def commit(hashes, salt, event):
    """The commitment to the personal data of an event: credential and detail."""
    number = b"\x00" if event.credential is None else struct.pack(">BQ", 1, event.credential)
    return hashes.sha256(salt + number + event.detail[:MAX_TEXT].encode())[:COMMITMENT]


def event_body(log_id, seq, late, revision, boot, event, commitment):
    """The canonical bytes of an event. late: as first written. commitment: b"" where the event is not personal."""
    detail = b"" if commitment else event.detail[:MAX_TEXT].encode()
    flags = (1 if event.trusted else 0) | (2 if late else 0)
    sizes, texts = _said(boot, event)
    fixed = struct.pack(">QqBQ", seq, event.at_ms, flags, revision) + sizes
    return b"\x01" + log_id + fixed + struct.pack(">HH", len(detail), len(commitment)) + texts + detail + commitment


def _said(boot, event):
    """(the sizes, the bytes) of the texts that come again and again. The last few are kept: that takes a quarter of
    the time, for whoever records and whoever checks."""
    words = (boot, event.door, event.reader, event.medium, event.result, event.reason, event.output)
    known = _SAID.get(words)
    if known is None:
        texts = [text[:MAX_TEXT].encode() for text in words]
        known = (struct.pack(">7H", *[len(text) for text in texts]), b"".join(texts))
        if len(_SAID) >= MAX_SAID:
            _SAID.clear()
        _SAID[words] = known
    return known


def note_body(log_id, note, sealed=b""):
    """The canonical bytes of a note; of a BEGIN with the sealed key."""
    return b"\x02" + log_id + struct.pack(">QBQQH", note.after, note.kind, note.first, note.last, len(sealed)) + sealed


# --- the steps --------------------------------------------------------------------------------------------------


def genesis(hashes, log_id):
    """The head before the first record of a log."""
    return hashes.sha256(b"vantail log 1" + log_id)


def mac_of(hashes, key, head, body):
    """The MAC of a record, MAC bytes."""
    return hashes.hmac(key, head + body)[:MAC]


def head_after(hashes, head, body, mac):
    """The head behind a record."""
    return hashes.sha256(head + body + mac)


def key_after(hashes, key, steps=1):
    """The key `steps` events later."""
    for _ in range(steps):
        key = hashes.sha256(b"vantail log key" + key)
    return key


class Misfit(Exception):  # noqa: N818 (the word for it)
    """What a stretch says cannot be of this chain."""


class Follower:
    """The chain as the manager follows it. seq: of the last event that was followed. head: after it, b"" where
    nothing is known. key: K(seq + 1), b"" where it is not known; then heads are believed.

    `unseal(sealed, log_id, first)` gives the key of a Start, or b""."""

    def __init__(self, hashes, log_id, seq, head, key, unseal):
        self.seq = seq
        self.head = head
        self.key = key
        self.is_proven = True  # nothing had to be believed since the last call of follow
        self._hashes = hashes
        self._log_id = log_id
        self._unseal = unseal

    def takes(self, stretch):
        """Whether the stretch goes on from `seq` and further: what lies before it may be in it again."""
        if stretch.events[-1][0] <= self.seq:
            return False
        first = stretch.events[0][0]
        return first <= self.seq + 1 or _bridged(stretch.notes, self.seq + 1, first)

    def follow(self, stretch):
        """Go to the end of a stretch that `takes` said yes to. Misfit where it is not what the controller recorded:
        then `believe` goes on from what it says."""
        self.is_proven = bool(self.key) or _begins(stretch.notes, self.seq)
        starts = list(stretch.starts)
        notes = list(stretch.notes)
        for i in range(len(stretch.events)):
            while notes and notes[0].after < stretch.events[i][0]:
                note = notes.pop(0)
                start = starts.pop(0) if note.kind == BEGIN else None
                if note.after >= self.seq:
                    self._take_note(note, start)
            if stretch.events[i][0] > self.seq:
                self._take_event(stretch, i)
        if self.key:
            if self.head != stretch.heads[-1]:
                raise Misfit("the records do not give the head that it names")
        else:
            self.believe(stretch)

    def believe(self, stretch):
        """Go to the end of the stretch without proof. The key goes along where it is known."""
        last = stretch.events[-1][0]
        if self.key and last - self.seq <= MAX_LOST:
            self.key = key_after(self._hashes, self.key, max(0, last - self.seq))
        self.seq = last
        self.head = stretch.heads[-1]
        self.is_proven = False

    def _take_note(self, note, start):
        if start is not None:
            self._begin(note, start)
            body = note_body(self._log_id, note, start.sealed)
        else:
            body = note_body(self._log_id, note)
        if self.key:
            self._add(body)
        if note.kind == LOST:
            self._step_over(note)

    def _begin(self, note, start):
        """Another first key. Where the chain was followed so far, it goes on from the same head."""
        if self.key and self.head != start.head:
            raise Misfit("it begins anew from another head")
        self.head = start.head
        self.key = self._unseal(start.sealed, self._log_id, start.first) if start.first == note.first else b""
        if not self.key:
            self.is_proven = False

    def _step_over(self, note):
        if note.first != self.seq + 1 or not 0 <= note.last - note.first < MAX_LOST:
            raise Misfit("it names lost events that cannot be")
        if self.key:
            self.key = key_after(self._hashes, self.key, note.last - self.seq)
        self.seq = note.last

    def _take_event(self, stretch, i):
        seq, late, revision, event = stretch.events[i]
        if seq != self.seq + 1:
            raise Misfit("event %d does not follow %d" % (seq, self.seq))
        if self.key:
            commitment = commitment_in(self._hashes, stretch, i)
            self._add(event_body(self._log_id, seq, late, revision, stretch.boots[i], event, commitment))
            self.key = key_after(self._hashes, self.key)
        self.seq = seq

    def _add(self, body):
        self.head = head_after(self._hashes, self.head, body, mac_of(self._hashes, self.key, self.head, body))


def commitment_in(hashes, stretch, i):
    """The commitment of the i-th event of a stretch, b"" where it is not personal. Misfit where it has no salt."""
    proof = stretch.proofs[i]
    event = stretch.events[i][3]
    if len(proof) == COMMITMENT:
        return proof
    if not is_personal(event):
        return b""
    seq = stretch.events[i][0]
    if not proof:
        known = [secret for first, secret in stretch.secrets if first <= seq]
        if not known:
            raise Misfit("event %d comes without its salt" % seq)
        proof = salt_of(hashes, known[-1], seq)
    return commit(hashes, proof, event)


def _bridged(notes, wanted, first):
    """Whether a note says that the numbers `wanted` to `first` - 1 are lost."""
    return bool([note for note in notes if note.kind == LOST and note.first == wanted and note.last == first - 1])


def _begins(notes, seq):
    return bool([note for note in notes if note.kind == BEGIN and note.after == seq])
