"""What `vantail-cloud enrol-token`, `revoke` and `broker-config` do."""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from cloud_stub.broker import parse_address
from cloud_stub.enrolment import authority, broker_files, ca_folder, issuing, tokens
from cloud_stub.errors import ConfigError, UsageError
from cloud_stub.residences.provisioning import find_controller

MOST_HOURS = 24 * 30


def run_enrol_token(options: argparse.Namespace) -> int:
    """A token for one controller, shown once, and the command that uses it."""
    controller, now = find_controller(options.controller), datetime.now(UTC)
    if not 0 < options.hours <= MOST_HOURS:
        raise UsageError(f"--hours {options.hours:g}: write up to {MOST_HOURS}")
    broker = options.broker or _known_broker()
    if not parse_address(broker).tls:
        raise UsageError(f"--broker {broker}: certificates need TLS, write mqtts://HOST:PORT")
    try:
        authority.topic_name(controller.site.slug, controller.slug)
    except ValueError as error:
        raise UsageError(f"{error}; choose shorter ids in the site's files") from error
    fingerprint = authority.fingerprint(ca_folder.open_authority(settings.DATA, now).certificate)
    token = tokens.create(controller, broker, options.replace, now, options.hours)
    if options.json:
        said = {"controller": controller.slug, "site": controller.site.slug, "token": token, "broker": broker}
        print(json.dumps({**said, "ca_fingerprint": fingerprint, "hours": options.hours}))
        return os.EX_OK
    print(f"{controller.site.slug}/{controller.slug}: one enrolment within {options.hours:g} hours")
    print(f"vantail enrol --cloud https://HOST:PORT --token {token} --ca-fingerprint {fingerprint}")
    return os.EX_OK


def _known_broker() -> str:
    known = ca_folder.remembered_broker(settings.DATA)
    if known is None:
        raise ConfigError(
            "no broker is known that controllers could be told; run vantail-cloud broker-config, or give --broker URL"
        )
    return known.url


def run_revoke(options: argparse.Namespace) -> int:
    """End a controller's certificates and tokens, and write the list for the broker."""
    controller, now = find_controller(options.controller, also_former=True), datetime.now(UTC)
    count = issuing.revoke(controller, now)
    path = issuing.publish_revocations(now)
    print(f"{controller.site.slug}/{controller.slug}: {count} certificates revoked")
    print(revocation_advice(path))
    return os.EX_OK


def revocation_advice(path: Path | None) -> str:
    """What is left to do after a revocation."""
    if path is not None:
        return f"wrote {path}; restart mosquitto: a reload (SIGHUP) keeps new connections out and leaves open ones up"
    own = ca_folder.tls_folder(settings.DATA) / "crl.pem"
    return f"bring {own} to the broker as its crl.pem, then restart the broker"


def run_broker_config(options: argparse.Namespace) -> int:
    """Write mosquitto's files, and remember where the broker is."""
    if not 0 < options.port <= 65535:
        raise UsageError(f"--port {options.port}: write 1 to 65535")
    listener = broker_files.Listener(options.host, options.port, "" if options.listen == "any" else options.listen)
    parse_address(listener.url)
    place, state, now = Path(options.folder).absolute(), Path(options.state).absolute(), datetime.now(UTC)
    ca = ca_folder.open_authority(settings.DATA, now)
    for path in broker_files.write(settings.DATA, ca, place, listener, state, now):
        print(f"wrote {path}")
    print(f"give the key to the broker's user (chown mosquitto {place / 'broker.key'})")
    print(f"controllers will be told {listener.url}; start it with: mosquitto -c {place / 'mosquitto.conf'}")
    return os.EX_OK
