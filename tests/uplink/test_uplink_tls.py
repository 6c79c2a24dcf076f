"""Mutual TLS between controllers, mosquitto as we configure it, and the cloud: what counts is what is delivered.

Nothing here asks mosquitto whether something was granted: it says so to refused subscriptions too. Each refusal is
shown by a message that does not come, and a later one on the same line that does.
"""

import asyncio
import contextlib
import shutil
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mosquitto_process import Mosquitto, free_port
from paho.mqtt.enums import CallbackAPIVersion

from cloud_stub import broker
from cloud_stub.broker import BrokerAddress, BrokerLine, Work
from cloud_stub.enrolment import authority, broker_files, ca_folder
from edge.uplink import mqtt
from edge.uplink.tls import NO_CHECK_TIME, TlsError, TlsFiles, client_context, explain, mind_dates

DEADLINE_S = 60  # against hanging, not a measure
NOW = datetime.now(UTC)
SITE = "clos-des-dunes"
HALL, OTHER, NAMESAKE = f"{SITE}/hall-a", f"{SITE}/hall-b", "les-pins/hall-a"


async def until(condition, what):
    """Wait for a condition, not for a time."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what() if callable(what) else what}"
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Both sides try again at once: the pauses between attempts are not what is looked at here."""
    monkeypatch.setattr(mqtt, "_RECONNECT_S", (0.05, 0.1))
    monkeypatch.setattr(broker, "DUE_EVERY_S", 0.05)


class Place:
    """An authority, mosquitto's files, and certificates by it."""

    def __init__(self, folder: Path) -> None:
        self.data, self.files, self.port = folder / "data", folder / "mosquitto", free_port()
        self.data.mkdir(mode=0o700)
        self.state = folder / "state"
        self.state.mkdir()
        self.ca = ca_folder.open_authority(self.data, NOW)
        listener = broker_files.Listener("localhost", self.port)
        broker_files.write(self.data, self.ca, self.files, listener, self.state, NOW)
        self._folder = folder

    def certify(self, name, days=365.0, ca=None) -> SimpleNamespace:
        """Key and certificate of a controller, as enrolment leaves them."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.sign_device(ca or self.ca, key.public_key(), name, NOW, days)
        stem = f"{name.replace('/', '_')}-{certificate.serial_number:x}"
        paths = ca_folder.write_pair(self._folder, stem, authority.Issued(certificate, key))
        files = TlsFiles(str(self.files / "ca.pem"), str(paths[0]), str(paths[1]))
        return SimpleNamespace(files=files, certificate=certificate, key=key)

    def revoke(self, *certified) -> None:
        """As `vantail-cloud revoke` does."""
        serials = [(each.certificate.serial_number, NOW) for each in certified]
        (self.files / "crl.pem").write_text(ca_folder.write_revocations(self.data, self.ca, serials, NOW))


class CloudSide:
    """The cloud's own line, with its certificate: keeps what comes up, answers a hello with an ack, and says to others
    what a test wants said."""

    def __init__(self, place: Place) -> None:
        self.came, self.errors, self._said = [], [], []
        work = Work(self._messages, self._due, lambda error, what: self.errors.append(error), lambda count: None)
        address = BrokerAddress("localhost", place.port, True)
        self.line = BrokerLine(address, ("v1/+/+/up/#",), work, ca_folder.client_context(place.data))
        self.line._client.reconnect_delay_set(0.05, 0.1)
        self.line.start()

    def _messages(self, messages):
        return [said for message in messages for said in self._message(*message)]

    def _message(self, topic, payload):
        self.came.append((topic, payload))
        return [(topic.replace("up/hello", "down/ack"), b"ack " + payload), *self._due()]

    def _due(self):
        said, self._said = self._said, []
        return said

    def say(self, topic, payload):
        self._said.append((topic, payload))

    def payloads(self):
        return [payload for _, payload in self.came]


@contextlib.asynccontextmanager
async def cloud_at(place):
    cloud = CloudSide(place)
    try:
        await until(lambda: cloud.line.is_connected, "the cloud's line")
        yield cloud
    finally:
        await asyncio.to_thread(cloud.line.stop)


@contextlib.asynccontextmanager
async def controller_at(place, name, files, clock_trusted=None, host="localhost"):
    """The controller's own line, as the agent makes it."""
    site, controller = name.split("/")
    got = []
    line = mqtt.Connection(
        mqtt.parse_broker(f"mqtts://{host}:{place.port}"), site, controller, "b7d1",
        loop=asyncio.get_running_loop(), connected=lambda: None, disconnected=lambda _: None,
        received=lambda suffix, raw: got.append((suffix, raw)), tls=files, clock_trusted=clock_trusted,
    )  # fmt: skip
    line.start()
    try:
        yield SimpleNamespace(line=line, got=got, error=lambda: line.status()["last_error"])
    finally:
        await asyncio.to_thread(line.stop)


async def heard(cloud, controller, text):
    """Say hello until the cloud's answer is here: the line works both ways."""
    await until(lambda: controller.line.is_connected, controller.error)
    end = time.monotonic() + DEADLINE_S
    while ("down/ack", b"ack " + text) not in controller.got:
        assert time.monotonic() < end, (controller.error(), cloud.came, cloud.errors)
        controller.line.publish("up/hello", text)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await until(lambda: ("down/ack", b"ack " + text) in controller.got, "the answer")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """mosquitto as configured, for all tests that leave its files alone."""
    place = Place(tmp_path_factory.mktemp("shipped"))
    with Mosquitto(place.files, place.port):
        yield place


def wrong_certificates(place):
    """What to show → what the status of the controller then says."""
    stranger = authority.make(NOW)
    return [
        (TlsFiles(str(place.files / "ca.pem")), "is missing; set certificate and key"),
        (place.certify(HALL, ca=stranger).files, "is of an authority that it does not know"),
        (place.certify(HALL, days=-0.01).files, "has expired; run vantail enrol --renew"),
    ]


def test_only_a_good_certificate_gets_a_word_through(shipped):
    """None, one of another authority under the same name, an expired one: nothing arrives, the status says why; the
    controller with a good one is heard and answered meanwhile."""

    async def story():
        async with cloud_at(shipped) as cloud:
            for files, says in wrong_certificates(shipped):
                async with controller_at(shipped, HALL, files) as refused:
                    await until(lambda refused=refused, says=says: says in refused.error(), refused.error)
                    assert not refused.line.publish("up/hello", b"evil")
                    async with controller_at(shipped, HALL, shipped.certify(HALL).files) as good:
                        await heard(cloud, good, b"good")
                    assert refused.got == []
                    assert refused.line.status()["connects"] == 0
            return cloud

    cloud = asyncio.run(story())
    assert set(cloud.payloads()) == {b"good"}
    assert cloud.errors == []


def intruder(place, certified, client_id, topics):
    """A client with a controller's certificate that does not keep to the rules; what it gets, and its line."""
    got, ready = [], []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.tls_set(certified.files.ca, certified.files.certificate, certified.files.key)
    client.on_message = lambda _client, _data, message: got.append((message.topic, message.payload))
    client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
    client.on_subscribe = lambda _client, _data, _mid, reasons, _: ready.append([not r.is_failure for r in reasons])
    client.connect_async("localhost", place.port)
    client.loop_start()
    return SimpleNamespace(client=client, got=got, ready=ready)


FOREIGN = ("#", "+/+/+/down/#", f"v1/{OTHER}/down/#", f"v1/{NAMESAKE}/down/#", f"v1/{OTHER}/up/#", "$SYS/#")


async def reach_out(place):
    """One controller with a good certificate asks for all topics and speaks on others': (what it got, what the cloud
    got). Its own messages and those of the controllers around it come last."""
    async with (
        cloud_at(place) as cloud,
        controller_at(place, OTHER, place.certify(OTHER).files) as other,
        controller_at(place, NAMESAKE, place.certify(NAMESAKE).files) as namesake,
    ):
        curious = intruder(place, place.certify(HALL), "curious", (*FOREIGN, f"v1/{HALL}/down/#"))
        try:
            await until(lambda: curious.ready, "its subscriptions")
            assert curious.ready == [[True] * 7]  # "granted", all of them: not what counts
            for name in (OTHER, NAMESAKE):
                curious.client.publish(f"v1/{name}/up/hello", b"forged", qos=1)
                curious.client.publish(f"v1/{name}/down/ack", b"forged", qos=1)
            await heard(cloud, other, b"other")
            await heard(cloud, namesake, b"namesake")
            curious.client.publish(f"v1/{HALL}/up/hello", b"own", qos=1)
            await until(lambda: (f"v1/{HALL}/down/ack", b"ack own") in curious.got, "its own answer")
            return curious.got, cloud.came, [*other.got, *namesake.got]
        finally:
            curious.client.disconnect()
            curious.client.loop_stop()


def test_a_certificate_is_good_for_its_own_topics_only(shipped):
    """Another controller's, a namesake's of another site, the broker's own: nothing is delivered either way."""
    got, came, around = asyncio.run(reach_out(shipped))
    assert {topic for topic, _ in got} == {f"v1/{HALL}/down/ack"}
    assert (f"v1/{HALL}/up/hello", b"own") in came
    assert b"forged" not in {payload for _, payload in [*came, *around]}


def test_without_the_access_list_others_topics_are_open(tmp_path):
    """Negative control: the same client, the same broker, one line of its configuration left out."""
    place = Place(tmp_path)
    with Mosquitto(place.files, place.port, without=("acl_file",)):
        got, came, around = asyncio.run(reach_out(place))
    assert {f"v1/{OTHER}/down/ack", f"v1/{NAMESAKE}/down/ack"} <= {topic for topic, _ in got}
    assert b"forged" in {payload for _, payload in came}
    assert b"forged" in {payload for _, payload in around}


async def take_the_name(place):
    """How often a controller's line came up while another one used its client id."""
    async with cloud_at(place) as cloud, controller_at(place, HALL, place.certify(HALL).files) as hall:
        await heard(cloud, hall, b"before")
        thief = intruder(place, place.certify(OTHER), "vantail-" + HALL.replace("/", "-"), ("v1/x",))
        try:
            await until(lambda: thief.ready, "the other one's line")
            await heard(cloud, hall, b"after")
            return hall.line.status()["connects"]
        finally:
            thief.client.disconnect()
            thief.client.loop_stop()


def test_nobody_takes_another_ones_place(shipped, tmp_path):
    """A client id of another controller puts nobody off line; negative control: without our line it does."""
    assert asyncio.run(take_the_name(shipped)) == 1
    place = Place(tmp_path)
    with Mosquitto(place.files, place.port, without=("use_username_as_clientid",)):
        assert asyncio.run(take_the_name(place)) > 1


def test_a_revoked_certificate_is_refused(tmp_path):
    """After a reload for new connections, after a restart for the one that was up; the neighbour is not touched."""
    place = Place(tmp_path)
    hall, other = place.certify(HALL), place.certify(OTHER)

    async def story(running):
        async with cloud_at(place) as cloud, controller_at(place, HALL, hall.files) as up:
            await heard(cloud, up, b"before")
            place.revoke(hall)
            running.reload()
            assert up.line.is_connected  # as docs/enrolment.md says: a reload ends no line
            async with controller_at(place, HALL, hall.files) as again:
                await until(lambda: "was revoked" in again.error(), again.error)
            async with controller_at(place, OTHER, other.files) as neighbour:
                await heard(cloud, neighbour, b"neighbour")
            place.revoke(hall, other)
            running.stop()
            running.start()
            await until(lambda: "was revoked" in up.error(), up.error)
            await until(lambda: cloud.line.is_connected, "the cloud's line again")
            connects = up.line.status()["connects"]
            async with controller_at(place, OTHER, other.files) as neighbour:
                await until(lambda: "was revoked" in neighbour.error(), neighbour.error)
            assert not up.line.publish("up/hello", b"evil")
            assert connects == 1

    with Mosquitto(place.files, place.port) as running:
        asyncio.run(story(running))


def test_a_renewed_certificate_counts_from_the_next_connection(shipped):
    """Refused as expired; then the file is replaced, and the same line comes up without a restart of anything."""
    old = shipped.certify(HALL, days=-0.01)
    new = authority.sign_device(shipped.ca, old.key.public_key(), HALL, datetime.now(UTC))
    renewed = Path(old.files.certificate).with_name("renewed.pem")
    renewed.write_text(authority.certificate_text(new))

    async def story():
        async with cloud_at(shipped) as cloud, controller_at(shipped, HALL, old.files) as hall:
            await until(lambda: "has expired" in hall.error(), hall.error)
            await asyncio.to_thread(shutil.copy, renewed, old.files.certificate)
            await heard(cloud, hall, b"renewed")

    asyncio.run(story())


def test_a_clock_of_1970_keeps_nobody_off_line(tmp_path):
    """The broker's certificate begins in 2040, as any does for a clock in 1970. Refused while the clock is trusted; up,
    on the same line, once it is not, since the authority is pinned. The authority still counts then."""
    place = Place(tmp_path)
    in_2040 = authority.issue_server(place.ca, ["localhost"], datetime(2040, 1, 1, tzinfo=UTC))
    ca_folder.write_pair(place.files, "broker", in_2040)
    is_trusted = [True]
    hall = place.certify(HALL)
    (tmp_path / "other-ca.pem").write_text(authority.certificate_text(authority.make(NOW).certificate))

    async def story():
        async with controller_at(place, HALL, hall.files, clock_trusted=lambda: is_trusted[0]) as line:
            await until(lambda: "check this machine's clock" in line.error(), line.error)
            is_trusted[0] = False
            await until(lambda: line.line.is_connected, line.error)
        strange = hall.files._replace(ca=str(tmp_path / "other-ca.pem"))
        async with controller_at(place, HALL, strange, clock_trusted=lambda: False) as line:
            await until(lambda: "is not to be believed" in line.error(), line.error)
            assert not line.line.is_connected

    with Mosquitto(place.files, place.port):
        asyncio.run(story())


# --- the controller's side alone, before a server of Python's ---------------------------------------------------------


def server_side(place, issued):
    """The context of a server with this certificate that wants one of ours."""
    paths = ca_folder.write_pair(place.data, "server", issued)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)
    context.load_verify_locations(place.files / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def first_byte(server, context):
    """What the controller says first inside TLS; "" where it left before."""
    try:
        raw, _ = server.accept()
        with context.wrap_socket(raw, server_side=True) as line:
            return line.recv(1)
    except OSError:
        return b""


CONNECT = b"\x10"  # MQTT 3.1.1, section 3.1
FUTURE, PAST = datetime(2040, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
SERVERS = {
    "good": (lambda ca: authority.issue_server(ca, ["localhost"], NOW), "", ""),
    "future": (lambda ca: authority.issue_server(ca, ["localhost"], FUTURE), "clock", ""),
    "past": (lambda ca: authority.issue_server(ca, ["localhost"], PAST, days=1), "clock", ""),
    "name": (lambda ca: authority.issue_server(ca, ["broker.example"], NOW), "another name", "another name"),
    "stranger": (
        lambda ca: authority.issue_server(authority.make(NOW), ["localhost"], NOW),
        "check ca under [uplink]",
        "check ca under [uplink]",
    ),
    "controller": (lambda ca: authority.issue_client(ca, "localhost", NOW), "not to be believed", "not to be believed"),
}


@pytest.mark.parametrize("which", SERVERS)
def test_what_a_server_must_show(tmp_path, which):
    """Dates count while the clock is trusted; authority, name and purpose always: a controller's certificate, stolen or
    not, makes no broker. The device says nothing to any other."""
    place = Place(tmp_path)
    make, trusted_says, untrusted_says = SERVERS[which]
    context = server_side(place, make(place.ca))
    files = place.certify(HALL).files

    async def story(trusted, says):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(DEADLINE_S)
            here = SimpleNamespace(port=server.getsockname()[1])
            async with controller_at(here, HALL, files, clock_trusted=lambda: trusted) as line:
                seen = await asyncio.to_thread(first_byte, server, context)
                await until(lambda: says in line.error(), line.error)
                return seen

    for trusted, says in ((True, trusted_says), (False, untrusted_says)):
        assert asyncio.run(story(trusted, says)) == (b"" if says else CONNECT)


def test_the_chain_is_as_strict_readers_want_it(tmp_path):
    """X509_V_FLAG_X509_STRICT, which Python 3.13 sets by itself, finds nothing wrong with our certificates."""
    place = Place(tmp_path)
    server = server_side(place, authority.issue_server(place.ca, ["localhost"], NOW))
    client = client_context(place.certify(HALL).files)
    for context in (server, client):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    with ours, theirs:
        incoming = asyncio.run(_both(client, server, ours, theirs))
    assert incoming == HALL


async def _both(client, server, ours, theirs):
    """The name that the server reads in our certificate."""
    accepted = asyncio.create_task(
        asyncio.to_thread(server.wrap_socket, theirs, server_side=True, suppress_ragged_eofs=True)
    )
    line = await asyncio.to_thread(client.wrap_socket, ours, server_hostname="localhost")
    peer = await accepted
    with line, peer:
        return dict(pair for (pair,) in peer.getpeercert()["subject"])["commonName"]


def test_only_the_dates_are_left_out(tmp_path):
    """The flag is set and taken back, and nothing else of what is verified changes."""
    place = Place(tmp_path)
    context = client_context(place.certify(HALL).files)
    before = int(context.verify_flags)
    assert not before & NO_CHECK_TIME
    mind_dates(context, False)
    assert int(context.verify_flags) == before | NO_CHECK_TIME
    mind_dates(context, True)
    assert int(context.verify_flags) == before
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_a_key_that_others_may_read_is_refused(tmp_path):
    """With the command that mends it; likewise a file that is missing or holds something else."""
    files = Place(tmp_path).certify(HALL).files
    Path(files.key).chmod(0o640)
    with pytest.raises(TlsError, match="chmod 600"):
        client_context(files)
    Path(files.key).chmod(0o600)
    shutil.copy(files.ca, files.certificate)
    with pytest.raises(TlsError, match=Path(files.certificate).name):
        client_context(files)
    Path(files.key).unlink()
    with pytest.raises(TlsError, match=Path(files.key).name):
        client_context(files)


def test_no_message_of_tls_is_longer_than_a_line():
    """An alert without words of ours is named; an error that is none of TLS gives nothing."""
    odd = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    assert "\n" not in explain(odd, "the broker", "look")
    assert explain(odd, "the broker", "look").startswith("no TLS with the broker")
    assert explain(ConnectionRefusedError(), "the broker", "look") == ""
    assert explain(None, "the broker", "look") == ""


def test_the_list_of_revocations_never_runs_out():
    """mosquitto refuses everybody under an expired one; of two made within a second the second is the newer."""
    ca = authority.make(NOW)
    first = authority.sign_revocations(ca, [], None, NOW)
    second = authority.sign_revocations(ca, [(7, NOW)], first.last_update_utc, NOW)
    assert first.next_update_utc - NOW > timedelta(days=29 * 365)
    assert second.last_update_utc - first.last_update_utc >= timedelta(seconds=1)
    assert second.last_update_utc < NOW
    assert second.get_revoked_certificate_by_serial_number(7) is not None
