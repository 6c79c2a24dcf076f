"""Commissioning on site through the local API: the real agent, its readers' lights, its files; and the take-over."""

import asyncio
import base64
import time
from pathlib import Path

import pytest
from edge_controller import NOW_MS, RESIDENT_B, STRANGER, until
from onsite_controller import CODE, HALL, KEY, NUMBER, PASSWORD, SIDE, Commissioned, Hall

from edge import keyring, onsite
from edge.clock import SystemClock
from edge.commands.dat import Place, apply_file
from edge.commissioning import files, journal
from edge.commissioning.refusals import TEXTS
from edge.config import load
from edge.decision.model import Tick
from edge.storage import restoring
from edge.succession import LOG_EPOCH
from edge.uplink import signing, statements
from edge.uplink.keys import manager_text
from edge.uplink.transfer_file import Header, Item, save


@pytest.fixture(autouse=True)
def _no_green(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody stands there for three seconds."""
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)


@pytest.fixture
def at(folder: Path) -> Commissioned:
    return Commissioned(folder)


async def learn(hall: Hall, key: int = KEY) -> None:
    """From the countdown to where the key was held and taken away."""
    await hall.wait(90_000)
    assert not await hall.opens("badge", key, HALL)
    await hall.wait(2_000)


async def taken_over(hall: Hall) -> None:
    async with asyncio.timeout(30):
        await hall.agent.onsite.taken_over.wait()


def test_from_password_to_the_new_manager_with_no_good_pass_refused(at: Commissioned) -> None:
    """Badge and code open before, at the other reader meanwhile, after the take-over and after the new policy; the
    light tells each step; the old manager is refused from then on; and the old log is nobody else's."""
    tried = refused = 0

    async def storm(hall: Hall, reader: str = SIDE) -> None:
        nonlocal tried, refused
        for medium, value in (("badge", RESIDENT_B), ("code", CODE)) * 3:
            tried += 1
            refused += not await hall.opens(medium, value, reader)
        assert not await hall.opens("badge", STRANGER, reader)  # wrong codes would lock the keypad, as they should

    async def before() -> tuple[bytes, int]:
        async with at.running() as hall:
            await storm(hall, HALL)
            assert await hall.deposit(at.handover()) == ""
            assert await hall.arm() == "password"
            assert await hall.login() == ""
            assert await hall.arm() == ""
            assert not await hall.opens("badge", RESIDENT_B, HALL)
            await storm(hall)
            view = await hall.view()
            assert (view["state"], view["reader"], view["left_ms"]) == ("armed", HALL, 90_000)
            assert {one["id"]: one["light"] for one in view["readers"]} == {HALL: "learning", SIDE: "idle"}
            await learn(hall)
            await taken_over(hall)
            await hall.agent.settle()
            assert hall.lights()[-4:] == ["learning", "learning-present", "idle", "learning-done"]
            await storm(hall, HALL)
            settled = await hall.take_policy(at.policy(is_new=False, revision=2))
            assert settled["policy"]["outcome"] == "refused"
            words = [reason for reason, _ in await hall.said()]
            steps = ["handover-waits", "learning-armed", "learning-done", "manager-bound"]
            assert [word for word in words if word in steps] == steps
            return hall.agent.log.log_id, hall.agent.log.last_seq

    async def after(old_log: bytes, old_seq: int) -> None:
        async with at.running() as hall:
            assert hall.agent.keys.manager == at.new
            await storm(hall)
            await storm(hall, HALL)
            assert (await hall.take_policy(at.policy(is_new=False, revision=3)))["refused"]["reason"] == "signature"
            logs = (await hall.ask("dat-logs"))["logs"]
            assert [log["log"] for log in logs] == [hall.agent.log.log_id.hex()] != [old_log.hex()]
            assert "log" not in [reason for reason, _ in await hall.said()]
            assert (await hall.take_policy(at.policy(is_new=True, revision=1)))["policy"]["outcome"] == "applied"
            await hall.agent.settle()
            assert hall.agent.controller.index.version == (2, 1)
            await storm(hall)
            kept = await hall.agent._closed_logs._each(ids)
            assert [found for _, found in kept] == [(old_log, b"1", True)]
            assert old_seq > 0

    async def ids(log) -> tuple[bytes, bytes, bool]:
        items = await asyncio.wrap_future(onsite.StateStore(log.database).load())
        return log.log_id, items[LOG_EPOCH], log.unsent > 0

    asyncio.run(after(*asyncio.run(before())))
    print(f"{tried} presentations of good passes, {refused} refused")
    assert (tried, refused) == (36, 0)


def test_the_keyring_without_former_managers_would_refuse_codes(at: Commissioned) -> None:
    """Negative control of the code key: under the new manager's key alone the old policy knows no code."""

    async def play() -> None:
        bound(at)
        async with at.running() as hall:
            assert await hall.opens("code", CODE)
            hall.agent.keys = hall.agent.keys._replace(former={})
            assert not await hall.opens("code", CODE)

    asyncio.run(play())


def bound(at: Commissioned) -> None:
    """The new manager is on the disk, as after a take-over; the log is still the old one's."""
    former = (at.made.keys / journal.MANAGER).read_bytes()
    files.perform(at.made.keys, journal.bind_steps(2, manager_text(at.new).encode(), b"", 1, former))


def test_a_cut_between_binding_and_the_new_log_is_made_up_for(at: Commissioned) -> None:
    """The log that was begun under the old manager is closed at the next start, whenever that is; and only then."""

    async def start() -> bytes:
        async with at.running() as hall:
            return hall.agent.log.log_id

    first = asyncio.run(start())
    assert asyncio.run(start()) == first
    bound(at)
    second = asyncio.run(start())
    assert second != first
    assert asyncio.run(start()) == second
    assert len(restoring.closed_logs(at.made.folder / "data")) == 1


def test_a_wrong_key_leaves_everything_as_it_was(at: Commissioned) -> None:
    """It fails with words and a way on; the reader works again; the old manager's policy is taken."""

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            assert await hall.login() == ""
            assert await hall.arm() == ""
            await learn(hall, int(RESIDENT_B))
            view = await hall.view()
            assert (view["state"], view["reason"]) == ("failed", "wrong-key")
            assert (view["what"], view["way_on"]) == TEXTS["wrong-key"]
            assert await hall.opens("badge", RESIDENT_B, HALL)
            settled = await hall.take_policy(at.policy(is_new=False, revision=2))
            assert settled["policy"]["outcome"] == "applied"
            assert signing.load_manager(at.made.keys / journal.MANAGER) == at.old

    asyncio.run(play())


def test_a_disk_that_refuses_leaves_the_old_manager(at: Commissioned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing at each step of the binding: the old manager and a reason, or the new one; never anything between."""
    right = files._perform
    left = [0]

    def failing(folder: Path, step: journal.Step) -> None:
        if isinstance(step, journal.Write) and step.name.startswith("manager"):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device")
        right(folder, step)

    monkeypatch.setattr(files, "_perform", failing)

    async def play() -> list[str]:
        reasons = []
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            assert await hall.login() == ""
            for left[0] in (1, 2):
                assert await hall.arm() == ""
                await learn(hall)
                await until(lambda: hall.agent.onsite._procedure.learning.state == "failed", "it fails")
                reasons.append((await hall.view())["reason"])
                assert keyring.load(load(at.made.config)).manager == at.old
                assert not (at.made.keys / journal.former_name(1)).exists()
        return reasons

    assert asyncio.run(play()) == ["not-stored", "not-stored"]


def test_five_wrong_passwords_lock_and_raise_an_alarm(at: Commissioned) -> None:
    """Also across a restart; none of it locks a resident's code."""

    async def guess() -> None:
        async with at.running() as hall:
            assert [await hall.login("000000") for _ in range(5)] == ["wrong-password"] * 5
            assert await hall.login() == "locked"
            assert (await hall.view())["locked_ms"] > 0
            assert await hall.opens("code", CODE)
            assert ("lockout", "wrong passwords of the controller") in await hall.said()

    async def again() -> None:
        async with at.running() as hall:
            assert await hall.login() == "locked"
            await hall.wait(30_000)
            assert await hall.login() == ""

    asyncio.run(guess())
    asyncio.run(again())


def test_a_new_password_counts_at_once(at: Commissioned) -> None:
    """A weak one is refused; the old one is wrong then; no answer and no event holds either."""

    async def play() -> None:
        async with at.running() as hall:
            answer = await hall.ask("commission-password", session="0" * 32, password="839204")
            assert answer["reason"] == "password"
            await hall.login()
            asked = {"session": hall.session}
            assert (await hall.ask("commission-password", **asked, password="123456"))["reason"] == "weak-password"
            assert (await hall.ask("commission-password", **asked, password="839204"))["reason"] == ""
            assert await hall.login() == "wrong-password"
            assert await hall.login("839204") == ""
            await hall.agent.settle()
            said = repr(await hall.said()) + repr(await hall.view())
            assert "password-changed" in said
            assert not [secret for secret in (PASSWORD, "839204", hall.session) if secret in said]

    asyncio.run(play())
    assert (at.made.keys / "password.toml").stat().st_mode & 0o777 == 0o600


def test_looking_keeps_no_session_open(at: Commissioned) -> None:
    """A page that was left open looks on; after 15 minutes without a hand on it the password is needed again."""

    async def play() -> None:
        async with at.running() as hall:
            await hall.login()
            for _ in range(14):
                await hall.wait(60_000)
                assert (await hall.view())["signed_in"]
            assert (await hall.ask("commission-adjust", session=hall.session, steps=1))["reason"] == ""
            for _ in range(14):
                await hall.wait(60_000)
                assert (await hall.view())["signed_in"]
            await hall.wait(60_000)
            assert not (await hall.view())["signed_in"]
            assert (await hall.ask("commission-adjust", session=hall.session, steps=1))["reason"] == "password"

    asyncio.run(play())


def test_a_start_that_came_with_the_hand_over_begins(at: Commissioned) -> None:
    """A controller without screen: the sealed password is tried as one that was typed; nothing of it is kept."""
    start = statements.Start(NUMBER, PASSWORD, HALL, 60)

    async def play() -> None:
        async with at.running() as hall:
            wrong = start._replace(password="000000")
            assert await hall.deposit(at.handover(start=wrong)) == "wrong-password"
            assert await hall.deposit(at.handover(start=start)) == ""
            view = await hall.view()
            assert (view["state"], view["left_ms"], view["signed_in"]) == ("armed", 60_000, False)

    asyncio.run(play())
    kept = (at.made.keys / journal.HANDOVER).read_bytes()
    assert statements.decode_handover(kept)[2] == b""


def test_a_hand_over_waits_across_a_restart(at: Commissioned) -> None:
    """And one that nobody signed does not wait at all."""

    async def play(raw: bytes | None) -> bool:
        async with at.running() as hall:
            if raw is not None:
                assert await hall.deposit(raw) in ("", "statement")
            return bool((await hall.view())["has_handover"])

    assert not asyncio.run(play(at.handover()[:-1] + b"\0"))
    assert asyncio.run(play(at.handover()))
    assert asyncio.run(play(None))


def test_a_controller_that_obeys_nobody_runs_and_is_commissioned(at: Commissioned) -> None:
    """Nothing opens but by the exit button; its first manager comes by password and number."""
    (at.made.keys / journal.MANAGER).unlink()

    async def play() -> None:
        async with at.running() as hall:
            assert not await hall.opens("badge", RESIDENT_B, HALL)
            at_exit = hall.pulses
            hall.board.press_exit("hall-b")
            await hall.board.barrier(30)
            assert hall.pulses == at_exit + 1
            view = await hall.view()
            assert (view["is_new"], view["site"], view["epoch"]) == (True, "", 0)
            assert await hall.deposit(at.handover(at.claim(key=None))) == ""
            await hall.login()
            assert (await hall.ask("commission-adopt", session=hall.session, manager=1))["reason"] == "wrong-number"
            assert (await hall.ask("commission-adopt", session=hall.session, manager=NUMBER))["reason"] == ""
            await taken_over(hall)
        async with at.running() as hall:
            assert hall.agent.keys.manager == at.new
            assert (await hall.take_policy(at.policy(is_new=True, revision=1)))["policy"]["outcome"] == "applied"
            await hall.agent.settle()
            assert await hall.opens("badge", RESIDENT_B, HALL)

    asyncio.run(play())


def test_a_reset_to_factory_that_was_cut_off_is_ended(at: Commissioned) -> None:
    """No manager and no password, and the agent runs: exit buttons work, the log goes on, nobody's pass opens."""

    async def start() -> tuple[bytes, dict, bool, int]:
        async with at.running() as hall:
            is_open = await hall.opens("badge", RESIDENT_B)
            before = hall.pulses
            hall.board.press_exit("hall-b")
            await hall.board.barrier(30)
            return hall.agent.log.log_id, await hall.view(), is_open, hall.pulses - before

    log_id, view, is_open, exits = asyncio.run(start())
    assert (view["is_new"], is_open, exits) == (False, True, 1)
    (at.made.keys / journal.RESET).touch(0o600)
    reset_id, view, is_open, exits = asyncio.run(start())
    assert (reset_id, view["is_new"], view["epoch"], is_open, exits) == (log_id, True, 1, False, 1)
    assert {path.name for path in at.made.keys.iterdir()} >= {"manager-1.toml", "device.key"}
    assert not {path.name for path in at.made.keys.iterdir()} & {"manager.toml", "password.toml", "reset.mark"}


def test_the_installer_sets_the_time(at: Commissioned) -> None:
    """Only with the password; a wild floor falls to it, for the doors; for the end of a hand-over it counts on until
    a source other than the installer says better."""

    async def play() -> None:
        at.clock.trusted = False
        at.clock.raise_floor(NOW_MS + 10**10)
        async with at.running() as hall:
            answer = await hall.ask("commission-time", session="", utc_ms=NOW_MS)
            assert answer["reason"] == "password"
            assert await hall.deposit(at.handover()) == ""
            await hall.login()
            assert await hall.arm() == "expired"  # so the floor says
            assert (await hall.ask("commission-time", session=hall.session, utc_ms=NOW_MS))["reason"] == ""
            assert at.clock.floor_ms == NOW_MS
            assert await hall.arm() == "expired"
            at.clock.is_declared = False  # NTP
            hall.agent.submit(Tick())
            await hall.agent.settle()
            assert await hall.arm() == ""
            floor = await asyncio.wrap_future(onsite.StateStore(hall.agent.log.database).floor_ms())
            assert floor <= NOW_MS + 1000

    asyncio.run(play())


def test_a_declared_time_outlives_a_restart_in_its_boot() -> None:
    """It goes on by the monotonic clock; another boot knows nothing of it; never a time before this program."""
    clock = SystemClock(False)
    clock._ask = lambda mono_s: None  # type: ignore[method-assign]  # no NTP, whatever this machine has
    clock.raise_floor(NOW_MS + 10**10)
    ahead_ms = clock.declare(NOW_MS)
    moment = clock.moment()
    assert (moment.trusted, clock.is_declared) == (True, True)
    assert NOW_MS <= moment.utc_ms < NOW_MS + 60_000
    again = SystemClock(False)
    again._ask = lambda mono_s: None  # type: ignore[method-assign]
    assert not onsite.recall_clock(again, {onsite.DECLARED: f"elsewhere {ahead_ms}".encode()})
    assert not again.moment().trusted
    assert onsite.recall_clock(again, {onsite.DECLARED: f"{again.boot} {ahead_ms}".encode()})
    time.sleep(0)
    assert again.moment().utc_ms >= moment.utc_ms
    assert again.moment().trusted
    with pytest.raises(ValueError, match="before"):
        clock.declare(0)


def test_hand_over_and_policy_in_one_file(at: Commissioned, tmp_path: Path) -> None:
    """The mini controller's way (H13, H14): one file brings the hand-over, which waits, and the new manager's policy,
    which is put aside; after the key was held and the new start it is taken, without another visit. Before that, a
    start changes nothing; and a wrong hand-over puts nothing aside."""
    path = tmp_path / "hall-b.dat"
    policy = [Item("policy", part) for part in at.policy(is_new=True, revision=1)]
    save(path, Header("controller", "clos-des-dunes", "hall-b", "now"), [Item("handover", at.handover()), *policy])

    def aside() -> list[Path]:
        return list((at.made.folder / "data").glob("after-handover-*"))

    place = Place(Path(load(at.made.config).api), "clos-des-dunes", "hall-b")

    async def before() -> None:
        async with at.running() as hall:
            wrong = [Item("handover", at.handover()[:-1] + b"?"), *policy]
            assert (await taken(hall, wrong))["handover"] == "statement"
            assert aside() == []
            done = await asyncio.to_thread(apply_file, place, path)
            assert (done["handover"], done["policy"]["outcome"]) == ("", "none")
            assert (await taken(hall, wrong))["handover"] == "statement"  # another file, which takes nothing away
        assert len(aside()) == 1
        async with at.running() as hall:  # a start in between
            await hall.agent.settle()
            assert hall.agent.controller.index.version == (1, 1)
            assert await hall.login() == ""
            assert await hall.arm() == ""
            again = await asyncio.to_thread(apply_file, place, path)  # put in twice: what waits stays
            assert again["handover"] == ""
            await learn(hall)
            await taken_over(hall)
        assert len(aside()) == 1

    async def taken(hall: Hall, items: list[Item]) -> dict:
        for item in items:
            message = base64.b64encode(item.message).decode()
            assert (await hall.ask("dat-take", transfer="w", kind=item.kind, message=message))["refused"] is None
        return await hall.ask("dat-settle", transfer="w")

    async def after() -> None:
        async with at.running() as hall:
            await until(lambda: not aside(), "what was put aside was taken")
            await hall.agent.settle()
            assert hall.agent.controller.index.version == (2, 1)
            assert await hall.opens("badge", RESIDENT_B)
            assert await hall.opens("code", CODE)

    asyncio.run(before())
    asyncio.run(after())


def test_what_was_put_aside_never_keeps_the_agent_from_its_work(at: Commissioned) -> None:
    """Nonsense, an empty folder of that name, a file of nobody's: the doors work, and the log says what it was."""
    data = at.made.folder / "data"
    (data / "after-handover-1.dat").write_bytes(b"nonsense")
    (data / "after-handover-2.dat").mkdir()

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.opens("badge", RESIDENT_B)
            await hall.agent.settle()
            assert [word for word, _ in await hall.said()].count("aside-refused") == 2

    asyncio.run(play())
