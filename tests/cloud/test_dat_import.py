"""`vantail-cloud dat`: what goes to a controller by file, and what comes from one."""

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest
from cloud_device import LOG, bind, event
from cloud_example import NOW

from cloud_stub import dat_file
from cloud_stub.errors import ConfigError, DataError, FolderError, MissingInputError
from cloud_stub.passages import tally
from cloud_stub.passages.models import ChainAlarm, Event
from cloud_stub.residences.models import Controller
from cloud_stub.residences.publishing import publish
from edge.uplink import policy_parts, signing, transfer_file, wire
from edge.uplink.transfer_file import CONTROLLER, MANAGER, Header, Item

OF_HALL = Header(MANAGER, "clos-des-dunes", "hall-a", "now")


def export(path, controller="hall-a", force=False):
    return dat_file.run_dat(
        argparse.Namespace(action="export", controller=controller, file=str(path), force=force, json=False)
    )


def take(path, answer="", force=False):
    return dat_file.run_dat(
        argparse.Namespace(action="import", file=str(path), answer=str(answer), force=force, json=True)
    )


def written(path, items, header=OF_HALL):
    transfer_file.save(path, header, items)
    return path


def read_back(path):
    with path.open("rb") as file:
        header, items = transfer_file.read(file)
        return header, list(items)


def hello(device, last_seq, number=1, **fields):
    """As an agent writes it to a file: one session for all files of a log."""
    said = signing.Hello(
        fields.pop("revision", 0), fields.pop("digest", bytes(32)), LOG, last_seq, 0, "boot-1", "vantail", b"", None,
        b"datfiles", number,
    )  # fmt: skip
    return Item(wire.HELLO, signing.encode_hello(said, device.down, device.key))


def batch(device, first, count):
    return Item(wire.EVENTS, device.batch(first, [event() for _ in range(count)]))


def stored():
    return list(Event.objects.order_by("seq").values_list("seq", flat=True))


def test_a_file_for_a_controller_holds_the_whole_policy(device, hall, tmp_path, capsys):
    """All rows of what is published, from whatever the controller has; no acknowledgement, where there is no log."""
    assert export(tmp_path / "hall-a.dat") == 0
    header, items = read_back(tmp_path / "hall-a.dat")
    assert header._replace(made="") == Header(CONTROLLER, "clos-des-dunes", "hall-a", "")
    parts = policy_parts.PolicyParts()
    for item in items:
        delta = parts.add(item.message, device.down, 0)
    assert (delta.from_revision, delta.to_revision, delta.digest.hex()) == (
        0,
        1,
        Controller.objects.get(slug="hall-a").digest,
    )
    assert "revision 1 for clos-des-dunes/hall-a" in capsys.readouterr().out


def test_events_are_stored_and_acknowledged(device, tmp_path, capsys):
    """The answer brings the policy to a controller that is behind, and the acknowledgement of all its events."""
    path = written(tmp_path / "e.dat", [hello(device, 5), batch(device, 1, 3), batch(device, 4, 2)])
    assert take(path, tmp_path / "a.dat") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["events"], said["new"], said["refused"], said["behind"]) == (5, 5, {}, True)
    assert stored() == [1, 2, 3, 4, 5]
    _, items = read_back(tmp_path / "a.dat")
    assert [item.kind for item in items] == [wire.POLICY, wire.ACK]
    ack = signing.verify_ack(items[-1].message, device.down)
    assert (ack.log_id, ack.up_to) == (LOG, 5)


def test_a_controller_that_is_up_to_date_gets_no_policy(device, hall, tmp_path, capsys):
    """Only the acknowledgement goes back."""
    known = Controller.objects.get(slug="hall-a")
    standing = hello(device, 1, revision=known.revision, digest=bytes.fromhex(known.digest))
    assert take(written(tmp_path / "e.dat", [standing, batch(device, 1, 1)]), tmp_path / "a.dat") == 0
    assert not json.loads(capsys.readouterr().out)["behind"]
    assert [item.kind for item in read_back(tmp_path / "a.dat")[1]] == [wire.ACK]


def test_a_controller_that_has_more_gets_a_higher_number(device, tmp_path, capsys):
    """After a restored backup of ours: its revision 9 is not ours, so ours becomes 10."""
    assert take(written(tmp_path / "e.dat", [hello(device, 0, revision=9, digest=bytes(32))]), tmp_path / "a.dat") == 0
    part = signing.verify_policy_part(read_back(tmp_path / "a.dat")[1][0].message, device.down)
    assert (part.from_revision, part.to_revision) == (0, 10)


def test_files_in_the_wrong_order_raise_no_alarm(device, tmp_path, capsys):
    """The newer one first, then an older one, then each again: every event once, and no word of a log that shrank."""
    old = written(tmp_path / "old.dat", [hello(device, 3, 100), batch(device, 1, 3)])
    new = written(tmp_path / "new.dat", [hello(device, 6, 200), batch(device, 1, 6)])
    assert [take(path) for path in (new, old, new, old)] == [0, 0, 0, 0]
    assert [json.loads(line)["new"] for line in capsys.readouterr().out.splitlines()] == [6, 0, 0, 0]
    assert stored() == [1, 2, 3, 4, 5, 6]
    assert not ChainAlarm.objects.exists()
    assert tally.all_counts() == {}


def test_a_log_that_did_shrink_raises_one(device, tmp_path, capsys):
    """The control: a newer file, which comes days later, names fewer events than an older one."""
    take(written(tmp_path / "one.dat", [hello(device, 6, 100), batch(device, 1, 6)]))
    Event.objects.update(received_at=datetime.now(UTC) - timedelta(days=3))
    take(written(tmp_path / "two.dat", [hello(device, 3, 200)]))
    assert [alarm.kind for alarm in ChainAlarm.objects.all()] == ["truncated"]


def test_what_is_not_right_in_a_file_is_left_out_by_name(device, tmp_path, capsys):
    """An edited batch: refused with its reason, counted as if it came over the line; what is right is stored."""
    right, wrong = batch(device, 1, 2), bytearray(batch(device, 3, 2).message)
    wrong[-1] ^= 1
    assert take(written(tmp_path / "e.dat", [right, Item(wire.EVENTS, bytes(wrong))])) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["refused"] == {"signature": 1}
    assert "1 of its messages refused, signature: not signed as events" in said.err
    assert stored() == [1, 2]
    assert tally.all_counts() == {"refused-signature": 1}


def test_a_file_of_another_device_is_refused(device, site, tmp_path, capsys):
    """Under this controller's name: nothing is stored, no answer is written, and not each of its messages is tried."""
    other = bind(Controller.objects.get(slug="hall-b"), tmp_path / "hall-b")
    path = written(tmp_path / "e.dat", [batch(other, n, 1) for n in range(1, 60)])
    with pytest.raises(DataError, match="nothing of it was stored"):
        take(path, tmp_path / "a.dat")
    assert stored() == []
    assert not (tmp_path / "a.dat").exists()
    assert tally.all_counts() == {"refused-signature": dat_file.MOST_REFUSED}
    path = written(tmp_path / "f.dat", [batch(other, 1, 1)], OF_HALL._replace(controller="hall-b"))
    assert take(path) == 0  # the control: under its own
    assert stored() == [1]


def test_a_file_that_is_not_whole_stores_nothing(device, tmp_path):
    """Cut short in its last words: it is read through before anything is stored."""
    path = written(tmp_path / "e.dat", [batch(device, 1, 2), batch(device, 3, 2)])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cut short at item 3"):
        take(path)
    assert stored() == []


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (OF_HALL._replace(reader=CONTROLLER), "take there: vantail dat apply"),
        (OF_HALL._replace(controller="attic"), "no device here"),
        (OF_HALL._replace(site="elsewhere"), "no device here"),
        (OF_HALL._replace(controller="hall-b"), "no device here"),
    ],
)
def test_a_file_of_nobody_here_is_refused(device, tmp_path, header, said):
    """One line that says whose it is."""
    items = [] if header.reader == CONTROLLER else [batch(device, 1, 1)]
    with pytest.raises(DataError, match=said):
        take(written(tmp_path / "e.dat", items, header))
    assert stored() == []


def test_what_is_missing_or_in_the_way_is_said(device, site, tmp_path):
    """No file, an empty one, a place that is taken, no device, nothing published."""
    with pytest.raises(MissingInputError):
        take(tmp_path / "none.dat")
    with pytest.raises(DataError, match="nothing in it"):
        take(written(tmp_path / "empty.dat", []))
    (tmp_path / "taken.dat").write_bytes(b"something")
    with pytest.raises(FolderError, match="--force"):
        export(tmp_path / "taken.dat")
    with pytest.raises(FolderError, match="--force"):
        take(written(tmp_path / "e.dat", [batch(device, 1, 1)]), tmp_path / "taken.dat")
    assert stored() == []
    assert (tmp_path / "taken.dat").read_bytes() == b"something"
    assert export(tmp_path / "taken.dat", force=True) == 0
    with pytest.raises(FolderError):
        export(tmp_path / "nowhere" / "hall-a.dat")
    hall_b = Controller.objects.get(slug="hall-b")
    with pytest.raises(ConfigError, match="provision hall-b"):
        export(tmp_path / "b.dat", "hall-b")
    bind(hall_b, tmp_path / "hall-b")
    with pytest.raises(ConfigError, match="publish"):
        export(tmp_path / "b.dat", "hall-b")


def test_a_replaced_device_gets_and_gives_nothing(device, hall, tmp_path, capsys):
    """After another device took its place: its file is refused, and what is exported is not for it."""
    late = written(tmp_path / "late.dat", [batch(device, 1, 1)])
    bind(Controller.objects.get(slug="hall-a"), tmp_path / "new", replace=True)
    with pytest.raises(DataError, match="nothing of it was stored"):
        take(late)
    publish(Controller.objects.get(slug="hall-a"), NOW)
    assert export(tmp_path / "hall-a.dat") == 0
    with pytest.raises(wire.WireError) as caught:
        signing.verify_policy_part(read_back(tmp_path / "hall-a.dat")[1][0].message, device.down)
    assert caught.value.reason == wire.FOREIGN_CONTROLLER


def test_a_file_gives_nothing_away_but_slugs(device, tmp_path):
    """Neither a name nor a number of a person can be read in either file; where a message is signed, they are
    sealed."""
    export(tmp_path / "hall-a.dat")
    written(tmp_path / "e.dat", [batch(device, 1, 3)])
    names = [b"Garfield", b"1111100007", b"hall-a-in", (1111100007).to_bytes(4, "big")]
    for name in ("hall-a.dat", "e.dat"):
        raw = (tmp_path / name).read_bytes()
        assert b"clos-des-dunes" in raw
        assert [word for word in names if word in raw] == []


def test_the_moment_in_a_header_is_now(device, tmp_path):
    """In UTC, for people."""
    export(tmp_path / "hall-a.dat")
    made = datetime.fromisoformat(read_back(tmp_path / "hall-a.dat")[0].made)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 3600
