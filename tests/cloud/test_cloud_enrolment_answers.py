"""The controller's side before this listener: what it believes, and what it does not."""

import json
import threading
from datetime import UTC, datetime

import pytest
from cloud_device import make_keys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from enrolment_box import (
    BROKER,
    NOW,
    listening,
    token_for,
)

from cloud_stub.enrolment import authority, ca_folder, issuing, listener
from cloud_stub.enrolment.request import RefusedError
from edge.uplink import cloud_line, enrolling


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
