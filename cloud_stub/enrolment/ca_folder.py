"""The files of the certificate authority, in the folder `tls` of the data folder; each is private to our user.

ca.key, ca.pem     the authority, made at first use
crl.pem            what is revoked
cloud.pem, .key    what the cloud shows to the broker
serve.pem, .key    what the enrolment listener shows to controllers, made anew at each start
broker.toml        what `vantail-cloud broker-config` wrote last, and where
"""

import json
import ssl
import tomllib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloud_stub import folder
from cloud_stub.enrolment import authority
from cloud_stub.enrolment.authority import Authority, Issued
from cloud_stub.errors import ConfigError

FOLDER = "tls"


class Broker(NamedTuple):
    """The broker as controllers reach it, and the folder of its files."""

    url: str
    folder: Path


def tls_folder(data: Path) -> Path:
    return data / FOLDER


def open_authority(data: Path, now: datetime) -> Authority:
    """The authority of a data folder, made with an empty list of revocations where there is none yet. ConfigError where
    its files cannot be used: then every controller would have to be enrolled again, so nothing is made in their place.
    """
    place = tls_folder(data)
    with folder.locked(data):
        place.mkdir(mode=0o700, exist_ok=True)
        if not (place / "ca.pem").exists():
            made = authority.make(now)
            folder.write_private(place / "ca.key", authority.key_text(made.key))
            write_revocations(data, made, [], now)
            folder.write_private(place / "ca.pem", authority.certificate_text(made.certificate))
    return _load(place)


def _load(place: Path) -> Authority:
    secret = folder.read_secret(place / "ca.key")
    try:
        certificate = x509.load_pem_x509_certificate((place / "ca.pem").read_bytes())
        key = load_pem_private_key(secret.encode(), None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place}: ca.pem or ca.key cannot be used ({error}); restore both from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{place}: ca.key is not the key of ca.pem; restore both from a backup")
    return Authority(certificate, key)


def write_revocations(data: Path, ca: Authority, revoked: Iterable[tuple[int, datetime]], now: datetime) -> str:
    """Sign the list of revoked serial numbers, newer than the one that is there, and write it; its text."""
    path = tls_folder(data) / "crl.pem"
    before = x509.load_pem_x509_crl(path.read_bytes()).last_update_utc if path.exists() else None
    text = authority.certificate_text(authority.sign_revocations(ca, revoked, before, now))
    folder.write_private(path, text)
    return text


def write_pair(place: Path, name: str, issued: Issued) -> tuple[Path, Path]:
    """Write `name`.pem and `name`.key; their paths."""
    certificate, key = place / f"{name}.pem", place / f"{name}.key"
    folder.write_private(key, authority.key_text(issued.key))
    folder.write_private(certificate, authority.certificate_text(issued.certificate))
    return certificate, key


def client_context(data: Path) -> ssl.SSLContext | None:
    """TLS to the broker that `vantail-cloud broker-config` set up: its authority alone, and our certificate. None where
    there was none set up: then the system's authorities count. ConfigError where the files cannot be used."""
    place = tls_folder(data)
    if not (place / "cloud.pem").exists():
        return None
    try:
        context = ssl.create_default_context(cafile=place / "ca.pem")
        context.load_cert_chain(place / "cloud.pem", place / "cloud.key")
    except OSError as error:
        raise ConfigError(f"{place / 'cloud.pem'}: {error}; run vantail-cloud broker-config again") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def remember_broker(data: Path, broker: Broker) -> None:
    """Keep where the broker is, for tokens, and where its files are, for revocations."""
    lines = [f"url = {json.dumps(broker.url)}", f"folder = {json.dumps(str(broker.folder))}"]
    folder.write_private(tls_folder(data) / "broker.toml", "\n".join(lines) + "\n")


def remembered_broker(data: Path) -> Broker | None:
    """What `remember_broker` kept; None before. ConfigError where it cannot be read."""
    path = tls_folder(data) / "broker.toml"
    try:
        found = tomllib.loads(path.read_text("utf-8"))
        return Broker(str(found["url"]), Path(found["folder"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); run vantail-cloud broker-config again") from error
