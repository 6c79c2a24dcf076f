"""The parts of a change of manager: number, file, what may go wrong, and a residence that comes back."""

import dataclasses
import itertools
import json
import os
import random
import shutil

import pytest
from cloud_device import LOG, bind, event, ingest
from cloud_example import EXAMPLE, NOW

from cloud_stub.enrolment import authority, ca_folder
from cloud_stub.enrolment.models import Token
from cloud_stub.enrolment.tokens import redeemable
from cloud_stub.errors import DataError
from cloud_stub.passages.models import Event
from cloud_stub.residences import archive
from cloud_stub.residences.models import Controller, DoorMode, Site
from cloud_stub.transfers import arriving, history, number, package, progress
from cloud_stub.transfers.models import Arrival, Manager
from cloud_stub.transfers.plain import PlainError, from_plain, to_plain
from edge.commissioning.handover import Handover, Standing
from edge.residence.values import Holiday, Pass
from edge.uplink import signing, statements

SITE = "clos-des-dunes"
WHEN = ("--now", NOW.isoformat())
KEY = "0000004711"


# --- the number ---------------------------------------------------------------------------------------------------


def test_a_number_is_read_as_it_was_told():
    """In groups, in small letters, with O for 0 and I or L for 1, after any random bytes."""
    chance = random.Random(20261122)
    for secret in (bytes(16), b"\xff" * 16, *(chance.randbytes(16) for _ in range(200))):
        told = number.text_of(secret)
        assert len(told.split("-")) == 7
        for typed in (told, told.lower().replace("-", " "), told.replace("-", "").replace("0", "o").replace("1", "L")):
            assert number.secret_of(typed) == secret


def test_every_wrong_letter_and_every_swap_is_seen():
    """All of them, for some numbers; nothing of what was typed is repeated."""
    chance = random.Random(20261122)
    for secret in (chance.randbytes(16) for _ in range(20)):
        letters = number.text_of(secret).replace("-", "")
        wrong = [
            letters[:at] + letter + letters[at + 1 :]
            for at, letter in itertools.product(range(len(letters)), number._DIGITS)
            if letter != letters[at]
        ]
        for first, second in itertools.combinations(range(len(letters)), 2):
            swapped = list(letters)
            swapped[first], swapped[second] = letters[second], letters[first]
            wrong += ["".join(swapped)] if letters[first] != letters[second] else []
        for typed in wrong:
            with pytest.raises(number.NumberError) as error:
                number.secret_of(typed)
            assert typed[:8] not in str(error.value)


# --- values and file ----------------------------------------------------------------------------------------------


def test_values_come_back_equal_and_of_their_types(site):
    """The example whole; a value of another type, a list too short or a number too large is refused."""
    residence = archive.load(site)
    plain = json.loads(json.dumps(to_plain(residence)))
    assert from_plain(type(residence), plain) == residence
    good = to_plain(residence.passes[0])
    assert from_plain(Pass, good) == residence.passes[0]
    for at, value in ((0, 7), (7, "0"), (7, True), (7, 1 << 63), (2, None), (2, "a\0")):
        with pytest.raises(PlainError):
            from_plain(Pass, [*good[:at], value, *good[at + 1 :]])
    for kind, found in ((Pass, good[:-1]), (Pass, {}), (Holiday, ["2026-13-01", "x", True, False])):
        with pytest.raises(PlainError):
            from_plain(kind, found)


# --- one data folder: a residence leaves and comes back ------------------------------------------------------------


@pytest.fixture
def boxes(site, tmp_path):
    """A device for each controller, one of which was replaced: it is an epoch ahead."""
    made = {each.slug: bind(each, tmp_path / each.slug) for each in Controller.objects.filter(site=site)}
    replaced = Controller.objects.get(slug="hall-a")
    made["hall-a"] = bind(replaced, tmp_path / "another", replace=True)
    return made


@pytest.fixture
def manager(data, run):
    """With a number."""
    assert run("manager", "set", "--number", 4712)[0] == 0
    return Manager.objects.get()


def authorised(run, tmp_path, *options):
    """The file and the number."""
    path = tmp_path / "clos.residence"
    code, out, err = run("transfer", "authorise", SITE, "--package", path, "--force", "--json", *WHEN, *options)
    assert code == 0, err
    return path, json.loads(out)["number"]


def back(run, tmp_path):
    """Away, and in again."""
    path, told = authorised(run, tmp_path)
    assert run("transfer", "close", SITE, *WHEN)[0] == 0
    code, _, err = run("transfer", "accept", path, "--number", told, *WHEN)
    assert code == 0, err
    return Arrival.objects.get()


def test_a_residence_comes_back(boxes, manager, run, tmp_path):
    """Only after it was closed here; with its lockdowns, under the next epoch of each controller, with other code keys;
    each controller takes its hand-over, though their epochs differ."""
    DoorMode.objects.create(controller=Controller.objects.get(slug="parking"), door="", who="Martin", at=NOW)
    before = {each.slug: each for each in Controller.objects.all()}
    residence, uid = archive.load(Site.objects.get()), Site.objects.get().uid
    path, told = authorised(run, tmp_path)
    code, _, err = run("transfer", "accept", path, "--number", told, *WHEN)
    assert (code, "already" in err) == (os.EX_CONFIG, True)
    back(run, tmp_path)
    assert dataclasses.replace(archive.load(Site.objects.get()), manager=residence.manager) == residence
    assert (Site.objects.get().uid, Site.objects.get().manager) == (uid, 4712)
    assert [mode.who for mode in DoorMode.objects.all()] == ["Martin"]
    after = {each.slug: each for each in Controller.objects.all()}
    assert {after[name].epoch - before[name].epoch for name in before} == {1}
    assert len({each.epoch for each in after.values()}) == 2
    assert not {each.code_key for each in before.values()} & {each.code_key for each in after.values()}
    assert run("transfer", "key", SITE, "--badge", "1111100007", "--new", KEY, *WHEN)[0] == 0
    for name, box in boxes.items():
        out = tmp_path / name / "bare"
        out.parent.mkdir(exist_ok=True)
        assert run("transfer", "handover", SITE, name, "--bare", "--out", out, *WHEN)[0] == 0
        release, claim, _ = statements.decode_handover(out.read_bytes())
        here = Handover(Standing(box.manager.site_uid, box.manager.epoch, box.manager.controller))
        said = statements.verify_release(release, box.manager.manager_key)
        assert here.deposit(said, statements.verify_claim(claim, box.key)) == ""


def test_an_import_does_not_undo_a_change_of_manager(boxes, manager, run, tmp_path):
    """Not after the residence was closed, not while it is handed over, not with the old manager's number afterwards."""
    path, told = authorised(run, tmp_path)
    assert run("import", EXAMPLE, *WHEN)[0] == 0  # it is ours until it is closed
    assert run("transfer", "close", SITE, *WHEN)[0] == 0
    assert _refused(run, EXAMPLE, "transfer accept FILE")
    assert not Controller.objects.filter(is_active=True).exists()
    assert run("transfer", "accept", path, "--number", told, *WHEN)[0] == 0
    assert run("transfer", "key", SITE, "--badge", "1111100007", "--new", KEY, *WHEN)[0] == 0
    assert _refused(run, EXAMPLE, "transfer status")
    assert Arrival.objects.get().key is not None
    Arrival.objects.update(done_at=NOW)
    assert _refused(run, EXAMPLE, "manager = 4712")
    assert Site.objects.get().manager == 4712
    ours = shutil.copytree(EXAMPLE, tmp_path / "ours")
    text = (ours / "site.toml").read_text("utf-8")
    (ours / "site.toml").write_text(text.replace("manager = 4711", "manager = 4712"), "utf-8")
    assert run("import", ours, *WHEN)[0] == 0


def _refused(run, folder, advice):
    code, _, err = run("import", folder, *WHEN)
    return code == os.EX_CONFIG and advice in err and err.count("\n") == 1


def test_a_key_is_marked_once_and_is_nobodys(boxes, manager, run, tmp_path):
    """The badge to duplicate must be there, the new one must not; another one takes the place of the first."""
    arrival = back(run, tmp_path)
    for like, new, code in (("1111100099", KEY, 64), ("1111100007", "1111100008", 64), ("1111100007", "47", 64)):
        assert run("transfer", "key", SITE, "--badge", like, "--new", new, *WHEN)[0] == code
    count = len(archive.load(arrival.site).passes)
    for new in (KEY, KEY, "0000004712"):
        assert run("transfer", "key", SITE, "--badge", "1111100007", "--new", new, *WHEN)[0] == 0
    found = archive.load(arrival.site).passes
    assert len(found) == count + 1
    assert found[-1].number == "0000004712"
    assert dataclasses.replace(found[-1], number="", notes="") == dataclasses.replace(found[0], number="", notes="")


def test_a_hand_over_may_bring_the_cloud_and_what_an_installer_types(boxes, manager, data, run, tmp_path):
    """Where to enrol, with a token that only the newest hand-over has; and for a mini the start, sealed."""
    back(run, tmp_path)
    assert run("transfer", "key", SITE, "--badge", "1111100007", "--new", KEY, *WHEN)[0] == 0
    assert run("manager", "set", "--cloud", "https://cloud.example:8443")[0] == 0
    assert run("broker-config", tmp_path / "mq", "--host", "broker.example")[0] == 0
    secret = tmp_path / "password"
    secret.write_text("274951\n")
    secret.chmod(0o600)
    box, claims = boxes["parking"], []
    for name in ("one", "two"):
        given = ("--bare", "--out", tmp_path / name, "--start", "parking-in", "--password-file", secret)
        code, out, err = run("transfer", "handover", SITE, "parking", *given, *WHEN)
        assert code == 0, err
        assert "274951" not in out + err
        _, claim, start = statements.decode_handover((tmp_path / name).read_bytes())
        assert statements.open_start(start, claim, box.key) == (4712, "274951", "parking-in", 90)
        claims.append(statements.verify_claim(claim, box.key))
    assert claims[1].cloud == "https://cloud.example:8443"
    assert Token.objects.count() == 1
    assert redeemable(claims[1].token, signing.public_bytes(box.key), NOW).controller.slug == "parking"
    assert claims[1].ca.hex() == authority.fingerprint(ca_folder.open_authority(data, NOW).certificate)
    assert "--password-file" in run("transfer", "handover", SITE, "parking", "--out", tmp_path / "x", "--start", "y")[2]


def test_what_goes_wrong_at_the_end_keeps_no_controller_from_its_answer(boxes, manager, run, tmp_path, monkeypatch):
    """A hello is answered all the same; the status makes up for it, once."""
    back(run, tmp_path)
    assert run("transfer", "key", SITE, "--badge", "1111100007", "--new", KEY, *WHEN)[0] == 0
    real = progress.settle
    monkeypatch.setattr(progress, "settle", lambda *_: 1 / 0)
    for name, box in boxes.items():
        out = tmp_path / f"{name}.bare"
        assert run("transfer", "handover", SITE, name, "--bare", "--out", out, *WHEN)[0] == 0
        claim = statements.verify_claim(statements.decode_handover(out.read_bytes())[1], box.key)
        box.manager = box.manager._replace(manager_key=claim.manager_key, epoch=claim.epoch)
        answers = ingest().handle(box.topic + "up/hello", box.hello(log_id=LOG), NOW)
        assert box.acked(answers) == [0]
    assert Arrival.objects.get().done_at is None
    monkeypatch.setattr(progress, "settle", real)
    assert "was erased" in run("transfer", "status", SITE, *WHEN)[1]
    assert KEY not in [each.number for each in archive.load(Site.objects.get()).passes]
    assert run("transfer", "sheet", SITE, *WHEN)[0] == os.EX_CONFIG


def test_the_history_is_bounded_and_may_be_left_out(device, manager, monkeypatch):
    """The newest events, and how many there was no room for."""
    ingest().handle(device.topic + "up/events", device.batch(1, [event() for _ in range(5)]), NOW)
    hall = [Controller.objects.get(slug="hall-a")]
    monkeypatch.setattr(history, "MOST", 2)
    found, left_out = history.taken_along(hall, 90, NOW)
    assert ([each.seq for each in found], left_out) == ([4, 5], 3)
    assert history.taken_along(hall, 0, NOW) == ((), 0)


def test_a_file_that_does_not_fit_together_changes_nothing(boxes, manager, run, tmp_path):
    """Whoever knows the number can seal anything: it is looked at all the same."""
    path, told = authorised(run, tmp_path)
    secret = number.secret_of(told)
    whole = package.open_sealed(path.read_bytes(), secret)
    assert run("transfer", "close", SITE, *WHEN)[0] == 0
    before = archive.load(Site.objects.get()), list(Controller.objects.values()), Event.objects.count()
    residence, box = whole.residence, whole.boxes[0]
    broken = (
        dataclasses.replace(residence, passes=(dataclasses.replace(residence.passes[0], block="no"),)),
        dataclasses.replace(residence, passes=(dataclasses.replace(residence.passes[0], number="x"),)),
        dataclasses.replace(residence, time_zone="No/Where"),
        dataclasses.replace(residence, slug="Not A Word"),
        dataclasses.replace(residence, controllers=residence.controllers[1:]),
    )
    wrong = [dataclasses.replace(whole, residence=each) for each in broken]
    wrong += [
        dataclasses.replace(whole, boxes=(dataclasses.replace(box, device_key="ff" * 32), *whole.boxes[1:])),
        dataclasses.replace(whole, boxes=(dataclasses.replace(box, epoch=77), *whole.boxes[1:])),
        dataclasses.replace(whole, manager_key="00" * 32),
        dataclasses.replace(whole, site_uid="00" * 16),
        dataclasses.replace(whole, expires_s=whole.expires_s + 1),
    ]
    for each in wrong:
        with pytest.raises(DataError):
            arriving.accept(package.seal(each, secret), told, manager, NOW)
    assert (archive.load(Site.objects.get()), list(Controller.objects.values()), Event.objects.count()) == before
    assert arriving.accept(package.seal(whole, secret), told, manager, NOW).controllers == len(boxes)
