"""The chapter `transfer`: a residence of three halls changes its manager, in the order of the makers' paper
(docs/transfer.md, docs/commissioning.md), by real commands, agents and files."""

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from edge.residence.reading import read
from firmware_sim.building import build
from firmware_sim.demo import DemoError
from firmware_sim.screen import Screen
from firmware_sim.transfer_hall import Hall, command, is_soon

SITE = "les-trois-halls"
RESIDENT, KEY, STRANGER = "1111100007", "0000004711", "1111100009"
OLD, NEW = 4711, 4712
NAMES = ("hall-a", "hall-b", "hall-c")
FOLLOWED = ("learning", "learning-present")
_SITE = """\
site = "{site}"
name = "Les trois halls"
time_zone = "Europe/Paris"
country = "FR"
manager = {manager}

[[block]]
id = "a"
name = "Bloc A"
access_profile = "Residents"
{controllers}
[[access_profile]]
name = "Residents"
grants = [{grants}]
"""
_CONTROLLER = """
[[controller]]
id = "{name}"
name = "{name}"

  [[controller.door]]
  id = "{name}"
  name = "{name}"
  readers = [{{ id = "{name}-in", {kind}, direction = "in" }}]

  [[controller.door]]
  id = "{name}-cellar"
  name = "{name}, caves"
  readers = [{{ id = "{name}-side", kind = "wiegand", bits = 37, direction = "in" }}]
"""
_OSDP, _WIEGAND = 'kind = "osdp", address = 0, baud = 115200', 'kind = "wiegand", bits = 37'
_FLATS = (
    "block;flat;name;floor;display;call_code;phone1;phone2;phone3;delay1_s;delay2_s;delay3_s;auto_open;door_code;"
    "aux1_code;aux2_code;duress_code;email;notes\na;001;Solomon;0;Solomon;A1;;;;20;20;20;Never;12345;;;;;\n"
)
_PASSES = (
    "number;radio_number;type;colour;block;flat;profile;from;to;state;notes\n"
    f"{RESIDENT};;badge;black;a;001;;;;active;\n"
)


class Chapter:
    """Both managers' data folders and the three halls, below `folder`."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self._folder, self._screen = folder, screen
        self._steps: list[bool] = []
        self.halls: list[Hall] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The halls at work; ended afterwards."""
        if self._folder.exists():
            shutil.rmtree(self._folder)
        residence, problems = read(write_residence(self._folder / "residence"), date.today())
        if residence is None:
            raise DemoError(f"the chapter's residence cannot be read: {problems[0]}")
        self.halls = [Hall(made) for made in build(residence, self._folder, 0, lambda door: False)]
        try:
            await self._provision()
            for hall in self.halls:
                await hall.start()
            yield
        finally:
            for hall in self.halls:
                await hall.end()

    async def _provision(self) -> None:
        await self._must("A", "import", self._folder / "residence")
        for hall in self.halls:
            keys = hall.hardware.keys
            said = await command("edge.cli", "keygen", "--keys", keys)
            if said.code:
                raise DemoError(said.errors.strip())
            await self._must("A", "provision", f"{SITE}/{hall.name}", "--keys", keys)
        await self._must("A", "publish")

    async def play(self) -> dict[str, Any]:
        """All steps in their order. The report, as `--json` prints it."""
        await self._work_under_the_old_manager()
        await self._hand_over()
        for count, hall in enumerate(self.halls, 1):
            await self._commission(hall, is_first=count == 1)
            await self._report(hall, count)
        await self._erase_the_key()
        tried, refused = (sum(getattr(hall, name) for hall in self.halls) for name in ("tried", "refused"))
        return {
            "chapter": "transfer", "steps": len(self._steps), "as_expected": sum(self._steps),
            "controllers": len(self.halls), "residents_tried": tried, "residents_refused": refused,
            "ok": all(self._steps) and not refused,
        }  # fmt: skip

    # --- the paper's paragraphs -------------------------------------------------------------------------------

    async def _work_under_the_old_manager(self) -> None:
        for hall in self.halls:
            path = hall.hardware.folder / "old.dat"
            await self._must("A", "dat", "export", f"{SITE}/{hall.name}", path)
            said = await hall.vantail("dat", "apply", path)
            self._step(
                said.code == 0 and await hall.lets_in(RESIDENT), f"{hall.name}: manager A's; a resident comes in"
            )

    async def _hand_over(self) -> None:
        package = self._folder / "residence.transfer"
        said = json.loads(await self._must("A", "transfer", "authorise", SITE, "--package", package, "--json"))
        self._step(
            package.exists(), "manager A authorises the transfer: a file, and a number that is told by telephone"
        )
        await self._must("B", "manager", "set", "--number", NEW)
        accepted = await self._must("B", "transfer", "accept", package, "--number", said["number"])
        self._step(
            f"{len(self.halls)} controllers" in accepted, "manager B types the number and has the residence whole"
        )
        await self._must("B", "transfer", "key", SITE, "--badge", RESIDENT, "--new", KEY)
        self._step(True, f"manager B duplicates a resident's key: the commissioning key ends in {KEY[-4:]}")
        for hall in self.halls:
            await self._must("B", "transfer", "handover", SITE, hall.name, "--out", hall.hardware.folder / "new.dat")
        sheet = await self._must("B", "transfer", "sheet", SITE)
        self._step(all(hall.name in sheet for hall in self.halls), "manager B's list of what to bring:")
        self._screen.say("".join(f"      {line}\n" for line in sheet.splitlines()).rstrip())

    async def _commission(self, hall: Hall, is_first: bool) -> None:
        said = await hall.vantail("dat", "apply", hall.hardware.folder / "new.dat")
        is_waiting = said.code == 0 and await hall.manager_epoch() == 1
        self._step(is_waiting, f"{hall.name}: manager B's file is put in; it waits, and manager A is obeyed as before")
        if is_first:
            said, lights = await hall.learn(NEW, STRANGER, RESIDENT, "learning-failed")
            is_refused = said.code != 0 and lights == [*FOLLOWED, "learning-failed"] and await hall.manager_epoch() == 1
            self._step(is_refused, f"{hall.name}: a wrong key is held there: steady red, and nothing changes")
        words = "password, number, reader; red and green, fast red, the key for two seconds, fast green"
        said, lights = await hall.learn(NEW, KEY, RESIDENT, "learning-done")
        self._step(said.code == 0 and lights == [*FOLLOWED, "learning-done"], f"{hall.name}: {words}")
        is_taken = await is_soon(lambda: hall.opens(KEY)) and await hall.manager_epoch() == 2
        self._step(
            is_taken and await hall.lets_in(RESIDENT), f"{hall.name}: obeys manager B; residents come in as before"
        )
        said = await hall.vantail("dat", "apply", hall.hardware.folder / "old.dat")
        self._step(said.code != 0, f"{hall.name}: manager A's file is refused from now on")

    async def _report(self, hall: Hall, count: int) -> None:
        path = hall.hardware.folder / "events.dat"
        said = await hall.vantail("dat", "collect", path)
        await self._must("B", "dat", "import", path)
        progress = f"{count} of {len(self.halls)} controllers done"
        status = await self._must("B", "transfer", "status", SITE)
        self._step(said.code == 0 and progress in status, f"manager B has its events: {progress}")

    async def _erase_the_key(self) -> None:
        found = json.loads(await self._must("B", "transfer", "status", SITE, "--json"))["comes"]
        self._step(bool(found["key"]["erased"]), "with the last one the commissioning key is erased by itself")
        for hall in self.halls:
            path = hall.hardware.folder / "last.dat"
            await self._must("B", "dat", "export", f"{SITE}/{hall.name}", path)
            said = await hall.vantail("dat", "apply", path)
            is_gone = said.code == 0 and not await hall.opens(KEY)
            self._step(
                is_gone and await hall.lets_in(RESIDENT), f"{hall.name}: that key opens no more, a resident's does"
            )

    def _step(self, is_ok: bool, words: str) -> None:
        self._steps.append(is_ok)
        self._screen.say(f"{'✓' if is_ok else '✗'} {words}")

    async def _must(self, manager: str, *arguments: object) -> str:
        """A `vantail-cloud` command of manager A or B that has to work. DemoError with its words."""
        said = await command("cloud_stub.cli", "--data", self._folder / f"manager-{manager}", *arguments)
        if said.code:
            raise DemoError(said.errors.strip().splitlines()[-1] if said.errors.strip() else "it ended without a word")
        return said.out


async def play(folder: Path, screen: Screen) -> dict[str, Any]:
    """The whole chapter. DemoError where a command does not work, or the folder cannot be used."""
    chapter = Chapter(folder, screen)
    try:
        async with chapter.running():
            return await chapter.play()
    except TimeoutError:
        raise DemoError(f"a controller does not answer; see the files agent.log in {folder}") from None


def write_residence(folder: Path, names: Sequence[str] = NAMES) -> Path:
    """The files that manager A imports; the first controller's learning reader is an OSDP reader."""
    folder.mkdir(parents=True)
    controllers = "".join(_CONTROLLER.format(name=name, kind=_OSDP if name == NAMES[0] else _WIEGAND) for name in names)
    grants = ", ".join(f'{{ door = "{name}{more}" }}' for name in names for more in ("", "-cellar"))
    site = _SITE.format(site=SITE, manager=OLD, controllers=controllers, grants=grants)
    for name, text in (("site.toml", site), ("residents.csv", _FLATS), ("passes.csv", _PASSES)):
        (folder / name).write_text(text, "utf-8")
    return folder
