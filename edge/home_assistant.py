"""A controller's doors as Home Assistant's MQTT discovery wants them: topics, payloads, entities. Pure.

Device-based discovery: one retained message a controller at <prefix>/device/<id>/config, with `device`, `origin` and
`components`, each of these with `platform` and `unique_id`; a component given with its platform alone is taken away
(home-assistant.io/integrations/mqtt, "Device discovery payload"). An MQTT lock must have a command topic, so where
nothing may be opened a door's lock is shown as a binary_sensor of the class "lock".
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from edge.decision import door as doors
from edge.decision import model, reasons

ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
LOCKED, UNLOCKED = "LOCKED", "UNLOCKED"
OPENING = ("UNLOCK", "OPEN")  # what opens; LOCK, which every lock entity has, does nothing: the door locks itself
RESULTS = (model.OPEN, model.DENIED, model.ALARM)
NOT_SHOWN = (reasons.DURESS,)  # a screen in the house must not betray who is being forced
FRESH_MS = 60_000  # an older passage is history, and no cue for an automation


class Place(NamedTuple):
    """Whose topics these are. prefix: Home Assistant's discovery prefix. site, controller: [a-z0-9-]."""

    prefix: str
    site: str
    controller: str

    @property
    def id(self) -> str:
        """Unique among controllers, and good in a discovery topic: site and controller have no underscore."""
        return f"vantail_{self.site}_{self.controller}"

    @property
    def discovery_topic(self) -> str:
        return f"{self.prefix}/device/{self.id}/config"

    def topic(self, *words: str) -> str:
        """A topic of this controller."""
        return "/".join(("vantail", self.site, self.controller, *words))

    @property
    def availability_topic(self) -> str:
        return self.topic("availability")

    @property
    def agent_topic(self) -> str:
        return self.topic("agent")

    def command_topic(self, door: str) -> str:
        return self.topic("door", door, "set")


def discovery(place: Place, status: Mapping[str, Any], may_open: bool) -> dict[str, Any]:
    """The discovery payload of a controller with this `status` answer."""
    version = status["software"].split()[-1]
    components: dict[str, Any] = {"agent": _agent(place)}
    if status["sync"] is not None:
        components["cloud"] = _sensor(place, "cloud", "Cloud", "connectivity", entity_category="diagnostic")
    components["events"] = _events(place, "events", "Controller alarms", [model.ALARM])
    for door in status["doors"]:
        components |= _door(place, door["id"], door["name"], door["has_contact"], may_open)
    return {
        "device": {
            "identifiers": [place.id],
            "name": f"{place.site} {place.controller}",
            "manufacturer": "vantail",
            "model": "door controller",
            "sw_version": version,
        },
        "origin": {"name": "vantail", "sw_version": version},
        "availability": [
            {"topic": place.availability_topic},
            {"topic": place.agent_topic, "payload_available": ON, "payload_not_available": OFF},
        ],
        "availability_mode": "all",
        "components": components,
    }


def without(before: Mapping[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """The payload, with what it no longer has of the one `before` named so that Home Assistant takes it away."""
    gone = {
        name: {"platform": was["platform"]}
        for name, was in before.get("components", {}).items()
        if name not in payload["components"]
    }
    return {**payload, "components": {**payload["components"], **gone}}


def _door(place: Place, door: str, name: str, has_contact: bool, may_open: bool) -> dict[str, Any]:
    lock = {
        "platform": "lock",
        "unique_id": f"{place.id}_{door}_lock",
        "name": name,
        "state_topic": place.topic("door", door, "state"),
        "command_topic": place.command_topic(door),
        "payload_open": "OPEN",
        "qos": 0,  # at most once: an opening that comes twice or late would be one that nobody asked for
        "retain": False,
    }
    locked = _sensor(place, f"{door}_locked", f"{name} lock", "lock", ("door", door, "state"))
    locked |= {"payload_on": UNLOCKED, "payload_off": LOCKED}
    components: dict[str, Any] = {
        f"{door}_lock": lock if may_open else {"platform": "lock"},
        f"{door}_locked": {"platform": "binary_sensor"} if may_open else locked,
        f"{door}_events": _events(place, f"{door}_events", f"{name} passages", RESULTS, ("door", door, "event")),
    }
    if has_contact:
        components[f"{door}_leaf"] = _sensor(place, f"{door}_leaf", name, "door", ("door", door, "leaf"))
        problem = _sensor(place, f"{door}_problem", f"{name} forced or held", "problem", ("door", door, "problem"))
        components[f"{door}_problem"] = problem
    return components


def _agent(place: Place) -> dict[str, Any]:
    """Whether the controller answers: known as long as this process is, so with an availability of its own."""
    sensor = _sensor(place, "agent", "Controller", "connectivity", entity_category="diagnostic")
    return {**sensor, "availability": [{"topic": place.availability_topic}]}


def _sensor(
    place: Place, name: str, shown: str, device_class: str, words: Sequence[str] = (), **more: str
) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "unique_id": f"{place.id}_{name}",
        "name": shown,
        "device_class": device_class,
        "state_topic": place.topic(*(words or (name,))),
        **more,
    }


def _events(
    place: Place, name: str, shown: str, types: Sequence[str], words: Sequence[str] = ("event",)
) -> dict[str, Any]:
    return {
        "platform": "event",
        "unique_id": f"{place.id}_{name}",
        "name": shown,
        "event_types": list(types),
        "state_topic": place.topic(*words),
    }


def states(place: Place, status: Mapping[str, Any] | None) -> dict[str, str]:
    """{topic: payload}, retained, of a `status` answer; None: the agent does not answer."""
    if status is None:
        return {place.agent_topic: OFF}
    said = {place.agent_topic: ON}
    if status["sync"] is not None:
        said[place.topic("cloud")] = _on((status["uplink"] or {}).get("connected", False))
    for door in status["doors"]:
        state = door["state"]
        said[place.topic("door", door["id"], "state")] = LOCKED if state == doors.SECURE else UNLOCKED
        if door["has_contact"]:
            said[place.topic("door", door["id"], "leaf")] = _on(door["leaf_open"])
            said[place.topic("door", door["id"], "problem")] = _on(state in (doors.FORCED, doors.HELD))
    return said


def _on(is_on: object) -> str:
    return ON if is_on else OFF


def passage(
    place: Place, event: Mapping[str, Any], now_ms: int, known_doors: Sequence[str], names: bool
) -> tuple[str, dict[str, Any]] | None:
    """(topic, payload) of one of the agent's events, or None where it is not for Home Assistant. names: with the
    number of what was presented, and the detail, which may name somebody."""
    if event["result"] not in RESULTS or event["reason"] in NOT_SHOWN or abs(now_ms - event["at_ms"]) > FRESH_MS:
        return None
    at_door = event["door"] in known_doors
    if not at_door and event["result"] != model.ALARM:
        return None
    payload = {
        "event_type": event["result"],
        "at": datetime.fromtimestamp(event["at_ms"] / 1000, UTC).isoformat(timespec="milliseconds"),
        "reason": event["reason"],
        "medium": event["medium"],
        "reader": event["reader"],
    }
    if names:
        payload |= {"credential": event["credential"], "detail": event["detail"]}
    return place.topic("door", event["door"], "event") if at_door else place.topic("event"), payload
