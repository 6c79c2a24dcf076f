"""A change of manager, in the order of the makers' paper (requirements.md, H1 to H15): two managers, real agents, by
commands and DAT files alone. What a paragraph of the paper asks for is named where it is done."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from edge_controller import until
from scenario_processes import ROOT, short_folder
from scenario_transfer import Desk, Hall, desk

from edge.service import RESTART
from firmware_sim.transfer_chapter import KEY, NAMES, NEW, RESIDENT, SITE, STRANGER, write_residence


def work_under_the_old_manager(place: Path, old: Desk, halls: list[Hall]) -> None:
    """Up to the policies that the old manager's files bring."""
    old.must("import", write_residence(place / "residence", tuple(hall.name for hall in halls)))
    for hall in halls:
        old.must("provision", f"{SITE}/{hall.name}", "--keys", hall.keys)
    old.must("publish")
    for hall in halls:
        old.must("dat", "export", f"{SITE}/{hall.name}", hall.folder / "old.dat")


def hand_over(place: Path, old: Desk, new: Desk, halls: list[Hall]) -> None:
    """Manager A: "Autoriser un transfert". Manager B: "Valider le transfert", then the duplicate of a resident's key
    and, for each controller, what is brought there."""
    said = json.loads(old.must("transfer", "authorise", SITE, "--package", place / "clos.residence", "--json"))
    new.must("transfer", "accept", place / "clos.residence", "--number", said["number"])
    new.must("transfer", "key", SITE, "--badge", RESIDENT, "--new", KEY)
    for hall in halls:
        new.must("transfer", "handover", SITE, hall.name, "--out", hall.folder / "new.dat")
    sheet = new.must("transfer", "sheet", SITE)
    assert all(word in sheet for word in (str(NEW), KEY[-4:], *(hall.name for hall in halls)))
    assert KEY not in sheet


async def refuse_a_wrong_key(hall: Hall) -> None:
    """Red, the reason, and nothing is changed; "recommencez"."""
    before = (hall.keys / "manager.toml").read_bytes()
    said = await hall.learn(STRANGER)
    assert (said.returncode, "not the commissioning key" in said.stderr) == (os.EX_DATAERR, True), said
    assert (hall.keys / "manager.toml").read_bytes() == before
    assert await hall.manager() == (1, 1)
    assert hall.exits == []
    assert not await hall.opens(KEY)


async def commission(hall: Hall) -> None:
    """ "Prise en compte du nouveau gestionnaire" at one controller: the file, then password, number, reader, countdown,
    key; the agent starts again and takes the new manager's policy, which came in the same file."""
    await hall.must("dat", "collect", hall.folder / "until-now.dat")  # the old manager's, before it is closed to him
    assert "hand-over waits" in await hall.must("dat", "apply", hall.folder / "new.dat")
    assert await hall.manager() == (1, 1)
    if hall.reader is not None:
        await refuse_a_wrong_key(hall)
    said = await hall.learn(KEY)
    assert said.returncode == 0, said.stderr
    states = [json.loads(line)["state"] for line in said.stdout.splitlines()]
    assert (states[0], states[-1]) == ("armed", "done")
    await until(lambda: hall.exits == [RESTART], f"{hall.name} leaves with {RESTART}")
    async with asyncio.timeout(30):
        while not await hall.opens(KEY):  # a duplicate opens what the resident's opens, until it is erased
            await asyncio.sleep(0.05)
    epoch, revision = await hall.manager()
    assert (epoch, revision > 0) == (2, True)
    await hall.lets_in(RESIDENT)


async def refuse_the_old_manager(hall: Hall) -> None:
    """His file that was good before, and one that he makes now."""
    before = await hall.manager()
    for name in ("old.dat", "late.dat"):
        said = await hall.command("dat", "apply", hall.folder / name)
        assert (said.returncode, "nothing was changed" in said.stderr) == (os.EX_DATAERR, True), said
    assert await hall.manager() == before


async def settle_with_the_old_manager(hall: Hall, old: Desk) -> None:
    """His events still reach him; a policy that he makes now is refused."""
    said = await asyncio.to_thread(old.must, "dat", "import", hall.folder / "until-now.dat", "--json")
    assert json.loads(said)["new"] > 0
    late = hall.folder / "late.dat"
    await asyncio.to_thread(old.must, "dat", "export", f"{SITE}/{hall.name}", late)
    await refuse_the_old_manager(hall)


async def report(hall: Hall, new: Desk, count: int, total: int) -> None:
    """The new log reaches the new manager, and he sees how far it is. Nothing of the old one's log does."""
    assert f"{count - 1} of {total} controllers done" in await asyncio.to_thread(new.must, "transfer", "status", SITE)
    await hall.must("dat", "collect", hall.folder / "events.dat")
    answer = hall.folder / "answer.dat"
    await asyncio.to_thread(new.must, "dat", "import", hall.folder / "events.dat", "--answer", answer)
    found = [json.loads(line) for line in (await asyncio.to_thread(new.must, "events", "--json")).splitlines()]
    mine = [line for line in found if line["controller"] == hall.name]
    assert any((line["credential"], line["result"]) == (RESIDENT, "open") for line in mine)
    assert len({line["log"] for line in mine}) == 1
    assert f"{count} of {total} controllers done" in await asyncio.to_thread(new.must, "transfer", "status", SITE)


async def see_the_key_erased(new: Desk, halls: list[Hall]) -> None:
    """ "Effacez la clé": it happened by itself with the last controller (H15); a file brings it to each of them."""
    found = json.loads(await asyncio.to_thread(new.must, "transfer", "status", SITE, "--json"))["comes"]
    assert (found["state"], bool(found["key"]["erased"])) == ("done", True)
    for hall in halls:
        assert await hall.opens(KEY)
        await asyncio.to_thread(new.must, "dat", "export", f"{SITE}/{hall.name}", hall.folder / "last.dat")
        await hall.must("dat", "apply", hall.folder / "last.dat")
        assert not await hall.opens(KEY)
        assert await hall.opens(RESIDENT)


async def play(place: Path, old: Desk, new: Desk, halls: list[Hall]) -> None:
    await asyncio.gather(
        asyncio.to_thread(work_under_the_old_manager, place, old, halls),
        asyncio.to_thread(new.must, "manager", "set", "--number", NEW),
    )
    async with contextlib.AsyncExitStack() as stack:
        for hall in halls:
            await stack.enter_async_context(hall.running())
            assert not await hall.opens(RESIDENT)
            await hall.must("dat", "apply", hall.folder / "old.dat")
            assert await hall.opens(RESIDENT)
        residents = [asyncio.create_task(hall.come_and_go()) for hall in halls]
        await asyncio.to_thread(hand_over, place, old, new, halls)
        for count, hall in enumerate(halls, 1):
            await commission(hall)
            await settle_with_the_old_manager(hall, old)
            await report(hall, new, count, len(halls))
        await see_the_key_erased(new, halls)
        assert [task for task in residents if task.done()] == []
        for task in residents:
            task.cancel()
        await asyncio.gather(*residents, return_exceptions=True)
        assert [hall.exits for hall in halls] == [[RESTART]] * len(halls)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "names", [NAMES[:1], pytest.param(NAMES, marks=pytest.mark.full)], ids=["one-controller", "three-controllers"]
)
def test_the_makers_procedure_step_by_step(names: tuple[str, ...]) -> None:
    """With one controller and short waits, or three and the real ones; no resident's badge is refused meanwhile."""
    began_s = time.monotonic()
    with short_folder() as place, desk(place / "A") as old, desk(place / "B") as new:
        halls = [Hall(place, name, is_quick=len(names) == 1) for name in names]
        asyncio.run(play(place, old, new, halls))
    tried = [hall.tried for hall in halls]
    print(f"{len(halls)} controllers in {time.monotonic() - began_s:.0f} s; {tried} presentations meanwhile")
    assert [hall.refused for hall in halls] == [0] * len(halls)
    assert min(tried) > 20


@pytest.mark.full
@pytest.mark.timeout(400)
def test_the_chapter_of_the_demo() -> None:
    """`vantail-sim demo --chapter transfer`: every step as it should be, and the report adds up."""
    with short_folder() as place:
        words = ("demo", "--chapter", "transfer", "--script", "--json", "--dir", str(place))
        said = subprocess.run(
            [sys.executable, "-m", "firmware_sim.cli", *words],
            capture_output=True, text=True, timeout=350, check=False, stdin=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
    assert said.returncode == 0, said.stderr
    report = json.loads(said.stdout)
    assert (report["chapter"], report["ok"], report["residents_refused"]) == ("transfer", True, 0)
    assert report["steps"] == report["as_expected"] == said.stderr.count("✓") > 20
    assert "✗" not in said.stderr
