"""Orders: from the row that somebody writes to the command that goes out once, and every way in which it does not."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from cloud_device import ingest
from cloud_example import NOW

from cloud_stub.errors import ConfigError, UnavailableError, UsageError
from cloud_stub.passages import orders, purging, tally
from cloud_stub.passages.models import Order
from cloud_stub.residences.models import Controller, Site
from cloud_stub.residences.targets import find_box, find_door, find_targets
from edge.uplink import signing

CHALLENGE = bytes(range(16))


class Asked:
    """Hall A's device, asked through one ingest; seconds are after NOW."""

    def __init__(self, device):
        self.device, self.service = device, ingest()
        self.controller = Controller.objects.get(slug="hall-a")
        held = device.hello(self.controller.revision, bytes.fromhex(self.controller.digest))
        self.service.handle(device.topic + "up/hello", held, NOW)

    def place(self, action="open", door="hall-a", at_s=0.0, **more):
        return orders.place(self.controller, action, door, "Martin", NOW + timedelta(seconds=at_s), **more)

    def due(self, at_s=0.0):
        """The requests that the device is asked for a challenge for."""
        messages = self.service.due(NOW + timedelta(seconds=at_s))
        assert {topic for topic, _ in messages} <= {self.device.topic + "down/challenge"}
        return [signing.verify_challenge(raw, self.device.down).hex() for _, raw in messages]

    def reply(self, order, at_s=0.0, **said):
        """What goes out for a reply: commands."""
        reply = signing.Reply(bytes.fromhex(order.request), **said)
        raw = signing.encode_reply(reply, self.device.down, self.device.key)
        found = self.service.handle(self.device.topic + "up/reply", raw, NOW + timedelta(seconds=at_s))
        assert {topic for topic, _ in found} <= {self.device.topic + "down/command"}
        return [signing.verify_command(raw, self.device.down) for _, raw in found]

    def state(self, order):
        order.refresh_from_db()
        return order.state, order.result, order.reason


@pytest.fixture
def asked(device):
    return Asked(device)


def test_an_order_goes_from_challenge_to_command_to_outcome(asked):
    """Each step once; the command carries the challenge and what was asked for; the row keeps the outcome."""
    order = asked.place(until_ms=0, credential=2**64 - 1)
    assert asked.due() == [order.request]
    assert asked.due() == []
    (command,) = asked.reply(order, challenge=CHALLENGE)
    assert command == (
        bytes.fromhex(order.request), CHALLENGE, "open", "hall-a", 0, "Martin", 2**64 - 1,
    )  # fmt: skip
    assert asked.reply(order, result="open", reason="hold") == []
    assert asked.state(order) == ("answered", "open", "hold")
    assert tally.all_counts() == {}


def test_a_challenge_that_comes_twice_gets_one_command(asked):
    """Also a second one, for a request that was asked again."""
    order = asked.place()
    asked.due()
    assert asked.due(10) == [order.request]
    assert len(asked.reply(order, 11, challenge=CHALLENGE)) == 1
    assert asked.reply(order, 11, challenge=CHALLENGE) == []
    assert asked.reply(order, 11, challenge=bytes(16)) == []
    assert tally.all_counts() == {tally.UNKNOWN_REQUEST: 2}


def test_silence_is_asked_once_more_and_is_dead_after_20_seconds(asked):
    """A challenge that comes then gets no command; a command whose reply is missing is not sent again."""
    order, sent = asked.place(), asked.place("hold", until_ms=1)
    assert asked.due() == [order.request, sent.request]
    assert len(asked.reply(sent, challenge=CHALLENGE)) == 1
    assert asked.due(9.9) == []
    assert asked.due(10) == [order.request]
    assert asked.due(19.9) == []
    assert asked.due(20) == []
    assert [asked.state(each)[0] for each in (order, sent)] == ["unanswered", "unanswered"]
    assert asked.reply(order, 20, challenge=CHALLENGE) == []
    assert asked.reply(sent, 25, result="open") == []
    assert asked.state(sent) == ("answered", "open", "")  # late, but the truth
    assert tally.all_counts() == {tally.UNKNOWN_REQUEST: 1}


@pytest.mark.parametrize("at_s", [20, 3600, -5])
def test_a_challenge_that_comes_too_late_gets_no_command(asked, at_s):
    """Also where nobody looked at the order meanwhile."""
    order = asked.place()
    asked.due()
    assert asked.reply(order, at_s, challenge=CHALLENGE) == []
    assert asked.state(order)[0] == "asked"


@pytest.mark.parametrize("end", ["answered", "silence", "withdrawn"])
@pytest.mark.parametrize("names_persons", [True, False])
def test_an_order_of_a_site_that_names_nobody_forgets_who_when_it_ends(asked, names_persons, end):
    """However it ends; the command itself says it."""
    Site.objects.update(names_persons=names_persons)
    asked.controller.refresh_from_db()
    order = asked.place(credential=1111100007)
    asked.due()
    if end == "answered":
        (command,) = asked.reply(order, challenge=CHALLENGE)
        assert (command.who, command.credential) == ("Martin", 1111100007)
        asked.reply(order, result="open")
    elif end == "silence":
        asked.due(20)
    else:
        assert orders.withdraw(order)
    order.refresh_from_db()
    assert order.state in (orders.ANSWERED, orders.UNANSWERED)
    assert (order.who, order.credential) == (("Martin", "1111100007") if names_persons else ("", None))


@pytest.mark.parametrize("at_s", [20, 3600, -5, -3600])
def test_an_order_that_waited_is_never_carried_out(asked, at_s):
    """`serve` was away, or the clock was set meanwhile."""
    order = asked.place()
    assert asked.due(at_s) == []
    assert asked.state(order)[0] == "unanswered"


def test_what_is_withdrawn_is_not_sent(asked):
    """Nobody waits any more: not before the challenge, not after it; once the command is out it cannot be."""
    first, second, third = asked.place(), asked.place(), asked.place()
    assert orders.withdraw(first)
    assert asked.due() == [second.request, third.request]
    assert orders.withdraw(second)
    assert asked.reply(second, challenge=CHALLENGE) == []
    assert len(asked.reply(third, challenge=CHALLENGE)) == 1
    assert not orders.withdraw(third)


def test_replies_that_nobody_asked_for_are_counted(asked, tmp_path):
    """An unknown request, an outcome before any command, another controller's."""
    from cloud_device import bind

    order = asked.place()
    assert asked.reply(order, result="open") == []
    asked.due()
    assert asked.reply(order, result="open") == []
    assert asked.reply(Order(request="00" * 8), challenge=CHALLENGE) == []
    other = Asked.__new__(Asked)
    other.device = bind(Controller.objects.get(slug="parking"), tmp_path / "parking")
    other.service = asked.service
    assert other.reply(order, challenge=CHALLENGE) == []
    assert tally.all_counts() == {tally.UNKNOWN_REQUEST: 4}
    assert asked.state(order) == ("asked", "", "")


def test_orders_are_bounded(asked, monkeypatch):
    """Eight at once of a controller; the oldest of very many go; a status is kept until the next order only."""
    monkeypatch.setattr(orders, "MOST_KEPT", 12)
    placed = [asked.place() for _ in range(8)]
    with pytest.raises(UnavailableError, match="8 commands"):
        asked.place()
    Order.objects.update(state=orders.ANSWERED, status="{}")
    placed += [asked.place() for _ in range(8)]
    assert Order.objects.count() == 12
    assert not Order.objects.exclude(status="").exists()
    assert not Order.objects.filter(pk=placed[0].pk).exists()


def test_who_asked_for_what_goes_with_the_persons(asked):
    """`purge` takes who and for whom from old orders, `erase` one person's credential; the orders stay."""
    old = asked.place(credential=1111100007, at_s=-86_400 * 100)
    new = asked.place(credential=1111100007)
    purging.purge(int((NOW.timestamp() - 86_400 * 90) * 1000))
    rows = dict(Order.objects.values_list("pk", "who"))
    assert rows == {old.pk: "", new.pk: "Martin"}
    assert set(Order.objects.values_list("credential", flat=True)) == {None, "1111100007"}
    purging.erase("1111100007")
    assert set(Order.objects.values_list("credential", flat=True)) == {None}


def test_doors_are_named_in_several_ways_and_never_guessed(site):
    """A site, a controller, a door; what may be two things is said, not chosen."""

    def names(text):
        return [str(target) for target in find_targets(text)]

    boxes = ["clos-des-dunes/hall-a", "clos-des-dunes/hall-b", "clos-des-dunes/parking"]
    assert sorted(names("clos-des-dunes")) == boxes
    assert names("hall-a") == names("clos-des-dunes/hall-a") == boxes[:1]
    assert names("hall-a/cellar") == names("clos-des-dunes/hall-a/cellar") == ["clos-des-dunes/hall-a/cellar"]
    for text in ("", "nowhere", "hall-a/nowhere", "/", "a/b/c/d", "clos-des-dunes/hall-a/"):
        with pytest.raises(UsageError, match="write SITE"):
            find_targets(text)
    Site.objects.update(slug="hall-a")
    with pytest.raises(UsageError, match="write it whole"):
        find_targets("hall-a")
    assert names("hall-a/hall-b") == ["hall-a/hall-b"]
    with pytest.raises(UsageError, match="not one door"):
        find_door("hall-b")
    with pytest.raises(UsageError, match="not one controller"):
        find_box("hall-b/hall-b")
    with pytest.raises(ConfigError, match="provision hall-b"):
        find_box("hall-b")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("open", "hall-a"), os.EX_USAGE, "CONTROLLER/DOOR"),
        (("open", "hall-b/hall-b"), os.EX_CONFIG, "provision hall-b"),
        (("open", "hall-a/hall-a", "--mobile", "x"), os.EX_USAGE, "--mobile x"),
        (("open", "hall-a/hall-a", "--mobile", str(2**64)), os.EX_USAGE, "--mobile"),
        (("open", "hall-a/hall-a", "--timeout", "0"), os.EX_USAGE, "--timeout 0"),
        (("hold", "hall-a/hall-a", "--until", "25:00"), os.EX_USAGE, "--until 25:00"),
        (("hold", "hall-a/hall-a", "--until", "2020-01-01T00:00"), os.EX_USAGE, "within 24 hours"),
        (("hold", "hall-a/hall-a", "--until", "2999-01-01T00:00"), os.EX_USAGE, "within 24 hours"),
        (("lockdown", "nowhere"), os.EX_USAGE, "nothing that is known"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_no_order(run, device, arguments, code, words):
    """The exit code says which kind."""
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert not Order.objects.exists()


def test_without_serve_the_command_says_so_and_is_not_carried_out_later(run, device):
    """69, and the order is withdrawn."""
    code, out, _ = run("open", "hall-a/hall-a", "--timeout", "0.2")
    assert (code, "vantail-cloud serve" in out) == (os.EX_UNAVAILABLE, True)
    assert ingest().due(datetime.now(UTC)) == []
    assert Order.objects.get().state == orders.UNANSWERED


@pytest.mark.parametrize(
    ("result", "reason", "code"),
    [("open", "", 0), ("denied", "lockdown", 77), ("refused", "challenge", 75), ("strange", "", 69)],
)
def test_the_exit_code_says_the_outcome(run, device, monkeypatch, result, reason, code):
    """Carried out, denied at the door, refused as stale, and what a later release may answer."""

    def answered(order, **_):
        order.state, order.result, order.reason = orders.ANSWERED, result, reason

    monkeypatch.setattr(Order, "refresh_from_db", answered)
    got, out, _ = run("open", "hall-a/hall-a", "--who", "Martin")
    assert (got, result in out, reason in out) == (code, True, True)


def test_what_a_controller_says_moves_no_cursor(run, device, monkeypatch):
    """Its words come from elsewhere: control characters are left out, a status is printed as ASCII or not at all."""

    def answered(order, **_):
        order.state, order.result, order.reason = orders.ANSWERED, "done", "\x1b[2J"
        order.status = '{"name": "é\x9b2J"}' if order.action == "status" else ""

    monkeypatch.setattr(Order, "refresh_from_db", answered)
    assert run("forgive", "hall-a")[1] == "clos-des-dunes/hall-a: done ( [2J)\n"
    assert run("ask", "hall-a")[1] == '{"name": "\\u00e9\\u009b2J"}\n'

    def badly(order, **_):
        order.state, order.status = orders.ANSWERED, '{"name": "\x1b'

    monkeypatch.setattr(Order, "refresh_from_db", badly)
    assert run("ask", "hall-a")[0] == os.EX_UNAVAILABLE
