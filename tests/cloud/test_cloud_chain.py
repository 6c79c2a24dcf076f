"""The cloud follows each log's chain: what was changed before it came is an alarm that the manager sees, once."""

import json

import pytest
from cloud_device import LOG, bind, event, ingest
from cloud_example import NOW
from django.test import Client
from django.utils import translation

from cloud_stub.passages import api, chaining, purging, tally, words
from cloud_stub.passages.models import ChainAlarm, Event, Log
from cloud_stub.residences.models import Controller
from edge.decision import chain
from edge.uplink import signing

SECRET = b"d" * 32


class Recorder:
    """What a controller's log makes of events, written here a second time: bodies, MACs, heads, keys."""

    def __init__(self, device, log_id=LOG):
        self.device, self.log_id = device, log_id
        self.key = b"K" * 32
        self.head = chain.genesis(chaining.HASHES, log_id)
        self.genesis = self.head
        sealed = signing.seal_log_key(device.manager.seal_key, self.key, log_id, 1)
        self.start = chain.Start(1, self.head, sealed)
        self.notes, self.starts, self.events, self.heads = [], [], [], {}
        self._note(chain.Note(0, chain.BEGIN, 1, 0), sealed)
        self.starts.append((0, self.start))

    def _note(self, note, sealed=b""):
        self._add(chain.note_body(self.log_id, note, sealed))
        self.notes.append(note)

    def _add(self, body):
        mac = chain.mac_of(chaining.HASHES, self.key, self.head, body)
        self.head = chain.head_after(chaining.HASHES, self.head, body, mac)

    @property
    def last(self):
        return len(self.events)

    def note(self, kind, first, last):
        self._note(chain.Note(self.last, kind, first, last))

    def record(self, *events):
        for each in events:
            seq = self.last + 1
            salt = chain.salt_of(chaining.HASHES, SECRET, seq)
            covered = chain.commit(chaining.HASHES, salt, each) if chain.is_personal(each) else b""
            self._add(chain.event_body(self.log_id, seq, False, 1, "boot", each, covered))
            self.key = chain.key_after(chaining.HASHES, self.key)
            self.events.append(each)
            self.heads[seq] = self.head
        return self

    def stretch(self, first, last=None):
        last = last or self.last
        count = last - first + 1
        logged = tuple((seq, False, 1, self.events[seq - 1]) for seq in range(first, last + 1))
        notes = tuple(note for note in self.notes if first - 1 <= note.after < last)
        starts = tuple(start for after, start in self.starts if first - 1 <= after < last)
        heads = tuple(self.heads[seq] for seq in range(first, last + 1))
        return chain.Stretch(logged, ("boot",) * count, (b"",) * count, notes, ((1, SECRET),), starts, heads)

    def message(self, stretch):
        raw, count = signing.encode_events(self.log_id, stretch, self.device.down, self.device.key)
        assert count == len(stretch.events)
        return raw

    def send(self, service, first, last=None, change=None):
        """(up to, head) of the acknowledgement; `change` is what a thief does to the file before it is sent."""
        stretch = self.stretch(first, last)
        return self.handed(service, change(stretch) if change else stretch)

    def handed(self, service, stretch):
        answers = service.handle(self.device.topic + "up/events", self.message(stretch), NOW)
        (raw,) = [payload for topic, payload in answers if topic.endswith("/ack")]
        return signing.verify_ack(raw, self.device.down)[1:]

    def hello(self, service, acked=0, head=b"", last=None, session=b"session1", number=1, now=NOW):
        said = signing.Hello(
            0, bytes(32), self.log_id, self.last if last is None else last, acked, "boot", "vantail", head,
            (1, self.start.sealed) if acked else None, session, number,
        )  # fmt: skip
        raw = signing.encode_hello(said, self.device.down, self.device.key)
        answers = service.handle(self.device.topic + "up/hello", raw, now)
        (raw,) = [payload for topic, payload in answers if topic.endswith("/ack")]
        return signing.verify_ack(raw, self.device.down)[1:]


def passages(first, last):
    return [event(1111100006 + n % 3, at_ms=1000 + n) for n in range(first, last + 1)]


@pytest.fixture
def recorder(device):
    return Recorder(device).record(*passages(1, 40))


def alarms():
    return [(each.kind, each.first_seq, each.last_seq) for each in ChainAlarm.objects.order_by("pk")]


def test_a_whole_chain_is_proven_and_countersigned(recorder):
    """Every acknowledgement carries the head that the controller has there; nothing is doubted, sent again or not."""
    service = ingest()
    assert recorder.send(service, 1, 10) == (10, recorder.heads[10])
    assert recorder.send(service, 1, 10) == (10, recorder.heads[10])
    assert recorder.send(service, 6, 25) == (25, recorder.heads[25])
    assert recorder.send(service, 26) == (40, recorder.heads[40])
    assert (alarms(), tally.all_counts(), Event.objects.filter(is_doubtful=True).count()) == ([], {}, 0)
    assert [log["chain"] for log in api.status()["controllers"][0]["logs"]] == ["proven"]


def edited(stretch):
    events = list(stretch.events)
    events[3] = (*events[3][:3], events[3][3]._replace(door="garage"))
    return stretch._replace(events=tuple(events))


def other_person(stretch):
    events = list(stretch.events)
    events[3] = (*events[3][:3], events[3][3]._replace(credential=7))
    return stretch._replace(events=tuple(events))


def swapped(stretch):
    events = list(stretch.events)
    events[2], events[3] = (events[2][0], *events[3][1:]), (events[3][0], *events[2][1:])
    return stretch._replace(events=tuple(events))


def flipped_late(stretch):
    events = list(stretch.events)
    events[3] = (events[3][0], True, *events[3][2:])
    return stretch._replace(events=tuple(events))


def other_boot(stretch):
    return stretch._replace(boots=("other", *stretch.boots[1:]))


def forged(stretch):
    """The thief computes all heads again, with a key of his own: the file holds none that is still good."""
    chance = edited(stretch)
    thief = chain.Follower(chaining.HASHES, LOG, 10, stretch.heads[-1], b"t" * 32, lambda *_: b"")
    for i in range(len(chance.events)):
        thief._take_event(chance, i)
    return chance._replace(heads=(*chance.heads[:-1], thief.head))


@pytest.mark.parametrize("change", [edited, other_person, swapped, flipped_late, other_boot, forged])
def test_what_was_changed_before_it_came_is_an_alarm_once(recorder, change):
    """The batch is stored, marked and acknowledged; the manager is told once; what follows is proven again."""
    service = ingest()
    recorder.send(service, 1, 10)
    up_to, head = recorder.send(service, 11, 20, change)
    assert (up_to, head != b"") == (20, True)
    assert alarms() == [(chaining.BROKEN, 11, 20)]
    recorder.send(service, 11, 20, change)
    assert tally.all_counts() == {tally.CHAIN: 1}
    assert list(Event.objects.filter(is_doubtful=True).values_list("seq", flat=True)) == list(range(11, 21))


def test_after_a_break_the_chain_goes_on_from_the_claimed_head(recorder):
    """One bad batch: the next one is whole again, and a second break later is a second alarm."""
    service = ingest()
    recorder.send(service, 1, 10, edited)
    recorder.send(service, 11, 20)
    assert Event.objects.filter(is_doubtful=True).count() == 10
    assert not Log.objects.get().is_broken
    recorder.send(service, 21, 30, edited)
    assert [kind for kind, _, _ in alarms()] == [chaining.BROKEN] * 2


def test_a_removed_event_and_renumbered_ones_are_an_alarm(recorder):
    """Taking one out and moving the others up gives no head that fits."""
    service = ingest()
    recorder.send(service, 1, 10)

    def removed(stretch):
        events = [entry for entry in stretch.events if entry[0] != 15]
        moved = tuple((11 + i, *entry[1:]) for i, entry in enumerate(events))
        return chain.cut(stretch, len(moved))._replace(
            events=moved, heads=(*stretch.heads[: len(moved) - 1], stretch.heads[-1])
        )

    recorder.send(service, 11, 20, removed)
    assert alarms() == [(chaining.BROKEN, 11, 19)]


def test_events_without_their_chain_are_an_alarm(recorder):
    """A log that had a chain cannot go on without one unseen."""
    service = ingest()
    recorder.send(service, 1, 10)
    recorder.send(service, 11, 20, lambda stretch: chain.plain(stretch.events))
    assert alarms() == [(chaining.UNCHAINED, 11, 20)]


def test_a_chain_that_begins_anew_is_an_alarm(device, recorder):
    """Whoever lost the key, or threw it away, has to begin with another: the manager sees that."""
    service = ingest()
    recorder.send(service, 1)
    key = b"N" * 32
    sealed = signing.seal_log_key(device.manager.seal_key, key, LOG, 41)
    recorder.starts.append((40, chain.Start(41, recorder.head, sealed)))
    recorder.key = key
    recorder._note(chain.Note(40, chain.BEGIN, 41, 0), sealed)
    recorder.record(*passages(41, 50))
    assert recorder.send(service, 41) == (50, recorder.heads[50])
    assert alarms() == [(chaining.ANEW, 41, 41)]
    assert Event.objects.filter(is_doubtful=True).count() == 0


def test_a_key_that_is_not_for_us_is_an_alarm(recorder):
    """Sealed to nobody: nothing can be proven, which is said; events come in."""
    stretch = recorder.stretch(1, 10)
    unsealed = stretch._replace(starts=(stretch.starts[0]._replace(sealed=b""),))
    assert recorder.handed(ingest(), unsealed) == (10, recorder.heads[10])
    assert alarms() == [(chaining.UNSEALED, 1, 10)]
    assert Log.objects.get().chain_key == ""


def test_truncation_is_an_alarm_and_an_old_hello_is_none(recorder):
    """The controller has fewer events than it said: alarm. A hello that the broker delivers again says nothing, nor one
    that was overtaken by the events of moments ago."""
    service, later = ingest(), NOW + chaining.OVERTAKES
    recorder.hello(service, last=10)
    recorder.send(service, 1)
    recorder.hello(service, acked=40, head=recorder.heads[40], number=2)
    recorder.hello(service, last=10)
    recorder.hello(service, acked=30, head=recorder.heads[30], last=30, session=b"session2")
    assert alarms() == []
    recorder.hello(service, acked=30, head=recorder.heads[30], last=30, session=b"session2", number=2, now=later)
    assert alarms() == [(chaining.TRUNCATED, 31, 40)]
    recorder.hello(service, acked=40, head=recorder.heads[40], number=2)
    recorder.hello(service, acked=30, head=recorder.heads[30], last=30, session=b"session2", number=3)
    assert len(alarms()) == 1


def test_another_head_where_we_acknowledged_is_an_alarm(recorder):
    """A hello whose acknowledged chain is not ours."""
    service = ingest()
    recorder.send(service, 1)
    recorder.hello(service, acked=40, head=bytes(range(32)))
    assert alarms() == [(chaining.HEAD, 1, 40)]


def test_lost_numbers_are_stepped_over_and_said(recorder):
    """The controller says that its file was an older copy: the numbers go on, the chain too, and the manager knows."""
    service = ingest()
    recorder.send(service, 1)
    recorder.note(chain.LOST, 41, 45)
    recorder.key = chain.key_after(chaining.HASHES, recorder.key, 5)
    lost = recorder.notes[-1]
    covered = chain.commit(chaining.HASHES, chain.salt_of(chaining.HASHES, SECRET, 46), event())
    recorder._add(chain.event_body(LOG, 46, False, 1, "boot", event(), covered))
    stretch = chain.Stretch(
        ((46, False, 1, event()),), ("boot",), (b"",), (lost,), ((1, SECRET),), (), (recorder.head,)
    )
    assert recorder.handed(service, stretch) == (46, recorder.head)
    assert alarms() == [(chaining.LOST, 41, 45)]
    assert not Log.objects.get().is_broken


def test_a_mark_that_comes_later_marks_the_stored_event(recorder):
    """LATE notes travel with the next events and change what is shown."""
    service = ingest()
    recorder.send(service, 1)
    recorder.note(chain.LATE, 39, 40)
    recorder.record(*passages(41, 42))
    assert recorder.send(service, 41) == (42, recorder.heads[42])
    assert list(Event.objects.filter(late=True).order_by("seq").values_list("seq", flat=True)) == [39, 40]
    assert alarms() == []


def test_a_cloud_with_an_empty_database_goes_on_proving(recorder):
    """The hello brings the head and the sealed key of what another database acknowledged."""
    service = ingest()
    assert recorder.hello(service, acked=30, head=recorder.heads[30]) == (30, recorder.heads[30])
    assert recorder.send(service, 31) == (40, recorder.heads[40])
    assert tally.all_counts() == {tally.FORMER_CLOUD: 1}
    assert Log.objects.get().chain_key


def test_beyond_a_gap_nothing_is_acknowledged_before_it_is_proven(recorder):
    """What came early is stored, and acknowledged only when it came again in order."""
    service = ingest()
    assert recorder.send(service, 21)[0] == 0
    assert recorder.send(service, 1, 20)[0] == 20
    assert recorder.send(service, 21) == (40, recorder.heads[40])
    assert Event.objects.count() == 40
    assert alarms() == []


def test_the_page_and_the_status_show_the_alarm(recorder):
    """In English and in French, with the events marked; and one line in `vantail-cloud status`."""
    service = ingest()
    recorder.send(service, 1, 10, edited)
    page = Client(SERVER_NAME="localhost").get("/").content.decode()
    assert "events were changed before they came here" in page
    assert page.count("not proven") == 10
    with translation.override("fr"):  # what the page leaves behind in this thread goes with it
        french = Client(SERVER_NAME="localhost", headers={"accept-language": "fr"}).get("/").content.decode()
    assert "des événements ont été modifiés avant d&#x27;arriver ici" in french
    assert "non prouvé" in french
    (alarm,) = api.status()["alarms"]
    assert (alarm["kind"], alarm["first_seq"], alarm["last_seq"]) == ("broken", 1, 10)
    assert json.loads(json.dumps(api.status()))["controllers"][0]["logs"][0]["chain"] == "broken"


def test_every_kind_of_alarm_has_words():
    """A new kind is a failing test here, not a bare word on a page."""
    kinds = {value for name, value in vars(chaining).items() if name.isupper() and isinstance(value, str)}
    assert kinds == set(words.CHAIN)


# --- personal data ----------------------------------------------------------------------------------------------


def test_a_batch_sent_again_without_its_persons_is_no_fork(recorder):
    """The controller purged between two sendings: the commitment says that it is the same event."""
    service = ingest()
    recorder.send(service, 1, 20)
    stretch = recorder.stretch(1, 20)
    bare = tuple(chain.commitment_in(chaining.HASHES, stretch, i) for i in range(20))
    events = tuple((*entry[:3], chain.without_person(entry[3])) for entry in stretch.events)
    recorder.handed(service, stretch._replace(events=events, proofs=bare))
    assert tally.all_counts() == {}
    wrong = (bytes(16), *bare[1:])
    recorder.handed(service, stretch._replace(events=events, proofs=wrong))
    assert tally.all_counts() == {tally.FORK: 1}
    assert [kind for kind, _, _ in alarms()] == [chaining.FORK]


def test_purged_persons_are_gone_and_do_not_come_back(data, recorder):
    """Credential, holder and words go, from the file too; the same batch again is no fork and brings nobody back."""
    service, stranger = ingest(), 98_765_432_109_876
    recorder.record(event(stranger, at_ms=1041))
    recorder.send(service, 1)
    assert in_file(data, stranger)
    assert Event.objects.exclude(holder="").exists()
    assert purging.purge(1000 + 21) == 20
    assert purging.purge(1000 + 21) == 0
    gone = Event.objects.filter(seq__lte=20)
    assert {(each.credential, each.holder, each.is_purged) for each in gone} == {(None, "", True)}
    recorder.send(service, 1, 20)
    assert not Event.objects.filter(seq__lte=20).exclude(credential=None).exists()
    assert tally.all_counts() == {}
    assert purging.purge(2**40) == 21
    assert not in_file(data, stranger)


def in_file(data, number):
    """Whether the number stands anywhere in the database, its journal or its free pages."""
    content = b"".join(path.read_bytes() for path in data.glob("cloud.sqlite3*"))
    return str(number).encode() in content or number.to_bytes(6, "big") in content


def test_one_person_is_erased_and_the_others_stay(recorder):
    """By credential; calls by the call code that visitors used."""
    service = ingest()
    calls = [event(None, medium="call", detail="1204 Garfield number 1"), event(None, medium="call", detail="12041")]
    recorder.record(*calls)
    recorder.send(service, 1)
    wanted = Event.objects.filter(credential="1111100007").count()
    assert purging.erase("01111100007") == wanted > 0
    assert purging.erase(call_code="1204") == 1
    assert Event.objects.filter(is_purged=True).count() == wanted + 1
    assert Event.objects.filter(credential="1111100008").count() > 0
    assert Event.objects.get(seq=42).detail == "12041"


def test_a_manager_file_without_a_seal_key_is_read(device, tmp_path):
    """What an older manager wrote still binds: the doors go on, and the controller seals to nobody."""
    path = tmp_path / "manager.toml"
    signing.write_manager(path, device.manager._replace(seal_key=b""))
    assert "seal_key" not in path.read_text()
    assert signing.load_manager(path).seal_key == b""
    other = bind(Controller.objects.get(slug="parking"), tmp_path / "parking")
    assert len(other.manager.seal_key) == 32
    assert other.manager.seal_key == device.manager.seal_key
