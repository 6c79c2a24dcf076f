"""The policy in force: its rows in policy.db, its image beside them, and the index that the core asks."""

import asyncio
import mmap
import zlib
from pathlib import Path

from edge.decision.index import ImageError, Index
from edge.decision.policy import PolicyError, VerifiedDelta, compile_image
from edge.storage.errors import StorageError
from edge.storage.policy_store import PolicyRefused, PolicyStore


class Policies:
    """Keeps the rows and makes the index of them. The rows are the truth; a missing or doubtful image is made
    anew."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, revision) of the rows; (0, 0) before the first."""
        return self._store.version()

    @property
    def digest(self) -> bytes:
        return self._store.digest()

    async def load(self) -> Index | None:
        """The index of what is stored, or None before the first policy. StorageError, PolicyError where the rows
        cannot be used."""
        if self.version == (0, 0):
            return None
        index = await asyncio.to_thread(self._open_image)
        return index or await self._rebuild()

    async def apply(self, delta: VerifiedDelta) -> Index:
        """Check that the rows make a policy, store them whole, and give the new index. PolicyRefused, PolicyError
        (nothing is stored), StorageError."""
        if delta.from_revision == 0:
            version = (delta.epoch, delta.to_revision)
            image = await asyncio.to_thread(compile_image, delta.rows, version, delta.digest, zlib.crc32)
            await asyncio.wrap_future(self._store.apply(delta))
            return await self._take(image)
        raise PolicyRefused("a change from revision to revision is not understood yet; ask for a snapshot", True)

    def close(self) -> None:
        """Blocking: finish what is queued and close policy.db."""
        self._store.close()

    async def _rebuild(self) -> Index:
        packed = await asyncio.wrap_future(self._store.rows())
        digest = await asyncio.wrap_future(self._store.recomputed_digest())
        if digest != self.digest:
            raise StorageError("policy.db: its rows are not those that were stored; a snapshot is needed")
        return await self._take(await asyncio.to_thread(compile_image, packed, self.version, digest, zlib.crc32))

    async def _take(self, image: bytes) -> Index:
        """Keep the image for the next start; this run can do without the file."""
        try:
            await asyncio.wrap_future(self._store.write_image(image))
        except StorageError:
            return Index(image)
        return await asyncio.to_thread(self._open_image) or Index(image)

    def _open_image(self) -> Index | None:
        """The image on disk, if it is whole and made of the rows that are stored."""
        try:
            with Path(self._store.image_path).open("rb") as file:
                buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            index = Index(buffer)
        except (OSError, ValueError):
            return None
        fits = index.version == self.version and index.digest == self.digest
        return index if fits and index.verify(zlib.crc32) else None


POLICY_ERRORS = (PolicyError, PolicyRefused, StorageError, ImageError)
