"""A stick: which of its files are looked at, what is said about them, and how the machine comes to look."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from dat_desk import NAME, SITE, write_file

from edge.commands import dat_stick
from edge.commands.dat import DatRefusedError
from edge.console.api import ApiError
from edge.failures import CommandError
from edge.translations import catalogue, parse
from edge.uplink import transfer_file
from edge.uplink.transfer_file import Item

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = ("run-vantailstick.mount", "vantail-stick.path", "vantail-stick.service")
DONE = {"policy": {"after": [1, 7]}, "logs": [{"before": 3, "after": 10}, {"before": 0, "after": 5}]}


def visit(stick, apply=lambda path: DONE, collect=lambda path: {"events": 12}):
    return dat_stick.visit(stick, SITE, NAME, apply, collect)


def text_of(stick):
    return (stick / f"result-{NAME}.txt").read_text("utf-8")


def test_only_files_for_this_controller_are_looked_at(folder):
    """Those of others, of another kind, links, pipes and folders are left alone, quietly; one's own are taken in the
    order of their names."""
    ours = [Item("ack", b"x")]
    for name in ("b.dat", "a.dat"):
        write_file(folder / name, ours)
    write_file(folder / "other.dat", ours, controller="south")
    write_file(folder / "away.dat", ours, site="elsewhere")
    write_file(folder / "c.txt", ours)
    transfer_file.save(folder / "up.dat", transfer_file.Header("manager", SITE, NAME, ""), [Item("events", b"x")])
    (folder / "zeros.dat").write_bytes(bytes(1000))
    (folder / "link.dat").symlink_to("a.dat")
    (folder / "folder.dat").mkdir()
    os.mkfifo(folder / "pipe.dat")
    seen = []
    done = visit(folder, lambda path: (seen.append(path.name), DONE)[1])
    assert seen == ["a.dat", "b.dat"]
    assert (list(done.taken), done.refused, list(done.collected)) == (seen, {}, [f"events-{SITE}-{NAME}.dat"])


def test_the_text_says_what_happened_in_both_languages(folder):
    """A line each for every file, first in English, then in French, each with the moment."""
    write_file(folder / "a.dat", [Item("ack", b"x")])
    visit(folder)
    lines = [line.split("  ", 1) for line in text_of(folder).splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", at) for at, _ in lines)
    assert [said for _, said in lines] == [
        "a.dat: taken; policy 1.7 is in force, 12 more events are acknowledged",
        "events-les-tilleuls-north.dat: 12 events for the manager",
        "a.dat : pris ; règles 1.7 en vigueur, 12 événements de plus acquittés",
        "events-les-tilleuls-north.dat : 12 événements pour le gestionnaire",
    ]


def test_a_stick_without_a_file_for_us_still_takes_the_events(folder):
    """That there was none is said, because a forgotten file looks just like that."""
    assert visit(folder).collected
    assert "no file here was for this controller" in text_of(folder)
    assert "aucun fichier ici n’était pour cette centrale" in text_of(folder)


def raising(error):
    def work(path):
        raise error(path)

    return work


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda path: DatRefusedError(path, "version", "older"), "a.dat : REFUSÉ, plus ancien"),
        (lambda path: DatRefusedError(path, "bomb", "x"), "a.dat: REFUSED, see the controller's log (bomb)"),
        (lambda path: ApiError("gone"), "a.dat: REFUSED, the controller's program does not answer"),
    ],
)
def test_trouble_with_a_file_is_said_and_stops_nothing(folder, error, said):
    """The events are collected all the same."""
    write_file(folder / "a.dat", [Item("ack", b"x")])
    done = visit(folder, raising(error))
    assert done.collected
    assert said in text_of(folder)
    full = visit(folder, collect=raising(lambda path: CommandError("full", os.EX_CANTCREAT)))
    assert full.taken
    assert "REFUSED, the stick cannot be written" in text_of(folder)


def test_what_is_no_folder_is_refused(folder):
    """Also a link, which on a stick could lead anywhere."""
    (folder / "link").symlink_to("/etc")
    for wrong in (folder / "none", folder / "link"):
        with pytest.raises(CommandError) as caught:
            visit(wrong)
        assert caught.value.code == os.EX_NOINPUT


def test_every_text_is_translated():
    """What the file in French says is what the program may say, no more and no less, with the same places."""
    texts = [dat_stick.TAKEN, dat_stick.WAITS, dat_stick.REFUSED, dat_stick.COLLECTED, dat_stick.NOTHING]
    texts += [dat_stick.OTHER]
    texts += dat_stick.WHY.values()
    french = parse(dat_stick.FRENCH.read_text("utf-8"))
    assert set(french) - {""} == set(texts)
    say = catalogue(dat_stick.FRENCH).gettext
    for text in texts:
        assert say(text) != text
        assert sorted(re.findall(r"%\(\w+\)\w", say(text))) == sorted(re.findall(r"%\(\w+\)\w", text))


# --- units and rule ---------------------------------------------------------------------------------------------


class Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr):
        return optionstr


def unit(name):
    found = Unit(strict=False, interpolation=None)
    found.read(PACKAGING / name)
    return found


def test_the_units_belong_together():
    """The rule starts the path unit, which comes and goes with the mount, as the service does; the mount gives nothing
    on the stick any rights, and the service runs as the agent's user, once for each time that a stick is put in."""
    mount, path, service = map(unit, UNITS)
    where = mount["Mount"]["Where"]
    assert where == "/" + UNITS[0].removesuffix(".mount").replace("-", "/")
    assert {"sync", "nosuid", "nodev", "noexec", "uid=vantail", "umask=0077"} <= set(
        mount["Mount"]["Options"].split(",")
    )
    assert path["Path"]["PathExists"] == f"{where}/vantail"
    assert path["Path"]["Unit"] == UNITS[2]
    assert path["Unit"]["BindsTo"] == service["Unit"]["BindsTo"] == UNITS[0]
    assert mount["Unit"]["BindsTo"] == "dev-vantail\\x2dstick.device"
    assert service["Service"]["ExecStart"].startswith(f"/opt/vantail/bin/vantail dat stick {where}/vantail ")
    wanted = {"User": "vantail", "Type": "oneshot", "RemainAfterExit": "yes", "NoNewPrivileges": "yes"}
    assert {name: service["Service"][name] for name in wanted} == wanted
    assert service["Service"]["ReadWritePaths"] == where


def test_the_rule_is_one_line_of_words():
    """As udev reads it: KEY, an operator, a text; it matches sticks alone, and names the path unit."""
    lines = (PACKAGING / "99-vantail-stick.rules").read_text().replace("\\\n", "").splitlines()
    [rule] = [line for line in lines if line and not line.startswith("#")]
    words = [
        re.fullmatch(r'([A-Z]+(?:\{[A-Za-z_]+\})?)(==|\+=)"([^"]+)"', word.strip())
        for word in rule.split(
            ",",
        )
    ]
    assert None not in words, rule
    found = {(word[1], word[2]): word[3] for word in words}
    assert found["ENV{ID_BUS}", "=="] == "usb"
    assert found["ENV{ID_FS_TYPE}", "=="] == "vfat|exfat"
    assert found["SYMLINK", "+="] == "vantail-stick"
    assert found["ENV{SYSTEMD_WANTS}", "+="] == "vantail-stick.path"


def test_systemd_accepts_the_units(tmp_path):
    """Where systemd-analyze is there; it does object to a key that does not exist."""
    program = shutil.which("systemd-analyze")
    for name in UNITS:
        text = (PACKAGING / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    if program is None:
        return
    command = [program, "verify", *(str(tmp_path / name) for name in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / UNITS[1]).write_text((tmp_path / UNITS[1]).read_text().replace("PathExists", "PathExits"))
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr
