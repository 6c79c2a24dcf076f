"""The DAT file: its bytes, its bounds, and that nothing but a right file is ever read as one."""

import io
import os
import random
import stat

import pytest
from uplink_world import CLOUD_TRUST, DEVICE_KEY, EDGE_TRUST, FEW_CHAINED, HELLO, LOG_ID, MANAGER_KEY, POLICY_ROWS

from edge.uplink import signing, transfer_file, wire
from edge.uplink.transfer_file import CONTROLLER, MANAGER, Header, Item, TransferError

TO_CONTROLLER = Header(CONTROLLER, "les-tilleuls", "north", "2026-11-22T10:00:00Z")
TO_MANAGER = TO_CONTROLLER._replace(reader=MANAGER)
HEAD = bytes.fromhex("a5 67 76616e7461696c 01 63 666f72 6a 636f6e74726f6c6c6572")  # {"vantail": 1, "for": "controller"


def down_items():
    """What a manager sends: two parts of a policy and an acknowledgement."""
    parts = [
        signing.encode_policy_parts(rows, 8, CLOUD_TRUST, MANAGER_KEY)[0] for rows in (POLICY_ROWS, POLICY_ROWS[:3])
    ]
    ack = signing.encode_ack(LOG_ID, 1000, CLOUD_TRUST, MANAGER_KEY, bytes(32))
    return [*(Item(wire.POLICY, part) for part in parts), Item(wire.ACK, ack)]


def up_items():
    """What a controller sends: a hello and a batch."""
    raw, _ = signing.encode_events(LOG_ID, FEW_CHAINED, EDGE_TRUST, DEVICE_KEY)
    return [Item(wire.HELLO, signing.encode_hello(HELLO, EDGE_TRUST, DEVICE_KEY)), Item(wire.EVENTS, raw)]


def written(header, items):
    file = io.BytesIO()
    transfer_file.write(file, header, items)
    return file.getvalue()


def read_all(data):
    header, items = transfer_file.read(io.BytesIO(data))
    return header, list(items)


def refusal_of(data):
    with pytest.raises(TransferError) as caught:
        read_all(data)
    assert "\n" not in str(caught.value)
    assert caught.value.reason in transfer_file.REASONS
    return caught.value.reason


def test_a_file_of_no_message_has_these_bytes():
    """Literal bytes: a map of five, then ["end", 0]."""
    data = written(Header(CONTROLLER, "s", "c", "now"), [])
    assert data.startswith(HEAD)
    assert data[len(HEAD) :] == bytes.fromhex(
        "64 73697465 61 73 6a 636f6e74726f6c6c6572 61 63 64 6d616465 63 6e6f77 82 63 656e64 00"
    )


@pytest.mark.parametrize(("header", "items"), [(TO_CONTROLLER, down_items()), (TO_MANAGER, up_items())])
def test_what_was_written_is_read(header, items):
    """Both directions; the messages are those of the wire, byte by byte, each behind its kind."""
    data = written(header, items)
    assert read_all(data) == (header, items)
    for item in items:
        assert data.count(wire.encode([item.kind, item.message])) == 1


class Dripping(io.BytesIO):
    """Gives a byte at a time, as a slow line would."""

    def read(self, size=-1):
        return super().read(min(size, 1) if size > 0 else size)


def test_a_file_that_comes_slowly_is_the_same():
    """One byte at a time."""
    sent = up_items()
    header, items = transfer_file.read(Dripping(written(TO_MANAGER, sent)))
    assert (header, list(items)) == (TO_MANAGER, sent)


def test_reading_holds_one_message_at_a_time():
    """A file of many messages is not read ahead by more than a window."""
    big = [Item(wire.EVENTS, bytes(60_000)) for _ in range(50)]
    file = io.BytesIO(written(TO_MANAGER, big))
    header, items = transfer_file.read(file)
    assert header == TO_MANAGER
    for number, _ in enumerate(items, 1):
        assert file.tell() <= number * 60_020 + 2 * wire.MAX_RAW


@pytest.mark.parametrize("header", [TO_CONTROLLER, TO_MANAGER])
def test_a_file_cut_short_anywhere_is_refused(header):
    """Also between two messages, where every item is whole."""
    data = written(header, down_items() if header.reader == CONTROLLER else up_items())
    reasons = {refusal_of(data[:size]) for size in range(len(data))}
    assert reasons == {transfer_file.CUT_SHORT, transfer_file.NO_DAT_FILE}  # the latter: cut within the first words
    with pytest.raises(TransferError, match="cut short at item"):
        read_all(data[: -len(wire.encode(["end", 0]))])


def item(*values):
    return wire.encode(list(values))


ACK = down_items()[-1]


def header_bytes(**changes):
    values = {"vantail": 1, "for": "controller", "site": "s", "controller": "c", "made": "now", **changes}
    return wire.encode(values)


WRONG = {
    "empty": (b"", transfer_file.NO_DAT_FILE),
    "a table": ("Numéro;Type\r\n".encode() * 100, transfer_file.NO_DAT_FILE),
    "zeros": (bytes(100_000), transfer_file.NO_DAT_FILE),
    "a message alone": (ACK.message, transfer_file.NO_DAT_FILE),
    "later": (header_bytes(vantail=2) + item("end", 0), transfer_file.LATER_VERSION),
    "version as a bool": (header_bytes(vantail=True) + item("end", 0), transfer_file.LATER_VERSION),
    "for nobody": (header_bytes(**{"for": "burglar"}) + item("end", 0), transfer_file.MALFORMED),
    "no slug": (header_bytes(site="../etc") + item("end", 0), transfer_file.MALFORMED),
    "a long moment": (header_bytes(made="x" * 41) + item("end", 0), transfer_file.MALFORMED),
    "a number for a text": (header_bytes(made=5) + item("end", 0), transfer_file.MALFORMED),
    "another key": (header_bytes().replace(b"made", b"wade") + item("end", 0), transfer_file.MALFORMED),
    "a header twice": (header_bytes() * 2 + item("end", 0), transfer_file.MALFORMED),
    "events for a controller": (header_bytes() + item("events", b"x") + item("end", 1), transfer_file.MALFORMED),
    "a command": (header_bytes() + item("command", b"x") + item("end", 1), transfer_file.MALFORMED),
    "a challenge": (header_bytes() + item("challenge", b"x") + item("end", 1), transfer_file.MALFORMED),
    "no bytes": (header_bytes() + item("ack", "x") + item("end", 1), transfer_file.MALFORMED),
    "an empty message": (header_bytes() + item("ack", b"") + item("end", 1), transfer_file.MALFORMED),
    "three": (header_bytes() + item("ack", b"x", 1) + item("end", 1), transfer_file.MALFORMED),
    "a list as kind": (header_bytes() + item(["ack"], b"x") + item("end", 1), transfer_file.MALFORMED),
    "a number": (header_bytes() + wire.encode(7) + item("end", 1), transfer_file.MALFORMED),
    "a wrong count": (header_bytes() + item("ack", b"x") + item("end", 2), transfer_file.MALFORMED),
    "a count as a bool": (header_bytes() + item("ack", b"x") + item("end", True), transfer_file.MALFORMED),
    "more behind the end": (header_bytes() + item("end", 0) + item("ack", b"x"), transfer_file.MALFORMED),
    "a byte behind the end": (header_bytes() + item("end", 0) + b"\0", transfer_file.MALFORMED),
    "not the shortest": (header_bytes() + b"\x82\x63ack\x58\x01x" + item("end", 1), transfer_file.MALFORMED),
    "no definite length": (header_bytes() + b"\x9f\x63ack\x41x\xff" + item("end", 1), transfer_file.MALFORMED),
    "a tag": (header_bytes() + b"\xc1\x00" + item("end", 1), transfer_file.MALFORMED),
    "too deep": (header_bytes() + b"\x81" * 40 + b"\x00", transfer_file.MALFORMED),
    "a message too large": (header_bytes() + item("ack", bytes(wire.MAX_RAW + 1)) + item("end", 1), None),
    "an item without end": (header_bytes() + b"\x82\x63ack\x5b\x7f" + bytes(200_000), transfer_file.OVERSIZED),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_right_file_is_refused(name):
    """Each with its reason, and nothing else is ever raised."""
    data, reason = WRONG[name]
    assert refusal_of(data) in ((reason,) if reason else (transfer_file.OVERSIZED, transfer_file.MALFORMED))


class Endless(io.RawIOBase):
    """A right beginning, then the same message for ever; counts what was read of it."""

    def __init__(self):
        self.data, self.given = written(TO_MANAGER, up_items())[: -len(item("end", 2))], 0
        self.rest = item(*Item(wire.EVENTS, bytes(60_000)))

    def read(self, size=-1):
        while len(self.data) < size:
            self.data += self.rest
        given, self.data = self.data[:size], self.data[size:]
        self.given += len(given)
        return given


def test_no_more_than_the_bound_is_read():
    """64 MiB, whatever follows."""
    file = Endless()
    with pytest.raises(TransferError, match="more than 64 MiB") as caught:
        for _ in transfer_file.read(file)[1]:
            pass
    assert caught.value.reason == transfer_file.OVERSIZED
    assert file.given <= transfer_file.MAX_FILE + 2 * wire.MAX_RAW


def test_no_more_than_the_bound_is_written(tmp_path):
    """A writer stops at the bound, and leaves what was there as it was."""
    path = tmp_path / "events.dat"
    path.write_bytes(b"before")
    with pytest.raises(TransferError, match="64 MiB"):
        transfer_file.save(path, TO_MANAGER, (Item(wire.EVENTS, bytes(65_000)) for _ in range(2000)))
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["events.dat"]


def test_a_file_takes_its_place_whole_and_private(tmp_path):
    """0600 whatever the umask; a message that may not be there, or a writer that fails, leaves nothing behind."""
    path = tmp_path / "events.dat"
    (tmp_path / ".events.dat.part").write_bytes(b"left by a stick that was pulled out")
    before = os.umask(0)
    try:
        assert transfer_file.save(path, TO_MANAGER, up_items()) == 2
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    good = path.read_bytes()
    for wrong in ([Item(wire.COMMAND, b"x")], [Item(wire.EVENTS, b"")], [Item(wire.EVENTS, bytes(wire.MAX_RAW + 1))]):
        with pytest.raises(ValueError, match="in a file for the manager"):
            transfer_file.save(path, TO_MANAGER, wrong)
    assert path.read_bytes() == good
    assert os.listdir(tmp_path) == ["events.dat"]


# --- mutations --------------------------------------------------------------------------------------------------

VERIFY = {
    wire.POLICY: (signing.verify_policy_part, EDGE_TRUST), wire.ACK: (signing.verify_ack, EDGE_TRUST),
    wire.HELLO: (signing.verify_hello, CLOUD_TRUST), wire.EVENTS: (signing.verify_events, CLOUD_TRUST),
}  # fmt: skip


def believed(data):
    """What is believed of a file, the header left out, which nobody believes; None where anything is refused."""
    try:
        _, items = read_all(data)
        values = []
        for each in items:
            verify, trust = VERIFY[each.kind]
            values.append((each.kind, verify(each.message, trust)))
        return values
    except (TransferError, wire.WireError):
        return None


def mutated(data, chance):
    """One to three edits: a bit, a byte, a stretch taken out, doubled, moved, or put in; or cut short."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        end = min(len(changed), at + chance.choice((1, 2, 8, 64, 400)))
        kind = chance.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.randrange(256)
        elif kind == 2 and len(changed) > end - at:
            del changed[at:end]
        elif kind == 3:
            changed[at:at] = changed[at:end]
        elif kind == 4:
            changed[at:at] = chance.randbytes(end - at)
        elif kind == 5:
            piece = bytes(changed[at:end])
            del changed[at:end]
            place = chance.randrange(len(changed) + 1)
            changed[place:place] = piece
        else:
            del changed[chance.randrange(1, len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize(("seed", "times"), [(20261122, 1000), pytest.param(20261123, 20_000, marks=pytest.mark.full)])
def test_no_mutation_is_believed_differently(seed, times):
    """A thousand mutated files: each is refused, by one of two errors, or says just what the right one says."""
    print(f"seed {seed}")
    chance, refused = random.Random(seed), 0
    files = [written(TO_CONTROLLER, down_items()), written(TO_MANAGER, up_items())]
    right = [believed(data) for data in files]
    assert None not in right
    for number in range(times):
        which = number % 2
        found = believed(mutated(files[which], chance))
        assert found is None or found == right[which], number
        refused += found is None
    assert refused > times * 0.9  # what is left changed the header's words, or back again
