"""Everything that mosquitto needs in one folder: its configuration, who may use which topics, and certificates.

Who connects is known by the name in the certificate (`use_identity_as_username`), and the name is where the controller
stands in the topic tree, so one line of the access list is for all of them (mosquitto.conf(5), mosquitto 2.0).
"""

import ipaddress
import os
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cloud_stub import folder
from cloud_stub.enrolment import authority, ca_folder
from cloud_stub.enrolment.authority import Authority
from cloud_stub.errors import FolderError, UsageError

CONFIGURATION = """\
# mosquitto 2.0 for vantail: mutual TLS, one topic tree for each certificate (docs/enrolment.md).
# Written by vantail-cloud broker-config; a change made here is gone with its next run.

listener {port}{listen}
# Both ends show a certificate of the same authority; what the list names is refused.
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
crlfile {folder}/crl.pem
require_certificate true
tls_version tlsv1.2

# The certificate's name is the user's, and the client's: nobody puts another off line by taking its client id.
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {folder}/acl

# What may wait or be large, with room above the 64 KiB of our own messages.
max_packet_size 262144
max_queued_messages 1000
max_keepalive 120

# Only the retained status of each controller is kept here; the ends send again whatever else is lost.
persistence true
persistence_location {state}/
autosave_on_changes true
autosave_interval 1
"""
ACCESS = f"""\
# Who may use which topics (docs/sync-protocol.md). To a refused subscription mosquitto answers "granted" all the same;
# what counts is that nothing is delivered.

user {authority.CLOUD_NAME}
topic read v1/+/+/up/#
topic read v1/+/+/status
topic write v1/+/+/down/#

# A controller, by the name in its certificate: SITE/CONTROLLER.
pattern write v1/%u/up/#
pattern write v1/%u/status
pattern read v1/%u/down/#
"""


class Listener(NamedTuple):
    """Where the broker listens: `host` is its name for others, `address` the machine's own, "" for every one."""

    host: str
    port: int = 8883
    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtts://{host}:{self.port}"


def configuration(place: Path, listener: Listener, state: Path) -> str:
    """mosquitto.conf for files in the folder `place`; what the broker itself keeps goes to the folder `state`."""
    address = f" {listener.address}" if listener.address else ""
    return CONFIGURATION.format(port=listener.port, listen=address, folder=place, state=state)


def write_public(path: Path, text: str) -> None:
    """Write a file that the broker's user must be able to read, and everybody may."""
    folder.write_private(path, text)
    path.chmod(0o644)


def write(data: Path, ca: Authority, place: Path, listener: Listener, state: Path, now: datetime) -> list[Path]:
    """Write every file into `place`, and the cloud's own certificate into the data folder; the paths of the former. The
    broker's key is made anew. UsageError, before anything is written, for what mosquitto.conf cannot say; FolderError
    where something cannot be written. All but broker.key may be read by everybody: the broker runs as another user."""
    for path in (place, state):
        if any(character.isspace() for character in str(path)):
            raise UsageError(f"{path}: mosquitto.conf cannot name a path with a space; choose another")
    hosts = list(dict.fromkeys((listener.host, "localhost", "127.0.0.1", "::1")))
    try:
        issued = authority.issue_server(ca, hosts, now)
    except ValueError as error:
        raise UsageError(f"--host: {error}") from error
    try:
        ipaddress.ip_address(listener.address or "::")
    except ValueError as error:
        raise UsageError(f"--listen {listener.address!a}: write an IP address of this machine, or any") from error
    texts = {
        "mosquitto.conf": configuration(place, listener, state),
        "acl": ACCESS,
        "ca.pem": authority.certificate_text(ca.certificate),
        "crl.pem": (ca_folder.tls_folder(data) / "crl.pem").read_text("ascii"),
    }
    try:
        if not place.is_dir():
            place.mkdir(parents=True)
            place.chmod(0o755)
        for name, text in texts.items():
            write_public(place / name, text)
        pair = ca_folder.write_pair(place, "broker", issued)
        pair[0].chmod(0o644)
        own = authority.issue_client(ca, authority.CLOUD_NAME, now)
        ca_folder.write_pair(ca_folder.tls_folder(data), "cloud", own)
    except OSError as error:
        raise FolderError(f"{error.filename or place}: cannot be written ({os.strerror(error.errno or 0)})") from error
    ca_folder.remember_broker(data, ca_folder.Broker(listener.url, place))
    return [place / name for name in texts] + list(pair)
