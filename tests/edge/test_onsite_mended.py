"""Commissioning on site where somebody mistypes, cheats, or the disk is full: through the real agent."""

import asyncio
from concurrent.futures import Future
from pathlib import Path

import pytest
from edge_controller import NOW_MS, RESIDENT_B, until
from onsite_controller import HALL, KEY, NUMBER, PASSWORD, Commissioned, Hall

from edge import onsite
from edge.clock import BUILD_MS, LATEST_MS, SystemClock
from edge.commissioning import files, journal, password
from edge.config import Uplink
from edge.console.api import ApiError
from edge.console.menu import Ask, Menu
from edge.decision.model import Tick
from edge.storage import restoring
from edge.storage.errors import StorageError
from edge.uplink import statements
from edge.uplink.keys import manager_text

DAY_MS = 86_400_000


@pytest.fixture
def at(folder: Path) -> Commissioned:
    return Commissioned(folder, broker="mqtt://127.0.0.1:1")


def bind(at: Commissioned) -> None:
    """The new manager is on the disk; the log is still the old one's, and agent.toml has the new one's line."""
    former = (at.made.keys / journal.MANAGER).read_bytes()
    files.perform(at.made.keys, journal.bind_steps(2, manager_text(at.new).encode(), b"", 1, former))


def test_a_full_data_disk_after_a_take_over_keeps_no_door_shut(
    at: Commissioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old log goes on with an alarm and nothing of it is sent or collected; the next start begins another."""

    def full(*given: object) -> bytes:
        raise StorageError("the disk is full")

    async def on_a_full_disk() -> bytes:
        async with at.running() as hall:
            assert await hall.opens("badge", RESIDENT_B)
            assert hall.agent.manager_side._uplink is None
            assert (await hall.ask("dat-logs"))["logs"] == []
            with pytest.raises(ApiError, match="there is no log"):
                await hall.ask("dat-collect", log=hall.agent.log.log_id.hex(), after=None)
            alarms = [detail for reason, detail in await hall.said() if reason == "log"]
            assert [detail for detail in alarms if "the new manager has no log yet, nothing is sent" in detail]
            return hall.agent.log.log_id

    async def afterwards() -> bytes:
        async with at.running() as hall:
            assert await hall.opens("badge", RESIDENT_B)
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:1")
            [log] = (await hall.ask("dat-logs"))["logs"]
            assert log["log"] == hall.agent.log.log_id.hex()
            return hall.agent.log.log_id

    async def before() -> bytes:
        async with at.running() as hall:
            return hall.agent.log.log_id

    first = asyncio.run(before())
    bind(at)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_begin_log", full)
        assert asyncio.run(on_a_full_disk()) == first
    assert asyncio.run(afterwards()) != first
    assert len(restoring.closed_logs(at.made.folder / "data")) == 1


def test_a_time_that_cannot_be_is_refused_and_not_set(at: Commissioned) -> None:
    """Checked before anything is declared: the clock is as it was, and passes open."""
    clock = SystemClock(False)
    clock._ask = lambda mono_s: None  # type: ignore[method-assign]  # no NTP, whatever this machine has

    async def play() -> None:
        async with at.running(clock) as hall:
            await hall.login()
            for utc_ms in (9_000_000_000_000_000, LATEST_MS + 1, BUILD_MS - 1, 0, -1):
                with pytest.raises(ApiError, match="utc_ms"):
                    await hall.ask("commission-time", session=hall.session, utc_ms=utc_ms)
            assert (clock.is_declared, clock.moment().trusted) == (False, False)
            assert clock.floor_ms == BUILD_MS
            assert await hall.opens("badge", RESIDENT_B)

    asyncio.run(play())
    for utc_ms in (LATEST_MS + 1, BUILD_MS - 1):
        with pytest.raises(ValueError, match="this program"):
            clock.declare(utc_ms)
    assert not clock.is_declared


def test_a_hand_over_that_was_over_stays_over_whatever_is_typed(at: Commissioned) -> None:
    """Taking the time back makes it no younger, across restarts too, until NTP says so; and a year that was mistyped
    and taken back leaves a good hand-over good."""

    async def declare(hall: Hall, utc_ms: int) -> str:
        await hall.login()
        return (await hall.ask("commission-time", session=hall.session, utc_ms=utc_ms))["reason"]

    async def play() -> None:
        at.clock.trusted = False
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            assert await declare(hall, NOW_MS + 10 * 365 * DAY_MS) == ""
            assert await hall.arm() == "expired"
            assert await declare(hall, NOW_MS) == ""
            assert await hall.arm() == ""
            assert (await hall.ask("commission-cancel", session=hall.session))["reason"] == ""
            at.clock.is_declared = False  # NTP, two days later: over for good
            at.clock.set_wall(NOW_MS + 2 * DAY_MS)
            hall.agent.submit(Tick())
            await hall.agent.settle()
        at.clock.trusted = False
        async with at.running() as hall:
            assert await declare(hall, NOW_MS) == ""
            assert await hall.arm() == "expired"
            assert await declare(hall, NOW_MS) == ""
            assert await hall.arm() == "expired"

    asyncio.run(play())


def test_a_time_typed_while_ntp_is_there_lowers_nothing_for_a_hand_over(at: Commissioned) -> None:
    """Else the thief would type first and pull the cable then. No event was stamped since: the clock's word counts."""

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            await hall.login()
            await hall.agent.settle()
            at.clock.set_wall(NOW_MS + 2 * DAY_MS)
            assert at.clock.floor_ms <= NOW_MS
            assert await hall.arm() == "expired"
            await hall.ask("commission-time", session=hall.session, utc_ms=NOW_MS)
            assert await hall.arm() == "expired"

    asyncio.run(play())


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_password_of_an_earlier_manager_opens_only_its_own_change(at: Commissioned, epoch: int) -> None:
    """Chosen in epoch 1, while epoch 2 stands: nothing else by it before it was changed. One of this epoch, and one
    that the controller drew (0), do everything: negative controls."""
    bind(at)
    (at.made.keys / journal.PASSWORD).write_text(password.make(PASSWORD, epoch).toml())

    async def tried(hall: Hall) -> set[str]:
        asked = {"session": hall.session}
        return {
            (await hall.ask("commission-time", **asked, utc_ms=NOW_MS))["reason"],
            (await hall.ask("commission-adopt", **asked, manager=NUMBER))["reason"],
            (await hall.ask("commission-adjust", **asked, steps=1))["reason"],
            (await hall.ask("commission-cancel", **asked))["reason"],
            await hall.arm(),
        }

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.login() == ""
            assert (await hall.view())["signed_in"]
            is_open = "old-password" not in await tried(hall)
            assert is_open == (epoch != 1)
            if not is_open:
                assert await tried(hall) == {"old-password"}
                answer = await hall.ask("commission-password", session=hall.session, password="839204")
                assert answer["reason"] == ""
                assert "old-password" not in await tried(hall)
                assert await hall.login("839204") == ""
                assert "old-password" not in await tried(hall)

    asyncio.run(play())


def test_the_menu_goes_to_the_new_password() -> None:
    """And says why."""
    menu = Menu(str)
    menu.answered(Ask("commission-login", {}), {"reason": "", "session": "s"})
    answer = {"reason": "old-password", "what": "Too old.", "way_on": "Change it."}
    menu.answered(Ask("commission-arm", {}), answer)
    assert menu.screen().title == "NEW PASSWORD"
    assert "Too old. Change it." in " ".join(menu.screen().lines)
    assert menu.session == "s"


def test_a_wrong_password_is_counted_on_the_disk_before_it_is_answered(
    at: Commissioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cuts the power with the answer gets no try back; a disk that does not answer holds nobody for ever."""
    kept: Future[None] = Future()

    async def play() -> None:
        async with at.running() as hall:
            service = hall.agent.onsite
            monkeypatch.setattr(service, "_keep", lambda items: setattr(service, "_keeping", kept))
            login = asyncio.create_task(hall.login("000000"))
            await until(lambda: service._keeping is kept, "it is being stored")
            await asyncio.sleep(0)
            assert not login.done()
            kept.set_result(None)
            assert await login == "wrong-password"
            monkeypatch.setattr(onsite, "LOCK_STORING_S", 0.05)
            monkeypatch.setattr(service, "_keep", lambda items: setattr(service, "_keeping", Future()))
            assert await hall.login("000000") == "wrong-password"

    asyncio.run(play())


def test_nothing_is_deposited_while_the_green_light_is_on(at: Commissioned) -> None:
    """The new manager is bound, this process still has the old one's keys: even what it signed for the next epoch."""

    def for_next() -> bytes:
        release = statements.Release(at.old.site_uid, 3, statements.hash_of(b"t" * 16), NOW_MS // 1000 + 86_400, 1)
        return statements.encode_handover(statements.encode_release(release, at.old_key), b"", b"")

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            await hall.login()
            assert await hall.arm() == ""
            await hall.wait(90_000)
            await hall.opens("badge", KEY, HALL)
            await hall.wait(2_000)
            await until(lambda: hall.agent.onsite.is_over, "it is bound")
            assert await hall.deposit(for_next()) == "busy"
            assert await hall.deposit(b"?") == "busy"
            assert not (at.made.keys / journal.HANDOVER).exists()

    asyncio.run(play())
