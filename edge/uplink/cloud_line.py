"""HTTPS to the cloud, for enrolment and renewal: one small request, one small answer, no redirect followed."""

import hashlib
import http.client
import json
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.uplink.tls import explain

TIMEOUT_S = 20.0  # of connecting, and of each wait for the next bytes
MAX_ANSWER = 65_536  # bytes; an answer has about 3,000
MAX_SAID = 300  # letters of a refusal that are shown


class EnrolError(Exception):
    """Enrolment or renewal that did not happen: one line, what was seen and what to do."""


class UnreachableError(EnrolError):
    """The cloud does not answer; the same again may work later."""


class RefusedError(EnrolError):
    """The cloud answers, and does not grant it."""


class DistrustError(EnrolError):
    """What answers is not to be believed."""


class Cloud(NamedTuple):
    """Where the cloud answers."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def parse_cloud(url: str) -> Cloud:
    """The cloud of https://HOST[:443]. ValueError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.scheme != "https" or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"--cloud {ascii(url)[1:-1]}: write https://HOST:PORT, nothing else")
    return Cloud(host, port or 443)


def fetch_authority(cloud: Cloud, fingerprint: str) -> str:
    """The cloud's authority as PEM, fetched from whoever answers: it is believed for its fingerprint (SHA-256, hex,
    colons allowed) alone, and nothing secret is said before. EnrolError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    text = _answer_of(cloud, "GET", "/v1/ca", None, context).get("ca", "")
    try:
        raw = x509.load_pem_x509_certificate(text.encode("ascii")).public_bytes(Encoding.DER)
    except ValueError:
        raise DistrustError(f"{cloud.url} sends no certificate of its authority; check --cloud") from None
    if hashlib.sha256(raw).hexdigest() != fingerprint.replace(":", "").strip().lower():
        raise DistrustError(
            f"{cloud.url} has another authority than --ca-fingerprint says: do not go on, ask the manager"
        )
    return text


def ask(cloud: Cloud, path: str, said: dict[str, str], context: ssl.SSLContext) -> dict[str, str]:
    """The answer to a POST of `said`, over a line that `context` believes. EnrolError."""
    return _answer_of(cloud, "POST", path, json.dumps(said).encode(), context)


def _answer_of(cloud: Cloud, method: str, path: str, body: bytes | None, context: ssl.SSLContext) -> dict[str, str]:
    line = http.client.HTTPSConnection(cloud.host, cloud.port, timeout=TIMEOUT_S, context=context)
    try:
        line.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = line.getresponse()
        status, raw = answer.status, answer.read(MAX_ANSWER + 1)
    except ssl.SSLError as error:
        raise DistrustError(explain(error, cloud.url, "give the --ca-fingerprint that enrol-token printed")) from None
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        raise UnreachableError(f"{cloud.url} does not answer ({what}); check address and network") from None
    finally:
        line.close()
    found = _object(raw)
    if status != 200:
        said = _shown(found.get("error", ""))
        kind = UnreachableError if status >= 500 else RefusedError
        raise kind(f"the cloud refuses: {said}" if said else f"{cloud.url} answers {status}; check --cloud")
    return found


def _object(raw: bytes) -> dict[str, str]:
    """A JSON object of texts; {} for anything else."""
    try:
        found = json.loads(raw) if len(raw) <= MAX_ANSWER else None
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        return {}
    return found


def _shown(text: str) -> str:
    """A stranger's text for a terminal: printable, one line, not long."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_SAID]).strip()
