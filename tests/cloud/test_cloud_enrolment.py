"""Enrolment: what is refused, by which word, and what is left behind when it is granted.

The same listener is met by the controller's own code in test_cloud_enrolment_answers and tests/edge/test_enrol_command.
"""

import contextlib
import json
import os
import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from enrolment_box import (
    BROKER,
    NOW,
    Box,
    code_of,
    refusal,
    revoked_serials,
    serial_of,
    token_for,
)

from cloud_stub.enrolment import authority, ca_folder, issuing
from cloud_stub.enrolment.models import Certificate, Token
from cloud_stub.errors import ConfigError
from cloud_stub.residences import signature
from cloud_stub.residences.models import Controller
from cloud_stub.residences.provisioning import provision
from edge.uplink import signing


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
        assert code_of("enrol-token", "hall-a", "--broker", BROKER)[0] == os.EX_CONFIG
        (place / "ca.key").write_text(kept)
        (place / "ca.key").chmod(0o644)
        code, _, said = code_of("enrol-token", "hall-a", "--broker", BROKER)
        assert code == os.EX_CONFIG
        assert "chmod 600" in said
    finally:
        (place / "ca.key").write_text(kept)
        (place / "ca.key").chmod(0o600)


@pytest.mark.parametrize("name", ["ca.key", "ca.pem"])
def test_an_authority_that_lost_a_file_is_made_anew_only_where_nobody_pins_it(hall, data, name):
    """Without its key nothing is made in its place: every controller would have to enrol again. Without its
    certificate nobody has it yet, as that is written last."""
    first = ca_folder.open_authority(data, NOW)
    place = ca_folder.tls_folder(data)
    kept = {path: path.read_bytes() for path in place.iterdir()}
    (place / name).unlink()
    try:
        if name == "ca.key":
            with pytest.raises(ConfigError):
                ca_folder.open_authority(data, NOW)
            assert (place / "ca.pem").read_bytes() == kept[place / "ca.pem"]
            assert not (place / "ca.key").exists()
        else:
            assert ca_folder.open_authority(data, NOW).certificate != first.certificate
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
            path.chmod(0o600)
