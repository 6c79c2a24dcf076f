"""Every kind of error in site.toml, with its line and column."""

from pathlib import Path

import pytest
from residence_folders import TODAY, change, copy_example, errors_of

from edge.residence.problems import has_errors
from edge.residence.reading import read

SOFT = '"soft"                    # hard, soft (grant and flag) or timed\ntimed_min = 10'
OF_TASK = '{ door = "hall-b", media = ["badge", "code"] }'

# (what stands there, what to write instead, line, column, field, words of the message)
ERRORS = [
    ('name = "Le clos des Dunes"\n', 'name = "Le clos des Dunes"\ncolour = "red"\n', 4, 1, "colour", "unknown key"),
    ("held_open_s = 20\n", "held_opens = 20\n", 76, 3, "held_opens", "unknown key, perhaps held_open_s"),
    ("baud = 115200, keypad = true", "baud = 115200, keypads = true", 67, 68, "keypads", "perhaps keypad"),
    ("manager = 4711", 'manager = "4711"', 6, 1, "manager", "must be a whole number"),
    ("manager = 4711", "manager = -1", 6, 1, "manager", "-1 is outside 0 to 4294967295"),
    ("manager = 4711", "manager = 4711\nmanager = 1", 7, 12, "", "is not TOML here"),
    ("buttons = [1, 2] },\n]", "buttons = [1, 2] },\n", 178, 1, "", "is not TOML here"),
    ('site = "clos-des-dunes"', 'site = "Clos des Dunes"', 2, 1, "site", "no short name"),
    ('name = "Le clos des Dunes"\n', "", 1, 1, "name", "the key name is missing"),
    ('name = "Le clos des Dunes"\n', 'name = ""\n', 3, 1, "name", "must not be empty"),
    ('"Europe/Paris"', '"Europe/Pariss"', 4, 1, "time_zone", "no time zone"),
    ('country = "FR" ', 'country = "XX" ', 5, 1, "country", "no country"),
    ("manager = 4711", 'manager = 4711\nsubdivision = "Atlantis"', 7, 1, "subdivision", "'Atlantis' is unknown"),
    ('"always-only"', '"never"', 7, 1, "untrusted_clock", "there is: always-only, allow"),
    ('fri = ["20:00-02:30"]', 'fri = ["20:00-20:00"]', 26, 8, "fri", "starts when it ends"),
    ('fri = ["20:00-02:30"]', 'fri = ["20:00 02:30"]', 26, 8, "fri", "no interval"),
    ('fri = ["20:00-02:30"]', 'fri = ["18:00-19:00", "24:00-02:30"]', 26, 23, "fri", "00:00 to 23:59"),
    ('fri = ["20:00-02:30"]', 'fri = ["20:00-24:01"]', 26, 8, "fri", "00:00 to 24:00"),
    ('fri = ["20:00-02:30"]', 'fri = "20:00-02:30"', 26, 1, "fri", "must be a list"),
    ('sun = []', 'sun = []\nsunday = []', 22, 1, "sunday", "unknown key, perhaps sun"),
    ('name = "Day hall" ', 'name = "Always" ', 31, 1, "name", "exists everywhere"),
    ('name = "Day hall" ', 'name = "Trades" ', 31, 1, "name", "already at site.toml line 14"),
    ('date = "2026-12-24"', 'date = "2026-13-24"', 39, 1, "date", "there is no such day"),
    ('date = "2026-12-24"', 'date = "24/12/2026"', 39, 1, "date", "is no day"),
    ('date = "2026-12-24"', 'date = "2026-12-24T10:00"', 39, 1, "date", "has a time"),
    ('date = "2026-12-24"\n', "", 38, 1, "date", "the key date is missing"),
    ('access_profile = "Residents B"', 'access_profile = "Resident B"', 51, 1, "access_profile", "perhaps Residents B"),
    ('id = "b"', 'id = "a"', 49, 1, "id", "already at site.toml line 44"),
    ('auto_open = "Day hall"', 'auto_open = "Day halls"', 100, 3, "auto_open", "perhaps Day hall"),
    ("unlock_ms = 4000", "unlock_ms = 5", 75, 3, "unlock_ms", "5 is outside 100 to 600000"),
    ("unlock_ms = 4000", "unlock_ms = true", 75, 3, "unlock_ms", "must be a whole number"),
    ("unlock_ms = 4000", "unlock_ms = 4000\n  extended_ms = 3999", 76, 3, "extended_ms", "outside 4000 to 3600000"),
    ("unlock_ms = 4000", 'unlock_ms = 4000\n  badge_and_code = "Nights"', 76, 3, "badge_and_code", "'Nights'"),
    ('on_log_failure = "open" ', 'on_log_failure = "close" ', 65, 3, "on_log_failure", "there is: open, deny"),
    ('outputs = ["door", "aux1"] ', 'outputs = ["door", "exit"] ', 111, 22, "outputs", "means the exit button"),
    ('outputs = ["door", "aux1"] ', 'outputs = ["door", "door"] ', 111, 22, "outputs", "written twice"),
    ('outputs = ["door", "aux1"] ', 'outputs = ["door", "a b"] ', 111, 22, "outputs", "is no id"),
    ('area_in = "cellar"  ', 'area_in = "attic"  ', 77, 3, "area_in", "'attic' is unknown"),
    ('area_in = "cellar"  ', 'area_out = "cellar"\n  area_in = "cellar"  ', 77, 3, "area_out", "must differ"),
    ("unlock_ms = 1000", 'unlock_ms = 1000\n  area_in = "cellar"', 113, 3, "area_in", "within one controller"),
    ("unlock_ms = 1000", 'unlock_ms = 1000\n  interlock = ["hall-a"]', 113, 16, "interlock", "no other door"),
    ('id = "cellar-out"', 'id = "cellar-in"', 80, 7, "id", "already at site.toml line 79"),
    ('id = "hall-b"\n  name', 'id = "hall-a"\n  name', 96, 3, "id", "already at site.toml line 58"),
    ('id = "hall-b"\nname', 'id = "hall-a"\nname', 91, 1, "id", "already at site.toml line 54"),
    ('kind = "wiegand"', 'kind = "usb"', 102, 34, "kind", "there is: osdp, wiegand, radio, gsm"),
    ("bits = 37", "bits = 36", 102, 52, "bits", "36 is none of"),
    ('kind = "radio"', 'kind = "radio", bits = 37', 115, 45, "bits", "only wiegand readers"),
    ('baud = 115200, direction = "in", output', 'baud = 1, direction = "in", output', 69, 55, "baud", "outside"),
    ("address = 2", "address = 127", 80, 41, "address", "outside 0 to 126"),
    ('output = "aux2" },\n  ]', 'output = "aux3" },\n  ]', 69, 88, "output", "'aux3' is unknown"),
    ('modem = "hall-a-gsm"', 'modem = "hall-a-in"', 86, 1, "modem", "'hall-a-in' is unknown"),
    ('blocks = ["a"]', 'blocks = ["a", "c"]', 87, 16, "blocks", "'c' is unknown; there is: a, b"),
    ('open_key = "1"', 'open_key = "11"', 88, 1, "open_key", "'11' is unknown"),
    ('passback = "soft" ', 'passback = "timid" ', 125, 1, "passback", "perhaps timed"),
    (SOFT, '"timed"', 123, 1, "timed_min", "needs timed_min"),
    ('{ door = "hall-b" },', '{ door = "hall-c" },', 143, 5, "door", "'hall-c' is unknown, perhaps hall-b"),
    ('{ door = "hall-b" },', '{ output = "door" },', 143, 3, "door", "the key door is missing"),
    ('week_type = "Evenings" }', 'week_type = "Evening" }', 150, 47, "week_type", "perhaps Evenings"),
    ('output = "aux2", week', 'output = "aux9", week', 150, 30, "output", "'aux9' is unknown"),
    ('"phone"], buttons = [1] }', '"fax"], buttons = [1] }', 145, 42, "media", "'fax' is unknown"),
    ('"phone"], buttons = [1] }', '"phone"], buttons = [5] }', 145, 63, "buttons", "5 is no button"),
    ('media = ["remote"], buttons = [2] }', 'media = ["remote"], buttons = [1] }', 137, 60, "buttons", "two outputs"),
    ('media = ["remote"], buttons = [2] }', "media = [] }", 137, 40, "media", "grants nothing"),
    ('company = "Ascenseurs du Littoral"', 'company = "Ascenseurs"', 159, 1, "company", "perhaps Ascenseurs du"),
    ('to = "2028-12-31"', 'to = "2031-01-01"', 161, 1, "to", "more than 5 years"),
    ('to = "2028-12-31"', 'to = "2025-12-31"', 161, 1, "to", "ends before it begins"),
    ('to = "2028-12-31"', 'to = "31 dec"', 161, 1, "to", "is no day"),
    ('phone = "0033612345670"', 'phone = "003361234"', 162, 1, "phone", "'003361234' is no possible telephone"),
    ('pass = "0136458962"', "pass = 136458962", 163, 1, "pass", "must be a text in quotes"),
    ('pass = "0136458962"', 'pass = "136458962"', 163, 1, "pass", "leading zeros as in 0136458962"),
    ('pass = "0136458962"', 'pass = "1,36E+08"', 163, 1, "pass", "format the column as text"),
    ('radio = "3695843697"', 'radio = "18446744073709551616"', 164, 1, "radio", "above 64 bits"),
    ('door_code = "86861"', 'door_code = "8686a"', 165, 1, "door_code", "what was written is not shown"),
    ('relay1_code = "69732"', 'relay1_code = "86861"', 166, 1, "relay1_code", "at site.toml line 165, door_code"),
    ('provider = "Technicien ascenseur"', 'provider = "Technicien"', 170, 1, "provider", "perhaps Technicien asc"),
    (OF_TASK, '{ door = "hall-b", week_type = "Evenings" }', 175, 22, "week_type", "covers all its access"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "column", "field", "words"), ERRORS)
def test_an_error_names_its_line_and_column(
    tmp_path: Path, old: str, new: str, line: int, column: int, field: str, words: str
) -> None:
    """A spoiled site.toml gives the error at its place, among what follows from it, and no residence."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", old, new)
    residence, problems = read(folder, TODAY)
    assert residence is None
    found = [one for one in errors_of(problems) if (one.line, one.column, one.field) == (line, column, field)]
    assert found, "\n".join(map(str, problems))
    assert found[0].file == "site.toml"
    assert words in found[0].message


def test_the_example_as_it_is_has_no_error(tmp_path: Path) -> None:
    """The control of the table above: unspoiled, the same folder reads without an error."""
    residence, problems = read(copy_example(tmp_path), TODAY)
    assert residence is not None
    assert not has_errors(problems)


def test_all_errors_are_listed_in_order(tmp_path: Path) -> None:
    """Three errors in three tables are all reported, by line."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", "unlock_ms = 1000", "unlock_ms = 1")
    change(folder, "site.toml", "manager = 4711", "manager = false")
    change(folder, "site.toml", 'passback = "soft"', 'passback = "firm"')
    _, problems = read(folder, TODAY)
    assert [(one.line, one.field) for one in errors_of(problems)] == [
        (6, "manager"),
        (112, "unlock_ms"),
        (125, "passback"),
    ]


def test_a_code_is_never_shown(tmp_path: Path) -> None:
    """Neither the message of a wrong code nor the values' repr holds its digits."""
    folder = copy_example(tmp_path)
    residence, _ = read(folder, TODAY)
    change(folder, "site.toml", 'door_code = "86861"', "door_code = 77123")
    change(folder, "site.toml", 'relay1_code = "69732"', 'relay1_code = "77124x"')
    _, problems = read(folder, TODAY)
    shown = "\n".join(map(str, problems)) + repr(residence)
    assert len(errors_of(problems)) == 2
    for digits in ("77123", "77124", "86861", "98761", "69732"):
        assert digits not in shown


def test_telephone_grants_warn_once(tmp_path: Path) -> None:
    """Two grants by telephone give one warning, which is no error and stands at the first of them."""
    _, problems = read(copy_example(tmp_path), TODAY)
    assert [str(one) for one in problems] == [
        "site.toml:145:23: media: warning: whoever forges a caller number can open this door: "
        "'phone' trusts the number shown"
    ]


def test_two_readers_of_one_address_warn(tmp_path: Path) -> None:
    """The same OSDP address twice on a controller is a warning, for it may have two lines."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", "address = 2", "address = 1")
    residence, problems = read(folder, TODAY)
    assert residence is not None
    assert [(one.line, one.column, one.level) for one in errors_of(problems)] == [(80, 41, "warning")]


def test_files_that_cannot_be_read_are_problems(tmp_path: Path) -> None:
    """A missing folder, a file that is not UTF-8 and one nested too deep are problems, not exceptions."""
    _, problems = read(tmp_path / "nowhere", TODAY)
    assert [(one.file, one.line) for one in problems] == [("site.toml", 0)]
    folder = copy_example(tmp_path)
    (folder / "site.toml").write_bytes(b'site = "a"\nname = "\xe9"\n')
    _, problems = read(folder, TODAY)
    assert [(one.line, one.message[:12]) for one in problems] == [(2, "is not UTF-8")]
    (folder / "site.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    residence, problems = read(folder, TODAY)
    assert residence is None
    assert [one.line for one in problems] == [1]
