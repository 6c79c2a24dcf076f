"""What controllers reported and were asked to do: events, how far each log is complete, and what was refused."""

# mypy: disable-error-code="var-annotated"
# (the types of columns come from django-stubs' plugin, which would need the settings and their data folder)

from django.db import models

from cloud_stub.residences.models import Controller

TEXT_LENGTH = 200  # edge.uplink.messages.MAX_TEXT: a longer one is refused before it comes here
WAITING, ASKED, SENT = "waiting", "asked", "sent"  # an order whose outcome is open: see passages.orders
OPEN_STATES = (WAITING, ASKED, SENT)


class Line(models.Model):
    """What a controller says of one event, and whom it meant when it came.

    `credential` is the number in decimal without leading zeros (a code's tag too), None where there is none:
    numbers have 64 bits unsigned, database integers have not.
    """

    controller_id: int
    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="%(class)ss")
    log = models.CharField(max_length=32)
    seq = models.BigIntegerField()
    at_ms = models.BigIntegerField()
    trusted = models.BooleanField()
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
        abstract = True


class Event(Line):
    """One line of a controller's log, as it came.

    `commitment` is what the log's chain covers of the person (edge/decision/chain.py), in hex; its salt is not kept.
    `is_purged`: the person is gone from here. `is_doubtful`: it came in a batch that does not fit the chain.
    """

    late = models.BooleanField()
    revision = models.BigIntegerField()
    boot = models.CharField(max_length=TEXT_LENGTH, default="")
    commitment = models.CharField(max_length=32, default="")
    is_purged = models.BooleanField(default=False)
    is_doubtful = models.BooleanField(default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log", "seq"], name="event_once"),)
        indexes = (
            models.Index(fields=["-at_ms", "-id"], name="event_newest"),
            models.Index(fields=["controller", "door", "-at_ms"], name="event_door"),
        )


class Notice(Line):
    """An event that a controller showed at once, until its log brings it: for eyes only, counted nowhere."""

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log", "seq"], name="notice_once"),)


class Order(models.Model):
    """Something that a person asked a controller to do at once: who, what, when, and what became of it.

    `request`: 8 random bytes in hex. `state`: see passages.orders. `door` "": all. `until_ms`: utc, of a hold, else 0.
    `credential`: of the person who opens by mobile, in decimal. `asked_at`, `times`: the last challenge that was asked
    for. `result`, `reason`: the controller's words. `status`: JSON, until it was read.
    """

    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="orders")
    request = models.CharField(max_length=16, unique=True)
    action = models.CharField(max_length=16)
    door = models.CharField(max_length=TEXT_LENGTH)
    until_ms = models.BigIntegerField(default=0)
    who = models.CharField(max_length=TEXT_LENGTH)
    credential = models.CharField(max_length=20, null=True)
    created_at = models.DateTimeField()
    state = models.CharField(max_length=12)
    asked_at = models.DateTimeField(null=True)
    times = models.IntegerField(default=0)
    result = models.CharField(max_length=TEXT_LENGTH, default="")
    reason = models.CharField(max_length=TEXT_LENGTH, default="")
    status = models.TextField(default="")
    is_purged = models.BooleanField(default=False)

    class Meta:
        indexes = (
            # What has to be looked at several times a second is a handful of rows.
            models.Index(fields=["controller"], name="order_open", condition=models.Q(state__in=OPEN_STATES)),
            models.Index(fields=["controller", "-id"], name="order_newest"),
        )


class Log(models.Model):
    """How far one log of a controller is here without a gap: all of 1 … `acknowledged` is stored.

    `chain_head`: after event `acknowledged`, hex, "" where no chain covers it. `chain_key`: of the next event, "" where
    it is not known to us; secret. `is_broken`: the last batch did not fit. `said_last`: the highest number that the
    controller ever named. `sessions`: of its agent, the newest last; `hello_said`: the newest hello of that one;
    `file_said`: the newest one that came by file.
    """

    controller_id: int
    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="logs")
    log = models.CharField(max_length=32)
    acknowledged = models.BigIntegerField(default=0)
    chain_head = models.CharField(max_length=64, default="")
    chain_key = models.CharField(max_length=64, default="")
    is_broken = models.BooleanField(default=False)
    said_last = models.BigIntegerField(default=0)
    sessions = models.JSONField(default=list)
    hello_said = models.BigIntegerField(default=0)
    file_said = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log"], name="log_once"),)


class ChainAlarm(models.Model):
    """Something about a log that the manager has to look into; once for each place. `kind`: see passages.chaining.
    `first_seq`, `last_seq`: the events that it is about."""

    controller = models.ForeignKey(Controller, on_delete=models.PROTECT, related_name="chain_alarms")
    log = models.CharField(max_length=32)
    kind = models.CharField(max_length=16)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "log", "kind", "first_seq"], name="alarm_once"),)


class Tally(models.Model):
    """How often something was refused or went wrong. `name` is one of a fixed set: the table is bounded."""

    name = models.CharField(max_length=40, primary_key=True)
    count = models.BigIntegerField(default=0)
    last_at = models.DateTimeField()
    last_detail = models.CharField(max_length=200)
