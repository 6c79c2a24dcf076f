"""The policy store: versions, digest, all or nothing, the image file."""

import random
import sqlite3
import stat

import pytest
from storage_scenes import WAIT_S, digest_of, make_delta, policy_rows

from edge.decision import rows
from edge.storage.errors import PolicyRefused, StorageError
from edge.storage.policy_store import PolicyStore


@pytest.fixture
def store(tmp_path):
    store = PolicyStore.open(tmp_path / "policy.db")
    yield store
    store.close()


def snapshot(store, revision, epoch=1):
    store.apply(make_delta(0, revision, policy_rows(revision), epoch=epoch)).result(WAIT_S)


def state(store):
    return store.version(), store.digest(), store.rows().result(WAIT_S), store.recomputed_digest().result(WAIT_S)


def test_a_snapshot_replaces_everything_and_survives(tmp_path):
    """Rows, version and digest are those of the snapshot, also after a restart."""
    store = PolicyStore.open(tmp_path / "policy.db")
    assert state(store) == ((0, 0), bytes(32), [], bytes(32))
    snapshot(store, 3)
    snapshot(store, 5)
    store.close()
    store = PolicyStore.open(tmp_path / "policy.db")
    wanted = sorted(policy_rows(5), key=rows.key_of)
    assert state(store) == ((1, 5), digest_of(wanted), wanted, digest_of(wanted))
    store.close()


def test_a_delta_sets_replaces_and_deletes(store):
    """New rows come, rows with a known key are replaced, gone keys go; the digest follows."""
    old = policy_rows(1)
    snapshot(store, 1)
    new = policy_rows(2, count=60)
    changed = [new[0], new[1], *new[51:]]
    gone = [rows.key_of(old[10]), rows.key_of(old[20]), b"\x09\x01" + bytes(7) + b"\xff"]
    after = [new[0], new[1], *new[51:]] + [row for n, row in enumerate(old) if n not in (0, 1, 10, 20)]
    store.apply(make_delta(1, 2, changed, gone, after)).result(WAIT_S)
    assert store.rows().result(WAIT_S) == sorted(after, key=rows.key_of)
    assert store.digest() == store.recomputed_digest().result(WAIT_S) == digest_of(after)


def test_a_long_chain_of_random_deltas_keeps_the_digest(store):
    """After 40 random deltas the digest that followed them equals the one recomputed, and a model's."""
    print("seed 11")
    choice = random.Random(11)
    model = {rows.key_of(row): row for row in policy_rows(1, 1500)}
    store.apply(make_delta(0, 1, list(model.values()))).result(WAIT_S)
    for revision in range(2, 42):
        gone = choice.sample(sorted(model), 30)
        for key in gone:
            del model[key]
        changed = [row for row in policy_rows(revision, 1500) if choice.random() < 0.5]
        changed = [row for row in changed if rows.key_of(row) not in gone]
        model.update((rows.key_of(row), row) for row in changed)
        store.apply(make_delta(revision - 1, revision, changed, gone, model.values())).result(WAIT_S)
    assert store.digest() == store.recomputed_digest().result(WAIT_S) == digest_of(model.values())
    assert store.rows().result(WAIT_S) == [model[key] for key in sorted(model)]


@pytest.mark.parametrize(
    ("epoch", "from_revision", "to_revision", "words", "needs_snapshot"),
    [
        (2, 0, 5, "2.5 refused: this controller already has version 2.5, which is the same", False),
        (2, 0, 4, "2.4 refused: this controller already has version 2.5, which is newer", False),
        (1, 0, 9, "1.9 refused: this controller already has version 2.5, which is newer", False),
        (2, 4, 5, "2.5 refused: this controller already has version 2.5, which is the same", False),
        (2, 4, 6, "2.6 refused: it builds on version 2.4, this controller has 2.5", True),
        (2, 6, 7, "2.7 refused: it builds on version 2.6, this controller has 2.5", True),
        (3, 5, 6, "3.6 refused: it builds on version 3.5, this controller has 2.5", True),
    ],
)
def test_versions_only_rise_from_what_is_stored(store, epoch, from_revision, to_revision, words, needs_snapshot):
    """Each version that does not fit is refused, both versions named, and everything stays."""
    snapshot(store, 5, epoch=2)
    before = state(store)
    with pytest.raises(PolicyRefused) as caught:
        store.apply(make_delta(from_revision, to_revision, policy_rows(7), epoch=epoch)).result(WAIT_S)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.needs_snapshot is needs_snapshot
    assert state(store) == before


def test_a_new_epoch_enters_by_snapshot(store):
    """A snapshot of a higher epoch is accepted even with a lower revision."""
    snapshot(store, 5, epoch=1)
    snapshot(store, 1, epoch=2)
    assert store.version() == (2, 1)


@pytest.mark.parametrize("from_revision", [0, 1])
def test_a_wrong_digest_changes_nothing(store, from_revision):
    """Rows that do not add up to the promised digest are rolled back, and a snapshot is asked for."""
    snapshot(store, 1)
    before = state(store)
    wrong = make_delta(from_revision, 2, policy_rows(2), after=policy_rows(3))
    with pytest.raises(PolicyRefused, match="asks for a snapshot"):
        store.apply(wrong).result(WAIT_S)
    assert state(store) == before
    store.apply(make_delta(1, 2, policy_rows(2))).result(WAIT_S)


@pytest.mark.parametrize("from_revision", [0, 1])
def test_a_row_named_twice_is_refused(store, from_revision):
    """A key that comes twice, or comes and goes in one change, would make the digest ambiguous."""
    snapshot(store, 1)
    before = state(store)
    new = policy_rows(2)
    for delta in (
        make_delta(from_revision, 2, [*new, policy_rows(3)[5]]),
        make_delta(from_revision, 2, new, gone=[rows.key_of(new[3])]),
    ):
        with pytest.raises(PolicyRefused, match="names a row twice"):
            store.apply(delta).result(WAIT_S)
    assert state(store) == before


def test_a_row_of_no_known_table_is_refused(store):
    """Rows without a meaning here do not enter."""
    snapshot(store, 1)
    before = state(store)
    with pytest.raises(rows.RowError):
        store.apply(make_delta(1, 2, [b"\xeeodd"])).result(WAIT_S)
    assert state(store) == before


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE row SET packed = x'0901' WHERE key = (SELECT max(key) FROM row)",
        "DELETE FROM row WHERE key = (SELECT max(key) FROM row)",
        "INSERT INTO row VALUES (x'0c0000', x'0c0000000000')",
    ],
)
def test_a_tampered_row_shows_in_the_recomputed_digest(tmp_path, tampering):
    """A row edited, deleted or added behind our back makes the recomputed digest another one."""
    store = PolicyStore.open(tmp_path / "policy.db")
    snapshot(store, 1)
    store.close()
    connection = sqlite3.connect(tmp_path / "policy.db")
    with connection:
        connection.execute(tampering)
    connection.close()
    store = PolicyStore.open(tmp_path / "policy.db")
    assert store.digest() == digest_of(policy_rows(1))
    assert store.recomputed_digest().result(WAIT_S) != store.digest()
    store.close()


def test_the_image_is_replaced_whole(store):
    """A new image takes the old one's place; nobody else may read it, and nothing is left beside it."""
    store.write_image(b"first" * 1000).result(WAIT_S)
    with open(store.image_path, "rb") as mapped:
        store.write_image(b"second").result(WAIT_S)
        assert mapped.read() == b"first" * 1000
    assert store.image_path.read_bytes() == b"second"
    assert stat.S_IMODE(store.image_path.stat().st_mode) == 0o600
    assert sorted(path.name for path in store.image_path.parent.glob("*.image*")) == ["policy.image"]
    store.discard_image().result(WAIT_S)
    store.discard_image().result(WAIT_S)
    assert not store.image_path.exists()


def test_an_image_that_cannot_be_written_leaves_the_old_one(store, monkeypatch):
    """When the flush fails, the old image stays, the temporary file goes, and the error says what to do."""
    store.write_image(b"old").result(WAIT_S)

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.storage.policy_store.os.fsync", refuse)
    with pytest.raises(StorageError, match=r"No space left on device.*free space"):
        store.write_image(b"new").result(WAIT_S)
    assert store.image_path.read_bytes() == b"old"
    assert not list(store.image_path.parent.glob("*.new"))
