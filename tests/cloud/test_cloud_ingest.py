"""Ingest: what is verified is stored once, acknowledged after the commit up to the first gap; the rest is counted."""

from datetime import timedelta

import pytest
from cloud_device import LOG, bind, event, ingest
from cloud_example import NOW
from django.db import OperationalError, connections

from cloud_stub.errors import ConfigError
from cloud_stub.passages import tally
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller
from cloud_stub.residences.publishing import publish
from edge.residence.compile import code_number, policy_digest
from edge.uplink import signing


def _events(device, first_seq, events, by=None, now=NOW, log_id=LOG):
    return (by or ingest()).handle(device.topic + "up/events", device.batch(first_seq, events, log_id), now)


def _hello(device, by=None, now=NOW, **said):
    return (by or ingest()).handle(device.topic + "up/hello", device.hello(**said), now)


def test_the_same_batch_twice_is_stored_once_and_acknowledged_twice(device):
    """A lost acknowledgement costs a repetition, never a double."""
    batch = [event(), event(1111100008, "denied", "expired")]
    assert device.acked(_events(device, 1, batch)) == [2]
    assert device.acked(_events(device, 1, batch)) == [2]
    assert Event.objects.count() == 2
    assert tally.all_counts() == {}


def test_overlapping_batches_store_each_event_once(device):
    """Batches may be cut elsewhere when they are sent again."""
    events = [event(at_ms=n) for n in range(1, 11)]
    _events(device, 1, events[:6])
    assert device.acked(_events(device, 4, events[3:])) == [10]
    assert list(Event.objects.order_by("seq").values_list("at_ms", flat=True)) == list(range(1, 11))


def test_the_prefix_is_acknowledged_never_the_highest_seen(device):
    """What lies beyond a gap is kept but not acknowledged until the gap is filled."""
    events = [event(at_ms=n) for n in range(1, 10)]
    assert device.acked(_events(device, 7, events[6:])) == [0]
    assert device.acked(_events(device, 1, events[:3])) == [3]
    assert device.acked(_hello(device))[0] == 3
    assert device.acked(_events(device, 4, events[3:6])) == [9]
    assert Event.objects.count() == 9


def test_each_log_has_its_own_prefix(device):
    """A new log of the same controller starts at 1 again."""
    other = bytes(16)
    assert device.acked(_events(device, 1, [event(), event()])) == [2]
    assert device.acked(_events(device, 1, [event()], log_id=other)) == [1]
    assert Event.objects.count() == 3


def test_the_same_number_with_another_content_is_a_fork(device):
    """The first content stays, the difference is counted."""
    _events(device, 1, [event()])
    _events(device, 1, [event(9999999999), event()])
    assert tally.all_counts() == {tally.FORK: 1}
    assert Event.objects.get(seq=1).credential == "1111100007"
    assert Event.objects.count() == 2


def test_a_line_that_is_marked_late_afterwards_is_no_fork(device):
    """The edge may learn that a record was late after it sent it; the mark only rises."""
    late = signing.encode_events(LOG, [(1, True, 1, event())], device.down, device.key)[0]
    for raw in (device.batch(1, [event()]), late, device.batch(1, [event()])):
        assert device.acked(ingest().handle(device.topic + "up/events", raw, NOW)) == [1]
    assert Event.objects.get().late
    assert tally.all_counts() == {}


def test_a_commit_that_fails_acknowledges_nothing(device, monkeypatch):
    """Nothing goes out for what is not on disk; the repetition is then stored and acknowledged."""

    def fail():
        raise OperationalError("disk I/O error")

    service = ingest()
    with monkeypatch.context() as broken:
        broken.setattr(connections["default"], "_commit", fail)
        with pytest.raises(OperationalError):
            _events(device, 1, [event()], service)
    assert not Event.objects.exists()
    assert not Log.objects.exists()
    assert device.acked(_events(device, 1, [event()], service)) == [1]


def test_every_bit_that_is_changed_is_refused(device):
    """One changed byte anywhere: no event, no answer, counted by reason."""
    raw = device.batch(1, [event()])
    service = ingest()
    for place in range(0, len(raw), 7):
        wrong = bytearray(raw)
        wrong[place] ^= 0x10
        assert service.handle(device.topic + "up/events", bytes(wrong), NOW) == []
    assert not Event.objects.exists()
    counts = tally.all_counts()
    assert set(counts) <= {"refused-signature", "refused-frame", "refused-oversized", "refused-malformed"}
    assert sum(counts.values()) == len(range(0, len(raw), 7))


def test_unknown_controllers_and_topics_are_counted(device):
    """A controller that does not exist, and one without a registered device, get no answer."""
    raw = device.hello()
    assert ingest().handle("v1/clos-des-dunes/nowhere/up/hello", raw, NOW) == []
    assert ingest().handle("v1/clos-des-dunes/hall-b/up/hello", raw, NOW) == []
    assert ingest().handle(device.topic + "up/else", raw, NOW) == []
    assert tally.all_counts() == {tally.UNKNOWN_CONTROLLER: 2, tally.UNKNOWN_TOPIC: 1}


def test_one_controllers_message_is_refused_in_anothers_name(device, tmp_path):
    """The topic alone proves nothing: the signature must be that of the controller that it names."""
    other = bind(Controller.objects.get(slug="parking"), tmp_path / "parking")
    assert ingest().handle(other.topic + "up/events", device.batch(1, [event()]), NOW) == []
    assert tally.all_counts() == {"refused-signature": 1}


def test_holders_are_those_of_the_site_now(device):
    """Badge, code and lost pass are known by name; codes by their tag; strangers and stock are not."""
    tag = code_number(device.manager.code_key, "12345")
    lift = event(33612345670, medium="phone")
    _events(device, 1, [event(), event(tag, medium="code"), event(82101960), event(2111100020), event(None), lift])
    holders = list(Event.objects.order_by("seq").values_list("holder", flat=True))
    assert [text.split(",")[0] for text in holders[:5]] == ["a/001 Solomon", "a/001 Solomon", "a/002 Garfield", "", ""]
    assert holders[5].startswith("Technicien ascenseur")


def test_numbers_of_64_bits_are_kept_exactly(device):
    """Database integers are signed; credentials are not."""
    _events(device, 1, [event(2**64 - 1)])
    assert Event.objects.get().credential == str(2**64 - 1)


def test_a_hello_behind_gets_the_whole_policy_and_the_state_of_its_log(device):
    """The parts verify, build on nothing, and hold the rows that were published."""
    answers = _hello(device)
    delta = device.policy(answers)
    controller = Controller.objects.get(slug="hall-a")
    assert (delta.from_revision, delta.to_revision) == (0, 1)
    assert policy_digest(delta.rows).hex() == controller.digest
    assert device.acked(answers) == [0]
    assert controller.last_contact == NOW


def test_a_hello_that_is_up_to_date_gets_no_policy(device):
    """The revision and the digest decide."""
    digest = bytes.fromhex(Controller.objects.get(slug="hall-a").digest)
    assert device.policy(_hello(device, revision=1, digest=digest)) is None


def test_drift_is_repaired_under_a_higher_revision(device):
    """Other rows under our number, or a number that we never gave: a snapshot above both."""
    service = ingest()
    assert device.policy(_hello(device, service, revision=1, digest=b"\1" * 32), revision=1).to_revision == 2
    assert device.policy(_hello(device, service, revision=40, digest=b"\1" * 32), revision=40).to_revision == 41


def test_a_policy_published_later_is_sent_without_a_hello_and_again_unless_confirmed(device):
    """A present controller is told at once, then every 30 s; one that is away is not."""
    service = ingest()
    digest = bytes.fromhex(Controller.objects.get(slug="hall-a").digest)
    _hello(device, service, revision=1, digest=digest)
    assert service.due(NOW) == []
    controller = Controller.objects.get(slug="hall-a")
    controller.site.manager = 9
    controller.site.save()
    assert publish(controller, NOW).is_new
    assert device.policy(service.due(NOW), 1).to_revision == 2
    assert service.due(NOW + timedelta(seconds=29)) == []
    assert device.policy(service.due(NOW + timedelta(seconds=30)), 1).to_revision == 2
    assert service.due(NOW + timedelta(minutes=20)) == []


def test_publishing_the_same_rows_makes_no_revision(device):
    """Only changed rows do."""
    controller = Controller.objects.get(slug="hall-a")
    assert not publish(controller, NOW).is_new
    assert Controller.objects.get(slug="hall-a").revision == 1


def test_a_log_that_another_database_acknowledged_goes_on_from_there(device):
    """The device has pruned what a former cloud had: the loss is counted once, the rest is acknowledged."""
    service = ingest()
    assert device.acked(_hello(device, service, last_seq=9, acked=7)) == [7]
    assert device.acked(_hello(device, service, last_seq=9, acked=7)) == [7]
    assert device.acked(_events(device, 8, [event(), event()], service)) == [9]
    assert tally.all_counts() == {tally.FORMER_CLOUD: 1}


def test_a_replaced_device_starts_a_new_epoch_and_the_old_one_is_refused(device, tmp_path):
    """What the old key signs counts for nothing any more."""
    controller = Controller.objects.get(slug="hall-a")
    with pytest.raises(ConfigError, match="--replace"):
        bind(controller, tmp_path / "other")
    new = bind(controller, tmp_path / "new", replace=True)
    assert new.manager.epoch == 2
    assert new.manager.code_key != device.manager.code_key
    assert _events(device, 1, [event()]) == []
    assert tally.all_counts() == {"refused-signature": 1}
    assert new.acked(_events(new, 1, [event()], log_id=bytes(16))) == [1]
