"""Reads a residence's files into the database: all of them or, where asked, the rows that are right."""

import dataclasses
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cloud_stub.errors import MissingInputError
from cloud_stub.residences import archive
from cloud_stub.residences.models import Site
from edge.residence.problems import ERROR, Problem, has_errors
from edge.residence.reading import read
from edge.residence.values import Residence


@dataclasses.dataclass(frozen=True)
class Import:
    """What an import did. `site` is None where nothing was imported; `left_out` counts the errors of a partial one."""

    site: Site | None
    problems: tuple[Problem, ...]
    flats: int = 0
    passes: int = 0
    controllers: int = 0

    @property
    def left_out(self) -> int:
        return sum(problem.level == ERROR for problem in self.problems)


def import_folder(
    folder: Path, now: datetime, partial: bool = False, check: Callable[[Residence], None] = lambda residence: None
) -> Import:
    """Read site.toml, residents.csv and passes.csv of `folder` and store them, in one transaction.

    Any error means that nothing is stored; with `partial`, rows with errors are left out instead. A second import of
    a site updates it: what is the same stays, controllers keep their keys and revisions. check: raises where what
    was read may not be stored.
    """
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: no such folder; name the one that holds site.toml")
    residence, problems = read(folder, now.astimezone(UTC).date(), partial)
    if residence is None or (has_errors(problems) and not partial):
        return Import(None, tuple(problems))
    check(residence)
    site = archive.store(residence, secrets.token_bytes(16))
    return Import(site, tuple(problems), len(residence.flats), len(residence.passes), len(residence.controllers))
