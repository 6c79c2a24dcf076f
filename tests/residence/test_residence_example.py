"""The example residence: its values and its policy rows, written out."""

import hashlib
import hmac
import zlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from residence_folders import EXAMPLE, read_whole

from edge.decision import model, policy, rows
from edge.residence.compile import policy_digest, policy_rows
from edge.residence.values import Flat, Grant, Interval, Pass, Phone, Profile, Provider, Reader, Residence, Task

SITE_UID = bytes(range(16))
CODE_KEY = bytes(range(32))
PARIS = ZoneInfo("Europe/Paris")

START_S = int(datetime(2026, 1, 1, tzinfo=PARIS).timestamp())
LIFT = "Technicien ascenseur (Ascenseurs du Littoral)"
LIFT_FROM_S, LIFT_TO_S = START_S, int(datetime(2029, 1, 1, tzinfo=PARIS).timestamp())
JULY_S = int(datetime(2026, 7, 1, tzinfo=PARIS).timestamp())
IN_2027_S = int(datetime(2027, 1, 1, tzinfo=PARIS).timestamp())
SHORT_DAY_S = int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp())

# Groups, by name: 1 Party room, 2 Residents A, 3 Residents B, then providers: 4 Technicien ascenseur.
PARTY, A, B, TECHNICIAN = 1, 2, 3, 4
DAY_HALL, EVENINGS, TRADES = 2, 3, 4
BADGE, REMOTE, CODE, PHONE = 1 << model.BADGE, 1 << model.REMOTE, 1 << model.CODE, 1 << model.PHONE


@pytest.fixture(scope="module")
def residence() -> Residence:
    """The example."""
    return read_whole(EXAMPLE)


def _unpacked(residence: Residence, controller: str, row_type: type) -> list:
    packed = policy_rows(residence, controller, SITE_UID, CODE_KEY, (2026, 2026))
    return [row for row in map(rows.unpack, packed) if type(row) is row_type]


def test_values(residence: Residence) -> None:
    """Defaults are filled in, numbers keep their zeros, a task's grants carry its week type."""
    assert (residence.slug, residence.time_zone, residence.manager) == ("clos-des-dunes", "Europe/Paris", 4711)
    assert not residence.untrusted_allow
    assert residence.week_types[1].intervals == (
        Interval(4, 1200, 150),
        Interval(5, 1200, 150),
        Interval(7, 1200, 1440),
    )
    assert residence.reader("hall-b-in") == Reader(
        "hall-b-in", "hall-b", "wiegand", "in", "", True, "37", None, None, 37
    )  # fmt: skip
    door = residence.door("cellar")
    assert (door.outputs, door.extended_ms, door.auto_open, door.area_in) == (("door",), 12000, "Never", "cellar")
    assert residence.controller_of_door("cellar").id == "hall-a"
    assert residence.controller("hall-b").is_mini
    assert residence.profiles[2] == Profile(
        "Party room", (Grant("hall-a", "aux2", "Evenings", ("badge", "remote", "code"), (1, 2, 3, 4)),)
    )
    assert residence.flats[2] == Flat(
        "a", "003", "Jolly, Michael", "2", "Jolly", "A3",
        (Phone(33612000004, 10), Phone(33612000005, 15), Phone(33612000006, 20)),
        "Never", "", "", "", "", "", "",
    )  # fmt: skip
    assert residence.passes[5] == Pass(
        "0778005691", "0750089741", "dual", "grey", "a", "003", "", 0, 0, "active", "badge and remote in one"
    )
    assert residence.providers == (
        Provider(
            "Technicien ascenseur", "Ascenseurs du Littoral", LIFT_FROM_S, LIFT_TO_S, False, 33612345670,
            "0136458962", "3695843697", "86861", "69732", "",
        ),
    )  # fmt: skip
    assert residence.tasks == (
        Task(
            "Entretien des ascenseurs", "Technicien ascenseur", "Trades",
            (
                Grant("hall-a", "", "Trades", ("badge", "code"), (1, 2, 3, 4)),
                Grant("hall-a", "aux1", "Trades", ("code",), (1, 2, 3, 4)),
                Grant("hall-b", "", "Trades", ("badge", "code"), (1, 2, 3, 4)),
                Grant("parking", "", "Trades", ("remote", "phone"), (1, 2)),
            ),
        ),
    )  # fmt: skip


def test_what_is_not_there_is_a_key_error(residence: Residence) -> None:
    """Looking up an id that no one has is an error that names it."""
    for look_up in (residence.controller, residence.door, residence.controller_of_door, residence.reader):
        with pytest.raises(KeyError, match="nowhere"):
            look_up("nowhere")
    with pytest.raises(KeyError, match="nowhere"):
        policy_rows(residence, "nowhere", SITE_UID, CODE_KEY, (2026, 2026))


def test_site_and_calendar_rows(residence: Residence) -> None:
    """The site, its clock changes, and its week types numbered by name."""
    assert _unpacked(residence, "parking", rows.Site) == [rows.Site(SITE_UID, "Le clos des Dunes", False, 4711)]
    assert _unpacked(residence, "parking", rows.Offset) == [
        rows.Offset(int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), 3600),
        rows.Offset(int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()), 7200),
        rows.Offset(int(datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()), 3600),
    ]
    holidays = _unpacked(residence, "parking", rows.Holiday)
    assert len(holidays) == 12
    assert holidays[-2:] == [rows.Holiday(20811, "Veille de Noël"), rows.Holiday(20812, "Noël")]
    schedules = _unpacked(residence, "parking", rows.Schedule)
    assert [(one.id, one.name) for one in schedules] == [(2, "Day hall"), (3, "Evenings"), (4, "Trades")]
    assert schedules[1].intervals == ((4, 1200, 150), (5, 1200, 150), (7, 1200, 1440))


def test_rows_of_doors(residence: Residence) -> None:
    """A controller is told of its own doors, readers, areas and panels only."""
    assert _unpacked(residence, "hall-a", rows.Door) == [
        rows.Door("cellar", "Caves", ("door",), 4000, 12000, 20, 1, False, False, False, "cellar", "", (), 1),
        rows.Door("hall-a", "Hall A", ("door", "aux1", "aux2"), 5000, 15000, 30, 1, False, False, False, "", "", (), 1),
    ]
    assert _unpacked(residence, "hall-a", rows.Reader) == [
        rows.Reader("cellar-in", "cellar", "osdp", rows.IN, "", False, ""),
        rows.Reader("hall-a-in", "hall-a", "osdp", rows.IN, "", True, ""),
        rows.Reader("cellar-out", "cellar", "osdp", rows.OUT, "", False, ""),
        rows.Reader("hall-a-gsm", "hall-a", "gsm", rows.IN, "", False, ""),
        rows.Reader("hall-a-bins", "hall-a", "osdp", rows.IN, "aux2", False, ""),
    ]
    assert _unpacked(residence, "hall-a", rows.Area) == [rows.Area("cellar", rows.SOFT, 10)]
    assert _unpacked(residence, "hall-b", rows.Door) == [
        rows.Door("hall-b", "Hall B", ("door",), 5000, 15000, 30, DAY_HALL, True, False, False, "", "", (), 1)
    ]
    assert _unpacked(residence, "hall-b", rows.Reader) == [
        rows.Reader("hall-b-in", "hall-b", "wiegand", rows.IN, "", True, "37")
    ]
    assert _unpacked(residence, "hall-b", rows.Area) == []
    assert _unpacked(residence, "hall-b", rows.Panel) == _unpacked(residence, "hall-b", rows.Display) == []


def test_rows_of_groups(residence: Residence) -> None:
    """Every group is at every controller, with that controller's grants alone. At hall-a, which has no radio reader,
    Residents A would have two outputs for one button: there its grants are without remotes."""
    of_residents = (("cellar", "", BADGE), ("hall-a", "", BADGE | CODE), ("hall-a", "aux1", BADGE | CODE))
    assert _unpacked(residence, "hall-a", rows.Group) == [
        rows.Group(0, "", ()),
        rows.Group(PARTY, "Party room", (("hall-a", "aux2", BADGE | REMOTE | CODE, 15, EVENINGS),)),
        rows.Group(
            A, "Residents A",
            tuple((door, out, media, 15, 0) for door, out, media in of_residents),
        ),
        rows.Group(B, "Residents B", (("cellar", "", BADGE, 15, 0),)),
        rows.Group(
            TECHNICIAN, "Technicien ascenseur",
            (("hall-a", "", BADGE | CODE, 15, TRADES), ("hall-a", "aux1", CODE, 15, TRADES)),
        ),
    ]  # fmt: skip
    assert _unpacked(residence, "parking", rows.Group) == [
        rows.Group(0, "", ()),
        rows.Group(PARTY, "Party room", ()),
        rows.Group(A, "Residents A", (("parking", "", REMOTE, 1, 0), ("parking", "aux1", REMOTE, 2, 0))),
        rows.Group(B, "Residents B", (("parking", "", REMOTE | PHONE, 1, 0),)),
        rows.Group(TECHNICIAN, "Technicien ascenseur", (("parking", "", REMOTE | PHONE, 3, TRADES),)),
    ]


def _code(digits: str) -> int:
    return int.from_bytes(hmac.new(CODE_KEY, digits.encode(), hashlib.sha256).digest()[:8], "big")


def _row(medium: int, number: int, group: int, holder: str, **other: object) -> rows.Credential:
    values = {"from_s": 0, "to_s": 0, "state": rows.ACTIVE, "flags": 0, "output": ""} | other
    return rows.Credential(
        medium, number, group, values["from_s"], values["to_s"], values["state"], values["flags"], values["output"],
        holder,
    )  # fmt: skip


def test_rows_of_credentials(residence: Residence) -> None:
    """All of the site's credentials, at any controller: not the pass in stock, nor anything of the flat without a
    display, but every other pass, code and telephone, each with its group, validity, state and output."""
    solomon, sully, jolly = "a/001 Solomon", "a/002 Garfield, Sully", "a/003 Jolly, Michael"
    durand, nguyen = "b/001 Durand, Élise", "b/002 Nguyễn, Thị"
    lift = {"from_s": LIFT_FROM_S, "to_s": LIFT_TO_S}
    expected = [
        _row(model.BADGE, 1111100007, A, solomon),
        _row(model.BADGE, 1111100008, A, solomon, from_s=START_S, to_s=JULY_S),
        _row(model.BADGE, 1111100009, A, sully, from_s=IN_2027_S),
        _row(model.BADGE, 82101960, A, sully, state=rows.STATE_LOST),
        _row(model.BADGE, 778005691, A, jolly),
        _row(model.REMOTE, 750089741, A, jolly),
        _row(model.REMOTE, 3695843690, A, solomon),
        _row(model.BADGE, 1111100010, PARTY, jolly),
        _row(model.BADGE, 4640800090, B, durand),
        _row(model.BADGE, 4640800091, B, nguyen, from_s=SHORT_DAY_S, to_s=SHORT_DAY_S + 23 * 3600),
        _row(model.CODE, _code("12345"), A, solomon),
        _row(model.CODE, _code("98761"), A, solomon, flags=rows.DURESS),
        _row(model.CODE, _code("23456"), A, sully),
        _row(model.CODE, _code("45678"), A, sully, output="aux1"),
        _row(model.CODE, _code("86860"), B, durand),
        _row(model.PHONE, 33612000001, A, solomon),
        _row(model.PHONE, 33612000002, A, solomon),
        _row(model.PHONE, 33612000003, A, sully),
        _row(model.PHONE, 33612000004, A, jolly),
        _row(model.PHONE, 33612000005, A, jolly),
        _row(model.PHONE, 33612000006, A, jolly),
        _row(model.PHONE, 33612000008, B, durand),
        _row(model.PHONE, 447546277360, B, nguyen),
        _row(model.BADGE, 136458962, TECHNICIAN, LIFT, **lift),
        _row(model.REMOTE, 3695843697, TECHNICIAN, LIFT, **lift),
        _row(model.PHONE, 33612345670, TECHNICIAN, LIFT, **lift),
        _row(model.CODE, _code("86861"), TECHNICIAN, LIFT, **lift),
        _row(model.CODE, _code("69732"), TECHNICIAN, LIFT, output="aux1", **lift),
    ]
    for controller in ("hall-a", "hall-b", "parking"):
        assert sorted(_unpacked(residence, controller, rows.Credential)) == sorted(expected)


def test_rows_of_panels(residence: Residence) -> None:
    """A panel shows the flats of its blocks that have a display, with their numbers and delays."""
    assert _unpacked(residence, "hall-a", rows.Panel) == [rows.Panel("panel-a", "hall-a", "hall-a-gsm", "1")]
    assert _unpacked(residence, "hall-a", rows.Display) == [
        rows.Display("panel-a", "A1", "Solomon", rows.NEVER, ((33612000001, 20), (33612000002, 20))),
        rows.Display("panel-a", "A2", "Garfield", DAY_HALL, ((33612000003, 20),)),
        rows.Display("panel-a", "A3", "Jolly", rows.NEVER, ((33612000004, 10), (33612000005, 15), (33612000006, 20))),
    ]


@pytest.mark.parametrize("controller", ["hall-a", "hall-b", "parking"])
def test_the_core_takes_the_rows(residence: Residence, controller: str) -> None:
    """The decision core compiles each controller's rows into its image without objection."""
    packed = policy_rows(residence, controller, SITE_UID, CODE_KEY, (2025, 2037))
    assert policy.compile_image(packed, (1, 1), policy_digest(packed), zlib.crc32)
