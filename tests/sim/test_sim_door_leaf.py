"""The simulated leaf: it opens only where the strike lets it go, and the contact says what it does."""

import asyncio
import random

import pytest
from sim_panel import until

from firmware_sim.door_leaf import BOUNCES, DoorLeaf, keep

CLOSES_MS = 3000
BOUNCE_MS = 20


class Hung:
    """A leaf on its hinges. `said`: what the contact said, in order."""

    def __init__(self, bounce_ms: int = 0) -> None:
        self.is_released = False
        self.said: list[bool] = []
        self.leaf = DoorLeaf(lambda: self.is_released, self.said.append, CLOSES_MS, bounce_ms)


def test_it_opens_only_where_the_strike_lets_it_go() -> None:
    """A push against a locked door moves nothing; against a released one it opens, and falls to after its time."""
    door = Hung()
    assert not door.leaf.push(0)
    assert (door.said, door.leaf.refusals, door.leaf.due_ms) == ([], 1, None)
    door.is_released = True
    door.leaf.advance(500)
    assert not door.leaf.is_open  # nobody pushes
    assert door.leaf.push(1000)
    door.is_released = False  # the latch is out already
    door.leaf.advance(1000 + CLOSES_MS - 1)
    assert door.said == [True]
    door.leaf.advance(1000 + CLOSES_MS)
    assert door.said == [True, False]
    assert not door.leaf.push(9000)
    assert door.leaf.passages == 1


def test_one_more_person_keeps_it_open() -> None:
    """Who comes while it is open needs no strike, and it falls to after the last."""
    door = Hung()
    door.is_released = True
    door.leaf.push(0)
    door.is_released = False
    assert door.leaf.push(2000)
    door.leaf.advance(CLOSES_MS)
    assert door.leaf.is_open
    door.leaf.advance(2000 + CLOSES_MS)
    assert door.said == [True, False]


def test_forced() -> None:
    """Who breaks it open needs no strike either."""
    door = Hung()
    door.leaf.force(100)
    assert door.leaf.is_open
    assert (door.said, door.leaf.forcings, door.leaf.passages) == ([True], 1, 0)
    door.leaf.advance(10_000)
    assert door.said == [True, False]


def test_propped_open() -> None:
    """A propped leaf stays open however long; taken away, it falls to; a closed one cannot be propped."""
    door = Hung()
    door.leaf.prop(True, 0)
    assert not door.leaf.is_propped
    door.leaf.force(0)
    door.leaf.prop(True, 100)
    door.leaf.push(500)
    door.leaf.advance(3_600_000)
    assert door.leaf.is_open
    door.leaf.prop(False, 3_600_000)
    door.leaf.advance(3_600_000 + CLOSES_MS)
    assert door.said == [True, False]
    door.leaf.force(4_000_000)
    door.leaf.prop(True, 4_000_000)
    door.leaf.shut(4_000_001)
    assert not door.leaf.is_open


def test_the_contact_bounces() -> None:
    """Each movement bounces to and fro within its time and ends where the leaf is; without it there is one change."""
    door = Hung(BOUNCE_MS)
    door.leaf.force(0)
    door.leaf.advance(BOUNCE_MS)
    assert door.said == [True, *[False, True] * BOUNCES]
    door.said.clear()
    door.leaf.advance(CLOSES_MS)
    assert door.leaf.due_ms is not None
    door.leaf.advance(CLOSES_MS + BOUNCE_MS)
    assert door.said == [False, *[True, False] * BOUNCES]
    assert door.leaf.due_ms is None


def test_a_stuck_contact_lies() -> None:
    """Stuck, it says one thing whatever the leaf does; mended, it says where the leaf is."""
    door = Hung(BOUNCE_MS)
    door.leaf.stick_contact(False, 0)
    door.leaf.force(10)
    door.leaf.advance(1000)
    assert (door.said, door.leaf.is_open, door.leaf.says_open) == ([], True, False)
    door.leaf.stick_contact(None, 1000)
    assert door.said == [True]
    door.leaf.stick_contact(True, 1100)
    door.leaf.advance(60_000)
    assert (door.said, door.leaf.is_open) == ([True], False)
    door.leaf.stick_contact(None, 60_000)
    assert door.said == [True, False]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_people_do_it_opens_by_strike_or_by_force(seed: int) -> None:
    """Seeded deeds: the leaf never opens but while the strike lets it go or by force, and the contact agrees with it
    once it has bounced."""
    chance = random.Random(seed)
    door = Hung(BOUNCE_MS)
    now_ms = 0
    for _ in range(300):
        now_ms += chance.choice((1, 50, 700, 4000))
        door.leaf.advance(now_ms)
        was_open = door.leaf.is_open
        deed = chance.choice(("push", "push", "force", "prop", "unprop", "shut", "release", "lock"))
        match deed:
            case "push":
                assert door.leaf.push(now_ms) == (was_open or door.is_released)
            case "force":
                door.leaf.force(now_ms)
            case "prop" | "unprop":
                door.leaf.prop(deed == "prop", now_ms)
            case "shut":
                door.leaf.shut(now_ms)
            case _:
                door.is_released = deed == "release"
        opened = door.leaf.is_open and not was_open
        assert not opened or deed == "force" or (deed == "push" and door.is_released)
    door.leaf.prop(False, now_ms)
    door.leaf.advance(now_ms + 10_000)
    assert not door.leaf.is_open
    assert not door.leaf.says_open


def test_on_the_machines_clock() -> None:
    """`keep` lets it fall to by itself."""

    async def play() -> None:
        said: list[bool] = []
        leaf = DoorLeaf(lambda: True, said.append, closes_after_ms=30, bounce_ms=4)
        task = asyncio.create_task(keep(leaf))
        from firmware_sim.door_leaf import now_ms

        leaf.push(now_ms())
        await until(lambda: not leaf.is_open and leaf.due_ms is None)
        assert said[0] is True
        assert said[-1] is False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())
