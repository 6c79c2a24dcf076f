"""Whom a credential belongs to, as the site's published policy says it now."""

from cloud_stub.residences.models import Controller
from cloud_stub.residences.publishing import published_rows
from edge.decision import rows
from edge.decision.model import MEDIUM_OF_WORD

_Holding = dict[tuple[int, int], str]


class Holders:
    """Looks holders up in each controller's published rows, read once per revision.

    The rows are the place where all of a site's credentials, its codes' tags included, stand by their number.
    """

    def __init__(self) -> None:
        self._by_controller: dict[int, tuple[tuple[int, int], _Holding]] = {}

    def of(self, controller: Controller, medium: str, number: int | None) -> str:
        """The holder of (medium word, number), "" where nobody is known."""
        if number is None or medium not in MEDIUM_OF_WORD:
            return ""
        return self._holding(controller).get((MEDIUM_OF_WORD[medium], number), "")

    def _holding(self, controller: Controller) -> _Holding:
        version = (controller.epoch, controller.revision)
        kept = self._by_controller.get(controller.pk)
        if kept is None or kept[0] != version:
            kept = (version, _holders_in(published_rows(controller)))
            self._by_controller[controller.pk] = kept
        return kept[1]


def _holders_in(packed_rows: list[bytes]) -> _Holding:
    credentials = (rows.unpack(packed) for packed in packed_rows if packed[0] == rows.CREDENTIAL)
    return {(each.medium, each.number): each.holder for each in credentials}
