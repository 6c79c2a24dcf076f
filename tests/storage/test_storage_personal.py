"""Row S7: personal data goes, from the file, its journal and its free pages, and the chain stays whole."""

import struct

import pytest
from chain_scenes import DAY_MS, KEYS, a_manager, filled, hands_on, opened, passage, sent
from storage_scenes import WAIT_S, held_up, make_event

from edge.decision import chain
from edge.storage import personal
from edge.storage.chain_rows import HASHES
from edge.storage.event_log import EventLog

FULL = pytest.mark.full
SOMEBODY = 9_876_543_210
SIZES = [300, pytest.param(10_000, marks=FULL)]


@pytest.fixture
def log(tmp_path):
    log = opened(tmp_path)
    yield log
    log.close()


def traces(folder, number, *words):
    """How often a number, as text or packed, or a word stands in the files of `folder`, free pages included."""
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("events.db*")))
    forms = [word.encode() for word in words]
    if number is not None:
        forms += [str(number).encode(), struct.pack(">Q", number), struct.pack("<Q", number), number.to_bytes(5, "big")]
    return sum(content.count(form) for form in forms)


def visits(log, count, somebody_every=3, days=10):
    """Passages over some days; every third is by SOMEBODY, and now and then a visitor calls Garfield."""
    step_ms = days * DAY_MS // count
    for first in range(1, count + 1, 50):
        events = []
        for n in range(first, min(first + 50, count + 1)):
            at_ms = 1_700_000_000_000 + n * step_ms
            if n % 11 == 0:
                events.append(
                    make_event(n, at_ms=at_ms, credential=None, medium="call", detail="1204 Garfield number 1")
                )
            elif n % 13 == 0:
                events.append(make_event(n, at_ms=at_ms, credential=None, medium="", result="info", detail="plain"))
            else:
                who = SOMEBODY if n % somebody_every == 0 else 4_640_000_000 + n % 40
                events.append(make_event(n, at_ms=at_ms, credential=who, detail=f"button {n % 4}"))
        log.record(events, 1).result(WAIT_S)


def whole(log):
    found = log.verify().result(WAIT_S)
    assert found.is_whole, found
    manager = a_manager(log)
    assert sent(log, manager) == []


@pytest.mark.parametrize("count", SIZES)
def test_nothing_of_what_is_old_is_left_anywhere(log, tmp_path, count):
    """Purged by age: byte search finds it in file, journal and free pages before, and nowhere after; others stay."""
    visits(log, count)
    assert traces(tmp_path, SOMEBODY, "Garfield") > 0
    cut_ms = 1_700_000_000_000 + 4 * DAY_MS
    gone = log.purge(cut_ms).result(WAIT_S)
    left = log.read(1, count).result(WAIT_S)
    assert gone == sum(entry.event.detail == "" for entry in left) > count // 4
    for entry in left:
        is_gone = entry.event.credential is None and entry.event.detail == ""
        assert is_gone == (entry.event.at_ms < cut_ms and entry.event.detail != "plain")
    whole(log)
    assert log.purge(cut_ms).result(WAIT_S) == 0
    assert log.purge(2**50).result(WAIT_S) > 0
    assert traces(tmp_path, SOMEBODY, "Garfield", "button") == 0
    assert log.database.read(lambda c: c.execute("SELECT count(*) FROM secret").fetchone()[0]).result(WAIT_S) == 0
    whole(log)


@pytest.mark.parametrize("overwrites", [True, False])
def test_pruned_events_leave_no_trace_either(log, tmp_path, overwrites):
    """What is deleted as a whole is written over, too, once the journal is copied back. The control: it is not where
    secure_delete is off."""
    visits(log, 300)
    if not overwrites:
        log.database.read(lambda c: c.execute("PRAGMA secure_delete = OFF").fetchone()).result(WAIT_S)
    log.acknowledge(300).result(WAIT_S)
    while log.prune(0).result(WAIT_S):
        pass
    log.close()
    assert (traces(tmp_path, SOMEBODY, "Garfield") == 0) == overwrites


@pytest.mark.parametrize("count", SIZES)
def test_one_person_is_erased_and_all_others_can_be_verified(log, tmp_path, count):
    """Somebody's events lose their person, in every day; the others keep theirs, and everything is still proven."""
    visits(log, count)
    before = log.read(1, count).result(WAIT_S)
    wanted = [entry.seq for entry in before if entry.event.credential == SOMEBODY]
    assert log.erase(SOMEBODY).result(WAIT_S) == len(wanted)
    after = log.read(1, count).result(WAIT_S)
    for old, new in zip(before, after, strict=True):
        assert new.event == (chain.without_person(old.event) if old.seq in wanted else old.event)
    whole(log)
    assert log.query(credential=SOMEBODY).result(WAIT_S) == []
    assert traces(tmp_path, SOMEBODY) == 0
    assert log.erase(SOMEBODY).result(WAIT_S) == 0


def test_calls_to_a_resident_are_erased_by_call_code(log, tmp_path):
    """By the code that visitors enter; a longer code with the same beginning is another resident's."""
    visits(log, 100)
    other = make_event(1, credential=None, medium="call", detail="12041 Solomon")
    log.record([other], 1).result(WAIT_S)
    assert log.erase(call_code="1204").result(WAIT_S) == 9
    assert traces(tmp_path, None, "Garfield") == 0
    assert log.read(101).result(WAIT_S)[0].event == other
    whole(log)


def test_whoever_has_the_file_cannot_try_out_numbers(log):
    """After erasing, none of a thousand numbers, the right one among them, gives the commitment with anything that the
    file still holds; before, the right one did."""
    visits(log, 60)
    assert found_by_trying(log, 3) == SOMEBODY
    log.erase(SOMEBODY).result(WAIT_S)
    assert found_by_trying(log, 3) is None


def found_by_trying(log, seq):
    """Who event `seq` was, tried out with each secret and salt in the file."""
    read = log.database.read
    secrets = [row[0] for row in read(lambda c: c.execute("SELECT secret FROM secret").fetchall()).result(WAIT_S)]
    salts = read(lambda c: c.execute("SELECT salt FROM event WHERE salt IS NOT NULL").fetchall()).result(WAIT_S)
    salts = [row[0] for row in salts] + [chain.salt_of(HASHES, secret, seq) for secret in secrets]
    event = make_event(3, credential=None, detail=f"button {seq % 4}")
    wanted = read(lambda c: c.execute("SELECT commitment FROM event WHERE seq = ?", (seq,)).fetchone()[0]).result(
        WAIT_S
    )
    if wanted is None:  # nothing was erased: the commitment is what the body has
        secret = chain.salt_of(HASHES, secrets[0], seq)
        wanted = chain.commit(HASHES, secret, event._replace(credential=SOMEBODY))
    for number in range(SOMEBODY - 500, SOMEBODY + 500):
        if any(chain.commit(HASHES, salt, event._replace(credential=number)) == wanted for salt in salts):
            return number
    return None


def test_an_erasure_that_was_cut_short_is_finished(tmp_path):
    """The events lose their person first; the secret that could give it away goes with the next purge at the latest."""
    log = opened(tmp_path)
    visits(log, 100)
    log.database.write(lambda c: personal._erase(c, [3, 6, 9])).result(WAIT_S)
    log.close()
    log = opened(tmp_path)
    count = "SELECT count(*) FROM secret WHERE is_dying"
    assert log.database.read(lambda c: c.execute(count).fetchone()[0]).result(WAIT_S) == 1
    whole(log)
    log.record([passage(1)], 1).result(WAIT_S)
    log.purge(0).result(WAIT_S)
    assert log.database.read(lambda c: c.execute(count).fetchone()[0]).result(WAIT_S) == 0
    whole(log)
    log.close()


def test_an_event_of_today_after_an_erasure_gets_another_secret(log):
    """The day goes on under a new secret; both of the day's halves can be verified."""
    visits(log, 40, days=1)
    log.erase(SOMEBODY).result(WAIT_S)
    visits(log, 40, days=1)
    assert log.erase(4_640_000_001).result(WAIT_S) > 0
    whole(log)


def test_clocks_that_jump_get_a_secret_for_each_stretch(log):
    """Days back and forth, before 1970, far ahead: each event finds its salt; what stands before an old one goes."""
    days = [20_000, 20_001, 20_000, -3, 40_000, 20_002]
    events = [make_event(n, at_ms=day * DAY_MS + n, credential=SOMEBODY) for n, day in enumerate(days)]
    log.record(events, 1).result(WAIT_S)
    whole(log)
    assert log.purge(20_001 * DAY_MS).result(WAIT_S) == 4, "up to the event of before 1970"
    assert log.purge(20_003 * DAY_MS).result(WAIT_S) == 2, "the one from the far future stands before an old one"
    whole(log)


def test_a_day_is_purged_when_its_events_are(log):
    """The secret goes with the last of its events, not before: the rest of the day stays provable."""
    visits(log, 40, days=1)
    log.purge(1_700_000_000_000 + DAY_MS // 2).result(WAIT_S)
    whole(log)
    log.purge(1_700_000_000_000 + 2 * DAY_MS).result(WAIT_S)
    assert log.database.read(lambda c: c.execute("SELECT count(*) FROM secret").fetchone()[0]).result(WAIT_S) == 0
    whole(log)


def test_a_log_may_name_nobody(tmp_path):
    """Nominative logging turned off: no person is ever written, no secret kept; the chain is whole."""
    log = opened(tmp_path, is_nominative=False)
    visits(log, 100)
    assert {(entry.event.credential, entry.event.detail) for entry in log.read(1).result(WAIT_S)} == {
        (None, ""), (None, "plain"),
    }  # fmt: skip
    assert traces(tmp_path, SOMEBODY, "Garfield", "button") == 0
    assert log.database.read(lambda c: c.execute("SELECT count(*) FROM secret").fetchone()[0]).result(WAIT_S) == 0
    whole(log)
    log.close()


def test_records_go_on_while_persons_are_erased(log):
    """Purging and erasing are many small writes: records that come meanwhile go between them."""
    filled(log, 4000)
    order = []
    with held_up(log.database):
        erasing = log.erase(4_640_000_007)
        purging = log.purge(passage(2000).at_ms)
    while not (erasing.done() and purging.done()):
        order.append(log.record([passage(1)], 1).result(WAIT_S)[0])
    assert len(order) > 3
    assert erasing.result(WAIT_S) > 0
    assert purging.result(WAIT_S) > 0
    whole(log)


def test_a_purged_event_is_not_named_again_unseen(tmp_path):
    """Somebody writes another name where one was erased: the record does not fit."""
    log = opened(tmp_path)
    visits(log, 60)
    log.erase(SOMEBODY).result(WAIT_S)
    log.close()
    with hands_on(tmp_path) as connection:
        connection.execute("UPDATE event SET credential = '4640000001' WHERE seq = 3")
    log = opened(tmp_path)
    found = log.verify().result(WAIT_S)
    assert (found.bad_seq, "erased" in found.reason) == (3, True)
    log.close()


def test_events_of_before_the_chain_are_purged_too(tmp_path):
    """They have no commitment: the person goes, and nothing stays in its place."""
    log = EventLog.open(tmp_path / "events.db", keys=KEYS)
    visits(log, 30)
    log.database.write(lambda c: c.execute("UPDATE event SET chain = NULL WHERE seq <= 10").rowcount).result(WAIT_S)
    log.purge(2**50).result(WAIT_S)
    rows = log.database.read(lambda c: c.execute("SELECT credential, commitment FROM event WHERE seq = 3").fetchall())
    assert rows.result(WAIT_S) == [(None, None)]
    log.close()
