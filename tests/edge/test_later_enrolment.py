"""The line after a change of manager: the former one's is silent, and the new one's comes by enrolment."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from edge_controller import NOW_MS, until
from onsite_controller import KEY, NUMBER, Commissioned

from edge import later_enrolment, onsite
from edge.commissioning import files, journal
from edge.config import Uplink
from edge.uplink import enrolling
from edge.uplink.cloud_line import UnreachableError
from edge.uplink.tls import TlsFiles

CLOUD = "https://cloud.example:8884"


@pytest.fixture
def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commissioned:
    """Bound already by a manager with a cloud, whose network was away then. The former one's line is in agent.toml."""
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)
    monkeypatch.setattr(later_enrolment, "FIRST_RETRY_S", 0.01)
    at = Commissioned(folder, broker="mqtt://127.0.0.1:1")
    away = UnreachableError("no network")
    monkeypatch.setattr(enrolling, "enrol", lambda *given: (_ for _ in ()).throw(away))

    async def bind() -> None:
        claim = at.claim(key=KEY, cloud=CLOUD, ca=b"c" * 32, token="t0k3n")
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:1")
            assert await hall.deposit(at.handover(claim)) == ""
            await hall.login()
            assert await hall.arm() == ""
            await hall.wait(90_000)
            await hall.opens("badge", KEY, "hall-b-in")
            await hall.wait(2_000)
            async with asyncio.timeout(30):
                await hall.agent.onsite.taken_over.wait()

    asyncio.run(bind())
    return at


def test_the_new_line_is_used_once_it_is_enrolled(at: Commissioned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes out before; the token is spent once; and the next start has the line."""
    name, asked = journal.enrol_name(2), []
    until_when = datetime.fromtimestamp(NOW_MS / 1000, UTC)

    def enrol(*given: object) -> enrolling.Enrolled:
        asked.append(given)
        return enrolling.Enrolled("clos-des-dunes", "hall-b", "mqtt://127.0.0.1:3", TlsFiles(), until_when, None)

    async def play() -> None:
        async with at.running() as hall:
            side = hall.agent.manager_side
            assert side._uplink is None
            async with asyncio.timeout(30):
                while "enrolment-failed" not in [reason for reason, _ in await hall.said()]:
                    await asyncio.sleep(0.02)
            assert [detail for reason, detail in await hall.said() if reason == "enrolment-failed"] == ["no network"]
            monkeypatch.setattr(enrolling, "enrol", enrol)
            await until(lambda: side._uplink is not None, "it is enrolled")
            assert not (at.made.keys / name).exists()
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:3")
            assert hall.agent.keys.manager.manager == NUMBER
        path = at.made.keys / later_enrolment.UPLINK
        path.write_text(path.read_text().replace('ca = ""', 'ca = "/nowhere"'))
        async with at.running() as hall:  # what cannot be used keeps no door shut
            assert hall.agent.manager_side._uplink is None

    assert (at.made.keys / name).exists()
    asyncio.run(play())
    assert asked == [(at.made.keys, "hall-b", CLOUD, "t0k3n", "63" * 32, True)]
    assert (at.made.keys / later_enrolment.UPLINK).stat().st_mode & 0o777 == 0o600


def test_an_uplink_that_somebody_wrote_since_is_used(at: Commissioned) -> None:
    """As after `vantail enrol` by hand."""
    text = at.made.config.read_text()
    at.made.config.write_text(text.replace("mqtt://127.0.0.1:1", "mqtt://127.0.0.1:2"))

    async def play() -> None:
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:2")

    asyncio.run(play())


def test_the_former_line_stays_silent_where_the_log_is_lost(at: Commissioned) -> None:
    """What says whose line it was lies with the keys, not in a file that a worn-out card may lose."""

    async def play() -> None:
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink is None
        for path in (at.made.folder / "data").glob("events.db*"):
            path.unlink()
        async with at.running() as hall:
            assert (hall.agent.keys.manager.epoch, hall.agent.manager_side._uplink) == (2, None)

    asyncio.run(play())


def test_a_binding_that_failed_leaves_the_old_manager_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed on the disk, or cut off between the steps: the next start is on line with the one that is obeyed."""
    at = Commissioned(folder, broker="mqtt://127.0.0.1:1")
    right = files._perform

    def failing(folder: Path, step: journal.Step) -> None:
        if isinstance(step, journal.Write) and step.name == journal.MANAGER:
            raise OSError(28, "No space left on device")
        right(folder, step)

    async def play() -> None:
        async with at.running() as hall:
            assert await hall.deposit(at.handover()) == ""
            await hall.login()
            assert await hall.arm() == ""
            await hall.wait(90_000)
            await hall.opens("badge", KEY, "hall-b-in")
            await hall.wait(2_000)
            await until(lambda: hall.agent.onsite._procedure.learning.state == "failed", "it fails")
        await still_on_line()
        line = later_enrolment.words_of(Uplink("mqtt://127.0.0.1:1"))
        monkeypatch.undo()
        files.perform(at.made.keys, [journal.Write(journal.line_name(2), line)])  # the power was cut after this one
        await still_on_line()

    async def still_on_line() -> None:
        async with at.running() as hall:
            assert hall.agent.keys.manager == at.old
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:1")
            assert not (at.made.keys / journal.line_name(2)).exists()

    monkeypatch.setattr(files, "_perform", failing)
    asyncio.run(play())


def test_the_first_manager_uses_the_line_that_was_written_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vantail enrol` of a factory-new controller wrote it; while nobody is obeyed nothing goes out on it."""
    monkeypatch.setattr(onsite, "GREEN_S", 0.01)
    at = Commissioned(folder, broker="mqtt://127.0.0.1:1")
    (at.made.keys / journal.MANAGER).unlink()

    async def play() -> None:
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink is None
            assert await hall.deposit(at.handover(at.claim(key=None))) == ""
            await hall.login()
            assert (await hall.ask("commission-adopt", session=hall.session, manager=NUMBER))["reason"] == ""
            async with asyncio.timeout(30):
                await hall.agent.onsite.taken_over.wait()
        async with at.running() as hall:
            assert hall.agent.manager_side._uplink == Uplink("mqtt://127.0.0.1:1")

    asyncio.run(play())
