"""Positions in TOML: every key that tomllib gives has a place, and it is the right one."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from residence_folders import EXAMPLE

from edge.residence.places import find_places

TRICKY = '''a = 1 # [not.a.table]
"b \\" c".d = """
[no]
x = "1"
""" # after
'e=f' = [ # a list
  "x, ] y", 'z # "',
  [1, 2], { g = [ { h = 1 } ], "i.j" = 2026-01-01 10:00:00 },
]
l = \'\'\'it's "quoted" \\\'\'\'
[[t]]
k = "" # =
[t.u]
k = -1_000.5e3
[[t.v]]
k = 1
[[t.v]]
k = 2
[[t]]
  [[t.v]]
  k = { m . n = true }
[ w . "x y" ]
k = 3
'''


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


@pytest.mark.parametrize("text", [TRICKY, TRICKY.replace("\n", "\r\n"), (EXAMPLE / "site.toml").read_text("utf-8")])
def test_every_path_has_a_place(text: str) -> None:
    """What tomllib finds, the scanner finds, and no more."""
    assert set(find_places(text)) == set(_paths(tomllib.loads(text)))


def test_places_are_exact() -> None:
    """Lines and columns of keys, list entries, inline tables and tables of lists."""
    places = find_places(TRICKY)
    assert places["a",] == (1, 1)
    assert places['b " c', "d"] == (2, 1)
    assert places["e=f",] == (6, 1)
    assert places["e=f", 1] == (7, 13)
    assert places["e=f", 2, 1] == (8, 7)
    assert places["e=f", 3, "g", 0, "h"] == (8, 21)
    assert places["e=f", 3, "i.j"] == (8, 32)
    assert places["l",] == (10, 1)
    assert places["t",] == places["t", 0] == (11, 1)
    assert places["t", 0, "u", "k"] == (14, 1)
    assert places["t", 0, "v", 1, "k"] == (18, 1)
    assert places["t", 1, "v", 0, "k", "m", "n"] == (21, 9)
    assert places["w", "x y"] == (22, 1)


def test_each_line_of_the_example_is_found() -> None:
    """In the example, the text at each key's place begins with the key."""
    text = (EXAMPLE / "site.toml").read_text("utf-8")
    lines = text.split("\n")
    checked = 0
    for path, (line, column) in find_places(text).items():
        rest = lines[line - 1][column - 1 :]
        if isinstance(path[-1], str) and not rest.startswith("["):
            assert rest.startswith(path[-1])
            checked += 1
    assert checked > 150
