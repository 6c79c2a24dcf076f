"""What the log's file may hold after a bit has flipped, made into what the wire can carry (docs/wire.cddl).

The manager refuses a batch that has one impossible value, and acknowledges nothing of it: then the same batch would go
up for ever, and all that follow would wait behind it. So the impossible value alone is replaced or left out. The chain
does not cover what is sent in its place: the manager's side finds the batch doubtful, and that is what it is.
Texts are mended where they are packed (columns.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from edge.decision import chain, model
from edge.decision.chain import Note, Start, Stretch
from edge.uplink.columns import MAX_NOTES, NOTE_KINDS, RESULTS, LoggedTuple, sendable
from edge.uplink.fields import DIGEST_SIZE, HEAD_SIZE, MAX_STARTS, MAX_TIME, MAX_UINT, SEALED_SIZE
from edge.uplink.wire import MAX_BATCH_EVENTS

_NO_START = Start(0, bytes(HEAD_SIZE), b"")  # sealed to nobody


def mend(stretch: Stretch) -> Stretch:
    """A stretch whose values the manager can take: what is healthy stays as it is; notes and starts beyond what one
    batch may have are left out."""
    events = tuple([entry if _is_whole(entry) else _mended(entry) for entry in stretch.events])
    notes, starts = _mended_notes(stretch.notes, stretch.starts, events[-1][0])
    head = stretch.heads[-1]
    return stretch._replace(
        events=events,
        proofs=_mended_proofs(stretch.proofs, events),
        notes=notes,
        starts=starts,
        secrets=tuple([known for known in stretch.secrets if _is_secret(*known)][-MAX_BATCH_EVENTS:]),
        heads=stretch.heads if _is_bytes(head, (0, HEAD_SIZE)) else (*stretch.heads[:-1], b""),
    )


def _is_whole(entry: LoggedTuple) -> bool:
    """Looked at for each event: written out, because a call for each value would take three times as long."""
    _, _, revision, event = entry
    at_ms, number = event.at_ms, event.credential
    return (
        event.result in RESULTS
        and type(at_ms) is int
        and -MAX_TIME <= at_ms <= MAX_TIME
        and (number is None or (type(number) is int and 0 <= number <= MAX_UINT))
        and type(revision) is int
        and 0 <= revision <= MAX_UINT
    )


def _mended(entry: LoggedTuple) -> LoggedTuple:
    """A number that cannot be a credential is nobody's; one cut to size might be somebody's."""
    seq, late, revision, event = entry
    changed = model.Event(
        _within(event.at_ms, -MAX_TIME, MAX_TIME), event.trusted, event.door, event.reader, event.medium,
        event.credential if _is_uint(event.credential) else None,
        event.result if event.result in RESULTS else model.INFO,
        event.reason, event.output, event.detail,
    )  # fmt: skip
    return seq, late, _within(revision, 0, MAX_UINT), changed


def _within(value: object, low: int, high: int) -> int:
    """In SQLite one bit makes another type of a number, too (file format, section 2.1)."""
    return min(max(value, low), high) if isinstance(value, int) else 0


def _is_uint(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_UINT


def _is_bytes(value: object, sizes: Sequence[int]) -> bool:
    return type(value) is bytes and len(value) in sizes


def _is_secret(first: object, secret: object) -> bool:
    return _is_uint(first) and _is_bytes(secret, (DIGEST_SIZE,))


def _mended_proofs(proofs: Sequence[bytes], events: Sequence[LoggedTuple]) -> tuple[bytes, ...]:
    if not any(proofs):  # as a rule
        return tuple(proofs)
    return tuple([proof if _is_proof(proof, entry[3]) else b"" for proof, entry in zip(proofs, events, strict=True)])


def _is_proof(proof: object, event: model.Event) -> bool:
    """A commitment stands in the place of a person: beside one, as the manager will read it, it is none."""
    if _is_bytes(proof, (chain.COMMITMENT,)):
        medium, reason, detail = map(sendable, (event.medium, event.reason, event.detail))
        return not chain.is_personal(event._replace(medium=medium, reason=reason, detail=detail))
    return _is_bytes(proof, (chain.SALT,))


def _mended_notes(
    notes: Iterable[Note], starts: Iterable[Start], last_seq: int
) -> tuple[tuple[Note, ...], tuple[Start, ...]]:
    """The notes that can be, in order, and the start of each BEGIN among them: neither goes without the other."""
    kept: list[Note] = []
    begun: list[Start] = []
    left = iter(starts)
    for note in notes:
        start = next(left, _NO_START) if note.kind == chain.BEGIN else None
        if len(kept) == MAX_NOTES or not _is_note(note, kept[-1].after if kept else 0, last_seq):
            continue
        if start is not None:
            if len(begun) == MAX_STARTS:
                continue
            begun.append(_mended_start(*start))
        kept.append(note)
    return tuple(kept), tuple(begun)


def _is_note(note: tuple[Any, ...], after: int, last_seq: int) -> bool:
    """Whether a note can stand behind one that came after event `after`."""
    return all(map(_is_uint, note)) and note[1] in NOTE_KINDS and after <= note[0] < last_seq


def _mended_start(first: int, head: bytes, sealed: bytes) -> Start:
    """A start stays even so: without one the manager would believe every head; from this one none follows."""
    return Start(
        first if _is_uint(first) else _NO_START.first,
        head if _is_bytes(head, (HEAD_SIZE,)) else _NO_START.head,
        sealed if _is_bytes(sealed, (0, SEALED_SIZE)) else _NO_START.sealed,
    )
