"""A batch of events, column by column: what repeats is said once, what counts up is said as a difference.

Inside the deflated part of an events message (docs/wire.cddl, `columns`), n being the number of events:

    texts         the texts that occur, each once
    shapes        the distinct (flags, medium, door, reader, result, reason, output), texts by place in `texts`
    shape         n places in `shapes`
    who           n places in the credentials plus one; 0: no credential
    detail        n places in `texts`
    policy        the policy revision in runs of (how many events, revision)
    boots         the boot in runs of (how many events, place in `texts`)
    proofs        (which event, salt or commitment) of those that have one; from 0 on
    notes         (after, kind, first, last) of the log's notes, in order: edge/decision/chain.py
    at_sizes      n sizes in bytes (0 to 8) of the numbers in `at`
    number_sizes  the sizes of the numbers in `numbers`
    at            differences of at_ms, the first against 0, zigzag (0, -1, 1, -2 … as 0, 1, 2, 3 …), in planes
    numbers       the distinct credentials, rising, each as the difference to the one before, in planes

Places are 1 byte each, or 2 where a table has more than 256 entries, then all high bytes first. Planes: the lowest
byte of every number of at least one byte, then the second byte of every number of at least two, and so on; random
bytes so lie beside random bytes, which is worth 0.8 bytes an event. Events are contiguous: the seq of the i-th is the
message's `first` + i.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from edge.decision import chain, model
from edge.decision.chain import Note, Stretch
from edge.uplink import wire
from edge.uplink.fields import MAX_TEXT, MAX_UINT
from edge.uplink.wire import WireError

LoggedTuple = tuple[int, bool, int, model.Event]
"""(seq, late, policy revision, event): how events come in and go out; storage's LoggedEvent is one."""

TRUSTED = 1
LATE = 2
_LISTS = ("texts", "shapes", "policy", "boots", "proofs", "notes")
_PLACES = ("shape", "who", "detail")
_PLANES = ("at_sizes", "number_sizes", "at", "numbers")
_KEYS = (*_LISTS, *_PLACES, *_PLANES)
_MAX_SIZE = 8
MAX_NOTES = 2000
NOTE_KINDS = (chain.LATE, chain.DROPPED, chain.LOST, chain.BEGIN)
_SHAPE_TEXTS = 6
RESULTS = frozenset((model.OPEN, model.DENIED, model.ALARM, model.INFO))
_MAX_MS = 1 << 60  # so that a difference fits 8 bytes


class EventsBatch(NamedTuple):
    """Contiguous events of one log. log_id: 16 bytes. stretch: the events from seq `first_seq` on, with what it takes
    to check them; of its heads only the last is known."""

    log_id: bytes
    first_seq: int
    stretch: Stretch

    @property
    def events(self) -> tuple[LoggedTuple, ...]:
        """The events alone."""
        events: tuple[LoggedTuple, ...] = self.stretch.events
        return events


def pack_columns(stretch: Stretch) -> bytes:
    """The deflated columns of a stretch: all of it but secrets, starts and head. Its values are such as
    `unpack_columns` takes (see mending.mend), but for the texts: those are made `sendable` here. ValueError where the
    seqs are not contiguous."""
    logged = stretch.events
    if any(entry[0] != logged[0][0] + i for i, entry in enumerate(logged)):
        raise ValueError(f"events from {logged[0][0]} on are not contiguous")
    texts, shapes = _Texts(), _Table()
    events = [entry[3] for entry in logged]
    at = [event.at_ms for event in events]
    known = sorted({event.credential for event in events if event.credential is not None})
    place: dict[int | None, int] = {number: i + 1 for i, number in enumerate(known)}
    shape = [shapes.place(_shape(late, event, texts)) for _, late, _, event in logged]
    detail = [texts.place(event.detail) for event in events]
    boots = _runs(texts.place(boot) for boot in stretch.boots)
    at_sizes, at_planes = _in_planes([_zigzag(now - before) for before, now in pairwise([0, *at])])
    number_sizes, number_planes = _in_planes([now - before for before, now in pairwise([0, *known])])
    columns = {
        "texts": texts.values,
        "shapes": shapes.values,
        "policy": _runs(entry[2] for entry in logged),
        "boots": boots,
        "proofs": [[i, proof] for i, proof in enumerate(stretch.proofs) if proof],
        "notes": [list(note) for note in stretch.notes],
        "shape": _as_places(shape, len(shapes.values)),
        "who": _as_places([place.get(event.credential, 0) for event in events], len(known) + 1),
        "detail": _as_places(detail, len(texts.values)),
        "at_sizes": at_sizes,
        "number_sizes": number_sizes,
        "at": at_planes,
        "numbers": number_planes,
    }
    encoded = wire.encode(columns)
    return wire.deflate(encoded, split=len(encoded) - len(at_planes) - len(number_planes))


class _Table:
    """Distinct values in the order of their first use."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Any, int] = {}

    def place(self, value: Any) -> int:
        known = self._places.setdefault(value, len(self.values))
        if known == len(self.values):
            self.values.append(value)
        return known


class _Texts(_Table):
    """Distinct texts as they can travel; each is made so once, not for every event that has it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[object, int] = {}

    def place(self, value: object) -> int:
        known = self._seen.get(value)
        if known is None:
            known = self._seen[value] = super().place(sendable(value))
        return known


def _shape(late: bool, event: model.Event, texts: _Texts) -> tuple[int, ...]:
    flags = (TRUSTED if event.trusted else 0) | (LATE if late else 0)
    words = (event.medium, event.door, event.reader, event.result, event.reason, event.output)
    return (flags, *(texts.place(word) for word in words))


def sendable(text: object) -> str:
    """A text as it can travel: an event that could not would hold up all that follow. What is above MAX_TEXT characters
    is cut; PostgreSQL takes no U+0000; a damaged file may give something else than a text."""
    if not isinstance(text, str):
        return ""
    return text[:MAX_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _runs(values: Iterable[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][1] == value:
            runs[-1][0] += 1
        else:
            runs.append([1, value])
    return runs


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _in_planes(values: Sequence[int]) -> tuple[bytes, bytes]:
    """(size of each value, the values' bytes plane by plane)."""
    sizes = bytes((value.bit_length() + 7) // 8 for value in values)
    planes = [
        bytes(value >> 8 * plane & 0xFF for value, size in zip(values, sizes, strict=True) if size > plane)
        for plane in range(max(sizes, default=0))
    ]
    return sizes, b"".join(planes)


def _as_places(places: Sequence[int], table_size: int) -> bytes:
    low = bytes(place & 0xFF for place in places)
    return low if table_size <= 256 else bytes(place >> 8 for place in places) + low


def unpack_columns(deflated: bytes, first_seq: int) -> Stretch:
    """The stretch of a batch, without secrets, starts and heads. WireError `malformed`, `bomb`, `trailing`,
    `unknown-key`, `duplicate-key`, `too-deep`."""
    columns = wire.require_keys(wire.decode(wire.inflate(deflated)), _KEYS, "columns")
    for key in _KEYS:
        if type(columns[key]) is not (list if key in _LISTS else bytes):
            raise WireError(wire.MALFORMED, f"column {key!r} is not what its name stands for")
    count = len(columns["at_sizes"])
    if not 0 < count <= wire.MAX_BATCH_EVENTS or first_seq < 1 or first_seq + count - 1 > MAX_UINT:
        raise WireError(wire.MALFORMED, f"{count} events from seq {first_seq}; 1 to {wire.MAX_BATCH_EVENTS} from 1 on")
    texts = [_checked_text(text) for text in columns["texts"]]
    shapes = [_checked_shape(shape, texts) for shape in columns["shapes"]]
    shape_of = _picked(shapes, _places(columns["shape"], count, len(shapes)), "shape")
    at = _sums(map(_unzigzag, _out_of_planes(columns["at_sizes"], columns["at"], "at")), "at", -_MAX_MS, _MAX_MS)
    numbers = [None, *_rising(_out_of_planes(columns["number_sizes"], columns["numbers"], "numbers"))]
    who = _picked(numbers, _places(columns["who"], count, len(numbers)), "who")
    detail = _picked(texts, _places(columns["detail"], count, len(texts)), "detail")
    policy = _spread(columns["policy"], count, "policy")
    boots = _picked(texts, _spread(columns["boots"], count, "boots"), "boots")
    events = tuple(
        (
            first_seq + i,
            late,
            policy[i],
            model.Event(at[i], trusted, door, reader, medium, who[i], result, reason, output, detail[i]),
        )
        for i, (trusted, late, medium, door, reader, result, reason, output) in enumerate(shape_of)
    )
    proofs = _proofs(columns["proofs"], events)
    return Stretch(events, tuple(boots), proofs, _notes(columns["notes"], events[-1][0]), (), (), ())


def _proofs(pairs: Sequence[object], events: Sequence[LoggedTuple]) -> tuple[bytes, ...]:
    proofs = [b""] * len(events)
    before = -1
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2 or type(pair[0]) is not int or not before < pair[0] < len(events):
            raise WireError(wire.MALFORMED, "column 'proofs' has something else than rising places and their proofs")
        before, proof = pair
        if type(proof) is not bytes or len(proof) not in (chain.SALT, chain.COMMITMENT):
            raise WireError(wire.MALFORMED, "column 'proofs' has something else than salts and commitments")
        if len(proof) == chain.COMMITMENT and chain.is_personal(events[before][3]):
            raise WireError(wire.MALFORMED, "an event has a commitment in a person's place, and the person, too")
        proofs[before] = proof
    return tuple(proofs)


def _notes(entries: Sequence[object], last_seq: int) -> tuple[Note, ...]:
    if len(entries) > MAX_NOTES:
        raise WireError(wire.MALFORMED, f"{len(entries)} notes; a batch has at most {MAX_NOTES}")
    notes: list[Note] = []
    for entry in entries:
        if (
            type(entry) is not list
            or len(entry) != 4
            or any(type(n) is not int or not 0 <= n <= MAX_UINT for n in entry)
        ):
            raise WireError(wire.MALFORMED, "column 'notes' has something else than four numbers each")
        note = Note(*entry)
        if note.kind not in NOTE_KINDS or note.after >= last_seq or (notes and note.after < notes[-1].after):
            raise WireError(wire.MALFORMED, "column 'notes' has a note that cannot be where it is")
        notes.append(note)
    return tuple(notes)


def _unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -(value + 1 >> 1)


def _out_of_planes(sizes: bytes, planes: bytes, column: str) -> list[int]:
    if max(sizes, default=0) > _MAX_SIZE or sum(sizes) != len(planes):
        raise WireError(wire.MALFORMED, f"column {column!r} does not have the bytes that its sizes name")
    values = [0] * len(sizes)
    at = 0
    for plane in range(max(sizes, default=0)):
        for i, size in enumerate(sizes):
            if size > plane:
                values[i] |= planes[at] << 8 * plane
                at += 1
    return values


def _places(packed: bytes, count: int, table_size: int) -> Sequence[int]:
    if len(packed) != (count if table_size <= 256 else 2 * count):
        raise WireError(wire.MALFORMED, f"a column of places has {len(packed)} bytes for {count} events")
    if table_size <= 256:
        return packed
    return [high << 8 | low for high, low in zip(packed[:count], packed[count:], strict=True)]


def _checked_text(text: object) -> str:
    if type(text) is not str or len(text) > MAX_TEXT:
        raise WireError(
            wire.MALFORMED, f"column 'texts' has something else than texts of at most {MAX_TEXT} characters"
        )
    return text


def _checked_shape(shape: object, texts: Sequence[str]) -> tuple[Any, ...]:
    """(trusted, late, medium, door, reader, result, reason, output) of a row of `shapes`."""
    if type(shape) is not list or len(shape) != 1 + _SHAPE_TEXTS:
        raise WireError(wire.MALFORMED, "a shape does not have 7 entries")
    flags, *places = shape
    if type(flags) is not int or not 0 <= flags <= TRUSTED | LATE:
        raise WireError(wire.MALFORMED, "a shape has flags that do not exist")
    words = _picked(texts, places, "shapes")
    if words[3] not in RESULTS:
        raise WireError(wire.MALFORMED, f"a result of {words[3][:20]!r} does not exist")
    return (bool(flags & TRUSTED), bool(flags & LATE), *words)


def _sums(differences: Iterable[int], column: str, low: int, high: int) -> list[int]:
    sums = list(accumulate(differences))
    if any(not low <= value <= high for value in sums):
        raise WireError(wire.MALFORMED, f"column {column!r} leaves its range")
    return sums


def _rising(differences: Sequence[int]) -> list[int]:
    if 0 in differences[1:]:
        raise WireError(wire.MALFORMED, "column 'numbers' has a credential twice")
    return _sums(differences, "numbers", 0, MAX_UINT)


def _picked(values: Sequence[Any], places: Iterable[object], column: str) -> list[Any]:
    out = []
    for place in places:
        if type(place) is not int or not 0 <= place < len(values):
            raise WireError(wire.MALFORMED, f"column {column!r} points at what is not there")
        out.append(values[place])
    return out


def _spread(runs: Sequence[object], count: int, column: str) -> list[int]:
    out: list[int] = []
    for run in runs:
        if type(run) is not list or len(run) != 2 or any(type(n) is not int for n in run):
            raise WireError(wire.MALFORMED, f"column {column!r} has something else than pairs")
        length, value = run
        if not 0 < length <= count - len(out) or not 0 <= value <= MAX_UINT:
            raise WireError(wire.MALFORMED, f"column {column!r} leaves its range")
        out.extend([value] * length)
    if len(out) != count:
        raise WireError(wire.MALFORMED, f"column {column!r} covers {len(out)} events, not {count}")
    return out
