"""Messages are answered in groups: one commit, and one bad message spoils nobody's."""

from cloud_device import LOG, bind, event, ingest
from cloud_example import NOW
from django.db import OperationalError, connection

from cloud_stub.answering import Answering, Arrived
from cloud_stub.passages import recording, tally
from cloud_stub.passages.models import Event, Log
from cloud_stub.residences.models import Controller


def _answering():
    return Answering(ingest(), lambda: NOW)


def _batch(device, first, count=2):
    return Arrived(device.topic + "up/events", device.batch(first, [event(at_ms=first + n) for n in range(count)]))


def test_each_message_has_its_own_answer_in_its_place(device, site, tmp_path):
    """Two controllers' messages, mixed; what is signed by nobody is counted, and answered by nothing."""
    other = bind(Controller.objects.get(slug="parking"), tmp_path / "parking")
    noise = Arrived(device.topic + "up/events", b"noise")
    answers = _answering().answers([_batch(device, 1), _batch(other, 1, 3), noise, _batch(device, 3)])
    assert [device.acked(answer.publications) for answer in answers] == [[2], [], [], [4]]
    assert other.acked(answers[1].publications) == [3]
    assert not any(answer.is_failed or answer.is_early for answer in answers)
    assert tally.all_counts() == {"refused-frame": 1}
    assert Event.objects.count() == 7


def test_a_batch_behind_a_gap_is_worth_another_look(device):
    """Its predecessor is in another worker's hands: it says so, and when it comes again it is taken."""
    answering = _answering()
    early = answering.answers([_batch(device, 3)])[0]
    assert (early.is_early, device.acked(early.publications)) == (True, [0])
    assert not answering.answers([_batch(device, 1)])[0].is_early
    again = answering.answers([_batch(device, 3)])[0]
    assert (again.is_early, device.acked(again.publications)) == (False, [4])


def test_one_that_fails_takes_no_other_with_it(device, site, tmp_path, monkeypatch):
    """The group is undone and each message answered by itself; the failed one is told apart, and counted."""
    other = bind(Controller.objects.get(slug="parking"), tmp_path / "parking")
    record = recording.record

    def record_or_fail(controller, *rest):
        if controller.slug == "parking":
            raise OperationalError("the disk is full")
        return record(controller, *rest)

    monkeypatch.setattr(recording, "record", record_or_fail)
    answers = _answering().answers([_batch(device, 1), _batch(other, 1), _batch(device, 3)])
    assert [answer.is_failed for answer in answers] == [False, True, False]
    assert [device.acked(answers[place].publications) for place in (0, 2)] == [[2], [4]]
    assert answers[1].publications == ()
    assert tally.all_counts() == {tally.FAILED: 1}
    assert Log.objects.get().log == LOG.hex()


def test_nothing_is_answered_before_the_commit(device, monkeypatch):
    """Where no commit succeeds, the group's or a message's own, no answer leaves."""

    def commit():
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(connection, "_commit", commit)
    answers = _answering().answers([_batch(device, 1), _batch(device, 3)])
    assert all(answer.is_failed and not answer.publications for answer in answers)
    assert Event.objects.count() == 0


def test_columns_of_a_row_are_those_of_the_table():
    """Rows are inserted by hand: a column that the model gets later has to be given here, too."""
    columns = [field.column for field in Event._meta.concrete_fields if not field.primary_key]
    assert sorted(recording.Row._fields) == sorted(columns)
