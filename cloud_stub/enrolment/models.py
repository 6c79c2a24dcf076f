"""Tokens with which controllers enrol, and the certificates that they were given."""

# mypy: disable-error-code="var-annotated"
# (the types of columns come from django-stubs' plugin, which would need the settings and their data folder)

from django.db import models

from cloud_stub.residences.models import Controller


class Token(models.Model):
    """One enrolment of one controller. `digest`: SHA-256 of the token, which itself is kept nowhere. `used_by`: the
    public key, in hex, of the device that used it; the same device may ask again, its answer may have been lost."""

    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    broker = models.CharField(max_length=300)
    may_replace = models.BooleanField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    used_by = models.CharField(max_length=64, default="")


class Certificate(models.Model):
    """A certificate of a controller. `serial`, `fingerprint`: hex, the latter SHA-256 of the whole. `device_key`: the
    device's own public key, `tls_key`: SHA-256 of the public key that is certified, both in hex."""

    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="certificates")
    device_key = models.CharField(max_length=64)
    tls_key = models.CharField(max_length=64)
    serial = models.CharField(max_length=40, unique=True)
    fingerprint = models.CharField(max_length=64, unique=True)
    text = models.TextField()
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
