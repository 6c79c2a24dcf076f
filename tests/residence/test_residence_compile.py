"""Compiling: order and repetition do not matter, what is wrong is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from residence_folders import EXAMPLE, change, copy_example, read_whole

from edge.codes import code_number
from edge.decision import model, rows
from edge.residence.compile import NO_GROUP, policy_digest, policy_rows
from edge.residence.values import Controller, Residence

YEARS = (2025, 2037)


def _rows(residence: Residence, controller: str = "hall-a", key: bytes = b"k" * 32) -> list[bytes]:
    return policy_rows(residence, controller, b"u" * 16, key, YEARS)


def _credentials(residence: Residence) -> dict[tuple[int, int], rows.Credential]:
    found = [rows.unpack(one) for one in _rows(residence) if one[0] == rows.CREDENTIAL]
    return {(one.medium, one.number): one for one in found}


def _backwards(residence: Residence) -> Residence:
    doors = tuple(replace(one, doors=one.doors[::-1]) for one in residence.controllers[::-1])
    return replace(
        residence,
        controllers=doors,
        **{
            name: getattr(residence, name)[::-1]
            for name in ("week_types", "holidays", "blocks", "panels", "areas", "providers", "tasks", "flats", "passes")
        },
        profiles=tuple(replace(one, grants=one.grants[::-1]) for one in residence.profiles[::-1]),
    )


def test_the_order_of_writing_does_not_matter() -> None:
    """The same residence written backwards compiles to the same bytes, in the same order."""
    residence = read_whole(EXAMPLE)
    for controller in residence.controllers:
        assert _rows(residence, controller.id) == _rows(_backwards(residence), controller.id)


def test_rows_are_sorted_and_keys_unique() -> None:
    """Each row's key is there once, rows ascend."""
    packed = _rows(read_whole(EXAMPLE))
    assert packed == sorted(packed)
    assert len({rows.key_of(row) for row in packed}) == len(packed)


def test_the_digest_is_the_sum_of_hashes() -> None:
    """Against a sum written out; it wraps, ignores the order and sees any change."""
    assert policy_digest([]) == bytes(32)
    many = [bytes((i,)) for i in range(8)]
    total = sum(int.from_bytes(hashlib.sha256(row).digest(), "big") for row in many)
    assert total >= 2**256
    assert policy_digest(many) == (total % 2**256).to_bytes(32, "big") == policy_digest(many[::-1])
    residence = read_whole(EXAMPLE)
    other = replace(residence, name="Le clos des dunes")
    assert policy_digest(_rows(residence)) != policy_digest(_rows(other))


def test_codes_differ_by_key() -> None:
    """The same code has another number at another controller; nothing else does."""
    residence = read_whole(EXAMPLE)
    one, two = set(_rows(residence)), set(_rows(residence, key=b"j" * 32))
    assert {row[:2] for row in one ^ two} == {bytes((rows.CREDENTIAL, model.CODE))}
    assert len(one - two) == len(two - one) == 7


def test_the_code_number_of_a_known_vector() -> None:
    """RFC 4231, test case 2: the first 8 bytes of HMAC-SHA256 with the key "Jefe"."""
    vector = bytes.fromhex("5bdcc146bf60754e")
    text = "what do ya want for nothing?"
    assert code_number(b"Jefe", text) == int.from_bytes(vector, "big")


def test_a_pass_without_block_has_no_grants(tmp_path: Path) -> None:
    """Known, so `no-access` and not `unknown`: it belongs to the group without grants."""
    folder = copy_example(tmp_path)
    change(folder, "passes.csv", "1111100007;;badge;black;a;001", "1111100007;;badge;black;;")
    found = _credentials(read_whole(folder))[model.BADGE, 1111100007]
    assert (found.group, found.holder) == (NO_GROUP, "")


def test_a_profile_replaces_the_blocks(tmp_path: Path) -> None:
    """A pass' profile counts in place of its block's, not beside it."""
    folder = copy_example(tmp_path)
    before = _credentials(read_whole(folder))
    change(folder, "passes.csv", "1111100007;;badge;black;a;001;;", "1111100007;;badge;black;a;001;Residents B;")
    after = _credentials(read_whole(folder))
    assert before[model.BADGE, 1111100007].group == before[model.BADGE, 1111100008].group
    assert after[model.BADGE, 1111100007].group == after[model.BADGE, 4640800090].group


def test_a_display_brings_codes_and_telephones(tmp_path: Path) -> None:
    """The flat without a display gets its code and telephone at the door as soon as it has one."""
    folder = copy_example(tmp_path)
    number = code_number(b"k" * 32, "34567")
    before = _credentials(read_whole(folder))
    assert (model.CODE, number) not in before
    assert (model.PHONE, 33612000007) not in before
    change(folder, "residents.csv", "Personne;3;;;", "Personne;3;Personne;A4;")
    after = _credentials(read_whole(folder))
    assert after[model.CODE, number].holder == after[model.PHONE, 33612000007].holder == "a/004 Personne"


def test_stock_has_no_row_and_disabled_has_one(tmp_path: Path) -> None:
    """A pass in stock is unknown at the door, a disabled one is known as such."""
    folder = copy_example(tmp_path)
    assert (model.BADGE, 2111100020) not in _credentials(read_whole(folder))
    change(folder, "passes.csv", ";stock;", ";désactivé;")
    assert _credentials(read_whole(folder))[model.BADGE, 2111100020].state == rows.STATE_DISABLED


def test_a_provider_without_dates_gets_three_years(tmp_path: Path) -> None:
    """From the day of reading; a permanent one stays open."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", 'from = "2026-01-01"\nto = "2028-12-31"', "")
    found = _credentials(read_whole(folder))[model.BADGE, 136458962]
    assert (found.from_s, found.to_s) == (0, 1877551200)  # 2029-07-01T00:00 in Paris
    change(folder, "site.toml", 'phone = "0033612345670"', "permanent = true")
    found = _credentials(read_whole(folder))[model.BADGE, 136458962]
    assert (found.from_s, found.to_s) == (0, 0)


def test_a_provider_may_have_five_years_or_be_permanent(tmp_path: Path) -> None:
    """Five years to the day are taken, more only with permanent = true (refused without: see the site's errors)."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", 'to = "2028-12-31"', 'to = "2030-12-31"')
    read_whole(folder)
    change(folder, "site.toml", 'to = "2030-12-31"', "to = 2040-12-31\npermanent = true")
    found = _credentials(read_whole(folder))[model.BADGE, 136458962]
    assert found.to_s == 2240607600  # 2041-01-01T00:00 in Paris


def test_a_providers_group_is_the_union_of_its_tasks(tmp_path: Path) -> None:
    """A second task adds its access, in its own week type, to the same group."""
    folder = copy_example(tmp_path)
    with (folder / "site.toml").open("a") as site:
        site.write(
            '\n[[task]]\nname = "Nuit"\nprovider = "Technicien ascenseur"\n'
            'access = [{ door = "cellar", output = "door", media = ["badge"], week_type = "Evenings" }]\n'
        )
    groups = [rows.unpack(row) for row in _rows(read_whole(folder)) if row[0] == rows.GROUP]
    assert next(group for group in groups if group.name == "Technicien ascenseur").grants == (
        ("cellar", "", 1 << model.BADGE, 15, 3),
        ("hall-a", "", (1 << model.BADGE) | (1 << model.CODE), 15, 4),
        ("hall-a", "aux1", 1 << model.CODE, 15, 4),
    )


def test_two_tasks_may_not_share_a_button(tmp_path: Path) -> None:
    """A provider has one remote: another task of his cannot give the same button another output of the door."""
    folder = copy_example(tmp_path)
    with (folder / "site.toml").open("a") as site:
        site.write(
            '\n[[task]]\nname = "Portail"\nprovider = "Technicien ascenseur"\n'
            'access = [{ door = "parking", output = "aux1", media = ["remote"], buttons = [2] }]\n'
        )
    with pytest.raises(AssertionError, match="button 2 would move two outputs of door 'parking'"):
        read_whole(folder)


def test_optional_keys_of_doors_reach_the_rows(tmp_path: Path) -> None:
    """extended_ms, relock_on_open, interlock, badge_and_code, on_log_failure, and a reader's format."""
    folder = copy_example(tmp_path)
    change(
        folder,
        "site.toml",
        "unlock_ms = 4000",
        'unlock_ms = 4000\nextended_ms = 9000\nrelock_on_open = true\ninterlock = ["hall-a"]\n'
        'badge_and_code = "Trades"\non_log_failure = "deny"',
    )
    change(
        folder, "site.toml", '"hall-a-gsm", kind = "gsm"', '"hall-a-gsm", kind = "gsm", format = "x-1", output = "door"'
    )
    found = [rows.unpack(one) for one in _rows(read_whole(folder))]
    door = next(one for one in found if isinstance(one, rows.Door) and one.id == "cellar")
    assert (door.extended_ms, door.relock_on_open, door.interlock, door.badge_and_code) == (9000, True, ("hall-a",), 4)
    assert door.deny_on_log_failure
    reader = next(one for one in found if isinstance(one, rows.Reader) and one.id == "hall-a-gsm")
    assert (reader.format, reader.output) == ("x-1", "")  # the door's first has one form


def test_twins_are_refused() -> None:
    """A residence that was not read by `read` and has a number twice is refused by name, not compiled by half."""
    residence = read_whole(EXAMPLE)
    twins = replace(residence, passes=(*residence.passes, replace(residence.passes[0], block="b")))
    with pytest.raises(rows.RowError, match="credential 1 1111100007 is there twice"):
        _rows(twins)


def test_a_controller_without_doors() -> None:
    """It knows the site's credentials and opens nothing."""
    residence = read_whole(EXAMPLE)
    alone = replace(residence, controllers=(*residence.controllers, Controller("alone", "Alone", False, ())))
    tables = {row[0] for row in _rows(alone, "alone")}
    assert rows.CREDENTIAL in tables
    assert not tables & {rows.DOOR, rows.READER, rows.AREA, rows.PANEL, rows.DISPLAY}
    assert all(not rows.unpack(row).grants for row in _rows(alone, "alone") if row[0] == rows.GROUP)
