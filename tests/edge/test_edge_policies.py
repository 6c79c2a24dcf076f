"""Changes over an image: a light one lies over it at once, and a rebuild keeps what came meanwhile."""

import asyncio

import pytest

from edge.decision import policy, rows
from edge.decision.model import BADGE
from edge.decision.policy import PolicyError, VerifiedDelta
from edge.policies import FEW_ROWS, Policies
from edge.storage.errors import StorageError
from edge.storage.policy_store import PolicyStore
from edge.uplink.signing import policy_digest

SITE = rows.Site(bytes(16), "s", False, 1)
DOOR = rows.Door("a", "A", ("door",), 5000, 9000, 0, rows.NEVER, False, False, False, "", "", (), rows.NEVER)
GROUP = rows.Group(1, "g", (("a", "", 1 << BADGE, 15, rows.ALWAYS),))


def badge(number: int, group: int = 1) -> bytes:
    return rows.pack(rows.Credential(BADGE, number, group, 0, 0, rows.ACTIVE, 0, "", "x"))


class Site:
    """The rows as the manager has them, and the changes that lead from one revision to the next."""

    def __init__(self) -> None:
        self.rows = {rows.key_of(row): row for row in [*map(rows.pack, (SITE, DOOR, GROUP)), *map(badge, range(100))]}
        self.revision = 1

    def snapshot(self) -> VerifiedDelta:
        return self._delta(0, tuple(self.rows.values()), ())

    def change(self, put: list[bytes], gone: list[bytes] | None = None) -> VerifiedDelta:
        gone = gone or []
        self.rows.update({rows.key_of(row): row for row in put})
        for key in gone:
            del self.rows[key]
        self.revision += 1
        return self._delta(self.revision - 1, tuple(put), tuple(gone))

    def _delta(self, from_revision: int, put: tuple[bytes, ...], gone: tuple[bytes, ...]) -> VerifiedDelta:
        digest = policy_digest(self.rows.values())
        return VerifiedDelta(bytes(16), bytes(16), 1, from_revision, self.revision, put, gone, digest)


def test_a_light_change_needs_no_new_image(tmp_path) -> None:
    """A badge comes, one goes, one is blocked: the same image, and a new start reads the same from the rows."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        first = await policies.apply(site.snapshot())
        lost = rows.pack(rows.Credential(BADGE, 5, 1, 0, 0, rows.STATE_LOST, 0, "", "x"))
        index = await policies.apply(site.change([badge(1000), lost], [rows.key_of(badge(7))]))
        assert (index.version, index.overlaid()) == ((1, 2), 3)
        for found in (index, await again(tmp_path, policies)):
            assert found.version == (1, 2)
            assert found.entitlement(BADGE, 1000) == found.entitlement(BADGE, 8)
            assert found.entitlement(BADGE, 7) is None
            assert found.entitlement(BADGE, 5)[3] == rows.STATE_LOST
        assert first.entitlement(BADGE, 7) is not None  # an index in use does not change under its user

    asyncio.run(play())


async def again(tmp_path, policies: Policies):
    """What a new start finds."""
    await asyncio.to_thread(policies.close)
    fresh = Policies(PolicyStore.open(tmp_path / "policy.db"))
    index = await fresh.load()
    await asyncio.to_thread(fresh.close)
    return index


def test_a_rebuild_keeps_what_came_meanwhile(tmp_path, monkeypatch) -> None:
    """A change is applied while the image is being compiled: it lies over the new one, nothing is lost."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        await policies.apply(site.change([badge(1000)]))
        loop = asyncio.get_running_loop()

        def slow_compile(*arguments):
            image = policy.compile_image(*arguments)
            asyncio.run_coroutine_threadsafe(policies.apply(site.change([badge(2000)])), loop).result(20)
            return image

        monkeypatch.setattr("edge.policies.compile_image", slow_compile)
        index = await policies.rebuild()
        assert (index.version, index.overlaid()) == ((1, 3), 1)
        assert index.entitlement(BADGE, 1000) == index.entitlement(BADGE, 2000) == index.entitlement(BADGE, 8)
        monkeypatch.undo()
        index = await policies.rebuild()
        assert (index.version, index.overlaid()) == ((1, 3), 0)
        assert index.entitlement(BADGE, 2000) is not None
        assert await policies.rebuild() is None
        await asyncio.to_thread(policies.close)

    asyncio.run(play())


def test_a_change_of_the_rules_makes_a_new_image(tmp_path) -> None:
    """A group's grants change: that is no light change, and takes effect whole."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        index = await policies.apply(site.change([rows.pack(rows.Group(1, "g", ()))]))
        assert (index.version, index.overlaid()) == ((1, 2), 0)
        assert index.matching(index.door_posts["a"], 1, BADGE, 0, "") is None
        await asyncio.to_thread(policies.close)

    asyncio.run(play())


@pytest.mark.parametrize(
    "bad",
    [
        badge(1, group=9),
        rows.pack(rows.Credential(9, 1, 1, 0, 0, 0, 0, "", "")),
        rows.pack(rows.Credential(BADGE, 1, 1, 0, 0, 9, 0, "", "")),
        rows.pack(rows.Credential(BADGE, 1, 1, 0, 0, 0, 128, "", "")),
        rows.pack(rows.Display("nowhere", "A1", "x", rows.NEVER, ())),
    ],
)
def test_a_light_change_that_does_not_fit_is_refused_before_it_is_stored(tmp_path, bad: bytes) -> None:
    """What a compile would refuse is refused of a change too, and the rows stay as they were."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        with pytest.raises(PolicyError):
            await policies.apply(site.change([bad]))
        assert policies.version == (1, 1)
        await asyncio.to_thread(policies.close)

    asyncio.run(play())


def test_a_row_that_goes_behind_our_back_is_found_and_repaired(tmp_path) -> None:
    """What is in force goes on, the digest that the manager is told is another, and his snapshot mends it."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        told = policies.digest
        assert await policies.recheck()
        key = rows.key_of(badge(3))
        database = policies.store.database
        gone = database.write(lambda connection: connection.execute("DELETE FROM row WHERE key = ?", (key,)).rowcount)
        assert await asyncio.wrap_future(gone) == 1
        assert policies.digest == told
        assert not await policies.recheck()
        assert policies.digest != told
        index = await policies.apply(site.change([badge(1000)]))
        assert index.entitlement(BADGE, 3) is not None
        assert policies.digest != policies.store.digest(), "a delta does not mend it"
        site.revision += 1
        await policies.apply(site.snapshot())
        assert policies.digest == policies.store.digest()
        assert await policies.recheck()
        policies.close()

    asyncio.run(play())


def test_a_large_light_change_is_worked_out_beside_the_loop(tmp_path) -> None:
    """And lies over an image that a rebuild made meanwhile just the same."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        await policies.apply(site.change([badge(500)]))
        large = site.change([badge(number) for number in range(2000, 2000 + 4 * FEW_ROWS)])
        index, _ = await asyncio.gather(policies.apply(large), policies.rebuild())
        for number in (2000, 2000 + 4 * FEW_ROWS - 1, 500, 1):
            assert index.entitlement(BADGE, number) is not None
        rebuilt = await policies.rebuild() or index
        assert rebuilt.entitlement(BADGE, 2000) is not None
        policies.close()

    asyncio.run(play())


def test_rows_that_nobody_signed_never_come_into_force(tmp_path) -> None:
    """However often the image is made anew, and although the manager is told the digest of the rows as they are."""

    async def play() -> None:
        site, policies = Site(), Policies(PolicyStore.open(tmp_path / "policy.db"))
        await policies.apply(site.snapshot())
        index = await policies.apply(site.change([badge(1000)]))
        evil = badge(666)
        put = policies.store.database.write(
            lambda connection: connection.execute("INSERT INTO row VALUES (?, ?)", (rows.key_of(evil), evil)).rowcount
        )
        assert await asyncio.wrap_future(put) == 1
        for _ in range(3):
            with pytest.raises(StorageError, match="not those that the manager signed"):
                await policies.rebuild()
            assert not await policies.recheck()
        assert index.entitlement(BADGE, 666) is None
        assert index.entitlement(BADGE, 1000) is not None
        policies.close()

    asyncio.run(play())
