"""A site as the cloud keeps it. The columns are those of edge.residence.values, so `archive` goes both ways.

People, passes and hardware refer to one another by foreign key. Rules (week types, access profiles, doors in
a grant) are referred to by name, as in the files, because "Always" and "Never" exist without a row. Lists
edited as a whole (intervals, grants, outputs) are JSON. `position` keeps the order in which things were written.
"""

# mypy: disable-error-code="var-annotated"
# (the types of columns come from django-stubs' plugin, which would need the settings and their data folder)

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

SLUG_LENGTH = 80
NAME_LENGTH = 200
CODE_LENGTH = 20


class Site(models.Model):
    """A residence. `uid`: 16 random bytes in hex, made once; it is in every signed message."""

    uid = models.CharField(max_length=32, unique=True)
    slug = models.CharField(max_length=SLUG_LENGTH, unique=True)
    name = models.CharField(max_length=NAME_LENGTH)
    time_zone = models.CharField(max_length=64)
    country = models.CharField(max_length=8)
    subdivision = models.CharField(max_length=16)
    manager = models.BigIntegerField()
    untrusted_allow = models.BooleanField()
    short_codes = models.BooleanField()
    names_persons = models.BooleanField(default=True)


class OfSite(models.Model):
    """What belongs to a site, in an order."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    position = models.IntegerField()
    site_id: int

    class Meta:
        abstract = True
        ordering = ("position",)


class WeekType(OfSite):
    """intervals: [row 0-7, start_min, end_min], see edge.residence.values.Interval."""

    name = models.CharField(max_length=NAME_LENGTH)
    intervals = models.JSONField()


class Holiday(OfSite):
    day = models.DateField()
    name = models.CharField(max_length=NAME_LENGTH)
    every_year = models.BooleanField()
    is_open = models.BooleanField()


class Block(OfSite):
    slug = models.CharField(max_length=SLUG_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH)
    profile = models.CharField(max_length=NAME_LENGTH)


class Area(OfSite):
    slug = models.CharField(max_length=SLUG_LENGTH)
    passback = models.CharField(max_length=16)
    timed_min = models.IntegerField()


class Profile(OfSite):
    """An access profile. grants: objects of edge.residence.values.Grant."""

    name = models.CharField(max_length=NAME_LENGTH)
    grants = models.JSONField()


class Company(OfSite):
    name = models.CharField(max_length=NAME_LENGTH)
    person_in_charge = models.CharField(max_length=NAME_LENGTH)


class Provider(OfSite):
    """A service provider. Validity in utc seconds, [from_s, to_s), 0 for open; phone: E.164 digits."""

    company = models.ForeignKey(Company, on_delete=models.PROTECT, null=True)
    name = models.CharField(max_length=NAME_LENGTH)
    from_s = models.BigIntegerField()
    to_s = models.BigIntegerField()
    is_permanent = models.BooleanField()
    phone = models.BigIntegerField(null=True)
    pass_number = models.CharField(max_length=CODE_LENGTH)
    radio_number = models.CharField(max_length=CODE_LENGTH)
    door_code = models.CharField(max_length=CODE_LENGTH)
    relay1_code = models.CharField(max_length=CODE_LENGTH)
    relay2_code = models.CharField(max_length=CODE_LENGTH)


class Task(OfSite):
    """What a provider may do here. access: objects of edge.residence.values.Grant."""

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT)
    name = models.CharField(max_length=NAME_LENGTH)
    week_type = models.CharField(max_length=NAME_LENGTH)
    access = models.JSONField()


class Flat(OfSite):
    """A flat, its resident and its codes; its telephones are Phone rows."""

    phones: "RelatedManager[Phone]"
    block_id: int

    block = models.ForeignKey(Block, on_delete=models.PROTECT, related_name="flats")
    flat = models.CharField(max_length=SLUG_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH)
    floor = models.CharField(max_length=SLUG_LENGTH)
    display = models.CharField(max_length=NAME_LENGTH)
    call_code = models.CharField(max_length=CODE_LENGTH)
    auto_open = models.CharField(max_length=NAME_LENGTH)
    door_code = models.CharField(max_length=CODE_LENGTH)
    aux1_code = models.CharField(max_length=CODE_LENGTH)
    aux2_code = models.CharField(max_length=CODE_LENGTH)
    duress_code = models.CharField(max_length=CODE_LENGTH)
    email = models.CharField(max_length=NAME_LENGTH)
    notes = models.TextField()


class Phone(models.Model):
    """A number that a flat's call dials, in the order of `position`. number: E.164 digits."""

    flat = models.ForeignKey(Flat, on_delete=models.CASCADE, related_name="phones")
    position = models.IntegerField()
    number = models.BigIntegerField()
    delay_s = models.IntegerField()

    class Meta:
        ordering = ("position",)


class Pass(OfSite):
    """A badge, a remote or both in one; numbers as written, leading zeros kept.

    A partial import may leave out a flat and keep its passes: then `flat` is None and `flat_missing` names it.
    """

    block_id: int | None
    flat_id: int | None

    block = models.ForeignKey(Block, on_delete=models.PROTECT, null=True)
    flat = models.ForeignKey(Flat, on_delete=models.PROTECT, null=True, related_name="passes")
    flat_missing = models.CharField(max_length=SLUG_LENGTH)
    number = models.CharField(max_length=CODE_LENGTH)
    radio_number = models.CharField(max_length=CODE_LENGTH)
    kind = models.CharField(max_length=16)
    colour = models.CharField(max_length=32)
    profile = models.CharField(max_length=NAME_LENGTH)
    from_s = models.BigIntegerField()
    to_s = models.BigIntegerField()
    state = models.CharField(max_length=16)
    notes = models.TextField()


class Controller(OfSite):
    """A box, its place in the site, its device and what we know of it.

    A controller that left the files stays, inactive: its events refer to it. `device_key` is the raw Ed25519
    public key in hex, "" until provisioned. `code_key` is secret: with it, tags of codes can be tried out.
    `revision` and `digest` are what is published, the `hello_` ones what the device said that it has; `hello_log` is
    the log that it writes, `hello_boot` its boot. `left_at`: the broker says, unsigned, that it is not there any more.
    """

    doors: "RelatedManager[Door]"
    revisions: "RelatedManager[PolicyRevision]"
    modes: "RelatedManager[DoorMode]"
    contacts: "RelatedManager[Contact]"
    slug = models.CharField(max_length=SLUG_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH)
    is_mini = models.BooleanField()
    is_active = models.BooleanField(default=True)
    device_key = models.CharField(max_length=64, default="")
    fingerprint = models.CharField(max_length=32, default="", db_index=True)
    code_key = models.CharField(max_length=64, default="")
    epoch = models.BigIntegerField(default=1)
    revision = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64, default="")
    hello_revision = models.BigIntegerField(default=0)
    hello_digest = models.CharField(max_length=64, default="")
    hello_log = models.CharField(max_length=32, default="")
    hello_boot = models.CharField(max_length=NAME_LENGTH, default="")
    software = models.CharField(max_length=NAME_LENGTH, default="")
    last_contact = models.DateTimeField(null=True)
    left_at = models.DateTimeField(null=True)

    class Meta(OfSite.Meta):
        constraints = (
            models.UniqueConstraint(fields=["site", "slug"], name="controller_once"),
            models.UniqueConstraint(fields=["device_key"], condition=~models.Q(device_key=""), name="device_once"),
        )

    @property
    def is_up_to_date(self) -> bool:
        """The device said that it has what is published (or nothing is)."""
        return self.revision == 0 or (self.hello_revision, self.hello_digest) == (self.revision, self.digest)


class Door(OfSite):
    """See edge.residence.values.Door."""

    readers: "RelatedManager[Reader]"
    controller_id: int

    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="doors")
    slug = models.CharField(max_length=SLUG_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH)
    outputs = models.JSONField()
    unlock_ms = models.IntegerField()
    extended_ms = models.IntegerField()
    held_open_s = models.IntegerField()
    auto_open = models.CharField(max_length=NAME_LENGTH)
    first_card_unlock = models.BooleanField()
    deny_on_log_failure = models.BooleanField()
    relock_on_open = models.BooleanField()
    area_in = models.CharField(max_length=SLUG_LENGTH)
    area_out = models.CharField(max_length=SLUG_LENGTH)
    interlock = models.JSONField()
    badge_and_code = models.CharField(max_length=NAME_LENGTH)


class Reader(OfSite):
    """See edge.residence.values.Reader."""

    door = models.ForeignKey(Door, on_delete=models.CASCADE, related_name="readers")
    slug = models.CharField(max_length=SLUG_LENGTH)
    kind = models.CharField(max_length=16)
    direction = models.CharField(max_length=8)
    output = models.CharField(max_length=32)
    keypad = models.BooleanField()
    format = models.CharField(max_length=32)
    address = models.IntegerField(null=True)
    baud = models.IntegerField(null=True)
    bits = models.IntegerField(null=True)


class Panel(OfSite):
    """Where visitors call residents; `door` and `modem` by id, `blocks` a list of ids."""

    slug = models.CharField(max_length=SLUG_LENGTH)
    door = models.CharField(max_length=SLUG_LENGTH)
    modem = models.CharField(max_length=SLUG_LENGTH)
    blocks = models.JSONField()
    open_key = models.CharField(max_length=8)


class PolicyRevision(models.Model):
    """A revision that was published. `rows`: all of them, see publishing.join_rows, of the newest revision only.
    `change`: what led here from revision `before`, see publishing.Change; `before` 0: nothing is known of that.
    Holders' names are in both, so only the newest few are kept."""

    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="revisions")
    epoch = models.BigIntegerField()
    revision = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    rows = models.BinaryField()
    before = models.BigIntegerField(default=0)
    change = models.BinaryField(default=b"")
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "epoch", "revision"], name="revision_once"),)


class DoorMode(models.Model):
    """A lockdown that lasts until it is released. `door`: its id, "" for all of the controller's doors."""

    controller_id: int
    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="modes")
    door = models.CharField(max_length=SLUG_LENGTH)
    who = models.CharField(max_length=NAME_LENGTH)
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "door"], name="mode_once"),)


class Contact(models.Model):
    """A half hour in which a controller was heard; see contacts. `slot`: half hours since 1970."""

    controller = models.ForeignKey(Controller, on_delete=models.CASCADE, related_name="contacts")
    slot = models.IntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["controller", "slot"], name="contact_once"),)
