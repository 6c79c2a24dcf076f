"""The parts of a policy, gathered until they make a change. Only `PolicyParts` makes a VerifiedDelta, so nothing
unverified can enter the store."""

from typing import NamedTuple

from edge.decision import rows as policy_rows
from edge.decision.policy import VerifiedDelta
from edge.uplink import wire
from edge.uplink.keys import Trust
from edge.uplink.messages import PolicyPart
from edge.uplink.signing import digest_bytes, hash_sum, verify_policy_part
from edge.uplink.wire import WireError

MAX_STAGED = 64 * 1024 * 1024  # bytes of rows and keys that wait for the rest of their version


class CheckedPart(NamedTuple):
    """A verified part with the keys of its rows and of those that go, and the sum of the rows' SHA-256. trouble: what
    is wrong with a row; then there are no keys. Only `check_policy_part` makes one."""

    part: PolicyPart
    keys: tuple[bytes, ...]
    hash_sum: int
    trouble: WireError | None


def check_policy_part(raw: bytes, trust: Trust) -> CheckedPart:
    """All of PolicyParts.add that takes milliseconds and needs nothing but the message: for another thread than the one
    that opens doors. WireError."""
    part = verify_policy_part(raw, trust)
    try:
        keys = (*map(_key_of_row, part.rows), *map(_checked_key, part.gone))
    except WireError as trouble:
        return CheckedPart(part, (), 0, trouble)
    return CheckedPart(part, keys, hash_sum(part.rows), None)


class PolicyParts:
    """Gathers the verified parts of one policy version, in any order. The newest version wins; what is staged is
    bounded and lives in memory only, so an interrupted one is simply sent again."""

    def __init__(self) -> None:
        self.repeated = 0  # parts that were here already, or of the version that is in force
        self._stage: _Stage | None = None
        self._handed = 0  # the revision that was handed out and is not settled yet

    @property
    def waiting(self) -> int:
        """How many parts are missing; 0 when no version is staged."""
        return self._stage.missing if self._stage else 0

    def add(self, raw: bytes | CheckedPart, trust: Trust, revision: int) -> VerifiedDelta | None:
        """Verify one message, if it was not checked before. The change, once all its parts are here and agree; None as
        long as some are missing. revision: in force, 0 for none of this epoch. WireError: `version` where the part
        cannot build on that; what is wrong with a row drops the whole version."""
        checked = raw if isinstance(raw, CheckedPart) else check_policy_part(raw, trust)
        part = checked.part
        _check_version(part, revision, self._stage.first.to_revision if self._stage else 0)
        if part.to_revision in (revision, self._handed):
            self.repeated += 1
            return None
        if self._stage is None or not self._stage.takes(part):
            self._stage = _Stage(part)
        stage = self._stage
        try:
            self.repeated += not stage.add(checked)
            if stage.missing:
                return None
            stage.check_digest()
        except WireError:
            self._stage = None
            raise
        self._stage = None
        self._handed = part.to_revision
        rows, gone = stage.ordered()
        return VerifiedDelta(
            trust.site_uid, trust.controller, trust.epoch, part.from_revision, part.to_revision, rows, gone, part.digest
        )

    def settle(self, revision: int) -> None:
        """The store has taken what was handed out, or refused it, and now holds `revision`."""
        self._handed = 0
        if self._stage and self._stage.first.to_revision <= revision:
            self._stage = None


def _check_version(part: PolicyPart, revision: int, staged: int) -> None:
    """WireError `version` where a part is older than what is here or builds on something else. A part of the version
    in force is let through: it was only delivered twice."""
    to = part.to_revision
    if to < revision:
        raise WireError(wire.VERSION, f"it leads to revision {to}, this controller has {revision}")
    if to < staged:
        raise WireError(wire.VERSION, f"it leads to revision {to} while {staged} is on its way")
    if to > revision and part.from_revision not in (0, revision):
        what = f"it builds on revision {part.from_revision}, this controller has {revision}"
        raise WireError(wire.VERSION, f"{what} and asks for a snapshot")


class _Stage:
    """The parts of one version that are here."""

    def __init__(self, first: PolicyPart) -> None:
        self.first = first
        self._parts: dict[int, PolicyPart] = {}
        self._keys: set[bytes] = set()
        self._size = self._hash_sum = 0

    @property
    def missing(self) -> int:
        return self.first.parts - len(self._parts)

    def takes(self, part: PolicyPart) -> bool:
        first = self.first
        return (part.from_revision, part.to_revision, part.parts, part.digest) == (
            first.from_revision, first.to_revision, first.parts, first.digest,
        )  # fmt: skip

    def add(self, checked: CheckedPart) -> bool:
        """False: it was here. WireError `malformed` (a row or key that cannot be), `oversized`."""
        part = checked.part
        if part.part in self._parts:
            return False
        self._size += sum(map(len, part.rows)) + sum(map(len, part.gone))
        if self._size > MAX_STAGED:
            raise WireError(wire.OVERSIZED, f"revision {part.to_revision} has more than {MAX_STAGED} bytes of rows")
        if checked.trouble is not None:
            raise checked.trouble
        for key, row in zip(checked.keys, (*part.rows, *part.gone), strict=True):
            if key in self._keys:
                raise WireError(wire.MALFORMED, f"two rows with the key of {_row_name(row)}")
            self._keys.add(key)
        self._hash_sum += checked.hash_sum
        self._parts[part.part] = part
        return True

    def check_digest(self) -> None:
        """WireError where a snapshot's rows do not have its digest; a change's is checked by the store."""
        if self.first.from_revision == 0 and digest_bytes(self._hash_sum) != self.first.digest:
            raise WireError(wire.MALFORMED, f"the rows of revision {self.first.to_revision} do not have its digest")

    def ordered(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """(rows, gone keys) of all parts in order."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        return tuple(row for part in parts for row in part.rows), tuple(key for part in parts for key in part.gone)


def _key_of_row(row: bytes) -> bytes:
    try:
        return policy_rows.checked_key(row)
    except policy_rows.RowError as error:
        raise WireError(wire.MALFORMED, f"{_row_name(row)}: {error}") from None


def _checked_key(key: bytes) -> bytes:
    try:
        if policy_rows.key_of(key) == key:
            return key
    except policy_rows.RowError:
        pass
    raise WireError(wire.MALFORMED, f"a key that is none, of {_row_name(key)}")


def _row_name(row: bytes) -> str:
    """A row for people: its table and key; only the table of a credential, which may be a code."""
    try:
        value = policy_rows.unpack(row)
    except policy_rows.RowError:
        return f"a row of table {row[0]}" if row else "an empty row"
    return "a credential" if row[0] == policy_rows.CREDENTIAL else policy_rows.describe(value)
