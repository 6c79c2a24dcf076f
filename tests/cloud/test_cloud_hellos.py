"""Old hellos, which a broker may say again at any time; and one controller that must not be in the way of others."""

import hashlib
from datetime import timedelta

import pytest
from cloud_device import LOG, bind, event, ingest
from cloud_example import NOW

from cloud_stub.errors import ConfigError
from cloud_stub.passages import orders, standing, tally
from cloud_stub.passages.models import Notice
from cloud_stub.residences import provisioning
from cloud_stub.residences.models import Controller
from edge.uplink import signing
from edge.uplink.wire import WireError

A_DAY = timedelta(days=1)
FILES = hashlib.sha256(b"vantail dat file" + LOG).digest()[:8]


class Hall:
    """Hall A's device, through one ingest."""

    def __init__(self, device):
        self.device, self.service = device, ingest()

    def held(self, **more):
        """A hello that says: I have what is published."""
        known = self.row()
        return self.device.hello(revision=known.revision, digest=bytes.fromhex(known.digest), **more)

    def say(self, raw, now=NOW):
        """The kinds of what a hello is answered with."""
        return [
            message.topic.rsplit("/", 1)[1] for message in self.service.handle(self.device.topic + "up/hello", raw, now)
        ]

    def row(self):
        return Controller.objects.get(slug="hall-a")


@pytest.fixture
def hall_a(device):
    return Hall(device)


def test_an_old_hello_is_acknowledged_and_changes_nothing(hall_a):
    """Said again a day later: not the contact, not what the controller has, not the notices; no policy goes out."""
    old = hall_a.device.hello(session=b"session1", number=7, acked=5, last_seq=5)
    other = hall_a.device.hello(session=b"session2", number=1, log_id=bytes(16))
    assert hall_a.say(old) == hall_a.say(other) == ["ack", "policy"]
    assert hall_a.say(hall_a.held(session=b"session3", number=1, acked=5, last_seq=5)) == ["ack"]
    notice = signing.Notice(LOG, 9, event(None, "alarm", "forced", medium="", reader=""))
    raw = signing.encode_notice(notice, hall_a.device.down, hall_a.device.key)
    hall_a.service.handle(hall_a.device.topic + "up/notice", raw, NOW)
    before = Controller.objects.filter(slug="hall-a").values().get()
    assert hall_a.say(old, NOW + A_DAY) == hall_a.say(other, NOW + A_DAY) == ["ack"]
    assert Controller.objects.filter(slug="hall-a").values().get() == before
    assert Notice.objects.count() == 1
    hall = hall_a.row()
    assert standing.badges([hall], NOW + A_DAY)[hall.pk].state == standing.SILENT


def test_a_newer_hello_counts(hall_a):
    """The control: the next one of the session, and the first one of another."""
    for number, session in ((1, b"session1"), (2, b"session1"), (1, b"session2")):
        now = NOW + A_DAY * (number + session[-1])
        assert hall_a.say(hall_a.device.hello(session=session, number=number), now) == ["ack", "policy"]
        assert hall_a.row().last_contact == now


def test_hellos_by_file_and_by_line_do_not_make_each_other_old(hall_a):
    """A file that was brought by hand has a session of its own; an older file than the last one is old."""
    assert hall_a.say(hall_a.device.hello(session=b"session1", number=1)) == ["ack", "policy"]
    assert hall_a.say(hall_a.device.hello(session=FILES, number=2000)) == ["ack", "policy"]
    assert hall_a.say(hall_a.device.hello(session=b"session1", number=2)) == ["ack", "policy"]
    assert hall_a.say(hall_a.device.hello(session=FILES, number=1999)) == ["ack"]
    assert hall_a.say(hall_a.device.hello(session=FILES, number=2001)) == ["ack", "policy"]


def test_a_controller_that_nothing_can_be_sent_to_is_not_in_the_way(hall_a, tmp_path):
    """The others get their orders; it is counted, and looked at again 30 s later, not at once."""
    hall_a.say(hall_a.held())
    first = Controller.objects.get(slug="hall-b")
    bind(first, tmp_path / "hall-b")
    Controller.objects.filter(pk=first.pk).update(device_key=(1).to_bytes(32, "little").hex())
    Controller.objects.filter(slug="hall-a").update(position=9)
    orders.place(first, "status", "", "Martin", NOW)
    for after_s, count in ((0, 1), (1, 1), (30, 2)):
        now = NOW + timedelta(seconds=after_s)
        order = orders.place(hall_a.row(), "open", "hall-a", "Martin", now)
        (message,) = hall_a.service.due(now)
        assert message.topic == hall_a.device.topic + "down/challenge"
        assert tally.all_counts() == {tally.FAILED: count}
        orders.withdraw(order)


def test_nothing_is_due_to_a_controller_that_left_its_site(hall_a):
    """It is another manager's now, or nobody's."""
    hall_a.say(hall_a.device.hello())
    later = NOW + timedelta(seconds=31)
    assert [message.topic for message in hall_a.service.due(later)] == [hall_a.device.topic + "down/policy"]
    Controller.objects.filter(slug="hall-a").update(is_active=False)
    assert hall_a.service.due(later + timedelta(seconds=31)) == []


P = 2**255 - 19
Y8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
WEAK = [
    "01" + "00" * 31, "00" * 32, (P - 1).to_bytes(32, "little").hex(), Y8,
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]  # fmt: skip


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("key", [*WEAK, P.to_bytes(32, "little").hex(), (P + 1).to_bytes(32, "little").hex(), "ab"])
def test_a_key_by_which_anybody_could_sign_is_not_registered(hall, key, sign):
    """The points of order 1, 2, 4 and 8, in each of their encodings; and what is no key."""
    raw = bytearray.fromhex(key)
    raw[-1] |= sign
    with pytest.raises(ConfigError, match="keygen"):
        provisioning.register(hall, bytes(raw))
    assert Controller.objects.get(pk=hall.pk).device_key == ""


def test_the_weak_keys_are_those_of_small_order():
    """By the curve's doubling: three times, and the point is the neutral one."""
    d = -121665 * pow(121666, -1, P) % P
    for key in WEAK:
        y = int.from_bytes(bytes.fromhex(key), "little")
        xx = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
        for _ in range(3):  # y of the double, and x squared: neither needs the sign of x (RFC 8032, section 5.1.4)
            yy = y * y % P
            product = d * xx * yy % P
            y, xx = (
                (yy + xx) * pow(1 - product, -1, P) % P,
                4 * xx * yy * pow(1 + product, -2, P) % P,
            )
        assert (xx, y) == (0, 1)


def test_a_zero_character_is_malformed(hall_a):
    """PostgreSQL's text cannot hold one: an insert would fail for ever."""
    for field in ("boot_id", "software"):
        assert hall_a.say(hall_a.device.hello(**{field: "a\0b"})) == []
    reply = signing.Reply(bytes(8), b"", "open", "", "{\0}")
    raw = signing.encode_reply(reply, hall_a.device.down, hall_a.device.key)
    assert hall_a.service.handle(hall_a.device.topic + "up/reply", raw, NOW) == []
    notice = signing.Notice(LOG, 1, event(detail="a\0b"))
    raw = signing.encode_notice(notice, hall_a.device.down, hall_a.device.key)
    assert hall_a.service.handle(hall_a.device.topic + "up/notice", raw, NOW) == []
    assert tally.all_counts() == {"refused-malformed": 4}
    command = signing.Command(bytes(8), bytes(16), "open", "hall-a", 0, "a\0b", None)
    trust = hall_a.device.down
    with pytest.raises(WireError):
        signing.verify_command(signing.encode_command(command, _to(hall_a), hall_a.service._key), trust)
    assert not Notice.objects.exists()
    tally.add("odd", "v1/a\0b", NOW)
    assert tally.all_counts()["odd"] == 1


def _to(hall_a):
    from cloud_stub.passages.ingest import trust_of

    return trust_of(hall_a.row(), bytes(32))
