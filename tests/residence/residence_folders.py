"""The example residence, copied so that a test may spoil it."""

import shutil
from datetime import date
from pathlib import Path

from edge.residence.problems import Problem
from edge.residence.reading import read
from edge.residence.values import Residence

EXAMPLE = Path(__file__).parents[2] / "examples" / "clos-des-dunes"
TODAY = date(2026, 7, 1)


def copy_example(folder: Path) -> Path:
    """A copy of the example's files in `folder`."""
    return Path(shutil.copytree(EXAMPLE, folder / "site"))


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replace the only occurrence of `old` in a file."""
    text = (folder / file).read_text("utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
    (folder / file).write_text(text.replace(old, new), "utf-8")


def errors_of(problems: list[Problem]) -> list[Problem]:
    """Without the example's own warning."""
    return [one for one in problems if "caller number" not in one.message]


def read_whole(folder: Path) -> Residence:
    """The residence of a folder without errors."""
    residence, problems = read(folder, TODAY)
    assert residence is not None, "\n".join(map(str, problems))
    return residence
