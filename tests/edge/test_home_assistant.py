"""What Home Assistant is told of a controller: discovery that it accepts, states, passages without persons."""

import json
import re

import pytest

from edge.decision import door as doors
from edge.home_assistant import FRESH_MS, Place, discovery, passage, states, without

PLACE = Place("homeassistant", "clos-des-dunes", "hall-b")
NOW_MS = 1_795_417_080_000
# What each platform's schema requires (home-assistant.io, "MQTT lock", "MQTT binary sensor", "MQTT event").
REQUIRED = {"lock": {"command_topic"}, "binary_sensor": {"state_topic"}, "event": {"state_topic", "event_types"}}


def status(*found, is_connected=True):
    return {
        "software": "vantail 1.2",
        "uplink": {"connected": is_connected},
        "sync": {"badge": "up-to-date"},
        "doors": [
            {"id": name, "name": name.title(), "state": state, "has_contact": contact, "leaf_open": is_open}
            for name, state, contact, is_open in found
        ],
    }


TWO_DOORS = status(("front", doors.SECURE, True, False), ("cellar", doors.UNLOCKED, False, False))


def event(result="open", reason="", door="front", at_ms=NOW_MS, **more):
    said = {"medium": "badge", "reader": "front-in", "credential": "1111100007", "detail": "Ann", "output": "door"}
    return {"result": result, "reason": reason, "door": door, "at_ms": at_ms, **said, **more}


def taken(event, names=False):
    return passage(PLACE, event, NOW_MS, ["front", "cellar"], names)


@pytest.mark.parametrize("may_open", [False, True])
def test_discovery_has_what_home_assistant_requires(may_open):
    """Topic, device, origin, availability; each component a platform, a unique id of its own and its platform's keys;
    what only names its platform is taken away."""
    payload = json.loads(json.dumps(discovery(PLACE, TWO_DOORS, may_open)))
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", PLACE.discovery_topic)
    assert payload["device"]["identifiers"] == ["vantail_clos-des-dunes_hall-b"]
    assert payload["origin"]["name"] == "vantail"
    assert {one["topic"] for one in payload["availability"]} == {PLACE.availability_topic, PLACE.agent_topic}
    there = {name: one for name, one in payload["components"].items() if set(one) != {"platform"}}
    ids = [one["unique_id"] for one in there.values()]
    assert len(set(ids)) == len(ids) == len(there)
    for one in there.values():
        assert set(one) >= REQUIRED[one["platform"]] | {"name", "unique_id"}
    gone = set(payload["components"]) - set(there)
    assert gone == ({"front_locked", "cellar_locked"} if may_open else {"front_lock", "cellar_lock"})
    assert ("front_leaf" in there, "cellar_leaf" in there) == (True, False)


def test_nothing_can_be_commanded_unless_it_was_asked_for():
    """Without may_open no component has a command topic, and the lock is a sensor; with it only the locks have one."""
    watched, commanded = (json.dumps(discovery(PLACE, TWO_DOORS, may_open)) for may_open in (False, True))
    assert "command_topic" not in watched
    assert commanded.count("command_topic") == 2
    lock = json.loads(commanded)["components"]["front_lock"]
    assert lock["command_topic"] == "vantail/clos-des-dunes/hall-b/door/front/set"
    assert (lock["qos"], lock["retain"]) == (0, False)
    sensor = json.loads(watched)["components"]["front_locked"]
    assert (sensor["device_class"], sensor["state_topic"]) == ("lock", lock["state_topic"])


def test_a_door_that_is_gone_is_taken_out():
    """Home Assistant forgets a component only when it is told so."""
    before = discovery(PLACE, TWO_DOORS, True)
    after = without(before, discovery(PLACE, status(("front", doors.SECURE, True, False)), True))
    assert after["components"]["cellar_lock"] == {"platform": "lock"}
    assert after["components"]["cellar_events"] == {"platform": "event"}
    assert len(after["components"]["front_lock"]) > 1


@pytest.mark.parametrize(
    ("state", "leaf", "said"),
    [
        (doors.SECURE, False, ("LOCKED", "OFF", "OFF")),
        (doors.UNLOCKED, False, ("UNLOCKED", "OFF", "OFF")),
        (doors.OPENED, True, ("UNLOCKED", "ON", "OFF")),
        (doors.STANDING, False, ("UNLOCKED", "OFF", "OFF")),
        (doors.HELD, True, ("UNLOCKED", "ON", "ON")),
        (doors.FORCED, True, ("UNLOCKED", "ON", "ON")),
    ],
)
def test_states_of_a_door(state, leaf, said):
    """Only a secure door is locked; forced and held are a problem."""
    found = states(PLACE, status(("front", state, True, leaf)))
    assert tuple(found[PLACE.topic("door", "front", what)] for what in ("state", "leaf", "problem")) == said


def test_states_of_the_controller():
    """The agent away says so and nothing else; a door without a contact has no leaf."""
    assert states(PLACE, None) == {PLACE.agent_topic: "OFF"}
    found = states(PLACE, status(("cellar", doors.SECURE, False, False), is_connected=False))
    assert found[PLACE.agent_topic] == "ON"
    assert found[PLACE.topic("cloud")] == "OFF"
    assert PLACE.topic("door", "cellar", "leaf") not in found


def test_passages_without_persons():
    """Number and detail only where names are asked for; time, medium and reader always."""
    topic, payload = taken(event())
    assert topic == "vantail/clos-des-dunes/hall-b/door/front/event"
    assert payload["event_type"] == "open"
    assert payload["at"].startswith("2026-11-23T06:58:00")
    assert not {"1111100007", "Ann"} & set(payload.values())
    _, named = taken(event(), names=True)
    assert (named["credential"], named["detail"]) == ("1111100007", "Ann")


@pytest.mark.parametrize(
    ("given", "is_shown"),
    [
        (event("denied", "unknown"), True),
        (event("alarm", "forced"), True),
        (event("alarm", "log", door=""), True),
        (event("info", "door-opened"), False),
        (event("alarm", "duress"), False),
        (event("denied", "unknown", door="elsewhere"), False),
        (event(at_ms=NOW_MS - FRESH_MS - 1), False),
        (event(at_ms=NOW_MS + FRESH_MS + 1), False),
    ],
)
def test_what_is_shown_of_the_log(given, is_shown):
    """Passages and alarms of now; never duress, which a screen in the house would betray; no history."""
    assert (taken(given) is not None) == is_shown
