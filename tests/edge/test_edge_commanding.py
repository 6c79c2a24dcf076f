"""Fresh commands of the manager at a real agent: carried out at the door, recorded first, answered with what became of
them. That one is fresh is tests/uplink/test_uplink_commands.py."""

import asyncio
import json
from unittest.mock import AsyncMock

import pytest
from edge_controller import DEADLINE_S, NEVER_AUTO, NOW_MS, make, until
from test_edge_agent import bench

from edge.commanding import Commands
from edge.decision import model, rows
from edge.decision.policy import VerifiedDelta
from edge.uplink import signing
from edge.uplink.messages import Command

MOBILE = 880_001


class Bench:
    """An agent in this process with its board."""

    def __init__(self, agent, board):
        self.agent, self.board = agent, board
        self._commands = Commands(agent.ask, agent.answers.status)

    async def carry_out(self, action, door="hall-b", **more):
        answer = await self._commands.carry_out(Command(bytes(8), bytes(16), action, door, who="Mme Roux", **more))
        await self.board.barrier(DEADLINE_S)
        return answer

    async def add(self, *changed):
        """More rows, as a change of the policy."""
        packed = tuple(map(rows.pack, changed))
        stored = await asyncio.wrap_future(self.agent.policies.store.rows())
        after = {rows.key_of(row): row for row in (*stored, *packed)}
        digest = signing.policy_digest(after.values())
        manager = self.agent.keys.manager
        device = signing.fingerprint(self.agent.keys.device_public)
        epoch, revision = self.agent.policies.version
        delta = VerifiedDelta(manager.site_uid, device, epoch, revision, revision + 1, packed, (), digest)
        assert await self.agent.policy_care.apply(delta) == ((epoch, revision + 1), digest)
        await self.agent.settle()

    def pulses(self):
        return [(strike.door, strike.output) for strike in self.board.strikes if strike.ms != model.LOCK]

    async def last_event(self):
        [found] = await asyncio.wrap_future(self.agent.log.query(limit=1, after_seq=self.agent.log.last_seq - 1))
        return found.event


def at_the_door(folder, play):
    """Run `play` with an agent whose policy is in force."""

    async def run():
        async with bench(make(folder, changes=(NEVER_AUTO,))) as at:
            await play(Bench(at.agent, at.board))

    asyncio.run(run())


def test_an_open_moves_the_strike_once_and_says_so(folder):
    """The strike moves, the event names who commanded, the reply says open."""

    async def play(at):
        assert await at.carry_out("open") == ("open", "", "")
        assert at.pulses() == [("hall-b", "door")]
        event = await at.last_event()
        assert (event.medium, event.result, event.door, event.detail) == ("command", "open", "hall-b", "Mme Roux")

    at_the_door(folder, play)


@pytest.mark.parametrize(("door", "reason"), [("cellar", "unknown"), ("HALL-B", "unknown")])
def test_a_door_that_is_not_here_is_denied(folder, door, reason):
    """Nothing moves, and the reply says why."""

    async def play(at):
        assert await at.carry_out("open", door) == ("denied", reason, "")
        assert at.pulses() == []

    at_the_door(folder, play)


def test_a_lockdown_denies_a_command(folder):
    """A row of the policy that locks the door down beats the manager's own open; the same row takes it back."""

    async def play(at):
        await at.add(rows.Mode("hall-b", True, "Mme Roux"))
        assert await at.carry_out("open") == ("denied", "lockdown", "")
        assert await at.carry_out("hold", until_ms=NOW_MS + 60_000) == ("denied", "lockdown", "")
        assert at.pulses() == []

    at_the_door(folder, play)


def test_a_hold_ends_with_its_release(folder):
    """Held until released; a hold that is over already is denied; forgiving is done."""

    async def play(at):
        assert await at.carry_out("hold", until_ms=NOW_MS - 1) == ("denied", "expired", "")
        assert at.pulses() == []
        assert await at.carry_out("hold", until_ms=NOW_MS + 3_600_000) == ("open", "hold", "")
        assert at.agent.controller.is_held("hall-b")
        assert await at.carry_out("release") == ("done", "", "")
        assert not at.agent.controller.is_held("hall-b")
        assert await at.carry_out("forgive", "") == ("done", "", "")

    at_the_door(folder, play)


def test_a_mobile_is_decided_like_any_credential(folder):
    """A person's own number opens where the person may, and is denied where not: by the same ladder as a badge."""

    async def play(at):
        assert await at.carry_out("open", credential=MOBILE) == ("denied", "unknown", "")
        grant = ("hall-b", "", 1 << model.MOBILE, 15, rows.ALWAYS)
        await at.add(rows.Group(900, "By mobile", (grant,)))
        await at.add(
            rows.Group(901, "Nowhere", ()),
            rows.Credential(model.MOBILE, MOBILE, 900, 0, 0, 0, 0, "", "B. Martin"),
            rows.Credential(model.MOBILE, MOBILE + 1, 901, 0, 0, 0, 0, "", "C. Petit"),
        )
        assert await at.carry_out("open", credential=MOBILE) == ("open", "", "")
        event = await at.last_event()
        assert (event.medium, event.credential, event.result) == ("mobile", MOBILE, "open")
        assert await at.carry_out("open", credential=MOBILE + 1) == ("denied", "no-access", "")
        assert at.pulses() == [("hall-b", "door")]

    at_the_door(folder, play)


def test_the_status_travels_as_it_is_shown(folder):
    """What `vantail status --json` says, in a reply."""

    async def play(at):
        result, reason, text = await at.carry_out("status", "")
        assert (result, reason) == ("done", "")
        assert json.loads(text)["controller"] == at.agent.config.controller

    at_the_door(folder, play)


def test_the_reply_says_what_the_door_did_not_what_was_decided(folder):
    """At a door that denies while its log fails: decided, not recorded, not opened; the manager is told so."""

    async def play(at):
        door = at.agent.controller.doors["hall-b"].row
        await at.add(door._replace(deny_on_log_failure=True))
        assert await at.carry_out("open") == ("open", "", "")

        at.agent.recorder.record = AsyncMock(return_value="the disk failed")
        assert await at.carry_out("open") == ("denied", "log-failure", "")
        assert len(at.pulses()) == 1

    at_the_door(folder, play)


def test_a_release_leaves_a_lockdown_that_was_set_on_site(folder):
    """What the manager calls a release ends holds; a lockdown of the house is ended by the house, or as a row."""

    async def play(at):
        at.agent.submit(model.Command("lockdown", "hall-b", 0, "concierge"))
        assert await at.carry_out("release") == ("done", "", "")
        assert await at.carry_out("open") == ("denied", "lockdown", "")
        at.agent.submit(model.Command("release", "hall-b", 0, "concierge"))
        assert await at.carry_out("open") == ("open", "", "")

    at_the_door(folder, play)


def test_nothing_is_held_by_a_clock_that_nobody_vouched_for(folder):
    """Its end could be anywhere: an hour of a clock that is behind lasts a day."""

    async def play(at):
        at.agent.clock.trusted = False
        assert await at.carry_out("hold", until_ms=NOW_MS + 3_600_000) == ("denied", "clock-untrusted", "")
        assert not at.agent.controller.is_held("hall-b")

    at_the_door(folder, play)


def test_work_that_fails_each_second_is_said_once(folder):
    """Reading the log breaks in a way that nobody thought of: it is asked for again and again, counted each time, and
    written down once; else the log would fill with it."""

    async def play(at):
        uplink = at.agent.manager_side.synchroniser

        async def broken():
            raise RuntimeError("nobody thought of it")

        for _ in range(5):
            uplink._begin(broken())
        await until(lambda: uplink.failures == 5, "each failed")
        await at.agent.settle()
        found = await asyncio.wrap_future(at.agent.log.query(limit=100, reason="uplink-refused"))
        assert [entry.event.detail for entry in found] == ["RuntimeError: nobody thought of it"]

    at_the_door(folder, play)
