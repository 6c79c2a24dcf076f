"""Doors as a person names them on the command line."""

from typing import NamedTuple

from cloud_stub.errors import ConfigError, UsageError
from cloud_stub.residences.models import Controller, Door

FORMS = "SITE, CONTROLLER, SITE/CONTROLLER, CONTROLLER/DOOR or SITE/CONTROLLER/DOOR"


class Target(NamedTuple):
    """A door, or with "" all doors of a controller."""

    controller: Controller
    door: str

    def __str__(self) -> str:
        name = f"{self.controller.site.slug}/{self.controller.slug}"
        return f"{name}/{self.door}" if self.door else name


def find_targets(text: str) -> list[Target]:
    """What `text`, in one of FORMS, names; of a site, all its controllers. UsageError where that is nothing, or might
    be one thing or another."""
    words = text.split("/")
    readings = [found for read in (_of_site, _of_controller, _of_door) if (found := read(words))]
    if not readings:
        raise UsageError(f"'{text}' is nothing that is known here; write {FORMS}")
    if len(readings) > 1 or (len(readings[0]) > 1 and not _of_site(words)):
        several = " and ".join(sorted(str(target) for found in readings for target in found[:2]))
        raise UsageError(f"'{text}' may be {several}; write it whole")
    return readings[0]


def find_door(text: str) -> Target:
    """The one door that CONTROLLER/DOOR or SITE/CONTROLLER/DOOR names, of a controller that can be told something.
    UsageError, ConfigError."""
    found = find_targets(text)
    if len(found) > 1 or not found[0].door:
        raise UsageError(f"'{text}' is not one door; write CONTROLLER/DOOR")
    return _with_device(found[0])


def find_box(text: str) -> Target:
    """The one controller that CONTROLLER or SITE/CONTROLLER names. UsageError, ConfigError."""
    found = find_targets(text)
    if len(found) > 1 or found[0].door:
        raise UsageError(f"'{text}' is not one controller; write CONTROLLER, or SITE/CONTROLLER")
    return _with_device(found[0])


def _with_device(target: Target) -> Target:
    if not target.controller.device_key:
        raise ConfigError(
            f"controller {target.controller.slug}: no device is registered; run: vantail-cloud provision "
            f"{target.controller.slug} --keys DIR"
        )
    return target


def _of_site(words: list[str]) -> list[Target]:
    boxes = Controller.objects.filter(is_active=True, site__slug=words[0]) if len(words) == 1 else ()
    return [Target(box, "") for box in (boxes.select_related("site").order_by("pk") if boxes else ())]


def _of_controller(words: list[str]) -> list[Target]:
    if len(words) > 2:
        return []
    boxes = Controller.objects.filter(is_active=True, slug=words[-1]).select_related("site")
    return [Target(box, "") for box in (boxes.filter(site__slug=words[0]) if len(words) == 2 else boxes)]


def _of_door(words: list[str]) -> list[Target]:
    if len(words) not in (2, 3):
        return []
    doors = Door.objects.filter(slug=words[-1], controller__slug=words[-2], controller__is_active=True)
    if len(words) == 3:
        doors = doors.filter(site__slug=words[0])
    return [Target(door.controller, door.slug) for door in doors.select_related("controller__site")]
