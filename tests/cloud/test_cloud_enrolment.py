"""Enrolment, renewal and revocation: what is refused, by which word, and what is left behind when it is granted.

Requests are made here from the format's description in docs/enrolment.md, not by the controller's code; that meets
the same listener at the end, and in tests/edge/test_enrol_command.py.
"""

import contextlib
import hashlib
import http.client
import json
import os
import socket
import ssl
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloud_device import make_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings

from cloud_stub import cli
from cloud_stub.enrolment import authority, broker_files, ca_folder, issuing, listener, opening, tokens
from cloud_stub.enrolment.models import Certificate, Token
from cloud_stub.enrolment.request import MAX_BODY, RefusedError
from cloud_stub.residences import signature
from cloud_stub.residences.models import Controller
from cloud_stub.residences.provisioning import provision
from edge.uplink import cloud_line, enrolling, signing

NOW = datetime.now(UTC).replace(microsecond=0)  # certificates are for real clocks, those of libraries too
BROKER = "mqtts://broker.example:8883"
DEADLINE_S = 60  # against hanging, not a measure
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hall(site) -> Controller:
    return Controller.objects.get(slug="hall-a")


class Box:
    """A controller's device as it asks: keys of its own, the format written out."""

    def __init__(self, name="hall-a") -> None:
        self.name, self.key, self.tls = name, signing.generate_key(), ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> bytes:
        return signing.public_bytes(self.key)

    def csr(self) -> x509.CertificateSigningRequest:
        names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)]
        return x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(self.tls, hashes.SHA256())

    def asks(self, word, proof_name, proof, **changed) -> bytes:
        csr = self.csr()
        signed = word + hashlib.sha256(proof.encode()).digest() + csr.public_bytes(serialization.Encoding.DER)
        said = {
            proof_name: proof,
            "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
            "device_key": self.public.hex(),
            "signature": self.key.sign(signed).hex(),
        }
        return json.dumps({**said, **changed}).encode()

    def enrols(self, token, **changed) -> bytes:
        return self.asks(b"vantail enrol 1\0", "token", token, **changed)

    def renews(self, certificate, **changed) -> bytes:
        return self.asks(b"vantail renew 1\0", "certificate", certificate, **changed)


def token_for(controller, may_replace=False, now=NOW, hours=24.0) -> str:
    return tokens.create(controller, BROKER, may_replace, now, hours)


def refusal(job, body, now=NOW) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        job(body, now)
    assert "\n" not in str(caught.value)
    return caught.value


def revoked_serials() -> set[int]:
    listed = x509.load_pem_x509_crl((ca_folder.tls_folder(settings.DATA) / "crl.pem").read_bytes())
    return {each.serial_number for each in listed}


def serial_of(text) -> int:
    return x509.load_pem_x509_certificate(text.encode()).serial_number


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_refused(hall):
    """Unknown, empty, one letter off: 401, and the device is not registered."""
    token = token_for(hall)
    for wrong in ("", "x", token[:-1], token[:-1] + ("a" if token[-1] != "a" else "b"), "é" * 40):
        refused = refusal(issuing.enrol, Box().enrols(wrong))
        assert refused.status == 401
        assert "vantail-cloud enrol-token" in str(refused)
    hall.refresh_from_db()
    assert hall.device_key == ""
    assert not Certificate.objects.exists()


def test_a_token_ends(hall):
    """To the second, at its hour; the message says when."""
    token = token_for(hall, hours=1)
    refused = refusal(issuing.enrol, Box().enrols(token), NOW + timedelta(hours=1))
    assert refused.status == 401
    assert f"{NOW + timedelta(hours=1):%Y-%m-%d at %H:%M} UTC" in str(refused)
    assert issuing.enrol(Box().enrols(token), NOW + timedelta(minutes=59))["site"] == "clos-des-dunes"


def test_a_token_is_good_for_one_device(hall):
    """Another device gets nothing by it; the same one its same certificate again, in case the answer was lost."""
    token, box = token_for(hall), Box()
    first = issuing.enrol(box.enrols(token), NOW)
    refused = refusal(issuing.enrol, Box().enrols(token))
    assert refused.status == 401
    assert "used by another device" in str(refused)
    assert issuing.enrol(box.enrols(token.upper().replace("-", " ")), NOW) == first
    assert refusal(issuing.enrol, box.enrols(token), NOW + timedelta(days=2)).status == 401


def test_a_token_is_good_for_its_controller(hall):
    """A box that takes itself for hall B shows hall A's token: told which name to check, and the token stays good."""
    token = token_for(hall)
    refused = refusal(issuing.enrol, Box("hall-b").enrols(token))
    assert refused.status == 403
    assert "hall-a" in str(refused)
    assert "hall-b" in str(refused)
    assert "agent.toml" in str(refused)
    assert issuing.enrol(Box().enrols(token), NOW)["controller"] == "hall-a"


@pytest.mark.parametrize("name", ["clos-des-dunes/hall-a", "vantail-cloud", "hall-a\n", "hall-a/#", "+", "#"])
def test_a_certificate_request_with_another_name_is_refused(hall, name):
    """Whatever it would be good for; the name is shown without its control characters."""
    refused = refusal(issuing.enrol, Box(name).enrols(token_for(hall)))
    assert refused.status == 403
    assert not Certificate.objects.exists()


def test_the_device_must_sign_what_it_asks(hall):
    """Another device's key, another token, a renewal's signature, a signature for another request: 403 each."""
    token, box, other = token_for(hall), Box(), Box()
    own = json.loads(box.enrols(token))
    for changed in (
        {"device_key": other.public.hex()},
        {"signature": json.loads(box.enrols(token_for(hall)))["signature"]},
        {"signature": json.loads(box.renews(token))["signature"]},
        {"csr": json.loads(other.enrols(token))["csr"]},
        {"signature": "00" * 64},
    ):
        refused = refusal(issuing.enrol, json.dumps({**own, **changed}).encode())
        assert refused.status == 403, changed
        assert "not signed by the device" in str(refused)


def odd_requests():
    box = Box()
    good = json.loads(box.enrols("TOKEN"))
    weak = x509.CertificateSigningRequestBuilder().subject_name(box.csr().subject)
    for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP192R1())):
        pem = weak.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        yield {**good, "csr": pem}
    forged = bytearray(box.csr().public_bytes(serialization.Encoding.DER))
    forged[-1] ^= 1
    with contextlib.suppress(ValueError):
        pem = x509.load_der_x509_csr(bytes(forged)).public_bytes(serialization.Encoding.PEM).decode()
        yield {**good, "csr": pem}
    yield {**good, "csr": ""}
    yield {**good, "csr": "é"}
    yield {**good, "csr": good["csr"][:200]}
    yield {**good, "device_key": "00" * 31}
    yield {**good, "device_key": "zz" * 32}
    yield {**good, "signature": "00"}
    yield {**good, "more": "1"}
    yield {**good, "token": 7}
    yield {name: value for name, value in good.items() if name != "csr"}


def test_what_is_no_request_is_refused(hall):
    """400 for each, with what a request is; nothing is registered, the token stays good."""
    token = token_for(hall)
    bodies = [b"", b"null", b"[" * 10_000, b"\xff" * 100, b'{"token": "x"}']
    for odd in odd_requests():
        bodies.append(json.dumps({**odd, "token": token if odd.get("token") == "TOKEN" else odd.get("token")}).encode())
    assert len(bodies) >= 16
    for body in bodies:
        assert refusal(issuing.enrol, body).status == 400, body
    hall.refresh_from_db()
    assert hall.device_key == ""
    assert not Token.objects.exclude(used_by="").exists()


def test_another_device_replaces_none_unless_it_may(hall):
    """409 and how to allow it; where it is allowed, a new epoch begins and the old device's certificate is revoked."""
    old, new = Box(), Box()
    before = issuing.enrol(old.enrols(token_for(hall)), NOW)
    refused = refusal(issuing.enrol, new.enrols(token_for(hall)))
    assert refused.status == 409
    assert "--replace" in str(refused)
    after = issuing.enrol(new.enrols(token_for(hall, may_replace=True)), NOW)
    assert "epoch = 2" in after["manager"]
    assert revoked_serials() == {serial_of(before["certificate"])}
    assert refusal(issuing.renew, old.renews(before["certificate"])).status == 403


def test_a_device_is_one_controller(hall):
    """The device of hall A does not become hall B as well."""
    box = Box()
    issuing.enrol(box.enrols(token_for(hall)), NOW)
    box.name = "hall-b"
    refused = refusal(issuing.enrol, box.enrols(token_for(Controller.objects.get(slug="hall-b"))))
    assert refused.status == 409
    assert "hall-a" in str(refused)


def test_a_controller_that_left_its_site_is_refused(hall):
    """By its token and by its certificate."""
    box = Box()
    answer = issuing.enrol(box.enrols(token_for(hall)), NOW)
    token = token_for(hall)
    Controller.objects.update(is_active=False)
    assert refusal(issuing.enrol, box.enrols(token)).status == 403
    assert refusal(issuing.renew, box.renews(answer["certificate"])).status == 403


# --- granted ----------------------------------------------------------------------------------------------------------


def test_what_a_controller_gets(hall, tmp_path):
    """A certificate under its place in the topic tree for its own key, the authority, the broker, and the manager as
    `provision` writes it; nothing that the request asks for besides."""
    box = Box()
    answer = issuing.enrol(box.enrols(token_for(hall)), NOW)
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    ca = x509.load_pem_x509_certificate(answer["ca"].encode())
    certificate.verify_directly_issued_by(ca)
    assert certificate.subject.rfc4514_string() == "CN=clos-des-dunes/hall-a"
    assert certificate.public_key() == box.tls.public_key()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc < NOW + timedelta(days=366)
    assert (answer["broker"], answer["controller"], answer["site"]) == (BROKER, "hall-a", "clos-des-dunes")
    keys = tmp_path / "keys"
    keys.mkdir()
    signing.write_public_key(keys / "device.pub", box.public)
    assert provision(hall, keys, signature.manager_public_key()).read_text() == answer["manager"]


def test_the_token_itself_is_kept_nowhere(hall, data):
    """Neither in the database's files nor in any other of the data folder; its hash is enough."""
    token = token_for(hall)
    issuing.enrol(Box().enrols(token), NOW)
    letters = token.replace("-", "").encode()
    assert len(letters) == 26
    for path in data.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert letters not in raw, path
            assert token.encode() not in raw, path


def test_the_authority_is_private_and_made_once(hall, data):
    """0600 in a folder 0700; the same after another start; a key that does not fit is not replaced."""
    first = ca_folder.open_authority(data, NOW)
    assert ca_folder.open_authority(data, NOW).certificate == first.certificate
    place = ca_folder.tls_folder(data)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [place, *place.iterdir()])
    assert "PRIVATE" not in repr(first)
    kept = (place / "ca.key").read_text()
    try:
        (place / "ca.key").write_text(authority.key_text(authority.make(NOW).key))
        assert _code_of("enrol-token", "hall-a", "--broker", BROKER)[0] == os.EX_CONFIG
        (place / "ca.key").write_text(kept)
        (place / "ca.key").chmod(0o644)
        code, _, said = _code_of("enrol-token", "hall-a", "--broker", BROKER)
        assert code == os.EX_CONFIG
        assert "chmod 600" in said
    finally:
        (place / "ca.key").write_text(kept)
        (place / "ca.key").chmod(0o600)


# --- renewal ----------------------------------------------------------------------------------------------------------


def test_an_expired_certificate_is_renewed(hall):
    """Two years later, by the same device key; the chain of renewals goes on, also under a new TLS key."""
    box = Box()
    old = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    later = NOW + timedelta(days=730)
    new = issuing.renew(box.renews(old), later)["certificate"]
    assert x509.load_pem_x509_certificate(new.encode()).not_valid_after_utc > later + timedelta(days=364)
    box.tls = ec.generate_private_key(ec.SECP256R1())
    third = issuing.renew(box.renews(new), later)["certificate"]
    assert x509.load_pem_x509_certificate(third.encode()).public_key() == box.tls.public_key()
    assert not Certificate.objects.exclude(revoked_at=None).exists()


def test_a_fresh_certificate_comes_back_as_it_is(hall):
    """However often it is asked for, nothing is made while most of its time is left."""
    box = Box()
    first = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    for days in (0, 1, 100, 121):
        assert issuing.renew(box.renews(first), NOW + timedelta(days=days))["certificate"] == first
    assert issuing.renew(box.renews(first), NOW + timedelta(days=123))["certificate"] != first
    assert Certificate.objects.count() == 2


def test_renewal_needs_the_certificates_own_device(hall):
    """Another device's key, a certificate that is none of ours or altered, and one that was revoked: 403, or 400."""
    box, thief = Box(), Box()
    certificate = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    assert "another device" in str(refusal(issuing.renew, thief.renews(certificate)))
    strange = authority.sign_device(authority.make(NOW), box.tls.public_key(), "clos-des-dunes/hall-a", NOW)
    assert "not issued here" in str(refusal(issuing.renew, box.renews(authority.certificate_text(strange))))
    assert refusal(issuing.renew, box.renews("no certificate")).status == 400
    stolen = json.loads(thief.renews(certificate))
    assert refusal(issuing.renew, json.dumps({**stolen, "device_key": box.public.hex()}).encode()).status == 403
    issuing.revoke(hall, NOW)
    refused = refusal(issuing.renew, box.renews(certificate))
    assert refused.status == 403
    assert "was revoked" in str(refused)


# --- revocation -------------------------------------------------------------------------------------------------------


def test_revoking_ends_certificates_and_tokens_of_one_controller(hall):
    """Both its certificates are listed, its open token counts no more; the neighbour's are untouched."""
    box, neighbour = Box(), Box("hall-b")
    first = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    second = issuing.renew(box.renews(first), NOW + timedelta(days=300))["certificate"]
    other = issuing.enrol(neighbour.enrols(token_for(Controller.objects.get(slug="hall-b"))), NOW)["certificate"]
    token = token_for(hall)
    assert issuing.revoke(hall, NOW) == 2
    issuing.publish_revocations(NOW)
    assert revoked_serials() == {serial_of(first), serial_of(second)}
    assert serial_of(other) not in revoked_serials()
    assert refusal(issuing.enrol, box.enrols(token)).status == 401
    again = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    assert again not in (first, second)
    assert issuing.revoke(hall, NOW) == 1


# --- the listener -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(made):
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


@pytest.fixture(scope="module")
def lasting_door():
    with listening(opening.open_listener(settings.DATA, opening.EnrolAddress("127.0.0.1", 0, []))) as made:
        yield made


@pytest.fixture
def door(hall, lasting_door):
    """The enrolment listener on a free loopback port, as `serve` opens it."""
    answers = dict(lasting_door.answers)
    yield lasting_door
    lasting_door.answers = answers


def said_by(door, method, path, body=None, headers=None):
    context = ssl.create_default_context(cadata=door.ca_text)
    line = http.client.HTTPSConnection("localhost", door.server_port, timeout=DEADLINE_S, context=context)
    line.request(method, path, body, headers or {})
    answer = line.getresponse()
    found = answer.status, json.loads(answer.read())
    line.close()
    return found


def test_the_listener_has_three_addresses_and_no_page(door):
    """The pages ask for no login, so they are not here; each answer is JSON and a line."""
    assert said_by(door, "GET", "/v1/ca") == (200, {"ca": door.ca_text})
    for method, path in (("GET", "/"), ("GET", "/api/summary"), ("POST", "/language"), ("GET", "/v1/enrol")):
        status, said = said_by(door, method, path, b"{}" if method == "POST" else None)
        assert status == 404
        assert "POST /v1/enrol" in said["error"]
    assert said_by(door, "POST", "/v1/enrol", b"{}")[0] == 400
    assert said_by(door, "POST", "/v1/renew", b"x" * (MAX_BODY + 1))[0] == 413
    assert said_by(door, "POST", "/v1/renew", None, {"Content-Length": "-1"})[0] == 413


def test_the_listener_is_on_loopback(door):
    """As everything is that was not told otherwise."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = {row.split()[1] for row in table if f":{door.server_port:04X} " in row and " 0A " in row}
    assert rows == {f"0100007F:{door.server_port:04X}"}


@contextlib.contextmanager
def stranger(made):
    """A connection that says nothing."""
    with socket.create_connection(("127.0.0.1", made.server_port), timeout=DEADLINE_S) as line:
        yield line


def is_cut(line) -> bool:
    """Waits until the other side has ended the connection."""
    with contextlib.suppress(OSError):
        while line.recv(1024):
            pass
    return True


def test_many_strangers_keep_nobody_out_for_long(door):
    """Above the bound one is turned away at once and counted; when they are gone there is room again."""
    with contextlib.ExitStack() as lines:
        for _ in range(listener.CONNECTIONS):
            lines.enter_context(stranger(door))
        with stranger(door) as extra:
            assert is_cut(extra)
        assert door.turned_away == 1
    end = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError):
            assert said_by(door, "GET", "/v1/ca")[0] == 200
            return
        assert time.monotonic() < end


def test_slow_strangers_are_cut(hall, data, monkeypatch):
    """Whoever says nothing, or stops half-way in HTTP, or sends a byte now and then."""
    monkeypatch.setattr(listener, "LONGEST_S", 0.3)
    made = opening.open_listener(data, opening.EnrolAddress("127.0.0.1", 0, []))
    context = ssl.create_default_context(cadata=made.ca_text)
    with listening(made), stranger(made) as silent:
        assert is_cut(silent)
        for head in (b"POST /v1/enrol HTTP/1.1\r\n", b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"):
            with stranger(made) as raw, context.wrap_socket(raw, server_hostname="localhost") as line:
                end = time.monotonic() + DEADLINE_S
                with contextlib.suppress(OSError):
                    line.sendall(head)
                    while time.monotonic() < end:
                        line.sendall(b"x")
                        time.sleep(0.02)
                assert time.monotonic() < end


def test_a_port_that_is_taken_is_one_line(door, data):
    """69, and which option to change."""
    from cloud_stub.errors import UnavailableError

    with pytest.raises(UnavailableError, match="--enrol-port"):
        opening.open_listener(data, opening.EnrolAddress("127.0.0.1", door.server_port, []))


# --- the controller's side before this listener -----------------------------------------------------------------------


def test_a_controller_with_the_clock_in_1970_enrols(hall, data, tmp_path):
    """The listener's certificate begins in 2040, as any does for such a clock. Refused while the clock is trusted;
    granted while it is not, by the fingerprint alone; with another fingerprint the token is never said."""
    ca = ca_folder.open_authority(data, NOW)
    fingerprint = authority.fingerprint(ca.certificate)
    pair = ca_folder.write_pair(
        tmp_path, "late", authority.issue_server(ca, ["localhost"], datetime(2040, 1, 1, tzinfo=UTC))
    )
    heard = []

    def answer(body):
        heard.append(body)
        return issuing.enrol(body, NOW)

    text = authority.certificate_text(ca.certificate)
    made = listener.EnrolListener("127.0.0.1", 0, listener.server_context(*pair), text, {"/v1/enrol": answer})
    threading.Thread(target=made.serve_forever, daemon=True).start()
    keys, url, token = make_keys(tmp_path / "keys"), f"https://localhost:{made.server_port}", token_for(hall)
    with listening(made):
        with pytest.raises(cloud_line.DistrustError, match="check this machine's clock"):
            enrolling.enrol(keys, "hall-a", url, token, fingerprint, clock_trusted=True)
        for clock_trusted in (True, False):
            with pytest.raises(cloud_line.DistrustError, match="do not go on"):
                enrolling.enrol(keys, "hall-a", url, token, "0" * 64, clock_trusted)
        assert heard == []
        colons = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
        done = enrolling.enrol(keys, "hall-a", url, token, colons, clock_trusted=False)
    assert done.broker == BROKER
    assert (keys / "pending-manager.toml").exists()
    assert not (keys / "manager.toml").exists()


def false_answers(answer, tmp_path):
    """What a lying cloud may say: each differs from the right answer in one thing."""
    stranger = authority.make(NOW)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    ca = ca_folder.open_authority(settings.DATA, NOW)
    shown = x509.load_pem_x509_certificate(answer["certificate"].encode())
    renamed = authority.sign_device(ca, shown.public_key(), "clos-des-dunes/hall-b", NOW)
    forged = authority.sign_device(stranger, shown.public_key(), "clos-des-dunes/hall-a", NOW)
    yield {"broker": "mqtt://broker.example"}
    yield {"broker": "mqtts://user:secret@broker.example"}
    yield {"broker": "file:///etc/passwd"}
    yield {"ca": authority.certificate_text(stranger.certificate)}
    yield {"ca": answer["certificate"]}
    yield {"certificate": authority.certificate_text(authority.sign_device(ca, key, "clos-des-dunes/hall-a", NOW))}
    yield {"certificate": authority.certificate_text(renamed)}
    yield {"certificate": authority.certificate_text(forged)}
    yield {"certificate": "nothing"}
    yield {"controller": "hall-b"}
    yield {"site": "../../etc"}
    yield {"manager": answer["manager"].replace("hall-a", "hall-b")}
    yield {"manager": "controller = \x07"}
    yield {"manager": "é"}
    yield {"more": "of it"}


def test_an_answer_is_not_believed_for_coming_over_the_right_line(hall, door, data, tmp_path):
    """A certificate for another key, name or of another authority, a broker without TLS, a manager of another
    controller: refused in one line, and no file of the controller is touched."""
    keys = make_keys(tmp_path / "keys")
    url, fingerprint = (
        f"https://localhost:{door.server_port}",
        authority.fingerprint(ca_folder.open_authority(data, NOW).certificate),
    )
    right = enrolling.enrol(keys, "hall-a", url, token_for(hall), fingerprint, True)
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    granted = door.answers["/v1/enrol"]
    answer = json.loads(json.dumps({"broker": right.broker}))
    token = token_for(hall)

    def keep(body):
        answer.update(granted(body))
        return answer

    door.answers["/v1/enrol"] = keep
    enrolling.enrol(keys, "hall-a", url, token, fingerprint, True)
    lies = list(false_answers(dict(answer), tmp_path))
    assert len(lies) == 15
    for lie in lies:
        door.answers["/v1/enrol"] = lambda body, lie=lie: {**answer, **lie}
        with pytest.raises(cloud_line.DistrustError) as caught:
            enrolling.enrol(keys, "hall-a", url, token, fingerprint, True)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
        assert {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()} == before, lie


def test_a_refusal_is_shown_without_its_control_characters(hall, door, data, tmp_path):
    """What a stranger says on a terminal is one line of printable letters, and not long; rubbish is named."""
    fingerprint = authority.fingerprint(ca_folder.open_authority(data, NOW).certificate)
    keys, url = make_keys(tmp_path / "keys"), f"https://localhost:{door.server_port}"
    for says in ("\x1b[2J\r\nroot: all is well\x00" + "x" * 1000, "no"):
        door.answers["/v1/enrol"] = lambda body, says=says: (_ for _ in ()).throw(RefusedError(403, says))
        with pytest.raises(cloud_line.RefusedError) as caught:
            enrolling.enrol(keys, "hall-a", url, "t", fingerprint, True)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400
    door.answers["/v1/enrol"] = lambda body: {"manager": "x" * 100_000}
    with pytest.raises(cloud_line.DistrustError, match="not one to an enrolment"):
        enrolling.enrol(keys, "hall-a", url, "t", fingerprint, True)
    door.answers["/v1/enrol"] = lambda body: 1 / 0
    with pytest.raises(cloud_line.UnreachableError, match="its own log says why"):
        enrolling.enrol(keys, "hall-a", url, "t", fingerprint, True)


# --- the commands -----------------------------------------------------------------------------------------------------


def _code_of(*arguments, capsys=None):
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    out, err = StringIO(), StringIO()
    opened, cli._open_data = cli._open_data, lambda path: None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.main([str(each) for each in arguments])
    finally:
        cli._open_data = opened
    return code, out.getvalue(), err.getvalue()


def test_the_commands_say_what_is_missing(hall, data):
    """One line each, with its code of sysexits."""
    (ca_folder.tls_folder(data) / "broker.toml").unlink(missing_ok=True)
    for arguments, code, says in (
        (("enrol-token", "hall-a"), os.EX_CONFIG, "broker-config"),
        (("enrol-token", "hall-x", "--broker", BROKER), os.EX_USAGE, "known: "),
        (("enrol-token", "hall-a", "--broker", "mqtt://broker.example"), os.EX_USAGE, "mqtts://"),
        (("enrol-token", "hall-a", "--broker", BROKER, "--hours", "0"), os.EX_USAGE, "--hours"),
        (("enrol-token", "hall-a", "--broker", BROKER, "--hours", "100000"), os.EX_USAGE, "--hours"),
        (("revoke", "hall-x"), os.EX_USAGE, "known: "),
        (("broker-config", data / "a b", "--host", "localhost"), os.EX_USAGE, "space"),
        (("broker-config", data / "mq", "--host", "localhost", "--port", "0"), os.EX_USAGE, "--port"),
        (("broker-config", data / "mq", "--host", "a b"), os.EX_USAGE, "--host"),
        (("broker-config", data / "mq", "--host", "broker", "--listen", "x y"), os.EX_USAGE, "--listen"),
        (("broker-config", data / "secret.key", "--host", "localhost"), os.EX_CANTCREAT, "secret.key"),
        (("serve", "--broker", BROKER, "--enrol-port", "70000"), os.EX_USAGE, "--enrol-port"),
    ):
        found, out, err = _code_of(*arguments)
        assert (found, out) == (code, ""), err
        assert says in err
        assert err.count("\n") == 1


def test_ids_that_are_too_long_for_a_certificate_are_refused_at_once(hall):
    """Before a token is made, not at the door."""
    Controller.objects.filter(pk=hall.pk).update(slug="h" * 60)
    code, _, err = _code_of("enrol-token", "h" * 60, "--broker", BROKER)
    assert code == os.EX_USAGE
    assert "64" in err
    assert not Token.objects.exists()


def test_the_commands_in_their_order(hall, data, tmp_path):
    """broker-config, enrol-token, revoke: what is written, with its modes, what is printed; a second broker-config
    keeps the authority and what was revoked."""
    place = tmp_path / "mosquitto"
    code, out, err = _code_of("broker-config", place, "--host", "broker.example", "--state", tmp_path / "state")
    assert (code, err) == (0, "")
    assert {path.name for path in place.iterdir()} == {
        "mosquitto.conf", "acl", "ca.pem", "crl.pem", "broker.pem", "broker.key",
    }  # fmt: skip
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert {name for name, mode in modes.items() if mode != 0o644} == {"broker.key"}
    assert modes["broker.key"] == 0o600
    assert "mqtts://broker.example:8883" in out
    code, out, _ = _code_of("enrol-token", "clos-des-dunes/hall-a", "--json")
    said = json.loads(out)
    assert said["broker"] == "mqtts://broker.example:8883"
    assert said["ca_fingerprint"] == authority.fingerprint(ca_folder.open_authority(data, NOW).certificate)
    box = Box()
    answer = issuing.enrol(box.enrols(said["token"]), datetime.now(UTC))
    code, out, _ = _code_of("enrol-token", "hall-a")
    assert out.count("vantail enrol --cloud https://HOST:PORT --token ") == 1
    code, out, _ = _code_of("revoke", "hall-a")
    assert code == 0
    assert "1 certificates revoked" in out
    assert "restart" in out
    listed = x509.load_pem_x509_crl((place / "crl.pem").read_bytes())
    assert stat.S_IMODE((place / "crl.pem").stat().st_mode) == 0o644
    assert [each.serial_number for each in listed] == [serial_of(answer["certificate"])]
    ca = (place / "ca.pem").read_text()
    assert _code_of("broker-config", place, "--host", "broker.example")[0] == 0
    assert (place / "ca.pem").read_text() == ca
    assert x509.load_pem_x509_crl((place / "crl.pem").read_bytes()) == listed


def test_a_replaced_device_is_revoked_by_provision_too(hall, tmp_path):
    """`provision --replace` registers by file; the former device's certificate ends with it."""
    answer = issuing.enrol(Box().enrols(token_for(hall)), NOW)
    keys = make_keys(tmp_path / "keys")
    assert _code_of("provision", "hall-a", "--keys", keys)[0] == os.EX_CONFIG
    code, out, _ = _code_of("provision", "hall-a", "--keys", keys, "--replace")
    assert code == 0
    assert "crl.pem" in out
    assert revoked_serials() == {serial_of(answer["certificate"])}


def test_the_shipped_configuration_is_the_one_that_is_tested():
    """packaging/mosquitto is what broker-config writes for a broker of Debian's, word for word."""
    shipped = ROOT / "packaging" / "mosquitto"
    text = broker_files.configuration(
        Path("/etc/mosquitto/vantail"), broker_files.Listener("broker.example"), Path("/var/lib/mosquitto")
    )
    assert (shipped / "mosquitto.conf").read_text() == text
    assert (shipped / "acl").read_text() == broker_files.ACCESS
    assert "listener 8883 127.0.0.1" in text
    assert "0.0.0.0" not in text
