"""The line to the broker, over a real one that is killed in the middle."""

import asyncio
import json
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import paho.mqtt.client as paho
import pytest
import uplink_world as world
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loopback_broker import LoopbackBroker, free_port
from lossy_world import ModelManager
from paho.mqtt.enums import CallbackAPIVersion

from edge.uplink import mqtt, outbox, signing, sync

DEADLINE_S = 60
PREFIX = "v1/clos-des-dunes/hall-1/"


async def until(condition, what):
    """Wait for a condition, not for a time; the deadline is for a broken test only."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.01)


class CloudSide:
    """The model manager behind a paho client of its own."""

    def __init__(self, port):
        self.statuses, self.subscribed = [], False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="cloud")
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: setattr(self, "subscribed", True)
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self.manager = ModelManager(self.say)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def say(self, suffix, raw):
        self._client.publish(PREFIX + suffix, raw, qos=1)

    def _connected(self, client, *_):
        client.subscribe([(PREFIX + "up/hello", 1), (PREFIX + "up/events", 1), (PREFIX + "status", 1)])

    def _message(self, _client, _data, message):
        suffix = message.topic.removeprefix(PREFIX)
        if suffix == "status":
            self.statuses.append(json.loads(message.payload))
        else:
            self.manager.take(suffix, message.payload)

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


class SmallAgent:
    """Sync, the line and a log in memory, as the agent puts them together."""

    def __init__(self, port, log):
        self.log, self.deltas, self.refused = log, [], []
        self.sync = sync.Sync(
            world.EDGE_TRUST,
            world.DEVICE_KEY,
            log_id=world.LOG_ID,
            last_seq=0,
            acked=0,
            version=(world.EPOCH, 7),
            digest=bytes(32),
            boot_id="b7d1",
            software="test",
        )
        self.line = make_line(
            port,
            connected=lambda: self.perform(self.sync.connected(self.now_ms)),
            disconnected=lambda _: self.perform(self.sync.disconnected(self.now_ms)),
            received=lambda suffix, raw: self.perform(self.sync.received(suffix, raw, self.now_ms)),
        )
        self.line.start()

    @property
    def now_ms(self):
        return time.monotonic_ns() // 1_000_000

    def perform(self, actions):
        for action in actions:
            if isinstance(action, sync.Publish):
                self.line.publish(action.suffix, action.payload)
            elif isinstance(action, sync.NeedEvents):
                found = self.log[action.first_seq - 1 :][: action.limit]
                self.perform(self.sync.events_read(action.first_seq, found, self.now_ms))
            elif isinstance(action, sync.PolicyReady):
                self.deltas.append(action.delta)
                version = (action.delta.epoch, action.delta.to_revision)
                self.perform(self.sync.policy_changed(version, action.delta.digest, self.now_ms))
            elif isinstance(action, sync.Refused):
                self.refused.append(action)

    def recorded(self, last_seq):
        self.perform(self.sync.log_advanced(last_seq, self.now_ms))

    async def tick(self):
        while True:
            await asyncio.sleep(0.02)
            self.perform(self.sync.tick(self.now_ms))


def make_line(port, loop=None, **callbacks):
    given = {"connected": lambda: None, "disconnected": lambda _: None, "received": lambda *_: None, **callbacks}
    broker = mqtt.Broker("127.0.0.1", port, False)
    return mqtt.Connection(broker, "clos-des-dunes", "hall-1", "b7d1", loop=loop or asyncio.get_running_loop(), **given)


def test_everything_arrives_although_the_broker_dies(monkeypatch):
    """5,000 events; the broker is killed in the middle and started again: all in the cloud once, in order, and a
    policy in many parts reaches the controller on the new connection."""
    monkeypatch.setattr(outbox, "RESEND_MS", 1_000)
    monkeypatch.setattr(sync, "HELLO_UNHEARD_MS", 1_000)
    log = world.day_of_events(5_000)
    packed = [*world.POLICY_ROWS, *world.credentials(4_000)]

    async def story(broker):
        cloud = CloudSide(broker.port)
        await until(lambda: cloud.subscribed, "the cloud's subscription")
        agent = SmallAgent(broker.port, log)
        ticking = asyncio.ensure_future(agent.tick())
        agent.recorded(2_000)
        await until(lambda: len(cloud.manager.events) >= 600, "the first events")
        broker.kill()
        agent.recorded(3_500)
        await until(lambda: not agent.line.is_connected, "the loss of the line")
        assert not agent.line.publish("up/hello", b"x")
        assert agent.sync.pending >= 1_500
        cloud.manager.policy = (8, signing.encode_policy_parts(packed, 8, world.CLOUD_TRUST, world.MANAGER_KEY))
        broker.start()
        agent.recorded(5_000)
        await until(lambda: agent.sync.pending == 0, "every acknowledgement")
        await until(lambda: cloud.manager.revision_of_edge == 8, "the policy")
        ticking.cancel()
        await asyncio.to_thread(agent.line.stop)
        cloud.stop()
        return cloud, agent

    with LoopbackBroker() as broker:
        cloud, agent = asyncio.run(story(broker))
    assert cloud.manager.events == log
    assert cloud.manager.conflicts == 0
    assert agent.deltas[0].rows == tuple(sorted(packed))
    assert agent.line.status()["connects"] == 2
    assert agent.line.status()["callback_errors"] == 0
    assert agent.refused == []


def test_the_status_says_who_is_there():
    """Online with the boot id, retained; off line by the last will when the line breaks, and when it is stopped."""

    async def story(broker):
        line = make_line(broker.port)
        line.start()
        await until(lambda: line.is_connected, "the connection")
        cloud = CloudSide(broker.port)
        await until(lambda: cloud.statuses == [{"boot": "b7d1", "online": True}], "the retained status")
        line._client.socket().shutdown(socket.SHUT_RDWR)  # as a cut cable with a reset: no DISCONNECT is sent
        await until(lambda: cloud.statuses[1:2] == [{"boot": "b7d1", "online": False}], "the last will")
        await until(lambda: cloud.statuses[2:] == [{"boot": "b7d1", "online": True}], "the line again")
        await asyncio.to_thread(line.stop)
        await until(lambda: cloud.statuses[3:] == [{"boot": "b7d1", "online": False}], "the goodbye")
        cloud.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "mqtt-stop"]

    with LoopbackBroker() as broker:
        asyncio.run(story(broker))


def test_an_oversized_message_is_cut_and_refused():
    """A message above 64 KiB reaches sync as one byte too many, never whole."""

    async def story(broker):
        got = []
        line = make_line(broker.port, received=lambda suffix, raw: got.append((suffix, len(raw))))
        line.start()
        await until(lambda: line.is_connected, "the connection")
        cloud = CloudSide(broker.port)
        await until(lambda: cloud.subscribed, "the cloud")
        cloud.say("down/policy", bytes(200_000))
        cloud.say("down/ack", b"small")
        await until(lambda: len(got) == 2, "both messages")
        cloud.stop()
        await asyncio.to_thread(line.stop)
        return got

    with LoopbackBroker() as broker:
        assert asyncio.run(story(broker)) == [("down/policy", 65_537), ("down/ack", 5)]


def test_an_exception_on_the_thread_is_counted():
    """A loop that is closed makes every hand-over fail: counted, and the thread goes on."""
    closed = asyncio.new_event_loop()
    closed.close()

    async def story(broker):
        line = make_line(broker.port, loop=closed)
        line.start()
        await until(lambda: line.status()["callback_errors"] == 1, "the first error")
        cloud = CloudSide(broker.port)
        await until(lambda: cloud.subscribed, "the cloud")
        cloud.say("down/ack", b"x")
        await until(lambda: line.status()["callback_errors"] == 2, "the second error")
        cloud.stop()
        await asyncio.to_thread(line.stop)

    with LoopbackBroker() as broker:
        asyncio.run(story(broker))


def test_no_broker_is_a_reason_not_an_error():
    """Without a broker the line says why and stops when it is told to."""

    async def story():
        line = make_line(free_port())
        line.start()
        await until(lambda: line.status()["last_error"] == "the broker cannot be reached", "the reason")
        assert not line.publish("up/hello", b"x")
        await asyncio.to_thread(line.stop)
        assert line.status()["publish_refused"] == 1

    asyncio.run(story())


def certificate(name, issuer=None, issuer_key=None):
    """(certificate, key) for `name`, signed by an issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def pem_files(folder, name, cert, key):
    (folder / f"{name}.crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / f"{name}.key").chmod(0o600)
    return str(folder / f"{name}.crt"), str(folder / f"{name}.key")


def first_byte_over_tls(server, context):
    """What a client that passed both certificate checks sends first, or the name of what went wrong."""
    try:
        raw, _ = server.accept()
        with context.wrap_socket(raw, server_side=True) as line:
            return line.recv(1)
    except OSError as error:
        return type(error).__name__


def test_tls_checks_both_certificates(tmp_path):
    """mqtts: the broker sees our certificate and then a CONNECT; with another CA it sees no MQTT at all."""
    ca, ca_key = certificate("ca")
    ca_file, _ = pem_files(tmp_path, "ca", ca, ca_key)
    other_file, _ = pem_files(tmp_path, "other", *certificate("other"))
    broker_files = pem_files(tmp_path, "broker", *certificate("localhost", ca, ca_key))
    device_files = pem_files(tmp_path, "device", *certificate("device", ca, ca_key))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca_file)
    context.load_cert_chain(*broker_files)
    context.verify_mode = ssl.CERT_REQUIRED

    async def story(trusted_ca):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(DEADLINE_S)
            line = mqtt.Connection(
                mqtt.parse_broker(f"mqtts://localhost:{server.getsockname()[1]}"),
                "clos-des-dunes",
                "hall-1",
                "b7d1",
                loop=asyncio.get_running_loop(),
                connected=lambda: None,
                disconnected=lambda _: None,
                received=lambda *_: None,
                tls=mqtt.TlsFiles(trusted_ca, *device_files),
            )
            line.start()
            seen = await asyncio.to_thread(first_byte_over_tls, server, context)
            await asyncio.to_thread(line.stop)
            return seen

    assert asyncio.run(story(ca_file)) == b"\x10"  # CONNECT (MQTT 3.1.1, section 3.1)
    assert asyncio.run(story(other_file)) == "SSLError"


def test_a_tls_file_that_cannot_be_used_is_named(tmp_path):
    """A missing or wrong CA or key file is one line with its name."""
    wrong = tmp_path / "ca.crt"
    wrong.write_text("no certificate")
    for files, name in ((mqtt.TlsFiles(str(tmp_path / "none")), "none"), (mqtt.TlsFiles(str(wrong)), "ca.crt")):
        with pytest.raises(mqtt.BrokerError, match=name):
            mqtt._tls_context(files)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker.example", ("broker.example", 1883, False)),
        ("mqtt://127.0.0.1:2000/", ("127.0.0.1", 2000, False)),
        ("mqtts://broker.example", ("broker.example", 8883, True)),
        ("mqtts://[::1]:9000", ("::1", 9000, True)),
    ],
)
def test_broker_urls(url, broker):
    """Scheme, host and port; the ports of MQTT where none is given."""
    assert mqtt.parse_broker(url) == broker


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("broker.example", "begin it with mqtt://"),
        ("http://broker.example", "begin it with mqtt://"),
        ("", "begin it with mqtt://"),
        ("mqtt://", "needs a host"),
        ("mqtt://host:0", "needs a host, and a port"),
        ("mqtt://host:70000", "port is not a number"),
        ("mqtt://host:x", "port is not a number"),
        ("mqtt://[::1", "not an address"),
        ("mqtt://host/topic", "nothing may follow"),
        ("mqtt://host?x=1", "nothing may follow"),
        ("mqtt://u:secret@host", "user or password"),
    ],
)
def test_wrong_broker_urls(url, says):
    """Each wrong url is one line that says what to write; a password is not repeated."""
    with pytest.raises(mqtt.BrokerError) as caught:
        mqtt.parse_broker(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["", "A", "a/b", "+", "#", "a b", "é", "a\n", "$sys"])
def test_only_slugs_stand_in_topics(word):
    """No wildcard, level or empty word gets into a topic."""
    assert mqtt.topic_prefix("clos-des-dunes", "hall-1") == PREFIX
    for site, controller in ((word, "hall-1"), ("clos-des-dunes", word)):
        with pytest.raises(ValueError, match="cannot stand in a topic"):
            mqtt.topic_prefix(site, controller)
