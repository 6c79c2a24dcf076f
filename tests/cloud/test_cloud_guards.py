"""Small guards of the cloud, each with what would be taken from others, or go unnoticed, without it."""

import pytest
from cloud_device import bind, event, ingest
from cloud_example import NOW
from test_cloud_chain import Recorder, passages

from cloud_stub.passages import chaining, purging, tally
from cloud_stub.passages.models import ChainAlarm, Event, Log
from cloud_stub.residences.models import Controller

SOMEBODY = 1111100007


@pytest.fixture
def neighbours(device, tmp_path):
    """Hall A and hall B, where the same person came in and was called upon."""
    other = bind(Controller.objects.get(slug="hall-b"), tmp_path / "hall-b")
    visits = [event(SOMEBODY, at_ms=1000), event(None, at_ms=1000, medium="call", detail="1204 Garfield")]
    for each in (device, other):
        ingest().handle(each.topic + "up/events", each.batch(1, visits), NOW)
    assert named() == {"hall-a": 2, "hall-b": 2}
    return Controller.objects.get(slug="hall-a"), Controller.objects.get(slug="hall-b")


def named():
    """From how many events of each controller the person can be told."""
    found = Event.objects.filter(is_purged=False).values_list("controller__slug", flat=True)
    return {slug: list(found).count(slug) for slug in set(found)}


def test_purging_one_controllers_events_leaves_the_others(neighbours):
    """Sites may keep persons for different times."""
    assert purging.purge(2000, [neighbours[0]]) == 2
    assert named() == {"hall-b": 2}
    assert purging.purge(2000) == 2


def test_erasing_at_one_controller_leaves_the_others(neighbours):
    """The same number may be another person's badge on another site, and so may a call code."""
    assert purging.erase(str(SOMEBODY), "1204", [neighbours[1]]) == 2
    assert named() == {"hall-a": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"door": "garage"}, {"result": "denied"}, {"at_ms": 5}, {"reason": "expired"}, {"output": "aux1"},
        {"reader": "out"}, {"medium": "remote"}, {"trusted": False},
    ],
)  # fmt: skip
def test_a_number_that_comes_again_with_another_content_is_a_fork(device, change):
    """Whatever differs, also where the log has no chain: it is counted and an alarm, and what was stored stays."""
    service = ingest()
    service.handle(device.topic + "up/events", device.batch(1, [event(None)]), NOW)
    service.handle(device.topic + "up/events", device.batch(1, [event(None, **change)]), NOW)
    assert tally.all_counts() == {tally.FORK: 1}
    [alarm] = ChainAlarm.objects.all()
    assert (alarm.kind, alarm.first_seq) == (chaining.FORK, 1)
    [stored] = Event.objects.all()
    assert (stored.door, stored.result, stored.at_ms) == ("hall-a", "open", event().at_ms)


def test_a_hello_cannot_make_the_cloud_reckon_for_ever(device, monkeypatch):
    """A chain that began further back than any log goes: its key is not worked out, and that is no proof."""
    monkeypatch.setattr(chaining, "MOST_STEPS", 5)
    recorder = Recorder(device).record(*passages(1, 10))
    recorder.hello(ingest(), acked=10, head=recorder.heads[10])
    assert (Log.objects.get().acknowledged, Log.objects.get().chain_key) == (10, "")


def test_a_hello_within_bounds_brings_the_key(device):
    """The control: the same hello, with as many steps as it takes."""
    recorder = Recorder(device).record(*passages(1, 10))
    recorder.hello(ingest(), acked=10, head=recorder.heads[10])
    assert Log.objects.get().chain_key == recorder.key.hex()
