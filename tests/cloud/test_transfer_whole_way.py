"""A change of manager by commands, between two data folders, as docs/transfer.md describes it."""

import json
import os
import re
import sqlite3
import stat
from datetime import datetime

import pytest
from cloud_device import event
from transfer_scene import KEY, LATER, LIKE, NOW, SITE, TOO_LATE, Scene, desk, handed

from cloud_stub.transfers import number
from edge.commissioning import refusals
from edge.commissioning.handover import Handover, Standing
from edge.decision import model, rows
from edge.uplink import policy_parts, statements
from edge.uplink.transfer_file import Item, read
from edge.uplink.wire import WireError

MANAGER_NUMBER = 4712


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Both managers, up to the hand-over of every controller."""
    place = tmp_path_factory.mktemp("transfer")
    with desk(place / "old") as old, desk(place / "new") as new:
        yield Scene(place, old, new)


def moment(when=LATER, trusted=True):
    utc_ms = int(datetime.fromisoformat(when).timestamp() * 1000)
    return model.Moment(utc_ms, utc_ms, trusted, utc_ms if trusted else 0)


def controller(scene, name="hall-a", **changes):
    """How that controller's hand-over stands, under its old manager; and how it verifies."""
    box = scene.boxes[name]
    old = box.manager
    here = Handover(Standing(old.site_uid, old.epoch, old.controller)._replace(**changes))

    def bring(raw):
        release, claim, _ = statements.decode_handover(raw)
        said = statements.verify_release(release, old.manager_key) if release else None
        return here.deposit(said, statements.verify_claim(claim, box.key) if claim else None)

    return here, bring


def test_the_residence_arrives_equal(scene):
    """Every value of it, the site's uid too; only the manager is another. (Control: it does differ before that.)"""
    assert scene.sent != scene.received
    assert scene.sent.replace("manager=4711", f"manager={MANAGER_NUMBER}") == scene.received
    assert scene.sent.count("Pass(") > 5


def test_the_history_goes_along_as_the_law_allows(scene):
    """The last days' events, without the person who was erased; the older one stays."""
    lines = [json.loads(line) for line in scene.new.must("events", "--json").splitlines()]
    kept = [json.loads(line) for line in scene.old.must("events", "--json").splitlines()]
    assert sorted(line["seq"] for line in kept) == [1, 2, 3]
    assert sorted(line["seq"] for line in lines) == [2, 3]
    assert {line["seq"]: line["credential"] for line in lines} == {2: "", 3: "1111100007"}
    assert [line for line in kept if line["seq"] != 1] == lines


def test_each_wrong_file_or_number_has_its_message(scene, tmp_path):
    """And nothing of it is stored; the right one was taken (see the scene)."""
    raw, right = scene.second.read_bytes(), scene.numbers[1]
    swapped = right[1] + right[0] + right[2:] if right[0] != right[1] else right[2] + right[1] + right[0] + right[3:]
    for content, typed, when, says in (
        (raw, scene.numbers[0], LATER, "not this file's"),
        (raw, swapped, LATER, "mistyped"),
        (raw, right[:-1], LATER, "letters and digits"),
        (raw, right, TOO_LATE, "ended on 2026-12-31"),
        (raw[:-40] + bytes([raw[-40] ^ 1]) + raw[-39:], right, LATER, "damaged"),
        (raw[:-1], right, LATER, "damaged"),
        (b"PK" + raw, right, LATER, "not a residence's file"),
        (scene.first.read_bytes(), scene.numbers[0], LATER, "newer"),
    ):
        (tmp_path / "given").write_bytes(content)
        code, out, err = scene.new.run("transfer", "accept", tmp_path / "given", "--number", typed, "--now", when)
        assert (code, out) == (os.EX_DATAERR, ""), (says, err)
        assert says in err
        assert err.count("\n") == 1
    assert all("revoked" in err for _, _, err in scene.after_withdrawal)
    assert [code for code, _, _ in scene.after_withdrawal] == [os.EX_CONFIG, os.EX_DATAERR]
    assert scene.new.residence().count("Pass(") == scene.received.count("Pass(") + 1  # the commissioning key


def test_every_controller_takes_its_hand_over_and_only_its_own(scene):
    """The device's part of it is pure: deposit, then what would be refused when the installer begins."""
    for name, (raw, policy) in scene.handovers.items():
        here, bring = controller(scene, name)
        assert bring(raw) == ""
        assert here.refusal(True, MANAGER_NUMBER, moment()) == ""
        assert here.refusal(False, MANAGER_NUMBER, moment()) == refusals.PASSWORD
        assert here.refusal(True, 4711, moment()) == refusals.WRONG_NUMBER
        assert here.refusal(True, MANAGER_NUMBER, moment(TOO_LATE)) == refusals.EXPIRED
        assert here.refusal(True, MANAGER_NUMBER, moment(trusted=False)) == refusals.CLOCK
        claim = here.pending.claim
        assert claim.is_key(int(KEY))
        assert not claim.is_key(int(LIKE))
        assert rows_of(scene.boxes[name], claim, policy)
    with pytest.raises(WireError):  # sealed to another device
        controller(scene, "hall-a")[1](scene.handovers["hall-b"][0])


def test_what_a_controller_refuses(scene):
    """Another site or epoch, what was withdrawn, halves of two transfers, a foreign manager's release."""
    raw = scene.handovers["hall-a"][0]
    withdrawal = handed(scene.withdrawal)[0]
    for changes, reason in (({"site_uid": bytes(16)}, refusals.FOREIGN_SITE), ({"epoch": 7}, refusals.EPOCH)):
        assert controller(scene, **changes)[1](raw) == reason
    name = next(iter(scene.handovers))
    here, bring = controller(scene, name)
    assert bring(scene.first_handover) == ""
    assert bring(withdrawal) == ""
    assert here.refusal(True, MANAGER_NUMBER, moment()) == refusals.NO_HAND_OVER
    assert bring(scene.first_handover) == refusals.SUPERSEDED
    assert bring(scene.handovers[name][0]) == ""  # of the transfer that was authorised afterwards
    release, claim, _ = statements.decode_handover(scene.handovers[name][0])
    earlier = statements.decode_handover(scene.first_handover)
    assert controller(scene, name)[1](statements.encode_handover(release, earlier[1])) == refusals.SECRET
    assert controller(scene, name)[1](statements.encode_handover(b"", claim)) == refusals.NEEDS_RELEASE
    with pytest.raises(WireError):
        statements.verify_release(release, statements.verify_claim(claim, scene.boxes[name].key).manager_key)


def test_a_manager_without_number_key_or_root_is_told_what_is_missing(scene, tmp_path):
    """One line each, with its code of sysexits."""
    with desk(tmp_path / "third") as third:
        for arguments, code, says in (
            (("manager", "show"), os.EX_CONFIG, "manager set"),
            (("manager", "set"), os.EX_CONFIG, "--number"),
            (("manager", "set", "--number", "-1"), os.EX_USAGE, "--number"),
            (("transfer", "accept", scene.second, "--number", scene.numbers[1]), os.EX_CONFIG, "manager set"),
            (("transfer", "status", SITE), os.EX_USAGE, "no site"),
        ):
            found, out, err = third.run(*arguments)
            assert (found, out) == (code, ""), err
            assert says in err
        third.must("manager", "set", "--number", "9")
        root = third.data / "root.key"
        assert stat.S_IMODE(root.stat().st_mode) == 0o600
        before = (third.data / "manager.key").read_text()
        root.rename(tmp_path / "off-line.key")
        assert "--root-key" in third.run("manager", "renew-key")[2]
        assert "serial 2" in third.must("manager", "renew-key", "--root-key", tmp_path / "off-line.key")
        assert (third.data / "manager.key").read_text() != before
        third.must("manager", "show")
        third.must("transfer", "accept", scene.second, "--number", scene.numbers[1], "--now", LATER)
        out, where = tmp_path / "x.dat", ("transfer", "handover", SITE, "hall-a", "--now", LATER)
        assert "transfer key" in third.run(*where, "--out", out, "--root-key", tmp_path / "off-line.key")[2]
        third.must("transfer", "key", SITE, "--badge", LIKE, "--new", KEY, "--now", LATER)
        assert "--root-key" in third.run(*where, "--out", out)[2]
        assert "not this manager's" in third.run(*where, "--out", out, "--root-key", scene.new.data / "root.key")[2]
        third.must(*where, "--bare", "--out", out, "--root-key", tmp_path / "off-line.key")
        claim = statements.verify_claim(statements.decode_handover(out.read_bytes())[1], scene.boxes["hall-a"].key)
        assert (claim.manager, claim.serial) == (9, 2)
        assert f"root key {claim.root_print}" in third.must("manager", "show")
        assert third.run("manager", "renew-key", "--root-key", tmp_path / "off-line.key")[0] == os.EX_CONFIG


def test_to_the_end_on_both_sides(scene, tmp_path):
    """n of m controllers, the key erased by itself at the last one; the old manager still gets what is his, and no
    controller gets a policy from him."""
    new, boxes = scene.new, scene.boxes
    sheet = new.must("transfer", "sheet", SITE, "--now", LATER)
    assert str(MANAGER_NUMBER) in sheet
    assert all(name in sheet for name in boxes)
    assert KEY not in sheet
    assert KEY[-4:] in sheet
    formers = {name: box.manager for name, box in boxes.items()}
    assert key_rows(scene, new, "hall-a")
    for count, (name, box) in enumerate(boxes.items()):
        assert f"{count} of {len(boxes)} controllers done" in new.must("transfer", "status", SITE, "--now", LATER)
        assert (new.data / "transfers").exists()
        assert list((new.data / "transfers").iterdir())
        box.obeys(scene.handovers[name][0])
        hello = Item("hello", box.hello(log_id=os.urandom(16)))
        code, _, err = new.run("dat", "import", box.said(tmp_path / f"{name}.dat", hello))
        assert code == 0, err
    found = json.loads(new.must("transfer", "status", SITE, "--json", "--now", LATER))["comes"]
    assert found["state"] == "done"
    assert found["key"]["ending"] == KEY[-4:]
    assert found["key"]["erased"]
    assert list((new.data / "transfers").iterdir()) == []
    assert not key_rows(scene, new, "hall-a")
    assert new.residence() == scene.received
    _old_side_ends(scene, tmp_path, formers)


def _old_side_ends(scene, tmp_path, formers):
    old, box = scene.old, scene.boxes["hall-a"]
    old.must("transfer", "close", SITE, "--now", LATER)
    assert "closed" in old.must("transfer", "status", SITE, "--now", LATER)
    box.manager = formers["hall-a"]
    late = [Item("hello", box.hello(last_seq=4)), Item("events", box.batch(4, [event(result="open")]))]
    answer = tmp_path / "answer.dat"
    said = json.loads(old.must("dat", "import", box.said(tmp_path / "l.dat", *late), "--answer", answer, "--json"))
    assert (said["new"], said["behind"]) == (1, False)
    assert set(re.findall(rb"policy|ack", answer.read_bytes())) == {b"ack"}
    assert old.run("publish")[0] == os.EX_USAGE
    assert old.run("transfer", "authorise", SITE, "--package", tmp_path / "p", "--now", NOW)[0] == os.EX_CONFIG
    assert old.run("transfer", "revoke", SITE)[0] == os.EX_CONFIG


def test_nothing_secret_is_left_lying_about(scene):
    """Numbers, their bytes and private keys: not in the databases, nor printed but for the number, once."""
    secrets = [number.secret_of(each) for each in scene.numbers]
    for side in (scene.old, scene.new):
        private = [(side.data / name).read_text().strip() for name in ("manager.key", "seal.key")]
        wanted = [each.hex() for each in secrets] + scene.numbers + private
        dump = "\n".join(sqlite3.connect(side.data / "cloud.sqlite3").iterdump()).lower()
        assert "clos-des-dunes" in dump
        assert [each for each in wanted if each.lower() in dump] == []
        assert [each for each in wanted if each in side.printed] == (scene.numbers if side is scene.old else [])
        assert all(side.printed.count(each) <= 1 for each in scene.numbers)


def rows_of(box, claim, items):
    """The policy in a hand-over's DAT file, as the device will read it once it obeys the claim."""
    trust = box.manager._replace(
        manager_key=claim.manager_key, epoch=claim.epoch, manager=claim.manager, seal_key=claim.seal_key
    ).trust(box.key)
    parts, delta = policy_parts.PolicyParts(), None
    for item in items:
        delta = parts.add(item.message, trust, 0)
    return delta.rows


def key_rows(scene, side, name):
    """The rows for the commissioning key in the policy that is published."""
    path = scene.place / "look.dat"
    side.must("dat", "export", f"{SITE}/{name}", path, "--force")
    with path.open("rb") as file:
        items = list(read(file)[1])
    claim = statements.verify_claim(statements.decode_handover(scene.handovers[name][0])[1], scene.boxes[name].key)
    found = map(rows.unpack, rows_of(scene.boxes[name], claim, [item for item in items if item.kind == "policy"]))
    return [row for row in found if isinstance(row, rows.Credential) and row.number == int(KEY)]
