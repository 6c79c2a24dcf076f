"""How controllers stand: badges, the strip of a day, lockdowns, figures for Prometheus, and how the page shows them."""

import queue
import re
import threading
from datetime import timedelta

import pytest
from cloud_device import LOG, event, ingest
from cloud_example import NOW
from django.test import Client

from cloud_stub.broker import BrokerAddress, BrokerLine, Work
from cloud_stub.passages import api, contacts, pages, standing, tally
from cloud_stub.residences import lockdown, publishing
from cloud_stub.residences.models import Contact, Controller, Door
from cloud_stub.residences.targets import find_targets
from edge import connectivity
from edge.decision import rows


def _hall():
    return Controller.objects.get(slug="hall-a")


def _badge(at=NOW):
    hall = _hall()
    return standing.badges([hall], at)[hall.pk]


def _hello(device, service, **said):
    hall = _hall()
    held = {"revision": hall.revision, "digest": bytes.fromhex(hall.digest), **said}
    return service.handle(device.topic + "up/hello", device.hello(**held), NOW)


def test_a_badge_says_up_to_date_waiting_behind_or_silent(device):
    """From what the controller itself says; events that another log had count no more."""
    service = ingest()
    assert _badge() == (standing.NEVER, 0, None)
    _hello(device, service)
    assert _badge() == (standing.UP_TO_DATE, 0, None)
    _hello(device, service, last_seq=12)
    assert _badge() == (standing.WAITING, 12, None)
    service.handle(device.topic + "up/events", device.batch(1, [event()] * 12), NOW)
    assert _badge() == (standing.UP_TO_DATE, 0, None)
    _hello(device, service, last_seq=20)
    _hello(device, service, log_id=bytes(16))
    assert _badge() == (standing.UP_TO_DATE, 0, None)
    _hello(device, service, log_id=bytes(16), revision=0, digest=bytes(32))
    assert _badge() == (standing.BEHIND, 0, None)
    assert _badge(NOW + timedelta(minutes=11)) == (standing.SILENT, 0, NOW)
    parking = Controller.objects.get(slug="parking")
    assert standing.badges([parking], NOW)[parking.pk].state == standing.UNBOUND


def test_what_the_broker_says_is_a_hint_until_the_controller_is_heard(device):
    """Gone by the last will of the boot that it named; an older boot's will, noise and a stranger's count for
    nothing; what is signed beats it."""
    service, topic = ingest(), device.topic + "status"
    _hello(device, service)
    for payload in (b'{"boot": "boot-0", "online": false}', b"noise", b"[]", b'{"online": 0}', b" " * 2000):
        assert service.handle(topic, payload, NOW) == []
    assert _badge().state == standing.UP_TO_DATE
    service.handle(topic, b'{"boot": "boot-1", "online": false}', NOW)
    assert _badge() == (standing.SILENT, 0, NOW)
    service.handle(topic, b'{"boot": "boot-1", "online": true}', NOW)
    assert _badge().state == standing.UP_TO_DATE
    service.handle(topic, b'{"boot": "boot-1", "online": false}', NOW)
    service.handle(device.topic + "up/events", device.batch(1, [event()]), NOW)
    assert _badge().state == standing.UP_TO_DATE
    assert tally.all_counts() == {"refused-malformed": 4}


def test_both_ends_use_the_same_words():
    """The controller's own badge and ours."""
    theirs = (connectivity.UP_TO_DATE, connectivity.WAITING, connectivity.SILENT)
    assert theirs == (standing.UP_TO_DATE, standing.WAITING, standing.SILENT)


def test_the_strip_has_each_half_hour_of_a_day(device):
    """Heard in the first and the last one; what is older goes, also from the database."""
    for hours in (0, 1, 24.5):
        contacts.touch(_hall(), NOW + timedelta(hours=hours))
    hall = _hall()
    strip = contacts.strips([hall], NOW + timedelta(hours=24.5))[hall.pk]
    assert strip == [False] + [True] + [False] * 45 + [True] or sum(strip) == 2
    assert Contact.objects.count() == 2
    contacts.touch(hall, NOW - timedelta(days=400))  # the clock was set back
    assert Contact.objects.count() == 1
    assert sum(contacts.strips([hall], NOW)[hall.pk]) == 0


def test_a_lockdown_is_published_at_once_and_alone(device):
    """Without what else was edited; a door's, then the controller's, then released; a later publish keeps it."""
    hall = _hall()
    hall.site.manager = 9
    hall.site.save()
    (door,), (box,) = find_targets("hall-a/cellar"), find_targets("hall-a")
    assert lockdown.lock_down(door, "Martin", NOW).revision == 2
    before = {rows.key_of(row): row for row in publishing.published_rows(_hall())}
    assert _modes() == [("cellar", True, "Martin")]
    assert lockdown.lock_down(box, "Martin", NOW).revision == 3
    assert _modes() == [("", True, "Martin")]
    assert not lockdown.lock_down(door, "Else", NOW).is_new
    assert publishing.publish(_hall(), NOW).revision == 4
    assert _modes() == [("", True, "Martin")]
    after = {rows.key_of(row): row for row in publishing.published_rows(_hall())}
    assert rows.unpack(after[bytes([rows.SITE])]).manager == 9 != rows.unpack(before[bytes([rows.SITE])]).manager
    assert lockdown.release(box, NOW).revision == 5
    assert _modes() == []


def test_a_lockdown_publishes_nothing_that_was_only_edited(device):
    """What differs from the revision before is one row, the lockdown."""
    before = set(publishing.published_rows(_hall()))
    Door.objects.filter(slug="hall-a").update(unlock_ms=9_999)
    assert set(publishing.compile_rows(_hall(), NOW)) != before
    lockdown.lock_down(find_targets("hall-a/cellar")[0], "Martin", NOW)
    added = set(publishing.published_rows(_hall())) ^ before
    assert [row[0] for row in added] == [rows.MODE]


def test_a_lockdown_never_empties_a_policy_whose_rows_are_gone(device):
    """A database that lost the published rows compiles them anew."""
    count = len(publishing.published_rows(_hall()))
    _hall().revisions.all().delete()
    assert lockdown.lock_down(find_targets("hall-a")[0], "Martin", NOW).rows == count + 1


def _modes():
    packed = [row for row in publishing.published_rows(_hall()) if row[0] == rows.MODE]
    return [tuple(rows.unpack(row)) for row in packed]


def test_a_lockdown_before_the_first_policy_is_in_it(site, tmp_path):
    """Nothing to publish yet; the first revision has it. A door that is no more is left out."""
    from cloud_device import bind

    (box,) = find_targets("hall-a")
    assert lockdown.lock_down(box, "Martin", NOW) is None
    box.controller.modes.create(door="gone", who="Martin", at=NOW)
    bind(_hall(), tmp_path / "hall-a")
    publishing.publish(_hall(), NOW)
    assert _modes() == [("", True, "Martin")]


def _page(language="en"):
    answer = Client(SERVER_NAME="127.0.0.1").get("/", headers={"accept-language": language})
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())), answer.content.decode()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("12 events waiting", "no device registered", "locked down: Cave", "in 1 of the last 48 half hours")),
        ("fr", ("12 événements en attente", "aucun appareil", "confinement : Cave", "1 des 48 dernières demi-heures")),
    ],
)
def test_the_page_shows_badge_strip_and_lockdown(device, monkeypatch, language, words):
    """In both languages."""
    _hello(device, ingest(), last_seq=12)
    (door,) = find_targets("hall-a/cellar")
    lockdown.lock_down(door, "Martin", NOW)
    name = door.controller.doors.get(slug="cellar").name

    class _Now:
        @staticmethod
        def now(_zone):
            return NOW

    monkeypatch.setattr(pages, "datetime", _Now)
    text, html = _page(language)
    for each in words:
        assert each.replace("Cave", name) in text or each in html, each
    assert html.count('class="heard"') == 1


def test_the_figures_count_what_is_there(run, device):
    """As a command and as a page; for this machine only, and not through a proxy."""
    service = ingest()
    service.handle(device.topic + "up/events", device.batch(1, [event()] * 3), NOW)
    service.handle(device.topic + "up/events", b"noise", NOW)
    _hello(device, service, log_id=LOG, last_seq=7, revision=0, digest=bytes(32))
    _, out, _ = run("metrics")
    for line in (
        "vantail_cloud_events_total 3.0", "vantail_cloud_events_waiting 4.0", "vantail_cloud_revision_lag 1.0",
        'vantail_cloud_refused_total{reason="frame"} 1.0', 'vantail_cloud_controllers{badge="unbound"} 2.0',
    ):  # fmt: skip
        assert line in out.splitlines(), line
    assert "ingest_queue" not in out
    api.watch_queue(lambda: 5)
    try:
        page = Client(SERVER_NAME="127.0.0.1").get("/metrics")
        assert "vantail_cloud_ingest_queue 5.0" in page.content.decode().splitlines()
    finally:
        api._queues.clear()
    assert Client(SERVER_NAME="127.0.0.1", REMOTE_ADDR="192.0.2.1").get("/metrics").status_code == 403
    proxied = Client(SERVER_NAME="127.0.0.1").get("/metrics", headers={"x-forwarded-for": "192.0.2.1"})
    assert proxied.status_code == 403


def test_status_says_how_controllers_stand(run, device):
    """For people and as JSON: badge, lockdown, and the day as 48 digits."""
    _hello(device, ingest())
    lockdown.lock_down(find_targets("hall-a")[0], "Martin", NOW)
    assert "LOCKED DOWN: all doors" in run("status")[1]
    hall = api.status(NOW)["controllers"][0]
    assert (hall["badge"], hall["lockdowns"], hall["contact"]) == (standing.BEHIND, [""], "0" * 47 + "1")


class _NeverEmpty(BrokerLine):
    """A line whose queue never ends; what is published is counted."""

    is_connected = True


def test_what_is_due_is_not_held_up_by_a_queue_that_is_never_empty():
    """Between messages, several times a second; the messages go on meanwhile."""
    handled, called = [], threading.Event()

    def due():
        if len(handled) > 10:
            called.set()
        return []

    def messages(some):
        handled.extend(topic for topic, _ in some)
        line._waiting.put(some[0])  # there is always another one
        return []

    work = Work(messages, due, lambda error, what: handled.append(error), lambda count: None)
    line = _NeverEmpty(BrokerAddress("127.0.0.1", 1, False), ("v1/#",), work)
    line._waiting = queue.Queue()
    line._waiting.put(("v1/x", b""))
    line._worker.start()
    assert called.wait(30)
    line._stopping.set()
    line._worker.join(30)
    assert set(handled) == {"v1/x"}
