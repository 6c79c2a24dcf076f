"""What a controller's device asks for, in JSON, each part checked; what is wrong is RefusedError, with an HTTP status.

The device signs with its own Ed25519 key what it asks: `enrol` over the token and the certificate request, `renew` over
the old certificate and the request. The first word keeps one from passing for the other.
"""

import hashlib
import json
import os
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud_stub.errors import CloudError

MAX_BODY = 16_384  # bytes; a request has about 1,500
ENROL = b"vantail enrol 1\0"
RENEW = b"vantail renew 1\0"


class RefusedError(CloudError):
    """A request that is not granted. `status`: the HTTP status that says whose fault it is."""

    exit_code = os.EX_NOPERM

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    """An enrolment (token) or a renewal (certificate, PEM). device_key: 32 bytes. signed: what `signature` is over."""

    token: str
    certificate: str
    csr: str
    device_key: bytes
    signature: bytes


def parse(body: bytes, proof: str) -> Request:
    """The request in `body`; `proof`, "token" or "certificate", is what it must come with. Nothing is verified yet."""
    wanted = {proof, "csr", "device_key", "signature"}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or set(found) != wanted or not all(isinstance(each, str) for each in found.values()):
        raise RefusedError(400, f"the request is not a JSON object of the texts {', '.join(sorted(wanted))}")
    return Request(
        token=found.get("token", ""),
        certificate=found.get("certificate", ""),
        csr=found["csr"],
        device_key=_bytes(found, "device_key", 32),
        signature=_bytes(found, "signature", 64),
    )


def certified_key(request: Request, controller: str) -> ec.EllipticCurvePublicKey:
    """The public key for which a certificate is asked. RefusedError unless the request is signed by that key and by the
    device, and names this controller; anything else that it asks for is left out of the certificate."""
    try:
        csr = x509.load_pem_x509_csr(request.csr.encode("ascii"))
        key = csr.public_key()
        is_sound = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        names = [each.value for each in csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        is_sound = is_sound and csr.is_signature_valid
    except Exception:  # what a parser of strangers' bytes may raise is not written down anywhere
        raise RefusedError(400, "the certificate request cannot be read") from None
    if not is_sound:
        raise RefusedError(400, "the certificate request is not signed by a P-256 key of its own")
    _check_signature(request, csr.public_bytes(serialization.Encoding.DER))
    if names != [controller]:
        said = ", ".join(ascii(name)[1:-1][:64] for name in names) or "nobody"
        raise RefusedError(
            403, f"this is for controller {controller}, the request is of {said}; check 'controller' in agent.toml"
        )
    assert isinstance(key, ec.EllipticCurvePublicKey)  # checked above; this is for mypy
    return key


def _check_signature(request: Request, csr: bytes) -> None:
    proof = RENEW + hashlib.sha256(request.certificate.encode()).digest()
    if not request.certificate:
        proof = ENROL + hashlib.sha256(request.token.encode()).digest()
    try:
        Ed25519PublicKey.from_public_bytes(request.device_key).verify(request.signature, proof + csr)
    except (InvalidSignature, ValueError):
        raise RefusedError(403, "the request is not signed by the device's key") from None


def _bytes(found: dict[str, str], name: str, size: int) -> bytes:
    try:
        raw = bytes.fromhex(found[name])
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise RefusedError(400, f"{name} is not {size} bytes in hexadecimal digits")
    return raw
