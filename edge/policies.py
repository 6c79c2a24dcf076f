"""The policy in force: its rows in policy.db, its image beside them, and the index that the core asks."""

import asyncio
import contextlib
import mmap
import zlib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from edge.decision.index import ImageError, Index
from edge.decision.policy import PolicyError, VerifiedDelta, compile_image, is_light
from edge.decision.rows import RowError, key_of
from edge.storage.errors import StorageError
from edge.storage.policy_store import PolicyRefused, PolicyStore

_DIGEST_MASK = (1 << 256) - 1
FEW_ROWS = 200  # a change of so many costs the loop less than a millisecond or two


class Policies:
    """Keeps the rows and makes the index of them. The rows are the truth; a missing or doubtful image is made
    anew. A light change lies over the image until `rebuild` makes another one, off the decision path."""

    def __init__(self, store: PolicyStore, floor: tuple[int, int] = (0, 0)) -> None:
        """`floor`: (epoch, revision) of the newest policy that was ever in force here; an older one is refused even
        where policy.db was lost."""
        self._store = store
        self.floor = floor
        self._newest = floor  # that was in force, in this run too
        self._index: Index | None = None
        self._newer: list[VerifiedDelta] = []  # light changes since the running rebuild read the rows
        self._compiling = asyncio.Lock()
        self._found_digest: bytes | None = None  # of the rows as `recheck` found them, where it is another

    @property
    def store(self) -> PolicyStore:
        """The rows' file, for a backup."""
        return self._store

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, revision) of the rows; (0, 0) before the first."""
        return self._store.version()

    @property
    def digest(self) -> bytes:
        """Of the rows: as they were stored, or as they were found since."""
        return self._store.digest() if self._found_digest is None else self._found_digest

    async def load(self) -> Index | None:
        """The index of what is stored, or None before the first policy. StorageError, PolicyError where the rows
        cannot be used."""
        if self.version[1] == 0:
            self._index = await asyncio.to_thread(self._left_over)
            return self._index
        image = await asyncio.to_thread(self._open_image, self.version, self._store.digest())
        return self._put_in_force(image or await self._from_rows())

    async def apply(self, delta: VerifiedDelta) -> Index:
        """Check that the rows make a policy, store them whole, and give the new index. PolicyRefused, PolicyError
        (nothing is stored), StorageError."""
        version = (delta.epoch, delta.to_revision)
        if version < self._newest:
            words = f"{version[0]}.{version[1]} refused: {self._newest[0]}.{self._newest[1]} was in force here"
            raise PolicyRefused(f"policy {words}; send that or a newer one", needs_snapshot=True)
        if delta.from_revision > 0 and self._index is not None and is_light(delta.rows, delta.gone):
            return await self._overlay(self._index, delta)
        async with self._compiling:
            packed = await self._rows_after(delta)
            image = await asyncio.to_thread(_compiled, packed, version, delta.digest)
            await asyncio.wrap_future(self._store.apply(delta))
            if delta.from_revision == 0:
                self._found_digest = None
            return self._put_in_force(await self._keep(image, version, delta.digest))

    async def recheck(self) -> bool:
        """Whether the rows are still those that were stored. Where not, what is in force goes on, and the digest that
        the manager is told shows it, so that a snapshot follows. StorageError."""
        stored = self._store.digest()
        found = await asyncio.wrap_future(self._store.recomputed_digest())
        if self._store.digest() != stored:
            return True  # a change came meanwhile; it was checked as it came
        self._found_digest = None if found == stored else found
        return self._found_digest is None

    async def _overlay(self, base: Index, delta: VerifiedDelta) -> Index:
        """A light change, laid over the index; one of many rows is worked out beside the loop."""
        index = await _laid_over(base, delta)
        await asyncio.wrap_future(self._store.apply(delta))
        self._newer.append(delta)
        while self._index is not None and self._index is not base:  # an image was made meanwhile
            base = self._index
            index = await _laid_over(base, delta)
        return self._put_in_force(index)

    def _put_in_force(self, index: Index) -> Index:
        """From here on nothing older is taken, even if the rows are lost."""
        self._index, self._newest = index, max(self._newest, index.version)
        return index

    async def rebuild(self) -> Index | None:
        """Make the image anew where rows lie over it; changes that come meanwhile lie over the new one. None where
        there is nothing to do."""
        async with self._compiling:
            if self._index is None or not self._index.overlaid() or self.version[1] == 0:
                return None
            version, digest = self.version, self._store.digest()  # as signed, not as found
            self._newer = []
            packed = await asyncio.wrap_future(self._store.rows())
            if self.version != version:
                return None  # a change came while they were read; the next round has it
            image = await asyncio.to_thread(_compiled, packed, version, digest)
            index = await self._keep(image, version, digest)
            for delta in self._newer:  # it may grow meanwhile
                index = await _laid_over(index, delta)
            self._index = index
            return index

    async def forget(self) -> None:
        """Rows that cannot be used: the image goes, the rows go, and the manager will be asked for a snapshot."""
        await asyncio.wrap_future(self._store.discard_image())
        await asyncio.wrap_future(self._store.forget())

    def close(self) -> None:
        """Blocking: finish what is queued and close policy.db."""
        self._store.close()

    async def _rows_after(self, delta: VerifiedDelta) -> Iterable[bytes]:
        if delta.from_revision == 0:
            return delta.rows
        stored = {key_of(packed): packed for packed in await asyncio.wrap_future(self._store.rows())}
        for key in delta.gone:
            stored.pop(key, None)
        stored.update({key_of(packed): packed for packed in delta.rows})
        return stored.values()

    async def _from_rows(self) -> Index:
        packed = await asyncio.wrap_future(self._store.rows())
        digest = self._store.digest()
        image = await asyncio.to_thread(_compiled, packed, self.version, digest)
        return await self._keep(image, self.version, digest)

    async def _keep(self, image: bytes, version: tuple[int, int], digest: bytes) -> Index:
        """Keep the image for the next start; this run can do without the file."""
        kept: Index | None = None
        with contextlib.suppress(StorageError):
            await asyncio.wrap_future(self._store.write_image(image))
            kept = await asyncio.to_thread(self._open_image, version, digest)
        return kept or Index(image)

    def _open_image(self, version: tuple[int, int], digest: bytes) -> Index | None:
        """The image on disk, if it is whole and made of those rows."""
        index = self._whole_image()
        return index if index is not None and (index.version, index.digest) == (version, digest) else None

    def _left_over(self) -> Index | None:
        """The image of rows that were damaged, and set aside at this start or earlier: in force until a snapshot comes,
        so that residents get in; never one that is older than what was in force."""
        index = self._whole_image()
        return index if index is not None and index.version >= self.floor else None

    def _whole_image(self) -> Index | None:
        try:
            with Path(self._store.image_path).open("rb") as file:
                buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            index = Index(buffer)
        except (OSError, ValueError):
            return None
        return index if index.verify(zlib.crc32) else None


async def _laid_over(index: Index, delta: VerifiedDelta) -> Index:
    version = (delta.epoch, delta.to_revision)
    if len(delta.rows) + len(delta.gone) <= FEW_ROWS:
        return index.changed(delta.rows, delta.gone, version, delta.digest)
    return await asyncio.to_thread(index.changed, delta.rows, delta.gone, version, delta.digest)


def _compiled(packed: Iterable[bytes], version: tuple[int, int], digest: bytes) -> bytes:
    """The image of rows, if they are those of `digest`: what a disk made of them never comes into force. StorageError,
    PolicyError."""
    rows = list(packed)
    total = sum(int.from_bytes(sha256(row).digest(), "big") for row in rows)
    if (total & _DIGEST_MASK).to_bytes(32, "big") != digest:
        raise StorageError("policy.db: its rows are not those that the manager signed; a snapshot is needed")
    return compile_image(rows, version, digest, zlib.crc32)


POLICY_ERRORS = (PolicyError, PolicyRefused, StorageError, ImageError, RowError)
