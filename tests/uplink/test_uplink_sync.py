"""The sans-io side of the uplink: what is said when, and that a bad network loses nothing."""

import pytest
import uplink_world as world
import wire_cases
from lossy_world import Network, World

from edge.uplink import outbox, signing, sync, wire
from edge.uplink.sync import Acknowledged, NeedEvents, PolicyReady, Publish, Refused

BAD = Network(loss=0.3, repeat=0.3, delay_ms=3_000, drops=3)
STORM_MS = 120_000
AWAY_MS = 1_200_000
HEALED_MS = 60_000  # row Y2: both ends are equal so much simulated time after healing


def weathered(seed, network=BAD, log_size=40, live=60):
    """A world after a storm of two minutes and the minute after it."""
    lossy = World(seed, network, log_size)
    lossy.connect()
    lossy.storm(STORM_MS, live)
    lossy.heal()
    lossy.run(HEALED_MS)
    return lossy


def test_a_bad_network_loses_nothing():
    """60 seeds of loss, repetition, reordering and broken lines: every event arrives once, in order, and both ends
    agree on events and policy within a minute after healing."""
    wrong = [seed for seed in range(60) if not weathered(seed).is_equal]
    assert not wrong, f"seeds {wrong}"


def test_long_backlogs_come_through():
    """Thousands of waiting events, more than the window holds, over a bad network."""
    for seed in range(3):
        lossy = weathered(seed, log_size=4_000, live=600)
        assert lossy.is_equal, f"seed {seed}"
        assert len(lossy.manager.events) == 4_600


def test_without_sending_again_events_are_missing(monkeypatch):
    """Negative control: with resending disabled, the loss test fails."""
    monkeypatch.setattr(outbox, "RESEND_MS", 10**12)
    monkeypatch.setattr(outbox, "RESEND_MAX_MS", 10**12)
    worlds = [weathered(seed, Network(loss=0.3, repeat=0.3, delay_ms=3_000)) for seed in range(10)]
    assert any(lossy.manager.events != lossy.log for lossy in worlds)


def test_a_good_network_carries_each_event_once():
    """Where nothing is lost and the order is kept, as on one connection, nothing is sent twice."""
    for seed in range(10):
        lossy = weathered(seed, Network(delay_ms=1), log_size=1_700, live=200)
        assert lossy.is_equal
        assert lossy.sync.status()["resends"] == 0
        assert lossy.manager.batches == lossy.sync.status()["batches"]


def test_a_manager_that_is_away_is_not_flooded():
    """Twenty minutes without an answer: a few batches every half minute and on each of the few new connections, a hello
    every 20 s, whatever the backlog."""
    lossy = World(1, Network(loss=1.0), log_size=5_000)
    lossy.connect()
    lossy.run(AWAY_MS)
    status = lossy.sync.status()
    lines = 1 + 4  # after 4, 8, 16 and 32 hellos without a word
    assert status["batches"] <= outbox.WINDOW * (AWAY_MS / outbox.RESEND_MAX_MS + 3 * lines)
    assert status["hellos"] <= AWAY_MS / sync.HELLO_UNHEARD_MS + lines
    assert status["in_flight"] <= outbox.WINDOW


# --- one thing at a time ------------------------------------------------------------------------------------------

NOW = 5_000_000


def machine(last_seq=0, acked=0, version=(world.EPOCH, 7), digest=bytes(range(32))):
    return sync.Sync(
        world.EDGE_TRUST,
        world.DEVICE_KEY,
        log_id=world.LOG_ID,
        last_seq=last_seq,
        acked=acked,
        version=version,
        digest=digest,
        boot_id="b7d1",
        software="vantail 0.1.0",
    )


def ack(up_to, log_id=world.LOG_ID):
    return signing.encode_ack(log_id, up_to, world.CLOUD_TRUST, world.MANAGER_KEY)


def acknowledged(up_to):
    return Acknowledged(up_to, b"", ack(up_to))


def hello_in(actions):
    (raw,) = [action.payload for action in actions if isinstance(action, Publish) and action.suffix == "up/hello"]
    return signing.verify_hello(raw, world.CLOUD_TRUST)


def kinds(actions):
    return [type(action).__name__ for action in actions]


def test_a_connection_begins_with_a_hello():
    """Connected: a hello that says how the controller stands, then what waits, at once."""
    actions = machine(last_seq=10, acked=4).connected(NOW)
    said = signing.Hello(7, bytes(range(32)), world.LOG_ID, 10, 4, "b7d1", "vantail 0.1.0", number=1)
    assert hello_in(actions) == said
    assert actions[1:] == [NeedEvents(5, 6)]


def test_a_policy_of_another_epoch_counts_as_none():
    """After a new manager took over, the hello says revision 0: what is in force was not his."""
    hello = hello_in(machine(version=(world.EPOCH - 1, 90)).connected(NOW))
    assert (hello.revision, hello.digest) == (0, bytes(32))


def test_live_events_wait_for_company_one_second():
    """An event goes out a second after it was recorded, together with those that came meanwhile; 640 go at once."""
    one = machine()
    one.connected(NOW)
    assert one.log_advanced(1, NOW) == []
    assert one.log_advanced(2, NOW + 600) == []
    assert one.next_deadline() == NOW + 1_000
    assert one.tick(NOW + 999) == []
    assert one.tick(NOW + 1_000) == [NeedEvents(1, 2)]
    full = machine()
    full.connected(NOW)
    assert full.log_advanced(640, NOW) == [NeedEvents(1, 640)]


def test_the_window_is_bounded_and_moves_with_acks():
    """At most WINDOW batches are under way; each acknowledgement makes room for the next."""
    events = world.day_of_events(7_000)
    one = machine(last_seq=7_000)
    actions = one.connected(NOW)
    sent = 0
    while isinstance(actions[-1], NeedEvents):
        need = actions[-1]
        actions = one.events_read(need.first_seq, events[need.first_seq - 1 :][: need.limit], NOW)
        sent += 1
    assert sent == outbox.WINDOW
    assert one.received("down/ack", ack(640), NOW + 5) == [acknowledged(640), NeedEvents(5_121, 640)]
    assert one.pending == 6_360


def test_acks_that_cannot_be_are_ignored():
    """Another log's, or one from before: counted. One beyond the end: the log must be an older copy, which is said."""
    one = machine(last_seq=10, acked=4)
    one.connected(NOW)
    for wrong in (ack(7, bytes(16)), ack(3)):
        assert one.received("down/ack", wrong, NOW) == []
    assert (one.status()["ignored_acks"], one.pending) == (2, 6)
    (refused,) = one.received("down/ack", ack(11), NOW)
    assert (refused.kind, refused.reason, one.pending) == ("ack", "head", 6)
    assert one.received("down/ack", ack(10), NOW) == [acknowledged(10)]
    assert one.pending == 0


def test_an_ack_beyond_what_was_sent_is_believed():
    """The manager may know more than this connection has sent, from before a restart: it is not sent again."""
    one = machine(last_seq=10, acked=0)
    one.connected(NOW)
    assert one.received("down/ack", ack(8), NOW) == [acknowledged(8), NeedEvents(9, 2)]
    assert one.events_read(1, world.day_of_events(10), NOW) == []  # the overtaken answer


def test_silence_sends_again_from_the_first_missing():
    """No acknowledgement: from the first unacknowledged event again, later and later, until one comes."""
    events = world.day_of_events(10)
    one = machine(last_seq=10)
    one.connected(NOW)
    one.events_read(1, events, NOW)
    now = NOW
    for wait_ms in (10_000, 20_000, 30_000, 30_000):
        assert NeedEvents(1, 10) not in one.tick(now + wait_ms - 1)
        assert NeedEvents(1, 10) in one.tick(now + wait_ms)
        now += wait_ms
        one.events_read(1, events, now)
    one.received("down/ack", ack(5), now)
    assert NeedEvents(6, 5) in one.tick(now + 10_000)


def test_a_failed_read_is_asked_again():
    """Storage that could not answer is asked again a second later, an empty answer too."""
    one = machine(last_seq=3)
    one.connected(NOW)
    one.events_failed(1, NOW)
    assert one.tick(NOW + 1_000) == [NeedEvents(1, 3)]
    assert one.events_read(1, [], NOW + 1_000) == []
    assert one.tick(NOW + 2_000) == [NeedEvents(1, 3)]


def test_hellos_repeat_until_one_is_heard():
    """Every 20 s until the manager answers, then every five minutes."""
    one = machine()
    one.connected(NOW)
    assert one.next_deadline() == NOW + 20_000
    hello_in(one.tick(NOW + 20_000))
    one.received("down/ack", ack(0), NOW + 21_000)
    assert one.next_deadline() == NOW + 321_000
    hello_in(one.tick(NOW + 321_000))


def test_an_ack_of_events_does_not_prove_that_the_hello_arrived():
    """Where events went out behind the hello, their acknowledgement leaves the hello to be said again in 20 s."""
    one = machine(last_seq=10)
    one.connected(NOW)
    one.events_read(1, world.day_of_events(10), NOW)
    assert one.received("down/ack", ack(10), NOW + 100) == [acknowledged(10)]
    assert one.next_deadline() == NOW + 20_000
    hello_in(one.tick(NOW + 20_000))
    one.received("down/ack", ack(10), NOW + 20_100)
    assert one.next_deadline() == NOW + 320_100


def test_a_policy_is_handed_out_and_said():
    """A verified policy goes to the store; what the store then holds is said at once."""
    one = machine()
    one.connected(NOW)
    (ready,) = one.received("down/policy", wire_cases.policy(), NOW)
    assert isinstance(ready, PolicyReady)
    assert ready.delta.rows == tuple(sorted(world.POLICY_ROWS))
    hello = hello_in(one.policy_changed((world.EPOCH, 8), ready.delta.digest, NOW + 50))
    assert (hello.revision, hello.digest) == (8, signing.policy_digest(world.POLICY_ROWS))
    hello_in(one.received("down/policy", wire_cases.policy(), NOW + 60_000))  # he did not hear it
    assert one.status()["refused"] == {}


def test_a_policy_that_is_not_taken_is_not_asked_for_at_once():
    """The store refuses it, and again: the next hello, which brings the whole policy, waits longer each time."""
    one = machine()
    one.connected(NOW)
    version = (world.EPOCH, 7)
    one.policy_changed(version, bytes(32), NOW)
    waits = []
    for _ in range(4):
        assert one.policy_changed(version, bytes(32), NOW) == []
        waits.append(one.next_deadline() - NOW)
    assert waits[0] >= 10_000
    assert waits == sorted(set(waits))


def test_missing_parts_are_asked_for():
    """Parts that do not come within 15 s make the controller say hello again."""
    one = machine()
    one.connected(NOW)
    one.received("down/ack", ack(0), NOW)
    parts = signing.encode_policy_parts(world.credentials(3_000), 8, world.CLOUD_TRUST, world.MANAGER_KEY)
    assert one.received("down/policy", parts[0], NOW) == []
    assert one.status()["policy_parts_missing"] == len(parts) - 1
    assert one.next_deadline() == NOW + 15_000
    hello_in(one.tick(NOW + 15_000))


def test_a_change_that_does_not_build_on_ours_asks_for_a_snapshot():
    """Refused as `version`, said once, and a hello follows, at most every five seconds."""
    one = machine()
    one.connected(NOW)
    wrong = wire_cases.policy(**{"from": 6})
    actions = one.received("down/policy", wrong, NOW + 6_000)
    assert kinds(actions) == ["Publish", "Refused"]
    assert hello_in(actions).revision == 7
    assert one.received("down/policy", wrong, NOW + 7_000) == []
    assert kinds(one.tick(NOW + 11_000)) == ["Publish"]


@pytest.mark.parametrize("case", [*wire_cases.small_cases(), *wire_cases.large_cases()], ids=lambda case: case.name)
def test_what_is_refused_is_said_with_its_reason(case):
    """Every wrong message is counted by reason and surfaced in one line; nothing is applied."""
    one = machine()
    one.connected(NOW)
    actions = [a for a in one.received(f"down/{case.kind}", case.raw, NOW) if not isinstance(a, Publish)]
    (refused,) = actions
    assert (refused.kind, refused.reason, refused.times) == (case.kind, case.reason, 1)
    assert refused.message.startswith(f"{case.kind} refused: {case.reason}: ")
    assert one.status()["refused"] == {case.reason: 1}


def test_refusals_do_not_fill_the_log():
    """10,000 wrong messages in ten minutes: said twice, with the number; all counted."""
    one = machine()
    one.connected(NOW)
    said = []
    for i in range(10_000):
        said += [a for a in one.received("down/policy", b"\xd2", NOW + 60 * i) if isinstance(a, Refused)]
    said += one.received("down/policy", b"\xd2", NOW + sync.REFUSED_QUIET_MS)
    assert [refused.times for refused in said] == [1, 10_000]
    assert one.status()["refused"] == {wire.FRAME: 10_001}


def test_nothing_is_said_while_disconnected():
    """Without a connection nothing is published, asked or due; a policy that was on its way is still taken."""
    one = machine(last_seq=3)
    assert one.next_deadline() is None
    assert one.tick(NOW) == []
    assert one.log_advanced(4, NOW) == []
    one.connected(NOW)
    assert one.disconnected(NOW) == []
    assert one.events_read(1, world.day_of_events(4), NOW) == []
    assert kinds(one.received("down/policy", wire_cases.policy(), NOW)) == ["PolicyReady"]
    assert one.policy_changed((world.EPOCH, 8), bytes(32), NOW) == []
    assert hello_in(one.connected(NOW + 1)).revision == 8


def test_a_hole_in_the_log_is_counted():
    """Rows that a damaged disk lost: what is left goes out, the hole shows in status."""
    events = world.day_of_events(10)
    one = machine(last_seq=10)
    one.connected(NOW)
    actions = one.events_read(1, events[:3] + events[5:], NOW)
    assert len(signing.verify_events(actions[0].payload, world.CLOUD_TRUST).events) == 3
    assert actions[1] == NeedEvents(4, 7)
    actions = one.events_read(4, events[5:], NOW)
    assert signing.verify_events(actions[0].payload, world.CLOUD_TRUST).first_seq == 6
    assert one.status()["gaps"] == 1


def test_other_topics_are_ignored():
    """A message on a topic of no meaning is counted."""
    one = machine()
    assert one.received("down/verdict", b"x", NOW) == []
    assert one.status()["ignored_topics"] == 1
