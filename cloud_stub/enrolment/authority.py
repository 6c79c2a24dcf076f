"""The certificate authority of this cloud: made once in the data folder, it signs the certificates of controllers, of
the broker and of the cloud itself, and the list of revoked ones (X.509 as RFC 5280 profiles it).

ECDSA on P-256 throughout: OpenSSL, so mosquitto and Python's ssl, and Go, so NATS, take it in every version of TLS
that is allowed here. Which topics a certificate may use hangs on its common name, see `topic_name`.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 30 * 365  # controllers pin it: another one would mean enrolling each of them again
SERVER_DAYS = 10 * 365  # nobody is there to renew the broker's; it lies beside the list that revokes it
DEVICE_DAYS = 365  # a controller renews its own after two thirds of that
BACKDATED = timedelta(hours=1)  # the other side's clock may be a little behind ours
NAME_LENGTH = 64  # of a common name (RFC 5280, appendix A.1: ub-common-name)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")  # RFC 1123, section 2.1
CLOUD_NAME = "vantail-cloud"  # our own certificate's; no slash, so no controller has it


class Authority(NamedTuple):
    """The certificate that everybody pins, and its secret key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Authority({fingerprint(self.certificate)})"


class Issued(NamedTuple):
    """A certificate and the key that was made for it here."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def topic_name(site: str, controller: str) -> str:
    """The common name of a controller's certificate: its levels in the topic tree, since two sites may each have a
    controller of the same name. ValueError where the two words are too long for a certificate."""
    name = f"{site}/{controller}"
    if len(name) > NAME_LENGTH:
        raise ValueError(f"{name} has {len(name)} letters, a certificate's name has room for {NAME_LENGTH}")
    return name


def make(now: datetime) -> Authority:
    """A new authority, with a name of its own."""
    key = _new_key()
    name = _name(f"vantail CA {secrets.token_hex(4)}")
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate, in hex: what `vantail enrol --ca-fingerprint` compares."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def sign_device(
    authority: Authority, key: ec.EllipticCurvePublicKey, name: str, now: datetime, days: float = DEVICE_DAYS
) -> x509.Certificate:
    """A certificate for a key that was made on the controller; good for clients only, so that no controller can
    pass for the broker."""
    return _sign_leaf(authority, key, name, [], ExtendedKeyUsageOID.CLIENT_AUTH, now, days)


def issue_server(authority: Authority, hosts: Iterable[str], now: datetime, days: float = SERVER_DAYS) -> Issued:
    """Key and certificate of a server that is reached under `hosts`: names or IP addresses, at least one. ValueError
    where one is neither."""
    key = _new_key()
    names = [_alternative_name(host) for host in hosts]
    certificate = _sign_leaf(
        authority, key.public_key(), "vantail server", names, ExtendedKeyUsageOID.SERVER_AUTH, now, days
    )
    return Issued(certificate, key)


def issue_client(authority: Authority, name: str, now: datetime) -> Issued:
    """Key and certificate of a client on this machine: the cloud's own line to the broker."""
    key = _new_key()
    return Issued(sign_device(authority, key.public_key(), name, now, SERVER_DAYS), key)


def sign_revocations(
    authority: Authority, revoked: Iterable[tuple[int, datetime]], after: datetime | None, now: datetime
) -> x509.CertificateRevocationList:
    """The list of revoked serial numbers and when they were. `after`: the date of the list before this one; of two
    lists OpenSSL believes the newer, to the second. It never goes out of date by itself: a broker refuses everybody
    under an expired one, and nobody may be there to make the next."""
    issued_at = now - BACKDATED
    if after is not None and issued_at < after + timedelta(seconds=1):
        issued_at = after + timedelta(seconds=1)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(issued_at)
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(int(issued_at.timestamp())), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.certificate.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    for serial, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, hashes.SHA256())


def certificate_text(certificate: x509.Certificate | x509.CertificateRevocationList) -> str:
    """As PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def key_text(key: ec.EllipticCurvePrivateKey) -> str:
    """As PEM, not encrypted: the file that it goes to must be private."""
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return raw.decode("ascii")


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host!a} is neither a host's name nor an IP address") from None
        return x509.DNSName(host)


def _sign_leaf(
    authority: Authority,
    key: ec.EllipticCurvePublicKey,
    name: str,
    hosts: list[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    now: datetime,
    days: float,
) -> x509.Certificate:
    issuer = authority.certificate
    builder = _builder(_name(name), issuer.subject, key, now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: float
) -> x509.CertificateBuilder:
    begin = now - BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(max(begin, now + timedelta(days=days)))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
