"""Renewal and revocation of certificates."""

import json
from datetime import timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from enrolment_box import (
    NOW,
    Box,
    refusal,
    revoked_serials,
    serial_of,
    token_for,
)

from cloud_stub.enrolment import authority, ca_folder, issuing
from cloud_stub.enrolment.models import Certificate
from cloud_stub.residences.models import Controller


def test_an_expired_certificate_is_renewed(hall):
    """Two years later, by the same device key; the chain of renewals goes on, also under a new TLS key."""
    box = Box()
    old = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    later = NOW + timedelta(days=730)
    new = issuing.renew(box.renews(old), later)["certificate"]
    assert x509.load_pem_x509_certificate(new.encode()).not_valid_after_utc > later + timedelta(days=364)
    box.tls = ec.generate_private_key(ec.SECP256R1())
    third = issuing.renew(box.renews(new), later)["certificate"]
    assert x509.load_pem_x509_certificate(third.encode()).public_key() == box.tls.public_key()
    assert not Certificate.objects.exclude(revoked_at=None).exists()


def test_a_fresh_certificate_comes_back_as_it_is(hall):
    """However often it is asked for, nothing is made while most of its time is left."""
    box = Box()
    first = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    for days in (0, 1, 100, 121):
        assert issuing.renew(box.renews(first), NOW + timedelta(days=days))["certificate"] == first
    assert issuing.renew(box.renews(first), NOW + timedelta(days=123))["certificate"] != first
    assert Certificate.objects.count() == 2


def test_renewal_needs_the_certificates_own_device(hall):
    """Another device's key, a certificate that is none of ours or altered, and one that was revoked: 403, or 400."""
    box, thief = Box(), Box()
    certificate = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    assert "another device" in str(refusal(issuing.renew, thief.renews(certificate)))
    strange = authority.sign_device(authority.make(NOW), box.tls.public_key(), "clos-des-dunes/hall-a", NOW)
    assert "not issued here" in str(refusal(issuing.renew, box.renews(authority.certificate_text(strange))))
    assert refusal(issuing.renew, box.renews("no certificate")).status == 400
    stolen = json.loads(thief.renews(certificate))
    assert refusal(issuing.renew, json.dumps({**stolen, "device_key": box.public.hex()}).encode()).status == 403
    issuing.revoke(hall, NOW)
    refused = refusal(issuing.renew, box.renews(certificate))
    assert refused.status == 403
    assert "was revoked" in str(refused)


def test_revoking_ends_certificates_and_tokens_of_one_controller(hall):
    """Both its certificates are listed, its open token counts no more; the neighbour's are untouched."""
    box, neighbour = Box(), Box("hall-b")
    first = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    second = issuing.renew(box.renews(first), NOW + timedelta(days=300))["certificate"]
    other = issuing.enrol(neighbour.enrols(token_for(Controller.objects.get(slug="hall-b"))), NOW)["certificate"]
    token = token_for(hall)
    assert issuing.revoke(hall, NOW) == 2
    issuing.publish_revocations(NOW)
    assert revoked_serials() == {serial_of(first), serial_of(second)}
    assert serial_of(other) not in revoked_serials()
    assert refusal(issuing.enrol, box.enrols(token)).status == 401
    again = issuing.enrol(box.enrols(token_for(hall)), NOW)["certificate"]
    assert again not in (first, second)
    assert issuing.revoke(hall, NOW) == 1


def test_a_device_that_was_replaced_renews_nothing(hall):
    """Even where its certificate was not revoked with it, as an older cloud may have left it."""
    old = Box()
    certificate = issuing.enrol(old.enrols(token_for(hall)), NOW)["certificate"]
    issuing.enrol(Box().enrols(token_for(hall, may_replace=True)), NOW)
    Certificate.objects.update(revoked_at=None)
    refused = refusal(issuing.renew, old.renews(certificate))
    assert refused.status == 403
    assert "another device" in str(refused)


def test_each_list_of_revocations_is_newer_than_the_one_before(data):
    """By a second at least, also where both are made at once, or the clock went back: brokers believe the newer."""
    ca = ca_folder.open_authority(data, NOW)
    dates = []
    for now in (NOW, NOW, NOW - timedelta(days=30)):
        text = ca_folder.write_revocations(data, ca, [], now)
        dates.append(x509.load_pem_x509_crl(text.encode()).last_update_utc)
    assert [later - earlier for earlier, later in pairwise(dates)] == [timedelta(seconds=1)] * 2
