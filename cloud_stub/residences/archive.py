"""A residence's values ↔ the database: store(values), then load() gives equal values back."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.db import models as django_models
from django.db import transaction

from cloud_stub.residences import models
from edge.residence import values

Row = TypeVar("Row", bound=models.OfSite)
Value = TypeVar("Value")
Columns = dict[str, Any]

_SITE_LISTS = tuple(field.name for field in dataclasses.fields(values.Residence) if "tuple" in str(field.type))


@transaction.atomic
def store(residence: values.Residence, new_uid: bytes) -> models.Site:
    """Make the database say what `residence` says: update what is known by the same name, add, delete the rest.

    `new_uid`: 16 random bytes, taken if the site is new. A controller is never deleted, it becomes inactive.
    """
    columns = _columns(residence, *_SITE_LISTS)
    site, _ = models.Site.objects.update_or_create(
        slug=columns.pop("slug"), defaults=columns, create_defaults={**columns, "uid": new_uid.hex()}
    )
    update = _Update(site)
    _store_rules(update, residence)
    _store_hardware(update, residence)
    _store_people(update, residence)
    update.drop_stale()
    return site


def load(site: models.Site) -> values.Residence:
    """The site's values as the database has them."""
    return _value(
        values.Residence,
        site,
        week_types=_all(models.WeekType, site, _week_type),
        holidays=_all(models.Holiday, site, lambda row: _value(values.Holiday, row)),
        blocks=_all(models.Block, site, lambda row: _value(values.Block, row)),
        controllers=_controllers(site),
        panels=_all(models.Panel, site, lambda row: _value(values.Panel, row)),
        areas=_all(models.Area, site, lambda row: _value(values.Area, row)),
        profiles=_all(models.Profile, site, lambda row: _value(values.Profile, row, grants=_grants(row.grants))),
        companies=_all(models.Company, site, lambda row: _value(values.Company, row)),
        providers=_all(models.Provider, site, _provider, "company"),
        tasks=_all(models.Task, site, _task, "provider"),
        flats=_flats(site),
        passes=_passes(site),
    )


# --- storing --------------------------------------------------------------------------------------------------


class _Update:
    """One site's update: parents before children, then what is gone in the opposite order."""

    def __init__(self, site: models.Site) -> None:
        self.site = site
        self._stale: list[django_models.QuerySet[Any]] = []

    def put(self, model: type[Row], key: tuple[str, ...], rows: Iterable[Columns]) -> dict[tuple[Any, ...], int]:
        """Write `rows` in their order; the primary keys by `key`. What has none of these keys becomes stale."""
        known = {_key(row, key): row for row in model._default_manager.filter(site=self.site)}
        wanted: dict[tuple[Any, ...], Row] = {}
        changed: list[Row] = []
        names: set[str] = {"position"}
        for position, columns in enumerate(rows):
            columns = {**columns, "position": position}
            names.update(columns)
            row = known.get(tuple(columns[name] for name in key)) or model(site=self.site)
            if any(getattr(row, name, None) != value for name, value in columns.items()):
                for name, value in columns.items():
                    setattr(row, name, value)
                changed.append(row)
            wanted[_key(row, key)] = row
        manager = model._default_manager
        manager.bulk_create([row for row in changed if row.pk is None], batch_size=500)
        manager.bulk_update([row for row in changed if row.pk in _pks(known)], sorted(names), batch_size=200)
        stale = [row.pk for name, row in known.items() if name not in wanted]
        self._stale.append(manager.filter(pk__in=stale))
        return {name: row.pk for name, row in wanted.items()}

    def drop_stale(self) -> None:
        """Delete what the new state has not, children first; controllers become inactive."""
        for stale in reversed(self._stale):
            if stale.model is models.Controller:
                stale.update(is_active=False)
            else:
                stale.delete()


def _store_rules(update: _Update, residence: values.Residence) -> None:
    week_types = [
        {"name": each.name, "intervals": [list(dataclasses.astuple(interval)) for interval in each.intervals]}
        for each in residence.week_types
    ]
    update.put(models.WeekType, ("name",), week_types)
    update.put(models.Holiday, ("position",), map(_columns, residence.holidays))
    update.put(models.Profile, ("name",), map(_columns, residence.profiles))
    update.put(models.Area, ("slug",), map(_columns, residence.areas))
    update.put(models.Panel, ("slug",), map(_columns, residence.panels))


def _store_hardware(update: _Update, residence: values.Residence) -> None:
    boxes = [{**_columns(box, "doors"), "is_active": True} for box in residence.controllers]
    controllers = update.put(models.Controller, ("slug",), boxes)
    doors = [
        {**_columns(door, "readers"), "controller_id": controllers[(box.id,)]}
        for box in residence.controllers
        for door in box.doors
    ]
    door_pks = update.put(models.Door, ("slug",), doors)
    readers = [
        {**_columns(reader, "door"), "door_id": door_pks[(reader.door,)]}
        for box in residence.controllers
        for door in box.doors
        for reader in door.readers
    ]
    update.put(models.Reader, ("slug",), readers)


def _store_people(update: _Update, residence: values.Residence) -> None:
    companies = update.put(models.Company, ("name",), map(_columns, residence.companies))
    providers = update.put(
        models.Provider,
        ("name",),
        ({**_columns(each, "company"), "company_id": companies.get((each.company,))} for each in residence.providers),
    )
    tasks = ({**_columns(each, "provider"), "provider_id": providers[(each.provider,)]} for each in residence.tasks)
    update.put(models.Task, ("name",), tasks)
    blocks = update.put(models.Block, ("slug",), map(_columns, residence.blocks))
    flats = update.put(
        models.Flat,
        ("block_id", "flat"),
        ({**_columns(each, "block", "phones"), "block_id": blocks[(each.block,)]} for each in residence.flats),
    )
    _store_phones(update.site, residence, blocks, flats)
    passes = []
    for each in residence.passes:
        block = blocks[(each.block,)] if each.block else None
        flat = flats.get((block, each.flat)) if each.flat else None
        columns = {"block_id": block, "flat_id": flat, "flat_missing": "" if flat else each.flat}
        passes.append({**_columns(each, "block", "flat"), **columns})
    update.put(models.Pass, ("number", "radio_number"), passes)


def _store_phones(
    site: models.Site,
    residence: values.Residence,
    blocks: dict[tuple[Any, ...], int],
    flats: dict[tuple[Any, ...], int],
) -> None:
    wanted = [
        (flats[(blocks[(flat.block,)], flat.flat)], position, phone.number, phone.delay_s)
        for flat in residence.flats
        for position, phone in enumerate(flat.phones)
    ]
    phones = models.Phone.objects.filter(flat__site=site)
    if sorted(phones.values_list("flat_id", "position", "number", "delay_s")) != sorted(wanted):
        phones.delete()
        columns = ("flat_id", "position", "number", "delay_s")
        models.Phone.objects.bulk_create(
            [models.Phone(**dict(zip(columns, row, strict=True))) for row in wanted], batch_size=500
        )


def _columns(value: Any, *leave: str) -> Columns:
    """A value's fields as columns: `id` becomes `slug`, tuples become lists, nested values objects."""
    columns = {}
    for field in dataclasses.fields(value):
        if field.name not in leave:
            columns["slug" if field.name == "id" else field.name] = _plain(getattr(value, field.name))
    return columns


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return _columns(value) if dataclasses.is_dataclass(value) else value


def _key(row: django_models.Model, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in names)


def _pks(rows: dict[tuple[Any, ...], Row]) -> set[int]:
    return {row.pk for row in rows.values()}


# --- loading --------------------------------------------------------------------------------------------------


def _all(model: type[Row], site: models.Site, convert: Callable[[Any], Value], *related: str) -> tuple[Value, ...]:
    rows = model._default_manager.filter(site=site).order_by("position")
    return tuple(convert(row) for row in (rows.select_related(*related) if related else rows))


def _value(kind: type[Value], row: Any, **given: Any) -> Value:
    """`kind` from the row's columns of the same names; JSON lists become tuples; `given` fields as given."""
    fields: Columns = dict(given)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in fields:
            column = getattr(row, "slug" if field.name == "id" else field.name)
            fields[field.name] = tuple(column) if isinstance(column, list) else column
    return kind(**fields)


def _week_type(row: models.WeekType) -> values.WeekType:
    return values.WeekType(row.name, tuple(values.Interval(*each) for each in row.intervals))


def _grants(objects: list[Columns]) -> tuple[values.Grant, ...]:
    return tuple(
        values.Grant(**{**each, "media": tuple(each["media"]), "buttons": tuple(each["buttons"])}) for each in objects
    )


def _provider(row: models.Provider) -> values.Provider:
    return _value(values.Provider, row, company=row.company.name if row.company else "")


def _task(row: models.Task) -> values.Task:
    return _value(values.Task, row, provider=row.provider.name, access=_grants(row.access))


def _passes(site: models.Site) -> tuple[values.Pass, ...]:
    """Blocks and flats by their keys: joined, each pass would make two more objects."""
    blocks = dict(models.Block.objects.filter(site=site).values_list("pk", "slug"))
    flats = dict(models.Flat.objects.filter(site=site).values_list("pk", "flat"))

    def convert(row: models.Pass) -> values.Pass:
        return _value(
            values.Pass, row, block=blocks.get(row.block_id, ""), flat=flats.get(row.flat_id, row.flat_missing)
        )

    return _all(models.Pass, site, convert)


def _flats(site: models.Site) -> tuple[values.Flat, ...]:
    blocks = dict(models.Block.objects.filter(site=site).values_list("pk", "slug"))
    phones: dict[int, list[values.Phone]] = {}
    found = models.Phone.objects.filter(flat__site=site).order_by("flat", "position")
    for flat, number, delay_s in found.values_list("flat", "number", "delay_s"):
        phones.setdefault(flat, []).append(values.Phone(number, delay_s))

    def convert(row: models.Flat) -> values.Flat:
        return _value(values.Flat, row, block=blocks[row.block_id], phones=tuple(phones.get(row.pk, ())))

    return _all(models.Flat, site, convert)


def _controllers(site: models.Site) -> tuple[values.Controller, ...]:
    rows = models.Controller.objects.filter(site=site, is_active=True).prefetch_related("doors__readers")
    return tuple(
        _value(values.Controller, row, doors=tuple(_door(door) for door in row.doors.all()))
        for row in rows.order_by("position")
    )


def _door(row: models.Door) -> values.Door:
    readers = tuple(_value(values.Reader, reader, door=row.slug) for reader in row.readers.all())
    return _value(values.Door, row, readers=readers)
