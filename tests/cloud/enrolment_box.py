"""A controller's device as it enrols, made from the format's description in docs/enrolment.md, not by its code."""

import contextlib
import hashlib
import json
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from cloud_stub import cli
from cloud_stub.enrolment import ca_folder, tokens
from cloud_stub.enrolment.request import RefusedError
from edge.uplink import signing

NOW = datetime.now(UTC).replace(microsecond=0)  # certificates are for real clocks, those of libraries too
BROKER = "mqtts://broker.example:8883"
DEADLINE_S = 60  # against hanging, not a measure


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


@contextlib.contextmanager
def listening(made):
    """A listener that ends with the block."""
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


def code_of(*arguments):
    """What `vantail-cloud` with these words gives: exit code, output, errors."""
    out, err = StringIO(), StringIO()
    opened, cli._open_data = cli._open_data, lambda path: None
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.main([str(each) for each in arguments])
    finally:
        cli._open_data = opened
    return code, out.getvalue(), err.getvalue()
