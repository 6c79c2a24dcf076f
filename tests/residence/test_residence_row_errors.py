"""Every kind of error in residents.csv and passes.csv, with its line and column."""

from pathlib import Path

import pytest
from residence_folders import TODAY, change, copy_example, errors_of

from edge.residence.reading import read

R, P = "residents.csv", "passes.csv"
LONG = "x" * 161
FIRST_PASS = "a;001;;;;active;\n1111100008"
JOLLY = "Jolly, Michael;2;Jolly;A3"
JOLLY_ROW = "a;003;Jolly, Michael;2;Jolly;A3;0033612000004;0033612000005;0033612000006;10;15;20;Never;;;;;;"

# (file, what stands there, what to write instead, line, column, field, level, words of the message)
PROBLEMS = [
    (R, "delay3_s;auto_open", "delay3_s;autoopen", 1, 13, "autoopen", "error", "unknown column, perhaps auto_open"),
    (R, "delay3_s;auto_open", "delay3_s;", 1, 13, "", "error", "a heading is missing"),
    (R, "email;notes", "email;email", 1, 19, "email", "error", "column 18 (email) is the same"),
    (R, "block;flat;", "flat;display;", 1, 1, "block", "error", "this column is missing"),
    (R, "a;002;Garf", "c;002;Garf", 3, 1, "block", "error", "'c' is unknown; there is: a, b"),
    (R, "a;003;Jolly", "a;002;Jolly", 4, 2, "flat", "error", "flat a/002 is already at residents.csv line 3"),
    (R, "a;003;Jolly", ";003;Jolly", 4, 1, "block", "error", "must not be empty"),
    (R, "a;003;Jolly", "a;;Jolly", 4, 2, "flat", "error", "must not be empty"),
    (R, "Jolly, Michael", "J" * 81, 4, 3, "name", "error", "at most 80"),
    (R, "Jolly, Michael", "Jolly\x07", 4, 3, "name", "error", "cannot be printed"),
    (R, JOLLY, "Jolly;2;Jolly;A1", 4, 6, "call_code", "error", "'A1' is already at residents.csv line 2"),
    (R, JOLLY, "Jolly;2;Jolly;", 4, 6, "call_code", "warning", "nobody can call this flat at panel panel-a"),
    (R, JOLLY, "Jolly;2;Jolly;A3456789012345678", 4, 6, "call_code", "error", "at most 16"),
    (R, "0033612000005", "0612", 4, 8, "phone2", "error", "'0612' is no possible telephone"),
    (R, "0033612000005", "06 12 x 3", 4, 8, "phone2", "error", "no telephone number"),
    (R, "0033612000005", "00999612000005", 4, 8, "phone2", "error", "of any country"),
    (R, "0033612000005", "3,36E+10", 4, 8, "phone2", "error", "format the column as text"),
    (R, "0033612000005", "06.12.00.00.04", 4, 8, "phone2", "error", "already at residents.csv line 4, phone1"),
    (R, "0033612000005", "0033612345670", 4, 8, "phone2", "error", "already at site.toml line 162, phone"),
    (R, ";10;15;20", ";10;0;20", 4, 11, "delay2_s", "error", "seconds from 1 to 300"),
    (R, "20;20;20;Day hall", "20;20;20;Day hal", 3, 13, "auto_open", "error", "perhaps Day hall"),
    (R, "23456;45678", "2345a;45678", 3, 14, "door_code", "error", "what was written is not shown"),
    (R, "23456;45678", "23456;12345", 3, 15, "aux1_code", "error", "already at residents.csv line 2, door_code"),
    (R, "23456;45678", "23456;34567", 5, 14, "door_code", "error", "already at residents.csv line 3, aux1_code"),
    (R, "23456;45678", "86861;45678", 3, 14, "door_code", "error", "already at site.toml line 165, door_code"),
    (R, "23456;45678", "2;45678", 3, 14, "door_code", "error", "only 10 possible"),
    (R, "23456;45678", "23;45678", 3, 14, "door_code", "warning", "fewer than 1000 2-digit codes"),
    (R, "98761", "86862", 2, 17, "duress_code", "error", "see residents.csv line 6, door_code"),
    (R, "98761", "1234", 2, 17, "duress_code", "error", "must differ in two digits"),
    (R, "98761", "123456", 2, 17, "duress_code", "error", "must differ in two digits"),
    (R, "98761", "12345", 2, 17, "duress_code", "error", "the same code"),
    (R, "solomon@example.org", "solomon", 2, 18, "email", "error", "no e-mail address"),
    (R, "cabinet médical au 1er", LONG, 3, 19, "notes", "error", "has 161 characters"),
    (R, "cabinet médical au 1er", "x;y", 3, 20, "", "error", "beyond the last heading"),
    (R, "b;001;Durand, Élise;0", 'b;001;"Durand, Élise;0', 6, 1, "", "error", "look for a lone quote"),
    (R, JOLLY_ROW, "a;003;Jolly", 4, 3, "", "error", "has 3 cells where the headings have 19"),
    (P, "number;radio", "numbers;radio", 1, 1, "numbers", "error", "unknown column, perhaps number"),
    (P, "number;radio", "numbers;radio", 1, 1, "number", "error", "this column is missing"),
    (P, "1111100007;;badge", "4,64E+09;;badge", 2, 1, "number", "error", "format the column as text"),
    (P, "1111100007;;badge", "111110;;badge", 2, 1, "number", "error", "as in 0000111110"),
    (P, "1111100007;;badge", "0x11100007;;badge", 2, 1, "number", "error", "decimal digits only"),
    (P, "1111100007;;badge", "٠١٢٣٤٥٦٧٨٩;;badge", 2, 1, "number", "error", "decimal digits only"),
    (P, "1111100007;;badge", "18446744073709551616;;badge", 2, 1, "number", "error", "above 64 bits"),
    (P, "1111100007;;badge", ";;badge", 2, 1, "number", "error", "must not be empty"),
    (P, "1111100007;;badge", "0136458962;;badge", 2, 1, "number", "error", "already at site.toml line 163, pass"),
    (P, "1111100008;;badge", "001111100007;;badge", 3, 1, "number", "error", "already at passes.csv line 2, number"),
    (P, "2111100020;;badge", "1111100008;;badge", 6, 1, "number", "error", "already at passes.csv line 3, number"),
    (P, "1111100007;;badge", "1111100007;;card", 2, 3, "type", "error", "there is: badge, remote, dual"),
    (P, "1111100007;;badge", "1111100007;;", 2, 3, "type", "error", "must not be empty"),
    (P, "0778005691;0750089741;dual", "0778005691;;dual", 7, 2, "radio_number", "error", "needs the number"),
    (P, "0778005691;0750089741;dual", "0778005691;0750089741;badge", 7, 2, "radio_number", "error", "only a dual"),
    (P, "0778005691;0750089741", "0778005691;3695843690", 8, 1, "number", "error", "line 7, radio_number"),
    (P, FIRST_PASS, "z" + FIRST_PASS[1:], 2, 5, "block", "error", "'z' is unknown"),
    (P, FIRST_PASS, FIRST_PASS.replace("001", "009", 1), 2, 6, "flat", "error", "a/009 is not in residents.csv"),
    (P, FIRST_PASS, FIRST_PASS[1:], 2, 6, "flat", "error", "a flat needs its block"),
    (P, FIRST_PASS, ";" + FIRST_PASS[5:], 2, 7, "profile", "warning", "opens nothing"),
    (P, "Party room", "Party rooms", 9, 7, "profile", "error", "perhaps Party room"),
    (P, "2026-06-30", "30/06/2026", 3, 9, "to", "error", "is no day"),
    (P, "2026-06-30", "2026-06-31", 3, 9, "to", "error", "there is no such day"),
    (P, "2026-06-30", "0026-06-30", 3, 9, "to", "error", "the year must be"),
    (P, "2026-06-30", "2025-06-30", 3, 9, "to", "error", "ends before it begins"),
    (P, "2026-06-30", "2026-06-30T25:00", 3, 9, "to", "error", "is no time"),
    (P, "2026-06-30", "2026-03-29T02:30", 3, 9, "to", "error", "skips this hour"),
    (P, "2026-06-30", "2026-10-25T02:30", 3, 9, "to", "error", "add +02:00 or +01:00"),
    (P, "2026-06-30", "2026-10-25T02:30+03:00", 3, 9, "to", "error", "does not have this offset"),
    (P, ";lost;", ";gone;", 5, 10, "state", "error", "there is: active, lost, disabled, stock"),
    (P, ";lost;", ";;", 5, 10, "state", "error", "must not be empty"),
    (P, "perdu par Mme Garfield", LONG, 5, 11, "notes", "error", "has 161 characters"),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "column", "field", "level", "words"), PROBLEMS)
def test_a_problem_names_its_line_and_column(
    tmp_path: Path, file: str, old: str, new: str, line: int, column: int, field: str, level: str, words: str
) -> None:
    """A spoiled row gives the problem at its place; an error gives no residence, a warning hinders nothing."""
    folder = copy_example(tmp_path)
    change(folder, file, old, new)
    residence, problems = read(folder, TODAY)
    assert (residence is None) == (level == "error")
    place = (file, line, column, field, level)
    found = [one for one in errors_of(problems) if (one.file, one.line, one.column, one.field, one.level) == place]
    assert any(words in one.message for one in found), "\n".join(map(str, problems))


def test_short_codes_may_be_allowed(tmp_path: Path) -> None:
    """What is refused below 100 possible codes is only a warning where the site allows short codes."""
    folder = copy_example(tmp_path)
    change(folder, "residents.csv", "23456;45678", "2;45678")
    assert read(folder, TODAY)[0] is None
    change(folder, "site.toml", "manager = 4711", "manager = 4711\nshort_codes = true")
    residence, problems = read(folder, TODAY)
    assert residence is not None
    assert [(one.field, one.level) for one in errors_of(problems)] == [("door_code", "warning")]


def test_many_codes_fill_their_space(tmp_path: Path) -> None:
    """Of 4-digit codes the 11th warns and the 101st is refused."""
    folder = copy_example(tmp_path)
    flats = "".join(f"b;{i};;0;x;;;;;;;;;{1000 + i};;;;;\n" for i in range(110, 220))
    (folder / "residents.csv").write_text((folder / "residents.csv").read_text("utf-8") + flats, "utf-8")
    _, problems = read(folder, TODAY)
    found = [(one.line, one.level) for one in errors_of(problems)]
    assert found == [(8 + 10, "warning"), *((8 + i, "error") for i in range(100, 110))]


def test_codes_without_a_display_do_not_fill_the_space(tmp_path: Path) -> None:
    """The control of the test above: the same codes of flats without a display are neither warned of nor refused."""
    folder = copy_example(tmp_path)
    flats = "".join(f"b;{i};;0;;;;;;;;;;{1000 + i};;;;;\n" for i in range(110, 220))
    (folder / "residents.csv").write_text((folder / "residents.csv").read_text("utf-8") + flats, "utf-8")
    _, problems = read(folder, TODAY)
    assert errors_of(problems) == []


def test_partial_leaves_out_the_rows_with_errors(tmp_path: Path) -> None:
    """With `partial` the bad rows are reported and missing, all others are there; the first of two twins stays."""
    folder = copy_example(tmp_path)
    change(folder, "residents.csv", "98761", "86862")
    change(folder, "passes.csv", "1111100009;;badge", "1111100008;;badge")
    change(folder, "passes.csv", "Party room", "Nowhere")
    residence, problems = read(folder, TODAY, partial=True)
    assert residence is not None
    found = [(one.file, one.line, one.field) for one in errors_of(problems)]
    assert found == [("residents.csv", 2, "duress_code"), ("passes.csv", 4, "number"), ("passes.csv", 9, "profile")]
    assert [f"{flat.block}/{flat.flat}" for flat in residence.flats] == ["a/002", "a/003", "a/004", "b/001", "b/002"]
    numbers = [one.number for one in residence.passes]
    assert numbers == [
        "1111100007", "1111100008", "0082101960", "2111100020", "0778005691", "3695843690", "4640800090", "4640800091",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("site.toml", "manager = 4711", "manager = true"),
        ("passes.csv", "number;radio_number;type", "number;radio_number;typ"),
        ("passes.csv", "active;expired in summer", 'active;"expired in summer'),
        ("residents.csv", "delay1_s", "delay"),
    ],
)
def test_partial_does_not_excuse_the_frame(tmp_path: Path, file: str, old: str, new: str) -> None:
    """With `partial` an error in site.toml, in a heading or in the CSV form still refuses the whole."""
    folder = copy_example(tmp_path)
    change(folder, file, old, new)
    residence, problems = read(folder, TODAY, partial=True)
    assert residence is None
    assert errors_of(problems)[0].file == file


def test_a_file_that_is_missing_is_one_error(tmp_path: Path) -> None:
    """Without residents.csv there is one error, not one for every pass of a flat; partial does not excuse it."""
    folder = copy_example(tmp_path)
    (folder / "residents.csv").unlink()
    residence, problems = read(folder, TODAY, partial=True)
    assert residence is None
    assert [str(one) for one in errors_of(problems)] == [
        "residents.csv: is missing: a file with the headings alone is enough"
    ]
