"""agent.toml: what is right is read, and what is wrong is one line that names the file, the key and its meaning."""

import pytest

from edge.config import ConfigError, load

RIGHT = """\
controller = "hall-a"
data = "data"
keys = "keys"
api = "api"
keep_events = 5000

[uplink]
broker = "mqtts://broker.example:8883"
ca = "ca.pem"
certificate = "device.pem"
key = "device.key.pem"

[clock]
rtc = true

[simulated]
board = "board"

[[bus]]
port = "/dev/ttyAMA0"
baud = 115200
readers = [{ id = "hall-a-in", address = 0 }, { id = "hall-a-out", address = 126 }]

[[door]]
id = "hall-a"
outputs = { door = "osdp:hall-a-in:0", aux1 = "simulated" }
contact = "simulated"
unlock_ms = 4000
"""


def loaded(folder, text):
    path = folder / "agent.toml"
    path.write_text(text, "utf-8")
    return load(path)


def refused(folder, text):
    """The one line that says what is wrong."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / 'agent.toml'}: ")
    return message


def test_everything_that_may_stand_there_is_read(tmp_path):
    """Each key gives its value; relative paths become absolute, from the file's own folder."""
    config = loaded(tmp_path, RIGHT)
    assert (config.controller, config.keep_events, config.clock.rtc) == ("hall-a", 5000, True)
    assert (config.data, config.keys, config.api) == tuple(str(tmp_path / name) for name in ("data", "keys", "api"))
    assert (config.uplink.broker, config.uplink.ca) == ("mqtts://broker.example:8883", str(tmp_path / "ca.pem"))
    assert config.simulated.board == str(tmp_path / "board")
    [bus] = config.bus
    assert (bus.port, bus.baud) == ("/dev/ttyAMA0", 115200)
    assert [(reader.id, reader.address) for reader in bus.readers] == [("hall-a-in", 0), ("hall-a-out", 126)]
    [door] = config.door
    assert (door.id, door.contact, door.unlock_ms) == ("hall-a", "simulated", 4000)
    assert door.outputs == {"door": "osdp:hall-a-in:0", "aux1": "simulated"}


def test_least_that_must_stand_there(tmp_path):
    """A controller's id is enough: no cloud, no reader, no door."""
    config = loaded(tmp_path, 'controller = "hall-a"\n')
    assert (config.uplink, config.simulated, config.bus, config.door) == (None, None, (), ())
    assert config.clock.rtc is False


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('controller = "hall-a"\n', "", ("controller", "this controller's id")),
        ('controller = "hall-a"', 'controller = "Hall A"', ("controller", "this controller's id")),
        ('controller = "hall-a"', "controller = 7", ("controller", "this controller's id")),
        ("rtc = true", 'rtc = "yes"', ("rtc", "battery-backed clock")),
        ("keep_events = 5000", "keep_events = 5", ("keep_events", "how many acknowledged events")),
        ("baud = 115200", "baud = 115201", ("baud", "9600")),
        ("baud = 115200", 'baud = "fast"', ("baud", "9600")),
        ("address = 126", "address = 127", ("address", "0 to 126")),
        ("unlock_ms = 4000", "unlock_ms = 4", ("unlock_ms", "milliseconds")),
        ('broker = "mqtts://broker.example:8883"\n', "", ("broker", "mqtt://HOST:PORT")),
        ('port = "/dev/ttyAMA0"\n', "", ("port", "/dev/ttyAMA0")),
        ("[clock]", "[clocks]", ("clocks", "known are")),
        ("unlock_ms = 4000", "unlock_s = 4", ("unlock_s", "known are", "unlock_ms")),
        ('[[door]]\nid = "hall-a"', '[[door]]\nname = "x"', ("name",)),
    ],
)
def test_wrong_key_is_named_with_what_it_means(tmp_path, old, new, words):
    """The message holds the key and enough to correct it without the manual."""
    assert RIGHT.count(old) == 1
    message = refused(tmp_path, RIGHT.replace(old, new))
    assert not [word for word in words if word not in message], message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hall-a-out", "hall-a-in", ("reader hall-a-in", "twice")),
        ("address = 126", "address = 0", ("/dev/ttyAMA0", "one address")),
        ('"osdp:hall-a-in:0"', '"gpio17"', ("hall-a", "gpio17")),
        ('"osdp:hall-a-in:0"', '"osdp:hall-b-in:0"', ("hall-b-in", "no bus")),
        ('outputs = { door = "osdp:hall-a-in:0", aux1 = "simulated" }', "outputs = {}", ("hall-a", "outputs is empty")),
        ('[simulated]\nboard = "board"\n', "", ("simulated", "[simulated]")),
    ],
)
def test_wiring_that_cannot_be_is_refused(tmp_path, old, new, words):
    """Two readers of one name or address, a line that is none, an output of a reader that is not there."""
    message = refused(tmp_path, RIGHT.replace(old, new))
    assert not [word for word in words if word not in message], message


def test_two_doors_of_one_id_are_refused(tmp_path):
    """Each door has its own id."""
    door = RIGHT[RIGHT.index("[[door]]") :]
    assert "door hall-a is there twice" in refused(tmp_path, RIGHT + "\n" + door)


def test_missing_file_says_how_to_give_one(tmp_path):
    """The path and the option."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file.*--config"):
        load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("content", [b"controller = ", b"controller = \xff\xfe", b"= 3", b"[[bus]\n"])
def test_what_is_no_toml_says_so(tmp_path, content):
    """Also bytes that are no text."""
    path = tmp_path / "agent.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
