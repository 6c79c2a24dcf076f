"""Policies on their way to a controller that is at work: what must be refused is, by name, and the door keeps its last
good policy; what is right is in force at once."""

import subprocess
import sys

import pytest
import scenario_residence
from scenario_messages import INTRUDER, Manager
from scenario_wing import GOOD, STRANGER, Wing

from edge.uplink import signing
from firmware_sim.control import ask_agent

PAD = "lobby-pad"


@pytest.fixture(scope="module")
def manager(playing):
    """The demo's manager after a second publication, so that there is an older revision than the one in force."""
    late_pass = "0000500099;;badge;;nord;11;;;;actif;\n"
    imported(playing, scenario_residence.PASSES + late_pass)
    cloud(playing, "publish")
    until_revision(playing, lambda revision: revision >= 2)
    return Manager(playing)


@pytest.fixture
def north(playing, manager):
    """The north wing, which obeys revision 2 or later."""
    wing = Wing(playing)
    wing.await_ready()
    return wing


def cloud(playing, *arguments):
    """Run a vantail-cloud command on the demo's data folder."""
    command = [sys.executable, "-m", "cloud_stub.cli", "--data", str(playing.folder / "cloud"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def imported(playing, passes):
    """Import the second residence with other passes."""
    folder = playing.folder.parent / "site"
    (folder / "passes.csv").write_text(passes, "utf-8")
    return cloud(playing, "import", str(folder))


def revision_of(playing):
    return playing.status("north")["policy"]["revision"]


def until_revision(playing, is_right):
    async def look():
        status = await ask_agent(playing.demo.hardware["north"].api, "status")
        return is_right(status["policy"]["revision"])

    playing.until_async(look, "the revision is in force")


def refusals(playing):
    return playing.status("north")["uplink"]["refused"]


def assert_last_good_policy(north):
    """A resident gets in, a stranger does not, and the other doors know who is theirs."""
    assert north.show("lobby", PAD, GOOD) == "open"
    assert north.show("lobby", PAD, STRANGER) == "denied:unknown"
    assert north.show("lobby", PAD, 500008) == "denied:no-access"


def evil(manager, **changes):
    """A policy that would let the stranger in, newer than what is in force unless said otherwise."""
    return manager.policy("north", changes.pop("revision", 900), scenario_residence.PASSES + INTRUDER, **changes)


def tampered(manager):
    raw = bytearray(evil(manager))
    raw[len(raw) // 2] ^= 1
    return bytes(raw)


FORGED = {
    "tampered": ("signature", tampered),
    "foreign-key": ("signature", lambda manager: evil(manager, key=signing.generate_key())),
    "other-epoch": ("epoch", lambda manager: evil(manager, epoch=7)),
    "other-site": ("foreign-site", lambda manager: evil(manager, site=bytes(16))),
    "other-controller": (
        "foreign-controller",
        lambda manager: manager.policy("south", 900, scenario_residence.PASSES + INTRUDER),
    ),
    "older": ("version", lambda manager: evil(manager, revision=1)),
    "cut-short": ("frame", lambda manager: evil(manager)[:-3]),
    "no-message": ("frame", lambda manager: b"open the door"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_policy_that_is_not_right_changes_nothing(north, manager, name):
    """Tampered, foreign, older, cut: each is refused under its reason and the door keeps its last good policy."""
    reason, forge = FORGED[name]
    revision, before = revision_of(north.playing), refusals(north.playing).get(reason, 0)
    manager.send("north", forge(manager))
    north.playing.until_async(_counted(north, reason, before), f"{name} is counted as {reason}")
    assert revision_of(north.playing) == revision
    assert_last_good_policy(north)


def _counted(north, reason, before):
    async def look():
        status = await ask_agent(north.hardware.api, "status")
        return status["uplink"]["refused"].get(reason, 0) > before

    return look


def test_each_reason_is_in_the_log_in_one_line_once(north, manager):
    """The first refusal under each reason is an event that names the reason and what was seen; an attacker who repeats
    himself fills no log."""
    for reason, forge in FORGED.values():
        before = refusals(north.playing).get(reason, 0)
        manager.send("north", forge(manager))
        north.playing.until_async(_counted(north, reason, before), f"{reason} is counted")
    said = [event for event in north.playing.events("north") if event["reason"] == "policy-refused"]
    assert {event["result"] for event in said} == {"info"}
    reasons = [event["detail"].split(":")[0] for event in said]
    assert sorted(reasons) == sorted({reason for reason, _ in FORGED.values()})
    for event in said:
        assert "\n" not in event["detail"]
        assert "refused" in event["detail"]


def test_messages_of_a_stranger_for_the_other_wing_stay_there(north, manager):
    """What is sent to one controller's topic is no matter of the other."""
    before = refusals(north.playing)
    manager.send("south", tampered(manager))
    north.playing.await_event("south", 0, reason="policy-refused")
    assert refusals(north.playing) == before


def test_broken_sheet_imports_nothing_and_names_the_place(north):
    """A wrong cell: exit code 65, a line with file, line and column, and neither cloud nor door has changed."""
    revision = revision_of(north.playing)
    done = imported(north.playing, scenario_residence.PASSES.replace("0000500001", "5,00E+05") + INTRUDER)
    assert done.returncode == 65
    assert done.stdout == ""
    places = [line for line in done.stderr.splitlines() if "passes.csv:2:1:" in line]
    assert len(places) == 1
    assert "spreadsheet" in places[0]
    assert done.stderr.splitlines()[-1].startswith("vantail-cloud: nothing imported: 1 error")
    assert "unchanged" in cloud(north.playing, "publish").stdout
    assert revision_of(north.playing) == revision
    assert_last_good_policy(north)


def test_a_right_change_is_in_force_without_a_restart(north):
    """Negative control of all above: imported and published as it should be, the same badge opens, another ceases."""
    revision = revision_of(north.playing)
    taken = scenario_residence.PASSES.replace("bleu;nord;11;;;;actif", "bleu;;;;;;en stock")
    try:
        assert imported(north.playing, taken + INTRUDER).returncode == 0
        assert cloud(north.playing, "publish").returncode == 0
        until_revision(north.playing, lambda now: now > revision)
        assert north.show("lobby", PAD, STRANGER) == "open"
        assert north.show("lobby", PAD, GOOD) == "denied:unknown"
    finally:
        imported(north.playing, scenario_residence.PASSES)
        cloud(north.playing, "publish")
        until_revision(north.playing, lambda now: now > revision + 1)
    assert_last_good_policy(north)


def test_a_well_signed_policy_that_the_cloud_does_not_know_is_taken_and_then_put_right(north, manager):
    """The manager's own signature counts (the control of the forgeries); the next hello tells the cloud, whose own
    rows follow under a higher number."""
    revision = revision_of(north.playing)
    manager.send("north", evil(manager, revision=revision + 5))
    until_revision(north.playing, lambda now: now >= revision + 6)
    assert_last_good_policy(north)
