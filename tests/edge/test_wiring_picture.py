"""The wiring picture says what agent.toml says, in a picture that every viewer can show; docs/ has the code's."""

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from edge_controller import vantail

from edge.config import Config, load
from edge.pictures import header_pins
from edge.pictures.wiring_picture import WIDTH, draw
from edge.pictures.wiring_symbols import clipped

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "agent-wired.toml"
SVG = "{http://www.w3.org/2000/svg}"


def picture(tmp_path: Path, text: str) -> ElementTree.Element:
    """The picture of an agent.toml, parsed."""
    path = tmp_path / "agent.toml"
    path.write_text('controller = "house"\n' + text)
    return ElementTree.fromstring(draw(load(path)))


def said(drawn: ElementTree.Element) -> str:
    """Every text in it, and every tooltip, a line each."""
    return "\n".join(element.text or "" for element in drawn.iter() if element.tag in (f"{SVG}text", f"{SVG}title"))


def door(fail: str, target: str = "gpio:gpiochip0:17", more: str = "") -> str:
    return f'[[door]]\nid = "front"\noutputs = {{ door = "{target}" }}\nfail = "{fail}"\n{more}\n'


LINE = '[[bus]]\nport = "/dev/ttyAMA0"\nbaud = 9600\nreaders = [{ id = "lobby", address = 3 }]\n'


def test_the_committed_picture_is_what_the_code_draws() -> None:
    """docs/wiring.svg is drawn from examples/agent-wired.toml; `vantail doctor --wiring` makes it anew."""
    assert (ROOT / "docs" / "wiring.svg").read_text("utf-8") == draw(load(EXAMPLE))


def test_the_picture_is_for_every_viewer() -> None:
    """Well-formed, its own background, nothing loaded from elsewhere, a title and a description."""
    drawn = ElementTree.fromstring(draw(load(EXAMPLE)))
    kinds = {element.tag.removeprefix(SVG) for element in drawn.iter()}
    assert {"title", "desc"} <= kinds
    assert not kinds & {"script", "image", "foreignObject", "style"}
    background = drawn.find(f"{SVG}rect")
    assert background is not None
    assert (background.get("width"), background.get("height")) == ("100%", "100%")


def test_everything_of_the_example_is_in_it() -> None:
    """Every id, port, address, line and header pin that agent.toml has."""
    config = load(EXAMPLE)
    text = said(ElementTree.fromstring(draw(config)))
    for bus in config.bus:
        assert bus.port in text
        assert not [reader for reader in bus.readers if reader.id not in text]
        assert not [reader for reader in bus.readers if f"address {reader.address}" not in text]
    names = [one.id for one in (*config.door, *config.wiegand, *config.radio, *config.modbus, *config.modem)]
    assert not [name for name in names if name not in text]
    for number in re.findall(r"gpio:gpiochip0:(\d+)", EXAMPLE.read_text()):
        assert f"gpiochip0:{number}" in text
        assert re.search(rf"GPIO {number}, (header )?pin {header_pins.PIN_OF[int(number)]}\n", text)
    assert "unit 255; own pulse timer: flash" in text
    assert "relay 0, counted from 0" in text


@pytest.mark.parametrize(
    ("fail", "target", "contact", "held"),
    [
        ("secure", "gpio:gpiochip0:17", "relay C–NO", "at rest: locked"),
        ("safe", "gpio:gpiochip0:17", "relay C–NO", "energised: locked"),
        ("secure", "osdp:lobby:0", "relay C–NO", "at rest: locked"),
        ("safe", "osdp:lobby:0", "relay C–NC", "at rest: locked"),
    ],
)
def test_the_contact_fits_what_the_software_does(
    tmp_path: Path, fail: str, target: str, contact: str, held: str
) -> None:
    """A GPIO relay of a fail-safe door is energised while it locks (edge.lines.relays); a reader's output unlocks when
    it is on, so a magnet hangs on its closed contact."""
    text = said(picture(tmp_path, LINE + door(fail, target)))
    assert contact in text
    assert held in text
    assert ("\nmagnet\n" in text, "\nstrike\n" in text) == (fail == "safe", fail == "secure")


@pytest.mark.parametrize("fail", ["safe", "secure"])
def test_each_circuit_has_what_works_without_software(tmp_path: Path, fail: str) -> None:
    """Per output: the fire alarm's contact, the exit button's own contact, a diode; and words on what is locked without
    power: a warning where that is the way out."""
    drawn = picture(tmp_path, door(fail, more='exit = "gpio:gpiochip0:23"'))
    text = said(drawn)
    assert text.count("fire alarm\n") == text.count("diode for DC,") == 1
    assert "exit button, 1st contact" in text
    assert "exit button, 2nd" in text
    warned = "it stays locked: only where the handle inside always opens the door" in text
    assert warned is (fail == "secure")
    assert drawn.findall(f".//{SVG}polygon")  # the diode


def test_a_line_is_closed_at_both_ends_and_nowhere_else(tmp_path: Path) -> None:
    """Two resistors of 120 ohm on a line of 1, 5, 6, 11 and 16 readers, and every reader on all three wires."""
    for count in (1, 5, 6, 11, 16):
        readers = ", ".join(f'{{ id = "r{at}", address = {at} }}' for at in range(count))
        drawn = picture(tmp_path, f'[[bus]]\nport = "/dev/ttyUSB0"\nreaders = [{readers}]\n')
        assert said(drawn).count("120 Ω\n") == 2
        joints = list(drawn.iter(f"{SVG}circle"))
        assert len(joints) == 3 * count + 4 + 2  # taps, resistors' ends, and the power's own two


def test_nothing_is_drawn_beside_the_paper(tmp_path: Path) -> None:
    """Every box and wire lies inside its card, with 16 readers of the longest names, three outputs and all switches."""
    readers = ", ".join(f'{{ id = "{"n" * 60}{at:02}", address = {at} }}' for at in range(16))
    outputs = ", ".join(f'o{at} = "gpio:gpiochip0:{17 + at}"' for at in range(3))
    text = f'[[bus]]\nport = "/dev/ttyUSB0"\nreaders = [{readers}]\n'
    text += f'[[door]]\nid = "{"d" * 64}"\noutputs = {{ {outputs} }}\n'
    drawn = picture(
        tmp_path, text + 'contact = "gpio:gpiochip0:5"\nexit = "gpio:gpiochip0:6"\ntamper = "gpio:gpiochip0:7"\n'
    )
    for card in drawn.findall(f"{SVG}g"):
        frame = card.find(f"{SVG}rect")
        assert frame is not None
        width, height = float(frame.get("width", "")), float(frame.get("height", ""))
        assert width < WIDTH
        for element in card.iter(f"{SVG}polyline"):
            for point in element.get("points", "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width, point
                assert 0 <= y <= height, point
        for element in list(card.iter(f"{SVG}rect"))[1:]:
            assert float(element.get("y", "")) + float(element.get("height", "")) <= height
            assert float(element.get("x", "")) + float(element.get("width", "")) <= width


def test_a_name_is_never_markup(tmp_path: Path) -> None:
    """What agent.toml calls a door is text."""
    drawn = picture(tmp_path, door("safe").replace('"front"', "'<script>alert(1)</script>&'"))
    assert "<script>alert(1)</script>&" in said(drawn)
    assert not list(drawn.iter(f"{SVG}script"))


def test_a_long_name_keeps_its_ends() -> None:
    """Readers of one house differ in the last letters."""
    assert clipped("reader-of-the-northern-stair-12", 100, 13) == "reader…air-12"
    assert clipped("short", 100, 13) == "short"


def test_only_the_header_has_pins() -> None:
    """The Pi's own chip by number and label, by offset and name; no pin for another chip, nor for what is no line of
    the header. Pins are each another, and none is a supply or ground."""
    assert header_pins.described("gpiochip0", "17") == "GPIO 17, header pin 11"
    assert header_pins.described("pinctrl-rp1", "GPIO4") == "GPIO 4, header pin 7"
    assert header_pins.described("gpiochip2", "17") == header_pins.described("gpiochip0", "40") == ""
    pins = set(header_pins.PIN_OF.values())
    assert len(pins) == len(header_pins.PIN_OF) == 28
    assert pins | set(header_pins.GROUND) | {1, 17, 2, 4} == set(range(1, 41))


def test_an_empty_controller_has_a_picture() -> None:
    """Nothing wired yet: power and the rules."""
    assert "no serial line" in draw(Config("house"))


def test_the_command_writes_it(tmp_path: Path) -> None:
    """Into the file that was named, which looks at nothing else; one line where it cannot be written."""
    made = tmp_path / "wiring.svg"
    done = vantail("doctor", "--config", EXAMPLE, "--wiring", made)
    assert (done.returncode, done.stderr) == (0, "")
    assert made.read_text("utf-8") == draw(load(EXAMPLE))
    done = vantail("doctor", "--config", EXAMPLE, "--wiring", tmp_path / "no" / "wiring.svg")
    assert done.returncode == os.EX_CANTCREAT
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
