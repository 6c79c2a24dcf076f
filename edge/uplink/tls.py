"""TLS on this side: whom we believe, what we show, and what a failure means.

A pinned authority (`ca`) counts even while the clock is untrusted: then only the dates of certificates are left out,
never the signature, the name or the purpose. Without a pinned authority dates always count.
"""

import os
import ssl
import stat
from typing import NamedTuple

NO_CHECK_TIME = (
    0x200000  # X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h, since 1.1.0); the ssl module has no name for it
)
_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED (openssl/x509_vfy.h)
_NAMES = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH

# What the other side says of our certificate (RFC 8446, section 6.2, by OpenSSL's names).
_ALERTS = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "has expired; run vantail enrol --renew",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "was revoked; enrol again with a token of the manager",
    "TLSV1_ALERT_UNKNOWN_CA": "is of an authority that it does not know; enrol with this broker's manager",
    "SSLV3_ALERT_BAD_CERTIFICATE": "is not good; enrol again with a token of the manager",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "is not good; enrol again with a token of the manager",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "is not one for a controller; enrol again with a token of the manager",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "is missing; set certificate and key under [uplink]",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "is missing or of no use to it; set certificate and key under [uplink]",
}


class TlsError(ValueError):
    """A file that cannot be used: one line with its name, what was seen and what to do."""


class TlsFiles(NamedTuple):
    """PEM files. ca: who signed the broker's certificate, "" for the system's list. certificate, key: the device's."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """A context that checks the other side's certificate and name. TlsError names the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
    except OSError as error:  # ssl.SSLError is one
        raise TlsError(f"TLS file {files.ca}: {error.strerror or error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    show_certificate(context, files)
    return context


def pinned_context(ca: str) -> ssl.SSLContext:
    """A context that believes one authority, given as PEM, and shows nothing of us. ValueError where it is none."""
    context = ssl.create_default_context(cadata=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def show_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Take our certificate and key from their files, again where they were renewed. TlsError."""
    if not files.certificate:
        return
    at = files.key or files.certificate
    try:
        mode = stat.S_IMODE(os.stat(at).st_mode)
        if mode & 0o077:
            raise TlsError(f"TLS file {at}: mode {mode:04o} lets others read the key; run: chmod 600 {at}")
        at = files.certificate
        context.load_cert_chain(files.certificate, files.key or None)
    except OSError as error:
        raise TlsError(f"TLS file {at}: {error.strerror or error}") from None


def mind_dates(context: ssl.SSLContext, is_minded: bool) -> None:
    """Whether the dates of certificates count from the next connection on."""
    flags = int(context.verify_flags) & ~NO_CHECK_TIME
    context.verify_flags = ssl.VerifyFlags(flags if is_minded else flags | NO_CHECK_TIME)


def explain(error: BaseException | None, who: str, remedy: str) -> str:
    """What an error of TLS means and what to do, in a line; "" where it is none of TLS. who: the other side. remedy:
    what to do where its authority is not ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _DATES:
            return f"{who}'s certificate is not valid now ({error.verify_message}); check this machine's clock"
        if error.verify_code in _NAMES:
            return f"{who}'s certificate is for another name ({error.verify_message}); use the name that it has"
        return f"{who}'s certificate is not to be believed ({error.verify_message}); {remedy}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None)  # only OpenSSL's own errors have one
        alert = _ALERTS.get(reason or "")
        return f"{who} says that our certificate {alert}" if alert else f"no TLS with {who} ({reason or error})"
    return ""
