"""Commands: fresh by a challenge of the controller's own, done once, and answered. Row Y4."""

import itertools
import random

import pytest
import uplink_world as world

from edge.uplink import challenges, signing, sync
from edge.uplink.sync import CommandReady, Publish, Refused

NOW = 5_000_000


def machine(connected=True, trust=world.EDGE_TRUST, seed=1):
    chance = random.Random(seed)
    one = sync.Sync(
        trust, world.DEVICE_KEY, log_id=world.LOG_ID, last_seq=0, acked=0, version=(world.EPOCH, 7),
        digest=bytes(32), boot_id="b7d1", software="vantail 0.1.0", random_bytes=chance.randbytes,
    )  # fmt: skip
    if connected:
        one.connected(NOW)
    return one


def asked(request=b"request1"):
    return signing.encode_challenge(request, world.CLOUD_TRUST, world.MANAGER_KEY)


def command(challenge, request=b"request1", action="open", door="hall", **more):
    said = signing.Command(request, challenge, action, door, **more)
    return signing.encode_command(said, world.CLOUD_TRUST, world.MANAGER_KEY)


def replies(actions):
    return [signing.verify_reply(action.payload, world.CLOUD_TRUST) for action in actions if action[0] == "up/reply"]


def challenged(one, request=b"request1", now_ms=NOW):
    [reply] = replies(one.received("down/challenge", asked(request), now_ms))
    assert reply == (request, reply.challenge, "", "", "")
    assert len(reply.challenge) == 16
    return reply.challenge


def opens(actions):
    return [action for action in actions if isinstance(action, CommandReady)]


def test_a_fresh_command_is_carried_out_and_answered():
    """Challenge, command, result: each with the request's number."""
    one = machine()
    challenge = challenged(one)
    [ready] = one.received("down/command", command(challenge, who="Mme Roux"), NOW + 40)
    assert ready.command == (b"request1", challenge, "open", "hall", 0, "Mme Roux", None)
    [reply] = replies(one.command_done(ready.command, "denied", "lockdown"))
    assert reply == (b"request1", b"", "denied", "lockdown", "")
    assert one.status()["commands"] == 1


@pytest.mark.parametrize("copies", [1_000, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_command_is_good_once(copies):
    """A broker may deliver it twice: the copy opens nothing and answers nothing, since the first one is answered. Once
    others came after it, each of thousands of copies is refused: the manager is told why each time, the log once."""
    one = machine()
    raw = command(challenged(one))
    assert opens(one.received("down/command", raw, NOW))
    assert one.received("down/command", raw, NOW) == []
    assert one.status()["repeated_commands"] == 1
    for i in range(challenges.MOST):
        request = b"other%03d" % i
        assert opens(one.received("down/command", command(challenged(one, request), request), NOW))
    said = []
    for i in range(copies):
        actions = one.received("down/command", raw, NOW + i)
        assert not opens(actions)
        assert [reply[2:4] for reply in replies(actions)] == [("refused", "challenge")]
        said += [action for action in actions if isinstance(action, Refused)]
    assert [refused.reason for refused in said] == ["challenge"]
    assert one.status()["refused"] == {"challenge": copies}


@pytest.mark.parametrize(("late_ms", "is_opened"), [(0, True), (9_999, True), (10_000, False), (86_400_000, False)])
def test_a_command_that_comes_late_opens_nothing(late_ms, is_opened):
    """10 s after the challenge was given, what was queued somewhere is not carried out."""
    one = machine()
    raw = command(challenged(one))
    assert bool(opens(one.received("down/command", raw, NOW + late_ms))) is is_opened


def test_a_challenge_does_not_outlive_a_start():
    """After a restart of the agent an earlier command means nothing."""
    raw = command(challenged(machine()))
    assert not opens(machine(seed=2).received("down/command", raw, NOW))


def test_a_challenge_serves_the_request_it_was_given_for():
    """Another request's command with the same challenge is refused; a wrong one uses up its request."""
    one = machine()
    challenge = challenged(one)
    assert not opens(one.received("down/command", command(challenge, b"request2"), NOW))
    assert not opens(one.received("down/command", command(bytes(16)), NOW))
    assert not opens(one.received("down/command", command(challenge), NOW))


def test_guessed_and_invented_challenges_open_nothing():
    """1,000 signed commands with challenges that were never given."""
    one, chance = machine(), random.Random(20261122)
    challenged(one)
    for _ in range(1_000):
        assert not opens(one.received("down/command", command(chance.randbytes(16)), NOW))


def test_repeated_requests_take_no_memory():
    """A broker that repeats a request for ever gets one and the same challenge, and pushes no other out; of a thousand
    requests the newest few can be used."""
    one = machine()
    first = challenged(one, b"request0")
    assert {challenged(one) for _ in range(1_000)} == {challenged(one)}
    assert opens(one.received("down/command", command(first, b"request0"), NOW))
    requests = [b"many%04d" % i for i in range(1_000)]
    given = {request: challenged(one, request) for request in requests}
    good = [each for each in requests if opens(one.received("down/command", command(given[each], each), NOW))]
    assert good == requests[-challenges.MOST :]


def test_without_the_challenge_a_replay_would_open(monkeypatch):
    """Negative control: where any challenge is taken, the same bytes open again and again."""
    monkeypatch.setattr(challenges.Challenges, "redeem", lambda *_: challenges.FRESH)
    one = machine()
    raw = command(bytes(16))
    assert sum(bool(opens(one.received("down/command", raw, NOW + i))) for i in range(5)) == 5


def test_a_persons_credential_may_only_open():
    """What a mobile may ask for is a door, decided by the rules; a signed hold in a person's name is malformed."""
    one = machine()
    raw = command(challenged(one), action="hold", credential=12)
    [refused] = one.received("down/command", raw, NOW)
    assert refused.reason == "malformed"
    [ready] = one.received("down/command", command(challenged(one), credential=12), NOW)
    assert ready.command.credential == 12


@pytest.mark.parametrize("signer", [world.OTHER_KEY, world.DEVICE_KEY])
def test_others_command_nothing(signer):
    """A request or a command that the manager did not sign is refused, and gets no challenge."""
    one = machine()
    raw = signing.encode_challenge(b"request1", world.CLOUD_TRUST, signer)
    assert not replies(one.received("down/challenge", raw, NOW))
    said = signing.Command(b"request1", challenged(one), "open", "hall")
    raw = signing.encode_command(said, world.CLOUD_TRUST, signer)
    assert [action.reason for action in one.received("down/command", raw, NOW)] == ["signature"]


def test_notices_go_at_once_and_only_on_a_line():
    """A notice is said while connected, with QoS 0; off line nothing is kept of it."""
    one, away = machine(), machine(connected=False)
    raw = one.notice(world.NOTICE)
    assert one.noticed(raw) == [Publish("up/notice", raw, 0)]
    assert signing.verify_notice(raw, world.CLOUD_TRUST) == world.NOTICE
    assert away.noticed(raw) == []


def test_without_a_seal_key_nothing_but_hellos_leaves():
    """A manager.toml from before sealing: events stay, no reply, no notice; the hello still says how it stands."""
    one = machine(connected=False, trust=world.EDGE_TRUST._replace(seal_to=b""))
    one.log_advanced(700, NOW)
    actions = one.connected(NOW)
    assert [action[0] for action in actions] == ["up/hello"]
    assert one.next_deadline() > NOW
    assert one.received("down/challenge", asked(), NOW) == []
    assert one.noticed(one.notice(world.NOTICE)) == []
    assert one.status()["sealed"] is False


def test_a_line_on_which_nobody_answers_is_made_anew():
    """Some broker's subscription may be deaf. After four hellos in a row without a word another connection is made,
    later each time; a word from the manager takes the count back."""
    one = machine()
    hellos, again, now_ms = 1, [], NOW
    while now_ms < NOW + 3_600_000:
        now_ms = one.next_deadline()
        for action in one.tick(now_ms):
            hellos += action[:1] == ("up/hello",)
            if isinstance(action, sync.ConnectAgain):
                again.append(hellos)
                one.connected(now_ms)
                hellos += 1
    assert [later - before for before, later in itertools.pairwise([0, *again])][:4] == [4, 8, 16, 32]
    one.received("down/ack", signing.encode_ack(world.LOG_ID, 0, world.CLOUD_TRUST, world.MANAGER_KEY), now_ms)
    assert one._deaf_at == sync.DEAF_HELLOS
