"""Registers a controller's device and writes the file by which the device trusts this manager.

Until commissioning exists, trust is placed by file at set-up: whoever can write the keys folder binds the device.
"""

import secrets
from pathlib import Path

from django.db import transaction

from cloud_stub.errors import ConfigError, DataError, FolderError, MissingInputError, UsageError
from cloud_stub.residences import signature
from cloud_stub.residences.models import Controller
from edge.uplink import signing

DEVICE_KEY = "device.pub"
MANAGER_FILE = "manager.toml"
_P = 2**255 - 19
_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826  # of a point of order 8
# The points of order 1, 2, 4 and 8, by y: with such a key a signature is right under almost any message.
_SMALL_ORDERS = (0, 1, _P - 1, _Y8, _P - _Y8)


def find_controller(name: str, also_former: bool = False) -> Controller:
    """The controller of that id, or of SITE/ID where several sites have one. UsageError where it is not one.
    also_former: one that has left its site's files counts too."""
    site, _, slug = name.rpartition("/")
    found = Controller.objects.filter(slug=slug).select_related("site")
    if not also_former:
        found = found.filter(is_active=True)
    if site:
        found = found.filter(site__slug=site)
    controllers = list(found[:2])
    if not controllers:
        known = ", ".join(Controller.objects.filter(is_active=True).values_list("slug", flat=True)[:12])
        raise UsageError(f"no controller {name}; known: {known or 'none, import a site first'}")
    if len(controllers) > 1:
        raise UsageError(f"controller {name} exists in several sites; write SITE/{slug}")
    return controllers[0]


def of_site(site: str) -> list[Controller]:
    """The controllers of a site, by its id. UsageError where it has none."""
    found = Controller.objects.filter(site__slug=site, is_active=True).select_related("site").order_by("position")
    if not found:
        raise UsageError(f"no controllers of a site {site}; import it first")
    return list(found)


@transaction.atomic
def provision(controller: Controller, keys: Path, manager_key: bytes, replace: bool = False) -> Path:
    """Register the device whose public key is in `keys`, write `keys`/manager.toml (0600), return its path.

    manager_key: our raw public key. The same device again gets the same file. Another device is refused unless
    `replace`: it then starts a new epoch with a new code key, and the old device is obeyed no more.
    """
    controller = register(controller, read_device_key(keys / DEVICE_KEY), replace)
    path = keys / MANAGER_FILE
    try:
        signing.write_manager(path, trust_of(controller, manager_key))
    except OSError as error:
        raise FolderError(f"{path}: cannot be written ({error.strerror}); check the folder's owner") from error
    except signing.KeyFileError as error:
        raise FolderError(str(error)) from error
    return path


@transaction.atomic
def register(controller: Controller, device_key: bytes, replace: bool = False) -> Controller:
    """Make the device with this raw public key the controller's. ConfigError where the device is another controller's,
    or the controller has another device and that one may not `replace` it, or the key is none."""
    _check_key(device_key)
    taken = Controller.objects.filter(device_key=device_key.hex()).exclude(pk=controller.pk).first()
    if taken:
        raise ConfigError(
            f"device {signing.fingerprint(device_key).hex()} is controller {taken.slug} already; each controller needs "
            "its own keys"
        )
    controller = Controller.objects.select_for_update().select_related("site").get(pk=controller.pk)
    if controller.device_key and controller.device_key != device_key.hex() and not replace:
        raise ConfigError(
            f"controller {controller.slug} has another device; add --replace to register this one in its place"
        )
    if controller.device_key != device_key.hex():
        _register(controller, device_key)
    return controller


def trust_of(controller: Controller, manager_key: bytes) -> signing.ManagerTrust:
    """What a controller is told of us, its manager. manager_key: our raw public key."""
    site = controller.site
    return signing.ManagerTrust(
        site_uid=bytes.fromhex(site.uid),
        site=site.slug,
        controller=controller.slug,
        manager_key=manager_key,
        epoch=controller.epoch,
        manager=site.manager,
        code_key=bytes.fromhex(controller.code_key),
        seal_key=signature.seal_public_key(),
    )


def _register(controller: Controller, device_key: bytes) -> None:
    if controller.device_key:
        controller.epoch += 1
        controller.revision, controller.digest = 0, ""
        controller.hello_revision, controller.hello_digest = 0, ""
    controller.device_key = device_key.hex()
    controller.fingerprint = signing.fingerprint(device_key).hex()
    controller.code_key = secrets.token_hex(32)
    controller.save()


def _check_key(device_key: bytes) -> None:
    """ConfigError where nothing could be sealed to the device, or anybody could sign for it."""
    try:
        signing.device_seal_public(device_key)
    except ValueError:
        is_weak = True
    else:
        is_weak = int.from_bytes(device_key, "little") & ((1 << 255) - 1) in _SMALL_ORDERS
    if is_weak:
        raise ConfigError("the device's key is none that a device makes; run there: vantail keygen")


def read_device_key(path: Path) -> bytes:
    try:
        return signing.load_public_key(path)
    except signing.KeyFileError as error:
        raise (MissingInputError if error.missing else DataError)(str(error)) from error
