"""Importing a residence: everything or nothing, again and again, and back out of the database unchanged."""

import shutil
from dataclasses import replace

import pytest
from cloud_example import EXAMPLE, NOW, TODAY

from edge.residence.compile import policy_rows, years_around
from edge.residence.reading import read


@pytest.fixture
def folder(tmp_path):
    """A copy of the example that a test may break."""
    copy = tmp_path / "residence"
    shutil.copytree(EXAMPLE, copy)
    return copy


def _edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _example():
    residence, _ = read(EXAMPLE, TODAY)
    return residence


def _counts():
    from cloud_stub.residences import models

    kinds = (models.Site, models.Flat, models.Pass, models.Phone, models.Door, models.Reader, models.Task)
    return {kind.__name__: set(kind.objects.values_list("pk", flat=True)) for kind in kinds}


def test_what_was_stored_loads_as_equal_values(site):
    """load(store(residence)) is the residence, field by field."""
    from cloud_stub.residences import archive

    assert archive.load(site) == _example()


def test_a_changed_value_does_not_load_as_equal(site):
    """The comparison above would notice one delay of one telephone."""
    from cloud_stub.residences import archive, models

    phone = models.Phone.objects.first()
    phone.delay_s += 1
    phone.save()
    assert archive.load(site) != _example()


def test_compiled_from_the_database_equals_compiled_from_the_files(site):
    """Each controller's rows are the same bytes whichever way they come."""
    from cloud_stub.residences import archive

    uid, key, years = bytes.fromhex(site.uid), bytes(range(32)), years_around(NOW.timestamp())
    stored, written = archive.load(site), _example()
    for controller in written.controllers:
        rows = policy_rows(stored, controller.id, uid, key, years)
        assert rows == policy_rows(written, controller.id, uid, key, years)
        assert len(rows) > 30


def test_importing_again_changes_nothing(site):
    """The second import keeps every row, its primary key, and the site's uid."""
    from cloud_stub.residences.importing import import_folder

    before = _counts()
    again = import_folder(EXAMPLE, NOW).site
    assert (again.pk, again.uid) == (site.pk, site.uid)
    assert _counts() == before


def test_importing_a_changed_residence_updates_it(site, folder):
    """Changed, added and removed things arrive; what stayed keeps its primary key; order is that of the files."""
    from cloud_stub.residences import archive, models
    from cloud_stub.residences.importing import import_folder

    kept = models.Flat.objects.get(flat="001", block__slug="a").pk
    _edit(folder / "residents.csv", "Jolly, Michael", "Jolly, Michelle")
    passes = (folder / "passes.csv").read_text("utf-8").splitlines()
    (folder / "passes.csv").write_text("\n".join([passes[0], *reversed(passes[2:])]) + "\n", "utf-8")
    assert import_folder(folder, NOW).site is not None
    expected, _ = read(folder, TODAY)
    assert archive.load(site) == expected
    assert models.Flat.objects.get(flat="001", block__slug="a").pk == kept


def test_a_block_that_left_takes_its_flats_and_passes_along(site):
    """Removal goes from children to parents, so nothing that protects its parent stands in the way."""
    from cloud_stub.residences import archive

    whole = _example()
    smaller = replace(
        whole,
        blocks=whole.blocks[:1],
        flats=tuple(flat for flat in whole.flats if flat.block == "a"),
        passes=tuple(each for each in whole.passes if each.block in ("", "a")),
        companies=(), providers=(), tasks=(),
    )  # fmt: skip
    archive.store(smaller, bytes(16))
    assert archive.load(site) == smaller


def test_a_controller_that_left_becomes_inactive_and_keeps_its_keys(site):
    """Its events refer to it, so it stays; when it comes back it is the same one."""
    from cloud_stub.residences import archive
    from cloud_stub.residences.models import Controller

    Controller.objects.filter(slug="hall-b").update(code_key="ab" * 32)
    whole = _example()
    archive.store(replace(whole, controllers=whole.controllers[:1], panels=()), bytes(16))
    assert not Controller.objects.get(slug="hall-b").is_active
    archive.store(whole, bytes(16))
    back = Controller.objects.get(slug="hall-b")
    assert back.is_active
    assert back.code_key == "ab" * 32


BROKEN = [
    ("passes.csv", "1111100007", "1,11E+09", "passes.csv:2:1"),
    ("passes.csv", "1111100008;", "1111100007;", "passes.csv:3:1"),
    ("passes.csv", "active;expired", "gone;expired", "passes.csv:3:10"),
    ("passes.csv", "2026-06-30", "30/06/26x", "passes.csv:3:9"),
    ("passes.csv", "Party room", "Swimming pool", "passes.csv:9:7"),
    ("residents.csv", ";12345;", ";12a45;", "residents.csv:2:14"),
    ("residents.csv", "0033612000001", "12", "residents.csv:2:7"),
    ("residents.csv", "b;001", "z;001", "residents.csv:6:1"),
]


@pytest.mark.parametrize(("name", "old", "new", "place"), BROKEN)
def test_a_broken_row_stops_the_import(data, folder, name, old, new, place):
    """The problem names file, line and column, and the database stays as it was."""
    from cloud_stub.residences.importing import import_folder

    _edit(folder / name, old, new)
    before = _counts()
    done = import_folder(folder, NOW)
    assert done.site is None
    assert place in [str(problem).split(": ")[0] for problem in done.problems]
    assert _counts() == before


@pytest.mark.parametrize(("name", "old", "new", "place"), BROKEN)
def test_partial_leaves_out_the_broken_row_only(data, folder, name, old, new, place):
    """The other rows are imported, and what is stored is what was read."""
    from cloud_stub.residences import archive
    from cloud_stub.residences.importing import import_folder

    _edit(folder / name, old, new)
    done = import_folder(folder, NOW, partial=True)
    expected, _ = read(folder, TODAY, partial=True)
    assert done.site is not None
    assert done.left_out >= 1
    whole = _example()
    assert done.flats + done.passes < len(whole.flats) + len(whole.passes)
    assert archive.load(done.site) == expected


def test_a_broken_site_file_imports_nothing_even_partially(data, folder):
    """Rows can be left out, rules cannot."""
    from cloud_stub.residences.importing import import_folder

    _edit(folder / "site.toml", 'passback = "soft"', 'passback = "mild"')
    assert import_folder(folder, NOW, partial=True).site is None
    assert not any(_counts().values())
