"""The commands enrol-token, revoke and broker-config, and what they write."""

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from cloud_device import make_keys
from cryptography import x509
from enrolment_box import (
    BROKER,
    NOW,
    Box,
    code_of,
    revoked_serials,
    serial_of,
    token_for,
)

from cloud_stub.enrolment import authority, broker_files, ca_folder, issuing
from cloud_stub.enrolment.models import Token
from cloud_stub.residences.models import Controller

ROOT = Path(__file__).resolve().parents[2]


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
        found, out, err = code_of(*arguments)
        assert (found, out) == (code, ""), err
        assert says in err
        assert err.count("\n") == 1


def test_ids_that_are_too_long_for_a_certificate_are_refused_at_once(hall):
    """Before a token is made, not at the door."""
    Controller.objects.filter(pk=hall.pk).update(slug="h" * 60)
    code, _, err = code_of("enrol-token", "h" * 60, "--broker", BROKER)
    assert code == os.EX_USAGE
    assert "64" in err
    assert not Token.objects.exists()


def test_the_commands_in_their_order(hall, data, tmp_path):
    """broker-config, enrol-token, revoke: what is written, with its modes, what is printed; a second broker-config
    keeps the authority and what was revoked."""
    place = tmp_path / "mosquitto"
    code, out, err = code_of("broker-config", place, "--host", "broker.example", "--state", tmp_path / "state")
    assert (code, err) == (0, "")
    assert {path.name for path in place.iterdir()} == {
        "mosquitto.conf", "acl", "ca.pem", "crl.pem", "broker.pem", "broker.key",
    }  # fmt: skip
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert {name for name, mode in modes.items() if mode != 0o644} == {"broker.key"}
    assert modes["broker.key"] == 0o600
    assert "mqtts://broker.example:8883" in out
    code, out, _ = code_of("enrol-token", "clos-des-dunes/hall-a", "--json")
    said = json.loads(out)
    assert said["broker"] == "mqtts://broker.example:8883"
    assert said["ca_fingerprint"] == authority.fingerprint(ca_folder.open_authority(data, NOW).certificate)
    box = Box()
    answer = issuing.enrol(box.enrols(said["token"]), datetime.now(UTC))
    code, out, _ = code_of("enrol-token", "hall-a")
    assert out.count("vantail enrol --cloud https://HOST:PORT --token ") == 1
    code, out, _ = code_of("revoke", "hall-a")
    assert code == 0
    assert "1 certificates revoked" in out
    assert "restart" in out
    listed = x509.load_pem_x509_crl((place / "crl.pem").read_bytes())
    assert stat.S_IMODE((place / "crl.pem").stat().st_mode) == 0o644
    assert [each.serial_number for each in listed] == [serial_of(answer["certificate"])]
    ca = (place / "ca.pem").read_text()
    assert code_of("broker-config", place, "--host", "broker.example")[0] == 0
    assert (place / "ca.pem").read_text() == ca
    assert x509.load_pem_x509_crl((place / "crl.pem").read_bytes()) == listed


def test_a_replaced_device_is_revoked_by_provision_too(hall, tmp_path):
    """`provision --replace` registers by file; the former device's certificate ends with it."""
    answer = issuing.enrol(Box().enrols(token_for(hall)), NOW)
    keys = make_keys(tmp_path / "keys")
    assert code_of("provision", "hall-a", "--keys", keys)[0] == os.EX_CONFIG
    code, out, _ = code_of("provision", "hall-a", "--keys", keys, "--replace")
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
