"""Row Y5: a controller that never saw a network gets its policy, and its events reach the cloud, by file alone."""

import asyncio
import json
import os
import shutil

import pytest
from dat_desk import memory_folder
from dat_scene import CONTROLLER, SITE, at_work, bare_controller, cloud_with, dat, log_of, revision_of, show
from edge_controller import EXAMPLE, RESIDENT_B, STRANGER, ask, until

from edge.decision.model import LOCK
from edge.uplink import transfer_file

NEWCOMER = f"{STRANGER};;badge;black;b;001;;;;active;"


@pytest.fixture(scope="module")
def far_away():
    """Two controllers that were given their keys, and the cloud that knows them."""
    with memory_folder() as folder:
        made, other = bare_controller(folder / "box"), bare_controller(folder / "other", "parking")
        cloud = cloud_with(folder / "cloud", made, other)
        yield made, cloud
        cloud.close()


def rewritten(path, target, **changes):
    """The same messages behind another header."""
    with path.open("rb") as file:
        header, items = transfer_file.read(file)
        transfer_file.save(target, header._replace(**changes), list(items))
    return target


def edited(path, target):
    """One bit of a message changed."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    target.write_bytes(raw)
    return target


def admit_newcomer(cloud, folder):
    """The stranger's badge becomes a resident's, in the next revision."""
    shutil.copytree(EXAMPLE, folder / "site")
    with (folder / "site" / "passes.csv").open("a") as file:
        file.write(NEWCOMER + "\n")
    cloud.do("import", folder / "site")
    cloud.do("publish")


async def opened(board, badge):
    """Whether the door opens to a badge."""
    before = sum(strike.ms != LOCK for strike in board.strikes)
    await show(board, badge)
    return sum(strike.ms != LOCK for strike in board.strikes) > before


async def refused(made, path):
    """(exit code, the line) of a file that is refused; neither policy nor log has changed."""
    before = (await revision_of(made), (await log_of(made))["acknowledged"])
    done = await dat(made, "apply", path)
    assert (await revision_of(made), (await log_of(made))["acknowledged"]) == before
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith(f"vantail: {path}: refused, nothing was changed: ")
    return done.returncode, done.stderr


def test_a_controller_lives_by_files_alone(folder, far_away):
    """Its policy, a newer one, what was recorded, and that this was received: all on foot. What is not its own, older,
    edited or cut short changes nothing, and the same messages unedited are taken."""
    made, cloud = far_away
    first, second, foreign = folder / "first.dat", folder / "second.dat", folder / "foreign.dat"
    cloud.do("dat", "export", CONTROLLER, first)
    cloud.do("dat", "export", "parking", foreign)
    admit_newcomer(cloud, folder)
    cloud.do("dat", "export", f"{SITE}/{CONTROLLER}", second)

    async def live():
        async with at_work(made) as board:
            assert not await opened(board, RESIDENT_B)  # nobody has told it anything yet
            done = await dat(made, "apply", first)
            assert (done.returncode, done.stdout) == (0, f"{first}: policy 1.1 is in force, it was 0.0\n")
            assert await opened(board, RESIDENT_B)
            assert not await opened(board, STRANGER)
            for path, said in (
                (foreign, "it is for clos-des-dunes/parking, this is clos-des-dunes/hall-b"),
                (rewritten(foreign, folder / "told.dat", controller=CONTROLLER), "foreign-controller: of controller"),
                (edited(second, folder / "edited.dat"), "signature: not signed as policy by the key"),
                (cut(second, folder / "cut.dat"), "cut short at item 1; copy the whole file again"),
            ):
                code, line = await refused(made, path)
                assert (code, said in line) == (os.EX_DATAERR, True), line
            assert not await opened(board, STRANGER)
            assert (
                await dat(made, "apply", rewritten(second, folder / "same.dat", made="another day"))
            ).returncode == 0
            assert await opened(board, STRANGER)
            code, line = await refused(made, first)
            assert (code, "version: it leads to revision 1, this controller has 2" in line) == (os.EX_DATAERR, True)
            assert await opened(board, STRANGER)
            await send_events(made, cloud, folder)

    asyncio.run(live())


def cut(path, target):
    target.write_bytes(path.read_bytes()[:-9])
    return target


async def send_events(made, cloud, folder):
    """Collected twice before an answer came, carried in the wrong order: each event is there once, its chain whole."""
    one, two, answer = folder / "one.dat", folder / "two.dat", folder / "answer.dat"
    assert (await dat(made, "collect", one)).returncode == 0
    recorded = (await log_of(made))["last_seq"]
    assert (await dat(made, "collect", one)).returncode == os.EX_CANTCREAT
    done = json.loads((await dat(made, "collect", two, "--json")).stdout)
    assert done["events"] >= recorded
    taken = json.loads(cloud.do("dat", "import", two, "--answer", answer, "--json"))
    assert (taken["events"], taken["new"], taken["refused"]) == (done["events"], done["events"], {})
    assert not taken["behind"]
    assert json.loads(cloud.do("dat", "import", one, "--json"))["new"] == 0
    assert [event["seq"] for event in cloud.events()] == list(range(1, done["events"] + 1))
    log = await log_of(made)
    assert {key: cloud.logs()[log["id"]][key] for key in ("acknowledged", "chain")} == {
        "acknowledged": done["events"], "chain": "proven",
    }  # fmt: skip
    assert cloud.counts() == {}
    assert log["acknowledged"] == 0
    for _ in range(2):
        assert (await dat(made, "apply", answer)).returncode == 0
        assert (await log_of(made))["acknowledged"] == done["events"]
    assert (await ask(made, "status"))["uplink"]["acked"] == done["events"]  # what would go over a line knows it, too
    verified = await ask(made, "verify")
    assert (verified["bad_seq"], verified["acknowledged"]) == (None, done["events"])


def test_a_stick_does_both_ways(folder, far_away):
    """Its own file among others is taken, its events are left there, and a text says so in two languages; the next
    visit of the manager is answered the same way."""
    made, cloud = far_away
    stick = folder / "vantail"
    stick.mkdir()
    revision = json.loads(cloud.do("dat", "export", CONTROLLER, stick / "b.dat", "--json"))["revision"]
    cloud.do("dat", "export", "parking", stick / "parking.dat")
    (stick / "holiday.dat").write_bytes(b"pictures")
    (stick / "link.dat").symlink_to(made.keys / "device.key")
    before = {path.name for path in stick.iterdir()}
    events = stick / f"events-{SITE}-{CONTROLLER}.dat"

    async def live():
        async with at_work(made) as board:
            done = await dat(made, "stick", stick)
            assert done.returncode == 0, done.stderr
            assert {path.name for path in stick.iterdir()} - before == {events.name, f"result-{CONTROLLER}.txt"}
            text = (stick / f"result-{CONTROLLER}.txt").read_text("utf-8")
            assert f"b.dat: taken; policy 1.{revision} is in force" in text
            assert f"b.dat : pris ; règles 1.{revision} en vigueur" in text
            assert "parking" not in text
            assert await opened(board, RESIDENT_B)
            cloud.do("dat", "import", events, "--answer", stick / "b.dat", "--force")
            acknowledged = len(cloud.events())
            assert (await dat(made, "stick", stick)).returncode == 0
            assert (await log_of(made))["acknowledged"] == acknowledged > 0
            edited(stick / "b.dat", stick / "b.dat")
            done = await dat(made, "stick", stick, "--json")
            assert (done.returncode, json.loads(done.stdout)["refused"]) == (os.EX_DATAERR, {"b.dat": "signature"})
            text = (stick / f"result-{CONTROLLER}.txt").read_text("utf-8")
            assert "b.dat: REFUSED, edited" in text
        await until(lambda: not made.api.exists(), "the agent has gone")
        done = await dat(made, "stick", stick)
        assert done.returncode == os.EX_UNAVAILABLE
        assert "hall-b: REFUSED, the controller's program" in (stick / f"result-{CONTROLLER}.txt").read_text("utf-8")

    asyncio.run(live())
