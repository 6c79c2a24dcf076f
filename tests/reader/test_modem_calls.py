"""Callers and calls to residents, over a real pty, with the network and the people behind it (rows R8, B10, B11)."""

import itertools
from pathlib import Path

import pytest
from modem_world import CALLER, DOOR, FIRST, MAKERS, READER, SECOND, THIRD, THREE, World, play, policy_of, progress

from edge.decision import model
from edge.reader.modem_line import Ringing
from firmware_sim.gsm_network import RING_MS, Callee

# --- callers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_a_caller_is_told_once_and_hung_up_within_one_ring(tmp_path: Path, maker: str) -> None:
    """R8: RING and +CLIP give the number once; the call ends in its first ring and was never answered."""

    async def scene(world: World) -> None:
        await world.ready()
        call = world.sim.network.call_in(f"+{CALLER}")
        await world.advance(4 * RING_MS)
        assert [value for value in world.seen if isinstance(value, Ringing)] == [Ringing(READER, CALLER)]
        assert (call.rings, call.ended_by, call.talked_ms) == (1, "door", 0)
        assert call.ended_ms is not None
        assert call.ended_ms - call.began_ms < RING_MS
        assert world.modem.status()["hang_up_ms"] < RING_MS

    play(World(tmp_path, maker), scene)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("answer_ms", [300, 1000])
def test_a_slow_modem_hangs_up_within_one_ring_too(tmp_path: Path, maker: str, answer_ms: int) -> None:
    """Each answer takes 0.3 or 1 s, and the call comes while another command is being answered."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.answer_ms = answer_ms
        await world.advance(20_000, lambda: world.sim.commands[-1] == "AT+CREG?")
        call = world.sim.network.call_in(f"+{CALLER}")
        await world.advance(2 * RING_MS)
        assert [value for value in world.seen if isinstance(value, Ringing)] == [Ringing(READER, CALLER)]
        assert (call.rings, call.ended_by) == (1, "door")
        assert world.modem.status()["hang_up_ms"] <= 3 * answer_ms

    play(World(tmp_path, maker), scene)


def test_who_knows_the_number_opens_and_nobody_else(tmp_path: Path) -> None:
    """Through the decision core: a known caller opens the door, one unknown and one withheld do not."""

    async def scene(world: World) -> None:
        await world.ready()
        world.decide(policy_of((), (CALLER,)))
        for number in ("+33699999999", None, f"+{CALLER}"):
            assert not world.opened()
            world.sim.network.call_in(number)
            await world.advance(RING_MS)
        assert len(world.opened()) == 1
        assert [event.reason for event in world.events if event.medium == "phone"] == ["unknown", "unknown", ""]

    play(World(tmp_path), scene)


def test_each_call_counts_once_however_often_it_rings(tmp_path: Path) -> None:
    """The same number calling twice is two; a withheld one is told as None, after a moment for its number."""

    async def scene(world: World) -> None:
        await world.ready()
        for _ in range(2):
            world.sim.network.call_in(f"+{CALLER}")
            await world.advance(RING_MS)
        withheld = world.sim.network.call_in(None)
        await world.advance(RING_MS)
        assert [value for value in world.seen if isinstance(value, Ringing)] == [
            Ringing(READER, CALLER),
            Ringing(READER, CALLER),
            Ringing(READER, None),
        ]
        assert (withheld.rings, withheld.ended_by) == (1, "door")
        assert world.modem.status()["withheld"] == 1

    play(World(tmp_path), scene)


def test_a_modem_that_tells_no_number_is_hung_up_all_the_same(tmp_path: Path) -> None:
    """RING without +CLIP: the caller is nobody, and the call ends within its first ring."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.shows_callers = False
        call = world.sim.network.call_in(f"+{CALLER}")
        await world.advance(RING_MS)
        assert [value for value in world.seen if isinstance(value, Ringing)] == [Ringing(READER, None)]
        assert (call.rings, call.ended_by) == (1, "door")

    play(World(tmp_path), scene)


@pytest.mark.parametrize(("shown", "kind"), [("0612000001", 129), ("0033612000001", 129), ("612000001", 161)])
def test_a_number_shown_otherwise_is_the_same_caller(tmp_path: Path, shown: str, kind: int) -> None:
    """National and dialled forms become the same E.164 digits."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.call_in(shown, kind)
        await world.advance(RING_MS)
        assert Ringing(READER, CALLER) in world.seen

    play(World(tmp_path), scene)


# --- calls to residents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS)
def test_three_numbers_ring_for_twenty_seconds_each(tmp_path: Path, maker: str) -> None:
    """R8: nobody answers; each number rings for its 20 s, one at a time, then the call is not completed."""

    async def scene(world: World) -> None:
        await world.ready()
        world.decide(policy_of(THREE))
        began_ms = world.now_ms
        world.handle(model.CallStarted(DOOR, "A3"))
        await world.advance(90_000)
        assert world.dialled == [
            (began_ms, FIRST), (began_ms + 20_000, SECOND), (began_ms + 40_000, THIRD)
        ]  # fmt: skip
        calls = world.sim.network.over
        assert [call.number for call in calls] == [f"+{number}" for number, _ in THREE]
        assert [call.ended_by for call in calls] == ["door"] * 3
        for call, following in itertools.pairwise(calls):
            assert call.ended_ms is not None
            assert call.ended_ms <= following.began_ms
        assert world.events[-1].reason == "not-completed"
        assert not world.opened()
        assert not world.sim.network.running

    play(World(tmp_path, maker), scene)


@pytest.mark.parametrize("maker", MAKERS)
def test_the_third_number_answers_and_opens_with_the_key(tmp_path: Path, maker: str) -> None:
    """R8: the first does not answer, the second refuses, the third answers, presses a wrong key, then the right."""

    async def scene(world: World) -> None:
        await world.ready()
        world.decide(policy_of(THREE))
        world.sim.network.callees[f"+{SECOND}"] = Callee("refuses", 4000)
        world.sim.network.callees[f"+{THIRD}"] = Callee("answers", 5000, keys="51", key_ms=2000)
        world.handle(model.CallStarted(DOOR, "A3"))
        await world.advance(60_000)
        assert progress(world) == [("refused", ""), ("answered", ""), ("key", "5"), ("key", "1")]
        assert len(world.opened()) == 1
        third = world.sim.network.over[-1]
        assert third.answered_ms is not None
        assert world.opened()[0] >= third.answered_ms + 4000
        assert (third.ended_by, third.keys) == ("door", "51")
        assert (world.events[-1].result, world.events[-1].medium) == ("open", "call")
        assert not world.sim.network.running

    play(World(tmp_path, maker), scene)


@pytest.mark.parametrize(
    ("callee", "told"),
    [
        (Callee("refuses", 2000), [("refused", "")]),
        (Callee("busy"), [("refused", "")]),
        (Callee("unreachable"), [("ended", "")]),
        (Callee("silent"), []),
        (Callee("answers", 2000, talks_ms=5000), [("answered", ""), ("ended", "")]),
        (
            Callee("answers", 2000, keys="#0", talks_ms=5000),
            [("answered", ""), ("key", "#"), ("key", "0"), ("ended", "")],
        ),
    ],
)
def test_how_a_call_goes(tmp_path: Path, callee: Callee, told: list[tuple[str, str]]) -> None:
    """Each way a call can go, in the words of the decision core, each word once."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.callees[f"+{FIRST}"] = callee
        world.modem.dial(DOOR, FIRST, 20)
        await world.advance(20_000)
        assert progress(world) == told
        world.modem.hang_up(DOOR)
        await world.advance(5000)
        assert progress(world) == told
        assert not world.sim.network.running
        assert world.modem.status()["call"] == "idle"

    play(World(tmp_path), scene)


def test_a_core_that_forgets_a_call_does_not_leave_it_open(tmp_path: Path) -> None:
    """Without HangUp the modem ends a call by itself: 10 s after its delay, or 130 s after the answer."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.callees[f"+{SECOND}"] = Callee("answers", 2000)
        for number in (FIRST, SECOND):
            world.modem.dial(DOOR, number, 20)
            await world.advance(200_000)
        silent, talked = world.sim.network.over
        assert (silent.ended_by, talked.ended_by) == ("door", "door")
        assert silent.ended_ms is not None
        assert silent.ended_ms - silent.began_ms <= 32_000
        assert 120_000 <= talked.talked_ms <= 132_000
        assert progress(world) == [("ended", ""), ("answered", ""), ("ended", "")]

    play(World(tmp_path), scene)


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_caller_during_a_call_is_turned_away(tmp_path: Path, is_answered: bool) -> None:
    """Who calls while the panel calls hears busy and is counted once; the panel's own call goes on."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.callees[f"+{FIRST}"] = Callee(
            "answers", 2000 if is_answered else 8000, keys="1", key_ms=12_000
        )
        world.modem.dial(DOOR, FIRST, 20)
        await world.advance(6000)
        caller = world.sim.network.call_in(f"+{CALLER}")
        await world.advance(16_000)
        assert (caller.ended_by, caller.talked_ms) == ("door", 0)
        assert caller.ended_ms is not None
        assert caller.ended_ms - caller.began_ms < RING_MS
        assert progress(world) == [("answered", ""), ("key", "1")]
        assert world.modem.status()["turned_away"] == 1
        assert Ringing not in world.kinds()

    play(World(tmp_path), scene)


def test_another_door_waits_for_no_modem(tmp_path: Path) -> None:
    """A second panel on the same modem is told at once that its call ended; the first call goes on."""

    async def scene(world: World) -> None:
        await world.ready()
        world.modem.dial(DOOR, FIRST, 20)
        world.modem.dial("hall-b", SECOND, 20)
        world.modem.hang_up("hall-b")
        await world.advance(5000)
        assert world.seen[-1] == model.CallProgress("hall-b", "ended", "")
        assert [call.number for call in world.sim.network.running] == [f"+{FIRST}"]
        assert world.modem.status()["refused_calls"] == 1

    play(World(tmp_path), scene)


def test_a_call_that_rings_when_a_visitor_asks_is_hung_up_first(tmp_path: Path) -> None:
    """A caller is there: his call ends within its ring, then the resident is dialled."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.shows_callers = False
        caller = world.sim.network.call_in(f"+{CALLER}")
        await world.advance(500)
        world.modem.dial(DOOR, FIRST, 20)
        await world.advance(5000)
        assert caller.ended_by == "door"
        assert [call.number for call in world.sim.network.running] == [f"+{FIRST}"]

    play(World(tmp_path), scene)


@pytest.mark.parametrize("maker", MAKERS)
def test_leaving_hangs_up(tmp_path: Path, maker: str) -> None:
    """When the program ends during a call, the call ends too."""

    async def scene(world: World) -> None:
        await world.ready()
        world.sim.network.callees[f"+{FIRST}"] = Callee("answers", 1000)
        world.modem.dial(DOOR, FIRST, 20)
        await world.advance(5000)
        assert world.sim.network.running
        world._task.cancel()  # type: ignore[union-attr]
        await world.until(lambda: not world.sim.network.running)

    play(World(tmp_path, maker), scene)
