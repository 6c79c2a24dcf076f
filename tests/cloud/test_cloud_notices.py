"""Notices: shown at once, never counted, gone when the event is here."""

from datetime import timedelta

import pytest
from cloud_device import AT_MS, LOG, event, ingest
from cloud_example import NOW
from django.test import Client

from cloud_stub.passages import notices, purging, tally
from cloud_stub.passages.models import Event, Log, Notice
from edge.uplink import signing


@pytest.fixture
def shown(device):
    """A function that lets hall A's device show events at once: (log number, event) each."""
    service = ingest()

    def show(*said, log_id=LOG):
        for seq, each in said:
            notice = signing.Notice(log_id, seq, each)
            raw = signing.encode_notice(notice, device.down, device.key)
            assert service.handle(device.topic + "up/notice", raw, NOW) == []

    show.device, show.service = device, service
    return show


def _page(query="", language="en"):
    return Client(SERVER_NAME="127.0.0.1").get("/" + query, headers={"accept-language": language}).content.decode()


FORCED = event(None, "alarm", "forced", medium="", reader="", at_ms=AT_MS)


def test_an_alarm_is_shown_while_last_months_events_drain(shown):
    """Marked, on top of older events that came after it, in both languages; counted nowhere."""
    shown((9_000, FORCED))
    old = [event(at_ms=AT_MS - 86_400_000 * 30 + n) for n in range(3)]
    shown.service.handle(shown.device.topic + "up/events", shown.device.batch(1, old), NOW)
    html = _page()
    assert html.index("Door forced") < html.index("a/001 Solomon")
    assert html.count("not yet confirmed") == 1
    assert "3 events" in html
    assert "pas encore confirmé" in _page(language="fr")
    assert (Event.objects.count(), Log.objects.get().said_last) == (3, 3)


def test_a_notice_goes_when_its_event_is_here(shown):
    """By its log and number; also one that comes after its event, or twice."""
    shown((1, event()), (2, FORCED), (2, FORCED), (3, FORCED))
    assert Notice.objects.count() == 3
    shown.service.handle(shown.device.topic + "up/events", shown.device.batch(1, [event(), FORCED]), NOW)
    assert list(Notice.objects.values_list("seq", flat=True)) == [3]
    shown((1, event()), (2, FORCED))
    assert list(Notice.objects.values_list("seq", flat=True)) == [3]
    assert tally.all_counts() == {}


def test_a_hello_takes_only_notices_that_its_own_log_will_not_bring(shown):
    """What was acknowledged elsewhere goes; a closed log's hello leaves what the open one showed."""
    shown((5, FORCED), (8, FORCED))
    shown((1, FORCED), log_id=bytes(16))
    _hello(shown, last_seq=9, acked=6)
    assert _left() == {(LOG.hex(), 8), (bytes(16).hex(), 1)}
    _hello(shown, last_seq=100_000, log_id=bytes(16))
    assert _left() == {(LOG.hex(), 8), (bytes(16).hex(), 1)}
    _hello(shown, last_seq=100_000, acked=1, log_id=bytes(16))
    assert _left() == {(LOG.hex(), 8)}


def test_a_notice_whose_log_is_lost_goes_by_age(shown):
    """At a hello a week later, not before."""
    shown((1, FORCED), log_id=bytes(16))
    _hello(shown, now=NOW + notices.KEPT)
    assert len(_left()) == 1
    _hello(shown, now=NOW + notices.KEPT + timedelta(seconds=1))
    assert not _left()


def test_a_notice_of_what_was_acknowledged_elsewhere_is_not_kept(shown):
    """Its event is not here, and will never come."""
    _hello(shown, last_seq=9, acked=6)
    shown((6, FORCED), (7, FORCED))
    assert _left() == {(LOG.hex(), 7)}


def _hello(shown, now=NOW, **said):
    shown.service.handle(shown.device.topic + "up/hello", shown.device.hello(**said), now)


def _left():
    return set(Notice.objects.values_list("log", "seq"))


def test_the_oldest_of_many_go(shown, monkeypatch):
    """A controller cannot fill the page, nor the database."""
    monkeypatch.setattr(notices, "MOST", 5)
    shown(*((seq, FORCED) for seq in range(1, 10)))
    assert sorted(Notice.objects.values_list("seq", flat=True)) == [5, 6, 7, 8, 9]


def test_notices_are_filtered_like_events_and_name_the_holder(shown):
    """By result and search; the first page only."""
    shown((1, event()), (2, FORCED))
    assert "a/001 Solomon · 1111100007" in _page("?q=solomon")
    assert "Door forced" not in _page("?q=solomon")
    assert "not yet confirmed" not in _page("?door=hall-a/cellar")
    events = [event(at_ms=n) for n in range(60)]
    shown.service.handle(shown.device.topic + "up/events", shown.device.batch(11, events), NOW)
    assert "not yet confirmed" not in _page("?page=2")


def test_persons_go_from_notices(shown):
    """With the old ones, or at a person's request: the whole notice, for it is for eyes only."""
    shown((1, event(at_ms=1_700_000_000_000)), (2, event()), (3, event(2222)), (4, FORCED))
    purging.purge(AT_MS - 1)
    assert sorted(Notice.objects.values_list("seq", flat=True)) == [2, 3, 4]
    purging.erase("1111100007")
    assert sorted(Notice.objects.values_list("seq", flat=True)) == [3, 4]


def test_a_notice_that_is_changed_is_refused(shown):
    """It is signed and sealed like everything else."""
    notice = signing.Notice(LOG, 1, FORCED)
    raw = bytearray(signing.encode_notice(notice, shown.device.down, shown.device.key))
    raw[-1] ^= 1
    assert shown.service.handle(shown.device.topic + "up/notice", bytes(raw), NOW) == []
    assert not Notice.objects.exists()
    assert tally.all_counts() == {"refused-signature": 1}
