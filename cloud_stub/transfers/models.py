"""Who the manager is, and which residences leave it or come to it. No secret is in here: the transfer number of a
residence that leaves is kept as a hash, that of one that comes in a private file until it was used (arriving)."""

# mypy: disable-error-code="var-annotated"
# (the types of columns come from django-stubs' plugin, which would need the settings and their data folder)

from django.db import models

from cloud_stub.residences.models import Pass, Site


class Manager(models.Model):
    """The one manager that this data folder is of. `number`: what an installer types at a controller. `root_key`: its
    public half, hex. `certificate`: by which that key names manager.key, hex; `serial`: of that certificate. `cloud`:
    where controllers enrol, https://HOST:PORT, "" for nowhere."""

    number = models.BigIntegerField()
    root_key = models.CharField(max_length=64)
    certificate = models.TextField()
    serial = models.BigIntegerField()
    cloud = models.CharField(max_length=200, default="")


class Departure(models.Model):
    """A residence whose transfer was authorised. `secret_hash`: of its transfer number, hex. `issue`: of the newest
    release, rises. `closed_at`: since then it is another manager's; what comes of its old logs is still taken."""

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="departure")
    secret_hash = models.CharField(max_length=64)
    issue = models.BigIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)


class Arrival(models.Model):
    """A residence that came. `former_key`: the manager's before us, public, hex. `releases`: what it signed, hex, by
    the epoch (as text) to which each leads. `key`: the commissioning key, a pass like others until it is erased;
    `key_ending`: the last digits of its number, which stay. `done_at`: every controller obeys us."""

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="arrival")
    secret_hash = models.CharField(max_length=64)
    former_manager = models.BigIntegerField()
    former_key = models.CharField(max_length=64)
    releases = models.JSONField()
    issue = models.BigIntegerField()
    accepted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    key = models.ForeignKey(Pass, on_delete=models.SET_NULL, null=True, related_name="+")
    key_ending = models.CharField(max_length=4, default="")
    key_erased_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
