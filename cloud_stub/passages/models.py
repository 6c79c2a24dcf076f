"""What controllers reported: events, how far each log is complete, and what was refused."""

# mypy: disable-error-code="var-annotated"
# (the types of columns come from django-stubs' plugin, which would need the settings and their data folder)

from django.db import models

from cloud_stub.residences.models import Controller

TEXT_LENGTH = 200  # edge.uplink.messages.MAX_TEXT: a longer one is refused before it comes here


class Event(models.Model):
    """One line of a controller's log, as it came, and whom it meant when it came.

    `credential` is the number in decimal without leading zeros (a code's tag too), None where there is none:
    numbers have 64 bits unsigned, database integers have not.
    """

    controller_id: int
    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="events")
    log = models.CharField(max_length=32)
    seq = models.BigIntegerField()
    at_ms = models.BigIntegerField()
    trusted = models.BooleanField()
    late = models.BooleanField()
    revision = models.BigIntegerField()
    door = models.CharField(max_length=TEXT_LENGTH)
    reader = models.CharField(max_length=TEXT_LENGTH)
    medium = models.CharField(max_length=TEXT_LENGTH)
    credential = models.CharField(max_length=20, null=True)
    result = models.CharField(max_length=TEXT_LENGTH)
    reason = models.CharField(max_length=TEXT_LENGTH)
    output = models.CharField(max_length=TEXT_LENGTH)
    detail = models.CharField(max_length=TEXT_LENGTH)
    holder = models.CharField(max_length=200)
    words = models.TextField()  # everything that a search looks at, folded: see passages.search.fold
    received_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log", "seq"], name="event_once"),)
        indexes = (
            models.Index(fields=["-at_ms", "-id"], name="event_newest"),
            models.Index(fields=["controller", "door", "-at_ms"], name="event_door"),
        )


class Log(models.Model):
    """How far one log of a controller is here without a gap: all of 1 … `acknowledged` is stored."""

    controller_id: int
    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="logs")
    log = models.CharField(max_length=32)
    acknowledged = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log"], name="log_once"),)


class Tally(models.Model):
    """How often something was refused or went wrong. `name` is one of a fixed set: the table is bounded."""

    name = models.CharField(max_length=40, primary_key=True)
    count = models.BigIntegerField(default=0)
    last_at = models.DateTimeField()
    last_detail = models.CharField(max_length=200)
