"""Where each key of a TOML document stands: `find_places(text)` gives {path: (line, column)}.

tomllib gives values without positions. This scanner only finds positions and is only right for a document that
tomllib has accepted. A path is a tuple of keys and list positions: ("controller", 0, "door", 1, "readers", 0, "id").
TOML 1.0.0: https://toml.io/en/v1.0.0
"""

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[^,\]}\n#]*")  # a number, a flag, a date
_STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)


def find_places(text: str) -> dict[Path, tuple[int, int]]:
    """Line and column, from 1, of every key, list entry and table of a valid TOML document."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line_starts = [0] + [match.end() for match in re.finditer("\n", text)]
        self.line = 0
        self.places: dict[Path, tuple[int, int]] = {}
        self.counts: dict[Path, int] = {}  # how many tables each [[list]] has so far

    def scan(self) -> dict[Path, tuple[int, int]]:
        table: Path = ()
        self._skip_blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
        return self.places

    def _header(self) -> Path:
        start = self.at
        is_list = self.text.startswith("[[", self.at)
        self.at += 2 if is_list else 1
        keys = self._keys()
        self.at = self.text.index("]", self.at) + (2 if is_list else 1)
        path: Path = ()
        for key in keys[:-1]:
            self._note((*path, key), start)
            path = self._within((*path, key))
        path = (*path, keys[-1])
        self._note(path, start)
        if is_list:
            self.counts[path] = self.counts.get(path, 0) + 1
        path = self._within(path)
        self._note(path, start)
        return path

    def _within(self, path: Path) -> Path:
        """The table that `path` means now: of a list, its latest."""
        return (*path, self.counts[path] - 1) if path in self.counts else path

    def _pair(self, table: Path) -> None:
        start = self.at
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        self.at = self.text.index("=", self.at) + 1
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip_blank()
            match = _BARE_KEY.match(self.text, self.at) or self._string()
            keys.append(match[0] if match[0][0] not in "\"'" else tomllib.loads("k = " + match[0])["k"])
            self.at = match.end()
            self._skip_blank()
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip_blank()
        opening = self.text[self.at]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in "\"'":
            self.at = self._string().end()
        else:
            self.at = _PLAIN.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _list(self, path: Path) -> None:
        self.at += 1
        position = 0
        self._skip_blank()
        while self.text[self.at] != "]":
            self._note((*path, position), self.at)
            self._value((*path, position))
            position += 1
            self._skip_separator()
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self._skip_blank()
        while self.text[self.at] != "}":
            self._pair(path)
            self._skip_separator()
        self.at += 1

    def _skip_separator(self) -> None:
        self._skip_blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._skip_blank()

    def _skip_blank(self) -> None:
        self.at = _BLANK.match(self.text, self.at).end()  # type: ignore[union-attr]

    def _string(self) -> "re.Match[str]":
        for pattern in _STRINGS:
            match = pattern.match(self.text, self.at)
            if match:
                return match
        raise ValueError(f"not TOML at character {self.at}")  # tomllib would have refused it

    def _note(self, path: Path, at: int) -> None:
        while self.line + 1 < len(self.line_starts) and self.line_starts[self.line + 1] <= at:
            self.line += 1  # `at` never goes back
        self.places.setdefault(path, (self.line + 1, at - self.line_starts[self.line] + 1))
