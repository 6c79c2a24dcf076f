"""A controller's enrolment: a certificate for its line to the broker, and a manager that is pending.

In the keys folder, each file private and replaced whole:

device.key, device.pub   the controller's own key; made here where there is none
tls/controller.key       the key of TLS; made here once, it stays at renewals
tls/controller.pem       its certificate
tls/ca.pem               the authority that signed it, and the broker's
tls/cloud.toml           where to renew
pending-manager.toml     whom it would obey once bound on site; nothing here writes manager.toml

What the cloud answers is believed as far as the line that it came over, and checked against what was asked.
"""

import hashlib
import json
import os
import tomllib
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.uplink.cloud_line import DistrustError, EnrolError, ask, fetch_authority, parse_cloud
from edge.uplink.keys import (
    KeyFileError,
    ManagerTrust,
    generate_key,
    load_manager,
    load_private_key,
    public_bytes,
    write_private_key,
    write_public_key,
)
from edge.uplink.mqtt import BrokerError, parse_broker
from edge.uplink.tls import TlsFiles, client_context, mind_dates, pinned_context

PENDING = "pending-manager.toml"
ENROL = b"vantail enrol 1\0"  # what the device signs begins with it, so that one request never passes for another
RENEW = b"vantail renew 1\0"
DUE = 1 / 3  # of a certificate's time: with less left it is renewed


class Enrolled(NamedTuple):
    """What enrolment left behind. manager: the pending one, None where this controller obeys it already."""

    site: str
    controller: str
    broker: str
    files: TlsFiles
    valid_until: datetime
    manager: ManagerTrust | None


def enrol(keys: Path, controller: str, cloud: str, token: str, fingerprint: str, clock_trusted: bool) -> Enrolled:
    """Ask the cloud at https://… for a certificate and its manager. fingerprint: of the cloud's own authority, "" where
    its certificate is one that everybody knows. EnrolError, KeyFileError, OSError, ValueError for the url."""
    where = parse_cloud(cloud)
    place = keys / "tls"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    device, key = _device_key(keys), _tls_key(place / "controller.key")
    context = client_context(TlsFiles())
    pinned = fetch_authority(where, fingerprint) if fingerprint else ""
    if pinned:
        context = pinned_context(pinned)
        mind_dates(context, clock_trusted)
    csr = _request(key, controller)
    proof = ENROL + hashlib.sha256(token.encode()).digest()
    answer = ask(where, "/v1/enrol", {"token": token, **_signed(device, proof, csr)}, context)
    _check_answer(answer, controller, pinned)
    name = f"{answer['site']}/{controller}"
    certificate = _check_certificate(answer["certificate"], answer["ca"], key, name)
    manager = _pending(keys, answer)
    _write(place / "ca.pem", answer["ca"])
    _write(place / "controller.pem", answer["certificate"])
    _write(place / "cloud.toml", f"cloud = {json.dumps(where.url)}\npinned = {json.dumps(bool(pinned))}\n")
    until = certificate.not_valid_after_utc
    return Enrolled(answer["site"], controller, answer["broker"], tls_files(keys), until, manager)


def renew(keys: Path, controller: str, clock_trusted: bool) -> datetime:
    """Have the certificate renewed, expired or not, where it was issued; until when the new one is valid. The cloud
    sends the same again while most of its time is left. EnrolError, KeyFileError, OSError."""
    files = tls_files(keys)
    where, is_pinned = _renewal_place(keys)
    device, key = load_private_key(keys / "device.key"), _load_key(Path(files.key))
    shown, ca = _text(Path(files.certificate)), _text(Path(files.ca))
    context = client_context(TlsFiles(files.ca if is_pinned else ""))
    mind_dates(context, clock_trusted or not is_pinned)
    csr = _request(key, controller)
    proof = RENEW + hashlib.sha256(shown.encode()).digest()
    answer = ask(parse_cloud(where), "/v1/renew", {"certificate": shown, **_signed(device, proof, csr)}, context)
    name = _common_name(x509.load_pem_x509_certificate(shown.encode("ascii")))
    certificate = _check_certificate(answer.get("certificate", ""), ca, key, name)
    _write(Path(files.certificate), answer["certificate"])
    return certificate.not_valid_after_utc


def is_renewal_due(keys: Path, now: datetime) -> bool:
    """Whether the certificate has less than a third of its time left, or cannot be read at all. KeyFileError where
    there is none."""
    try:
        found = x509.load_pem_x509_certificate(_text(Path(tls_files(keys).certificate)).encode("ascii"))
    except ValueError:
        return True
    return found.not_valid_after_utc - now < DUE * (found.not_valid_after_utc - found.not_valid_before_utc)


def tls_files(keys: Path) -> TlsFiles:
    """Where enrolment puts the files of TLS."""
    place = keys / "tls"
    return TlsFiles(str(place / "ca.pem"), str(place / "controller.pem"), str(place / "controller.key"))


# --- what is asked ----------------------------------------------------------------------------------------------------


def _device_key(keys: Path) -> Ed25519PrivateKey:
    """The controller's own key, made where there is none."""
    path = keys / "device.key"
    if path.exists():
        return load_private_key(path)
    key = generate_key()
    write_private_key(path, key)
    write_public_key(keys / "device.pub", public_bytes(key))
    return key


def _tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        return _load_key(path)
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    raw = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    _write(path, raw.decode("ascii"))
    return key


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_text(path).encode("ascii"), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{path}: not a key that vantail enrol made; move it away and enrol again")
    return key


def _request(key: ec.EllipticCurvePrivateKey, controller: str) -> x509.CertificateSigningRequest:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, controller)])
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())


def _signed(device: Ed25519PrivateKey, proof: bytes, csr: x509.CertificateSigningRequest) -> dict[str, str]:
    """The certificate request with the device's word for it."""
    return {
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        "device_key": public_bytes(device).hex(),
        "signature": device.sign(proof + csr.public_bytes(serialization.Encoding.DER)).hex(),
    }


# --- what is answered -------------------------------------------------------------------------------------------------


def _check_answer(answer: dict[str, str], controller: str, pinned: str) -> None:
    wanted = {"broker", "ca", "certificate", "controller", "manager", "site"}
    if set(answer) != wanted:
        raise DistrustError("the cloud's answer is not one to an enrolment; does it run another version of vantail?")
    if answer["controller"] != controller:
        raise DistrustError(f"the cloud answers for another controller than {controller}; ask the manager")
    if pinned and answer["ca"] != pinned:
        raise DistrustError("the cloud answers with another authority than --ca-fingerprint says; ask the manager")
    try:
        broker = parse_broker(answer["broker"])
    except BrokerError as error:
        raise DistrustError(f"the cloud answers with a {error}") from None
    if not broker.tls:
        raise DistrustError(f"the cloud answers with broker {answer['broker']}, without TLS; ask the manager")


def _check_certificate(text: str, ca_text: str, key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """The certificate of an answer: by this authority, for our key, under our name. Its dates concern the broker."""
    try:
        ca = x509.load_pem_x509_certificate(ca_text.encode("ascii"))
        certificate = x509.load_pem_x509_certificate(text.encode("ascii"))
        is_authority = ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise DistrustError("the cloud's answer has no certificate of its own authority; ask the manager") from None
    if not is_authority or certificate.public_key() != key.public_key() or _common_name(certificate) != name:
        raise DistrustError("the cloud's answer has a certificate that is not for this controller; ask the manager")
    return certificate


def _common_name(certificate: x509.Certificate) -> str:
    return "".join(str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME))


def _pending(keys: Path, answer: dict[str, str]) -> ManagerTrust | None:
    """Leave the manager of an answer beside manager.toml; None where that one says the same already."""
    draft = keys / f".{PENDING}"
    try:
        _write(draft, answer["manager"])
        manager = load_manager(draft)
    except (KeyFileError, UnicodeEncodeError):
        draft.unlink(missing_ok=True)
        raise DistrustError("the cloud's answer has no manager that this version can read; ask the manager") from None
    if (manager.site, manager.controller) != (answer["site"], answer["controller"]):
        draft.unlink()
        raise DistrustError("the cloud's answer has a manager of another controller; ask the manager")
    obeyed = keys / "manager.toml"
    if obeyed.exists() and load_manager(obeyed) == manager:
        draft.unlink()
        return None
    os.replace(draft, keys / PENDING)
    return manager


def _renewal_place(keys: Path) -> tuple[str, bool]:
    path = keys / "tls" / "cloud.toml"
    try:
        found = tomllib.loads(_text(path))
        return str(found["cloud"]), bool(found["pinned"])
    except (KeyError, tomllib.TOMLDecodeError):
        raise KeyFileError(f"{path}: does not say where to renew; enrol again with a token of the manager") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        raise KeyFileError(
            f"{path}: no such file; enrol first: vantail enrol --cloud URL --token T", missing=True
        ) from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: not a text file of ASCII letters; enrol again") from None


def _write(path: Path, text: str) -> None:
    """Write a private file whole: a power cut leaves the old one or the new one."""
    raw = text.encode("ascii")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o600)
            file.write(raw)
            file.flush()
            os.fsync(handle)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


__all__ = ["EnrolError", "Enrolled", "enrol", "is_renewal_due", "renew", "tls_files"]
