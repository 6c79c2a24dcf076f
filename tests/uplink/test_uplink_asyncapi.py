"""docs/asyncapi.json says what the code does: topics, directions, what is sealed, how often it may come."""

import json
from pathlib import Path

import pytest

from edge.uplink import mqtt, sync, wire

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
UP = {sync.UP_HELLO: wire.HELLO, sync.UP_EVENTS: wire.EVENTS, sync.UP_NOTICE: wire.NOTICE, sync.UP_REPLY: wire.REPLY}
PREFIX = "v1/{site}/{controller}/"


@pytest.mark.parametrize("kind", wire.KINDS)
def test_each_kind_is_described_as_it_is(kind):
    """Its topic, who sends it, its QoS, whether it is sealed, and the rules of docs/wire.cddl that it names."""
    topics = {kind: suffix for suffix, kind in (UP | sync.DOWN).items()}
    is_up = kind in UP.values()
    assert DOCUMENT["channels"][kind]["address"] == PREFIX + topics[kind]
    operation = DOCUMENT["operations"][f"{'send' if is_up else 'receive'}-{kind}"]
    assert operation["action"] == ("send" if is_up else "receive")
    assert operation["bindings"]["mqtt"]["qos"] == (0 if kind == wire.NOTICE else 1)
    message = DOCUMENT["components"]["messages"][kind]
    assert ("sealed" in message["description"]) is (kind in wire.SEALED_KINDS)
    rules = (ROOT / "docs" / "wire.cddl").read_text()
    named = [kind, f"{kind}-body"] if kind in wire.SEALED_KINDS else [kind]
    assert message["payload"]["schema"].endswith(", sealing ".join(named))
    assert all(f"\n{rule} = {{" in rules for rule in named)


def test_nothing_else_is_described():
    """Every channel is a kind of message, or the status, which is retained; the edge listens to what comes down."""
    assert set(DOCUMENT["channels"]) == {*wire.KINDS, "status"}
    assert len(DOCUMENT["operations"]) == len(wire.KINDS) + 1
    retained = [name for name, each in DOCUMENT["operations"].items() if each["bindings"]["mqtt"]["retain"]]
    assert retained == ["send-status"]
    assert set(mqtt.DOWN) == set(sync.DOWN)
