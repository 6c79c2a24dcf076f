"""Policies as changes: what is sent of a revision, when all rows go instead, and what looking for work costs."""

import contextlib
import random
from datetime import timedelta

import pytest
from cloud_device import ingest
from cloud_example import NOW
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloud_stub.passages.holders import Holders
from cloud_stub.residences import publishing
from cloud_stub.residences.models import Controller, Flat, Pass, PolicyRevision
from cloud_stub.residences.publishing import change_since, difference, publish, publish_all, published_rows
from edge.decision import rows
from edge.residence.compile import policy_digest
from edge.uplink.wire import WireError


class Told:
    """What the device has, as it would have stored it."""

    def __init__(self, device):
        self.device, self.service = device, ingest()
        self.revision, self.rows = 0, {}

    def said(self, now=NOW):
        """What a hello is answered with."""
        digest = policy_digest(self.rows.values()) if self.revision else bytes(32)
        said = self.device.hello(revision=self.revision, digest=digest)
        return self.service.handle(self.device.topic + "up/hello", said, now)

    def hello(self, now=NOW):
        return self.take(self.said(now))

    def take(self, messages):
        """Apply the policy among `messages`, as the device's store does: nothing where the digest is not met. The
        policy, or None."""
        delta = self.device.policy(messages, self.revision)
        if delta is not None:
            kept = {} if delta.from_revision == 0 else {k: v for k, v in self.rows.items() if k not in delta.gone}
            after = kept | {rows.key_of(row): row for row in delta.rows}
            if policy_digest(after.values()) == delta.digest:
                self.rows, self.revision = after, delta.to_revision
        return delta


@pytest.fixture
def told(device):
    """The device, with the whole first revision."""
    made = Told(device)
    assert made.hello().from_revision == 0
    assert made.hello() is None
    return made


def _hall():
    return Controller.objects.get(slug="hall-a")


def _rename(flat, name):
    Flat.objects.filter(block__slug="a", flat=flat).update(name=name)
    return publish(_hall(), NOW)


def test_one_flat_costs_its_own_rows(told):
    """Only the credentials of the flat whose name changed are in the message."""
    _rename("001", "Another Name")
    messages = told.service.due(NOW)
    delta = told.take(messages)
    assert (delta.from_revision, delta.to_revision, delta.gone) == (1, 2, ())
    assert {rows.unpack(row).holder for row in delta.rows} == {"a/001 Another Name"}
    assert len(messages) == 1
    assert sorted(told.rows.values()) == sorted(published_rows(_hall()))


def test_rows_that_go_are_named_by_their_keys(told):
    """A pass that is no more leaves the controller."""
    before = len(told.rows)
    Pass.objects.filter(number="1111100007").delete()
    publish(_hall(), NOW)
    delta = told.take(told.service.due(NOW))
    assert (len(delta.rows), len(delta.gone), len(told.rows)) == (0, 1, before - 1)


def test_changes_of_several_revisions_go_as_one(told):
    """Whoever was away for some revisions gets the sum of them: what came and went again is not in it."""
    _rename("001", "First")
    Pass.objects.filter(number="1111100007").update(number="1111100099")
    publish(_hall(), NOW)
    Pass.objects.filter(number="1111100099").update(number="1111100077")
    publish(_hall(), NOW)
    _rename("001", "Last")
    delta = told.hello()
    assert (delta.from_revision, delta.to_revision) == (1, 5)
    assert sorted(told.rows.values()) == sorted(published_rows(_hall()))
    assert b"First" not in b"".join(delta.rows)


def test_all_rows_go_where_the_base_is_not_known(told):
    """Drift, another digest under the same number, a revision that was dropped, a snapshot that is asked for."""
    _rename("001", "Another Name")
    told.rows.pop(next(iter(told.rows)))
    assert told.hello().from_revision == 0
    assert sorted(told.rows.values()) == sorted(published_rows(_hall()))
    for number in range(9):
        _rename("001", f"Name {number}")
    assert not PolicyRevision.objects.filter(revision=2).exists()
    assert told.hello().from_revision == 0
    told.revision, told.rows = 0, {}
    assert told.hello().from_revision == 0


def test_all_rows_go_where_the_change_would_not_be_smaller(told, monkeypatch):
    """Nearly nothing is left: naming what goes takes more than saying what stays."""
    few = published_rows(_hall())[:3]
    monkeypatch.setattr(publishing, "compile_rows", lambda *_: few)
    publish(_hall(), NOW)
    delta = told.take(told.service.due(NOW))
    assert (delta.from_revision, len(delta.rows)) == (0, 3)


def test_a_change_that_does_not_take_is_followed_by_all_rows(told):
    """After three times the same change was sent and the controller still says what it said before."""
    _rename("001", "Another Name")
    sent = [told.said() for _ in range(4)]
    assert [told.device.policy(messages, 1).from_revision for messages in sent] == [1, 1, 1, 0]


def test_a_higher_number_for_the_same_rows_can_be_built_on(told):
    """A device that is ahead of a restored database gets all rows under a higher number, and changes from there."""
    told.revision = 40
    told.rows.pop(next(iter(told.rows)))
    assert (told.hello().from_revision, told.revision) == (0, 41)
    assert told.hello() is None
    _rename("001", "Another Name")
    assert told.take(told.service.due(NOW)).from_revision == 41
    assert sorted(told.rows.values()) == sorted(published_rows(_hall()))


def test_only_the_newest_revision_keeps_all_rows(told):
    """Names of people who left are not kept eight times over."""
    for number in range(3):
        _rename("001", f"Name {number}")
    kept = list(PolicyRevision.objects.order_by("revision").values_list("revision", "before", "rows"))
    assert [(revision, before) for revision, before, _ in kept] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert [bool(blob) for _, _, blob in kept] == [False, False, False, True]


def test_a_former_release_left_revisions_without_changes(told):
    """Then all rows go, and changes build on what is published from now on."""
    _rename("001", "Another Name")
    PolicyRevision.objects.update(before=0, change=b"")
    assert told.hello().from_revision == 0
    _rename("001", "And another")
    assert told.hello().from_revision == 2


def test_the_difference_of_rows_is_found_by_key():
    """Changed, new and gone; a key that stays with another row is no gone one."""
    area = [rows.pack(rows.Area(name, 0, minutes)) for name, minutes in (("a", 1), ("b", 2), ("c", 3))]
    after = [area[0], rows.pack(rows.Area("b", 0, 9)), rows.pack(rows.Area("d", 0, 4))]
    change = difference(area, after)
    assert change.rows == sorted(after[1:])
    assert change.gone == [rows.key_of(area[2])]
    assert difference(area, area) == ([], [])
    assert change_since(Controller(pk=0), 1, "") is None


def test_looking_for_work_is_one_query(told):
    """While nothing changed; and a controller that is up to date costs nothing more."""
    with CaptureQueriesContext(connection) as found:
        assert told.service.due(NOW + timedelta(minutes=1)) == []
    assert len(found) == 1
    _rename("001", "Another Name")
    assert told.take(told.service.due(NOW)) is not None


def test_a_site_is_read_once_for_all_its_controllers(told, tmp_path):
    """Publishing three controllers costs one loading of the residence."""
    from cloud_device import bind

    boxes = list(Controller.objects.order_by("pk"))
    for box in boxes[1:]:
        bind(box, tmp_path / box.slug)
    with CaptureQueriesContext(connection) as found:
        done = publish_all(boxes, NOW)
    assert [each.revision for each in done] == [1, 1, 1]
    assert sum('FROM "residences_pass"' in query["sql"] for query in found) == 1


def test_holders_follow_the_changes_of_a_policy(told):
    """Whom a badge belongs to is what the newest revision says, whether it was read whole or followed."""
    followed = Holders()
    assert followed.of(_hall(), "badge", 1111100007) == "a/001 Solomon"
    _rename("001", "Another Name")
    Pass.objects.filter(number="1111100008").delete()
    publish(_hall(), NOW)
    for holders in (followed, Holders()):
        assert holders.of(_hall(), "badge", 1111100007) == "a/001 Another Name"
        assert holders.of(_hall(), "badge", 1111100008) == ""
    assert followed.known(_hall()).names == Holders().known(_hall()).names


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_lost_repeated_or_edited_both_ends_end_equal(device, seed):
    """Random edits, lost policies and hellos, old policies that come again, rows that drift: one hello and its answer
    later the device has exactly what is published."""
    draw, told, old = random.Random(seed), Told(device), []
    numbers = iter(range(2_000_000_000, 2_000_001_000))
    kinds = set()
    for step in range(40):
        now = NOW + timedelta(seconds=31 * step)
        what = draw.random()
        if what < 0.4:
            Pass.objects.filter(pk=draw.choice(Pass.objects.values_list("pk", flat=True))).update(number=next(numbers))
            publish(_hall(), now)
        elif what < 0.5 and told.rows:
            told.rows.pop(draw.choice(sorted(told.rows)))
        elif what < 0.6 and old:
            with contextlib.suppress(WireError):
                told.take(draw.choice(old))
        else:
            messages = told.service.due(now) if draw.random() < 0.5 else told.said(now)
            old.append(messages)
            if draw.random() < 0.6:
                with contextlib.suppress(WireError):
                    delta = told.take(messages)
                    kinds |= {min(delta.from_revision, 1)} if delta else set()
    told.hello(NOW + timedelta(hours=1))
    assert kinds == {0, 1}
    assert told.revision == _hall().revision
    assert sorted(told.rows.values()) == sorted(published_rows(_hall())), f"seed {seed}"
