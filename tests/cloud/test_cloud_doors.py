"""The manager and a door: real agents, a real broker, `serve` and the commands in processes of their own."""

import asyncio
import json
import os
from datetime import UTC, datetime

import pytest
from cloud_doors import DEADLINE_S, DOOR, ask, boxed, cloud_command, free_port, serving
from iotcore import Broker

from cloud_stub.passages import orders, standing
from cloud_stub.passages.models import Order
from cloud_stub.residences.models import Controller, Pass
from cloud_stub.residences.publishing import publish
from edge.uplink import signing

RESIDENT = "4640800090"
REPLAYED = 300


@pytest.fixture(scope="module")
def broker():
    with Broker(port=free_port(), listen="127.0.0.1", max_payload_size=262_144) as running:
        yield running.port


@pytest.fixture
def hall_b(site, monkeypatch):
    """The controller. The database is asked from inside the event loop here: nothing else waits on that loop."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    return Controller.objects.get(slug=DOOR)


@pytest.fixture
def served(data, broker):
    with serving(data, broker):
        yield data


async def _run(data, *arguments):
    done = await asyncio.to_thread(cloud_command, data, *arguments)
    return done.returncode, done.stdout, done.stderr


def _now():
    return datetime.now(UTC)


def test_what_another_process_publishes_is_at_the_door_as_a_change(served, broker, hall_b):
    """A badge is declared lost and `publish` run beside `serve`: within the deadline it opens no more, and after the
    first one no snapshot was sent."""

    async def play():
        async with boxed(hall_b, broker) as box:
            publish(hall_b, _now())
            async with box.at_work(1):
                assert (await box.present(RESIDENT))[0] == "open"
                Pass.objects.filter(number=RESIDENT).update(state="lost")
                assert (await _run(served, "publish"))[0] == 0
                await box.reaches(2)
                assert await box.present(RESIDENT) == ("denied", "lost")
                assert box.tap.policies() == [(0, 1), (1, 2)]

    asyncio.run(play())


def test_a_lockdown_reaches_a_controller_that_was_away_and_survives_restarts(served, broker, hall_b):
    """Said while the agent is off, in force when it is back and after one more start without any cloud; released."""

    async def play():
        async with boxed(hall_b, broker) as box:
            publish(hall_b, _now())
            async with box.at_work(1):
                assert (await box.present(RESIDENT))[0] == "open"
            async with asyncio.timeout(DEADLINE_S):
                while standing.badges(Controller.objects.filter(pk=hall_b.pk), _now())[hall_b.pk].state != "silent":
                    await asyncio.sleep(0.02)  # the broker's word is enough, minutes before its silence is
            code, out, _ = await _run(served, "lockdown", "clos-des-dunes/hall-b", "--who", "Martin")
            assert (code, out) == (0, "clos-des-dunes/hall-b: locked down, revision 2\n")
            for _ in range(2):
                async with box.at_work(2):
                    assert await box.present(RESIDENT) == ("denied", "lockdown")
            async with box.at_work(2):
                assert (await _run(served, "release", "hall-b/hall-b"))[0] == os.EX_USAGE
                assert (await _run(served, "release", "hall-b"))[0] == 0
                await box.reaches(3)
                assert (await box.present(RESIDENT))[0] == "open"
            assert box.tap.policies() == [(0, 1), (1, 2), (2, 3)]

    asyncio.run(play())


def test_commands_by_challenge_and_none_of_them_twice(served, broker, hall_b):
    """Open, hold, release, forgive, status, a stranger's mobile; then each recorded command again and again, and a
    queued one: the relay does not move."""

    async def play():
        async with boxed(hall_b, broker) as box:
            publish(hall_b, _now())
            code, out, _ = await _run(served, "open", "hall-b/hall-b", "--timeout", "0.5")
            assert (code, "hall-b: no answer" in out) == (69, True)
            async with box.at_work(1):
                assert box.pulses() == 0  # what nobody waited for is not carried out later
                code, out, _ = await _run(served, "open", "hall-b/hall-b", "--who", "Martin", "--json")
                said = json.loads(out)
                assert (code, said["result"], said["who"], said["door"]) == (0, "open", "Martin", "hall-b")
                assert box.pulses() == 1
                until_ms = int(_now().timestamp() * 1000) + 60_000
                assert await _outcome(hall_b, "hold", DOOR, until_ms) == ("open", "hold")
                assert await _outcome(hall_b, "release", DOOR) == ("done", "")
                assert await _outcome(hall_b, "forgive", "") == ("done", "")
                code, out, _ = await _run(served, "ask", "hall-b")
                assert (code, json.loads(out)["policy"]["revision"]) == (0, 1)
                code, out, _ = await _run(served, "open", "hall-b/hall-b", "--mobile", "123456")
                assert (code, out) == (77, "clos-des-dunes/hall-b/hall-b: denied (unknown)\n")
                await _replay(box)
            kept = Order.objects.order_by("pk").values_list("action", "state", "result", "who")
            assert ("open", "answered", "open", "Martin") in list(kept)
            assert len(kept) == 7

    asyncio.run(play())


async def _outcome(controller, action, door, until_ms=0):
    """What becomes of an order that `serve` finds in the database."""
    order = orders.place(controller, action, door, "Martin", _now(), until_ms)
    while order.state != orders.ANSWERED:
        assert order.state != orders.UNANSWERED
        await asyncio.sleep(0.02)
        order.refresh_from_db()
    return order.result, order.reason


async def _replay(box):
    recorded, moved = box.tap.of("command"), box.pulses()
    commands = [signing.verify_command(raw, box.tap.device.down) for raw in recorded]
    assert [command.action for command in commands] == ["open", "hold", "release", "forgive", "status", "open"]
    before = (await _uplink(box))["commands"]
    for number in range(REPLAYED):
        box.tap.client.publish(box.tap.device.topic + "down/command", recorded[number % len(recorded)], qos=1)
    end = asyncio.get_running_loop().time() + DEADLINE_S
    while (await _uplink(box))["repeated_commands"] < REPLAYED:
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.05)
    assert ((await _uplink(box))["commands"], box.pulses()) == (before, moved)


async def _uplink(box):
    return (await ask(box.made, "status"))["uplink"]
