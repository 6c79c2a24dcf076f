"""Whom a credential belongs to, as the site's published policy says it now, and what its doors are called."""

from typing import NamedTuple

from cloud_stub.residences.models import Controller, Door
from cloud_stub.residences.publishing import change_since, published_rows
from edge.decision import rows
from edge.decision.model import MEDIUM_WORDS

MOST_NAMES = 1_000_000  # in memory, of all controllers together: some 200 MB

Names = dict[tuple[str, int | None], str]


class Known(NamedTuple):
    """Of one controller. version, digest: of the policy. names: the holder of each (medium word, number). doors: the
    name of each door id."""

    version: tuple[int, int]
    digest: str
    names: Names
    doors: dict[str, str]


class Holders:
    """Looks holders up in each controller's published rows, read once per revision; those of the controllers that were
    asked for least lately are forgotten when there are too many.

    The rows are the place where all of a site's credentials, its codes' tags included, stand by their number.
    """

    def __init__(self, most_names: int = MOST_NAMES) -> None:
        self._by_controller: dict[int, Known] = {}
        self._most, self._count = most_names, 0

    def of(self, controller: Controller, medium: str, number: int | None) -> str:
        """The holder of (medium word, number), "" where nobody is known."""
        return self.known(controller).names.get((medium, number), "")

    def known(self, controller: Controller) -> Known:
        """What is known of a controller's credentials and doors."""
        version = (controller.epoch, controller.revision)
        known = self._by_controller.pop(controller.pk, None)
        if known is not None:
            self._count -= len(known.names)
        if known is None or known.version != version or not controller.revision:
            known = Known(version, controller.digest, _names_of(controller, known), _doors_of(controller))
        self._by_controller[controller.pk] = known  # at the end: the least lately used one is the first
        self._count += len(known.names)
        while self._count > self._most and len(self._by_controller) > 1:
            self._count -= len(self._by_controller.pop(next(iter(self._by_controller))).names)
        return known


def _names_of(controller: Controller, known: Known | None) -> Names:
    """The names as published now; from what was known before, only what changed since is read."""
    epoch, revision = known.version if known is not None else (0, 0)
    change = change_since(controller, revision, known.digest) if known and epoch == controller.epoch else None
    if known is None or change is None:
        return _names_in(published_rows(controller))
    for key in change.gone:
        if key[0] == rows.CREDENTIAL:
            known.names.pop((MEDIUM_WORDS[key[1]], int.from_bytes(key[2:], "big")), None)
    known.names.update(_names_in(change.rows))
    return known.names


def _names_in(packed_rows: list[bytes]) -> Names:
    credentials = (rows.unpack(packed) for packed in packed_rows if packed[0] == rows.CREDENTIAL)
    return {(MEDIUM_WORDS[each.medium], each.number): each.holder for each in credentials}


def _doors_of(controller: Controller) -> dict[str, str]:
    return dict(Door.objects.filter(controller=controller).values_list("slug", "name"))
