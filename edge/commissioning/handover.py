"""Whom this controller will obey next: the decision part of the hand-over. Pure.

Two statements make a hand-over: the old manager's release and the new manager's claim. What is signed, and by whom, was
checked before they come here (edge/uplink/statements.py); here is decided whether they are for this controller, belong
together, and may be used now. none → pending → bound; a hand-over is used up by the epoch that it leads to.
"""

from typing import NamedTuple, Protocol

from edge.commissioning import refusals
from edge.decision.model import Moment

MAX_LEAP = 65_536  # epochs


class Release(Protocol):
    """The old side's statement, verified: statements.Release."""

    @property
    def site_uid(self) -> bytes: ...
    @property
    def epoch(self) -> int: ...
    @property
    def expires_s(self) -> int: ...
    @property
    def rank(self) -> tuple[bool, int]: ...


class Claim(Protocol):
    """The new side's statement, verified and opened: statements.Claim."""

    @property
    def site_uid(self) -> bytes: ...
    @property
    def controller(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def manager(self) -> int: ...
    @property
    def needs_key(self) -> bool: ...
    @property
    def root_print(self) -> str: ...
    def answers(self, release: Release, /) -> bool: ...
    def is_key(self, number: int, /) -> bool: ...


class Standing(NamedTuple):
    """How the controller stands. site_uid: b"" where it is factory-new. epoch: in force, or for a factory-new one the
    newest that ever was, 0 for none. controller: its name in agent.toml; "" where it has none yet."""

    site_uid: bytes
    epoch: int
    controller: str = ""

    @property
    def is_new(self) -> bool:
        """Whether it obeys nobody."""
        return not self.site_uid


class Pending(NamedTuple):
    """A hand-over that waits. release: None only for a factory-new controller."""

    release: Release | None
    claim: Claim


class Handover:
    """The one hand-over that may wait in a controller. `rank`: of the newest release that was seen in this epoch."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.pending: Pending | None = None
        self.rank: tuple[bool, int] = (False, -1)

    def deposit(self, release: Release | None, claim: Claim | None) -> str:
        """Take statements in, in place of what waits: "" or why not. A newer release alone withdraws the older one.
        Nothing of it is obeyed before it was used on site. What has run out is taken too: the clock may be wrong."""
        reason = self._misfit(release, claim)
        if reason:
            return reason
        if release is not None and not self.standing.is_new:
            if claim is None and self.pending and release == self.pending.release:
                return ""  # the same again
            self.rank = release.rank
        self.pending = Pending(None if self.standing.is_new else release, claim) if claim is not None else None
        return ""

    def _misfit(self, release: Release | None, claim: Claim | None) -> str:
        """Why these are not for this controller as it stands: the first that applies."""
        here = self.standing
        if here.is_new:
            release = None  # nobody here can tell who signed it
        if release is None and (claim is None or not here.is_new):
            return refusals.NO_HAND_OVER if claim is None else refusals.NEEDS_RELEASE
        for statement in (release, claim):
            if statement is not None and not here.is_new and statement.site_uid != here.site_uid:
                return refusals.FOREIGN_SITE
        if claim is not None and here.controller and claim.controller != here.controller:
            return refusals.FOREIGN_CONTROLLER
        for statement in (release, claim):
            if statement is not None and not self._is_next(statement.epoch):
                return refusals.EPOCH
        if release is not None and release.rank < self.rank:
            return refusals.SUPERSEDED
        if release is not None and claim is not None and not claim.answers(release):
            return refusals.SECRET
        if claim is not None and not claim.needs_key and not here.is_new:
            return refusals.KEYLESS
        return ""

    def _is_next(self, epoch: int) -> bool:
        """A change of manager leads to the next epoch; a factory-new controller joins a site at any later one, but not
        so late that none would be left for those who come after."""
        here = self.standing.epoch
        return here < epoch <= here + MAX_LEAP if self.standing.is_new else epoch == here + 1

    def refusal(self, knows_password: bool, manager: int, moment: Moment) -> str:
        """Why the hand-over may not be used now, all but the key: the first that applies, or "". The order is a
        contract: password, hand-over, fit, number, clock, expiry. manager: the number that was typed."""
        if not knows_password:
            return refusals.PASSWORD
        if self.pending is None:
            return refusals.NO_HAND_OVER
        release, claim = self.pending
        reason = self._misfit(release, claim)
        if reason:
            return reason
        if manager != claim.manager:
            return refusals.WRONG_NUMBER
        if release is None:
            return ""
        if max(moment.floor_ms, moment.utc_ms if moment.trusted else 0) >= release.expires_s * 1000:
            return refusals.EXPIRED  # also where only the proven floor of the time says so
        return "" if moment.trusted else refusals.CLOCK

    def bound(self) -> None:
        """The claim is in force: it cannot be used again. ValueError where none waits."""
        if self.pending is None:
            raise ValueError("no hand-over waits")
        claim = self.pending.claim
        self.standing = Standing(claim.site_uid, claim.epoch, claim.controller)
        self.pending, self.rank = None, (False, -1)
