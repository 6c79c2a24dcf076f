"""The policy in force: put there, checked, made into an image again, and what is said where something is wrong."""

import asyncio
import contextlib
from collections.abc import Callable

from edge.decision import model
from edge.decision.index import Index
from edge.decision.policy import VerifiedDelta
from edge.policies import POLICY_ERRORS, Policies
from edge.storage.errors import StorageError

REBUILD_EVERY_S = 60.0
RECHECK_EVERY_S = 24 * 3600.0


class PolicyCare:
    """Of `policies`. submit: takes inputs of the core. differs: is called when the rows are found to be others.
    is_over(): another manager is bound already, and nothing more of this one is put in force."""

    def __init__(
        self,
        policies: Policies,
        submit: Callable[[object], None],
        differs: Callable[[], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_over = is_over
        self._policies = policies
        self._submit = submit
        self._differs = differs
        self._said: set[str] = set()
        self.trouble = ""  # why the last change was not taken; "": it was

    @property
    def version(self) -> tuple[tuple[int, int], bytes]:
        """((epoch, revision), digest) as the manager is told them."""
        return self._policies.version, self._policies.digest

    def put_in_force(self, index: Index) -> None:
        """From the next input on it decides."""
        self._submit(model.PolicyReplaced(index))

    async def apply(self, delta: VerifiedDelta) -> tuple[tuple[int, int], bytes]:
        """Store a change and put it in force, whole or not at all; the version afterwards. Never an exception."""
        self.trouble = ""
        if self._is_over():
            self.trouble = "another manager is bound"
            return self.version
        try:
            self.put_in_force(await self._policies.apply(delta))
            if delta.from_revision == 0:
                self._said.clear()
        except Exception as error:  # whatever it is, the policy in force goes on, and the manager learns which it is
            self.trouble = str(error)
            self.refused("policy", type(error).__name__, self.trouble)
            with contextlib.suppress(StorageError):
                await self._policies.recheck()  # where its own rows are to blame, the manager is told another digest
        return self.version

    def refused(self, kind: str, reason: str, message: str) -> None:
        """A message of the manager's was not taken; it is written down."""
        self._submit(model.Noted(f"{kind}-refused", "", "", f"{reason}: {message}"))

    async def keep_checking(self) -> None:
        """At the start, and nightly: are the rows still those that the manager signed?"""
        while True:
            await self._check()
            await asyncio.sleep(RECHECK_EVERY_S)

    async def keep_rebuilding(self) -> None:
        """Now and then the changes that lie over the image become part of it."""
        while True:
            await asyncio.sleep(REBUILD_EVERY_S)
            try:
                index = await self._policies.rebuild()
            except POLICY_ERRORS as error:
                self._alarm(f"policy image: {error}")
                await self._check()
                continue
            if index is not None:
                self.put_in_force(index)

    async def _check(self) -> None:
        try:
            if not await self._policies.recheck():
                self._alarm("policy.db: its rows were changed; a snapshot is needed")
                self._differs()
        except StorageError as error:
            self._alarm(str(error))

    def _alarm(self, said: str) -> None:
        """Once for each thing that is wrong, until a policy came that mends it."""
        if said not in self._said:
            self._said.add(said)
            self._submit(model.LogAlarm(said))
