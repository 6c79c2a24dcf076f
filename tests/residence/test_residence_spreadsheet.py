"""The forms in which spreadsheets export: separators, BOM, line ends, English and French."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from residence_folders import TODAY, change, copy_example, errors_of, read_whole

from edge.residence.reading import read

FRENCH_RESIDENTS = (
    "Bloc;Appartement;Nom;Étage;Affichage;Code d’appel;Téléphone 1;téléphone 2;TÉLÉPHONE 3;Délai 1;Délai 2;Délai 3;"
    "Ouverture automatique;Code porte;Code aux 1;Code aux 2;Code contrainte;Courriel;Notes"
)
FRENCH_PASSES = "Numéro;Numéro radio;Type;Couleur;Bloc;Appartement;Profil;Du;Au;État;Notes"
FRENCH_WORDS = {
    ";dual;": ";bi-technologie;", ";remote;": ";Télécommande;", ";active;": ";Actif;", ";lost;": ";perdu;",
    ";stock;": ";En stock;", "2026-01-01;2026-06-30": "01/01/2026;30/06/2026",
}  # fmt: skip


def _rewrite(path: Path, delimiter: str = ";", line_end: str = "\n", bom: bool = False) -> None:
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8")), delimiter=";"))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + out.getvalue().encode())


@pytest.mark.parametrize("delimiter", [";", ","])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_every_form_gives_the_same_residence(tmp_path: Path, delimiter: str, line_end: str, bom: bool) -> None:
    """Separator, line ends and BOM change nothing."""
    folder = copy_example(tmp_path)
    expected = read_whole(folder)
    for name in ("residents.csv", "passes.csv"):
        _rewrite(folder / name, delimiter, line_end, bom)
    site = (folder / "site.toml").read_text("utf-8").replace("\n", line_end)
    (folder / "site.toml").write_bytes((b"\xef\xbb\xbf" if bom else b"") + site.encode())
    assert read_whole(folder) == expected


def test_french_headings_and_values_give_the_same_residence(tmp_path: Path) -> None:
    """French headings, words and day-first dates mean what the English ones do."""
    folder = copy_example(tmp_path)
    expected = read_whole(folder)
    for name, heading in (("residents.csv", FRENCH_RESIDENTS), ("passes.csv", FRENCH_PASSES)):
        body = (folder / name).read_text("utf-8").split("\n", 1)[1]
        for english, french in FRENCH_WORDS.items():
            body = body.replace(english, french)
        (folder / name).write_text(heading + "\n" + body.replace(";Never;", ";Jamais;"), "utf-8")
    assert "bi-technologie" in (folder / "passes.csv").read_text("utf-8")
    assert read_whole(folder) == expected


def test_a_problem_in_a_french_file_names_its_french_heading(tmp_path: Path) -> None:
    """What the manager sees in the sheet is what the problem names."""
    folder = copy_example(tmp_path)
    text = (folder / "passes.csv").read_text("utf-8").split("\n", 1)[1].replace("2026-06-30", "31/06/2026")
    (folder / "passes.csv").write_text(FRENCH_PASSES + "\n" + text, "utf-8")
    _, problems = read(folder, TODAY)
    assert [str(one) for one in errors_of(problems)] == ["passes.csv:3:9: Au: '31/06/2026': there is no such day"]


def test_columns_may_come_in_any_order_and_be_left_out(tmp_path: Path) -> None:
    """Only the columns needed must be there."""
    folder = copy_example(tmp_path)
    (folder / "passes.csv").write_text("state,type,number\nactive,badge,0000000012\n", "utf-8")
    residence, problems = read(folder, TODAY)
    assert residence is not None
    assert [one.level for one in errors_of(problems)] == ["warning"]
    assert [(one.number, one.kind, one.from_s, one.to_s) for one in residence.passes] == [("0000000012", "badge", 0, 0)]


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """Empty rows are skipped and quoted line breaks counted, so that lines stay those of an editor."""
    folder = copy_example(tmp_path)
    change(folder, "passes.csv", "expired in summer", '"expired\nin summer"')
    change(folder, "passes.csv", "1111100009;;badge", "\n;;;;;;;;;;\n1111100009;;card")
    _, problems = read(folder, TODAY)
    assert [(one.line, one.field) for one in errors_of(problems)] == [(7, "type")]


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    """A Windows code page is refused with advice at the first byte that is not UTF-8."""
    folder = copy_example(tmp_path)
    raw = (folder / "residents.csv").read_text("utf-8").replace("ễ", "e").encode("cp1252", "replace")
    (folder / "residents.csv").write_bytes(raw)
    _, problems = read(folder, TODAY)
    found = errors_of(problems)
    assert [(one.file, one.line) for one in found] == [("residents.csv", 3)]
    assert "CSV UTF-8" in found[0].message


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    """Headings must be there even where nobody lives."""
    folder = copy_example(tmp_path)
    (folder / "passes.csv").write_text("\n")
    _, problems = read(folder, TODAY)
    assert [(one.file, one.line, one.column) for one in errors_of(problems)] == [("passes.csv", 1, 1)]


def test_telephones_are_normalised_by_country(tmp_path: Path) -> None:
    """International, 00 and national forms of a number are one number; foreign ones keep their country."""
    folder = copy_example(tmp_path)
    change(folder, "residents.csv", "0033612000004", "06 12 00 00 04")
    change(folder, "residents.csv", "0033612000005", "+33 (0)6.12-00-00-05")
    change(folder, "residents.csv", "0033612000006", "0039 06 1234 5678")
    flat = read_whole(folder).flats[2]
    assert [phone.number for phone in flat.phones] == [33612000004, 33612000005, 390612345678]


def test_a_national_number_needs_a_country(tmp_path: Path) -> None:
    """Without a country in site.toml only international telephone numbers are understood."""
    folder = copy_example(tmp_path)
    change(folder, "site.toml", 'country = "FR"', "#")
    assert read(folder, TODAY)[0] is not None
    change(folder, "residents.csv", "0033612000004", "0612000004")
    _, problems = read(folder, TODAY)
    assert [(one.line, one.field) for one in errors_of(problems)] == [(4, "phone1")]


def test_a_day_lasts_as_long_as_the_clock_makes_it(tmp_path: Path) -> None:
    """The example's one-day pass is valid for the 23 hours of the spring change, to the second."""
    one = read_whole(copy_example(tmp_path)).passes[-1]
    assert (one.from_s, one.to_s) == (
        datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp(),
        datetime(2026, 3, 29, 22, tzinfo=UTC).timestamp(),
    )
    assert one.to_s - one.from_s == 23 * 3600
