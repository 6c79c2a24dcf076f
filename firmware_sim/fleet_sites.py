"""The residences of a fleet: their files, their controllers' keys, and their registration with a cloud."""

import asyncio
from pathlib import Path

from edge.uplink import signing
from firmware_sim.fleet_log import BADGES
from firmware_sim.processes import python

A_SITE = 100  # controllers
READY = "manager.toml"

_SITE = """\
site = "{site}"
name = "Fleet {site}"
time_zone = "Europe/Paris"
country = "FR"
manager = 4711
untrusted_clock = "always-only"

[[block]]
id = "a"
name = "Block A"
access_profile = "Residents"

[[access_profile]]
name = "Residents"
grants = [{grants}]
"""
_CONTROLLER = """
[[controller]]
id = "{id}"
name = "Controller {id}"

  [[controller.door]]
  id = "{id}"
  name = "Door {id}"
  unlock_ms = 5000
  held_open_s = 30
  readers = [{{ id = "{id}-in", kind = "osdp", address = 0, baud = 115200, direction = "in" }}]
"""
_PASSES = "number;radio_number;type;colour;block;flat;profile;from;to;state;notes\n"


class FleetError(Exception):
    """The fleet cannot be set up; one line that says what was seen and what to do."""


async def set_up(folder: Path, controllers: int, data: Path) -> list[Path]:
    """The keys folders of so many controllers, in residences of A_SITE, all known to the cloud whose data is in `data`.
    Those that were set up before are taken as they are."""
    keys: list[Path] = []
    for number, first in enumerate(range(0, controllers, A_SITE)):
        site, count = f"fleet-{number}", min(A_SITE, controllers - first)
        ids = [f"{site}-{n:03}" for n in range(count)]
        keys += [folder / "keys" / site / each for each in ids]
        if not all((path / READY).exists() for path in keys[-count:]):
            await _register(folder, site, ids, data)
    return keys


async def _register(folder: Path, site: str, ids: list[str], data: Path) -> None:
    await asyncio.to_thread(write, folder, site, ids)
    await cloud(data, "import", str(folder / site))
    await cloud(data, "provision", f"{site}/*", "--keys", str(folder / "keys" / site))
    await cloud(data, "publish")


def write(folder: Path, site: str, ids: list[str]) -> None:
    """The files of a residence in `folder`/SITE, and its controllers' keys in `folder`/keys/SITE/ID."""
    (folder / site).mkdir(parents=True, exist_ok=True)
    grants = ", ".join(f'{{ door = "{each}" }}' for each in ids)
    text = _SITE.format(site=site, grants=grants) + "".join(_CONTROLLER.format(id=each) for each in ids)
    (folder / site / "site.toml").write_text(text)
    (folder / site / "residents.csv").write_text("block;flat;name\na;1;Fleet\n")
    passes = [f"{4_640_000_000 + number};;badge;black;a;1;;;;active;\n" for number in range(BADGES)]
    (folder / site / "passes.csv").write_text(_PASSES + "".join(passes))
    for each in ids:
        place = folder / "keys" / site / each
        if not (place / "device.key").exists():
            place.mkdir(parents=True, mode=0o700, exist_ok=True)
            key = signing.generate_key()
            signing.write_private_key(place / "device.key", key)
            signing.write_public_key(place / "device.pub", signing.public_bytes(key))


async def cloud(data: Path, *words: str) -> str:
    """What a `vantail-cloud` command printed. FleetError with its own words where it fails."""
    child = await asyncio.create_subprocess_exec(
        *python("cloud_stub.cli", "--data", str(data), *words),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await child.communicate()
    if child.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise FleetError(lines[-1] if lines else f"vantail-cloud {words[0]} ended with {child.returncode}")
    return said.decode()
