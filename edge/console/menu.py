"""The menu of a controller, as on a display of a few lines with arrow keys and digits. Pure: keys in, questions out.

It follows the steps of a change of manager (docs/commissioning.md): the controller's password, CONTROLLER MAINTENANCE,
site commissioning, the manager's number, the learning reader, the countdown. What the agent answers comes back by
`answered`; what to show is `screen`. Left goes back, right or enter goes on.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

Texts = Callable[[str], str]

UP, DOWN, LEFT, RIGHT, ENTER, ERASE = "up", "down", "left", "right", "enter", "backspace"
COUNTDOWN_S, STEP_S = 90, 10
PASSWORD_DIGITS, MANAGER_DIGITS, TIME_DIGITS = 16, 10, 12
BUSY = ("armed", "presenting", "holding", "binding")
_TIME = "%Y%m%d%H%M"


def _(text: str) -> str:
    """Marks a text for the catalogue; it is translated where it is shown."""
    return text


class Ask(NamedTuple):
    """To be asked of the agent's local API; the answer comes back by `answered`."""

    op: str
    arguments: Mapping[str, Any]


class Screen(NamedTuple):
    """title, then lines, one of which may be chosen (-1: none), then what the keys do. light: what the learning reader
    shows now (an outcome of edge.decision.indications), "" where none is learning."""

    title: str
    lines: tuple[str, ...]
    chosen: int
    hint: str
    light: str = ""


_MAIN = (_("CONTROLLER MAINTENANCE"), _("Leave"))
_MAINTENANCE = (_("Site commissioning"), _("Date and time"), _("Change the password"))
_HINT_LIST = _("▲▼ choose   ▶ go on   ◀ back")
_HINT_DIGITS = _("digits   ▶ go on   ◀ erase, back")
_HINT_COUNTDOWN = _("▲▼ 10 seconds more or less   ◀ cancel")
_LIGHTS = {
    "armed": "learning",
    "presenting": "learning-present",
    "holding": "learning-present",
    "binding": "learning-present",
    "done": "learning-done",
    "failed": "learning-failed",
}


class Menu:
    """texts: an English text in the language of who stands there. zone: of the times that are typed."""

    def __init__(self, texts: Texts, zone: tzinfo = UTC) -> None:
        self._texts, self._zone = texts, zone
        self._place = "welcome"
        self._chosen = 0
        self._digits = ""
        self._session = ""
        self._manager = ""
        self._said = ""  # why the last step was refused, and what to do
        self._view: Mapping[str, Any] = {}
        self._new_password = ""

    @property
    def session(self) -> str:
        """Of this menu's user at the agent; "" before the password."""
        return self._session

    # --- keys -------------------------------------------------------------------------------------------------

    def key(self, key: str) -> list[Ask]:
        """A key was pressed: "0" to "9", UP, DOWN, LEFT, RIGHT, ENTER or ERASE; others do nothing."""
        key = RIGHT if key == ENTER else key
        if self._place == "welcome":
            self._go("password")
            return []
        if key not in (UP, DOWN, LEFT, RIGHT, ERASE) and not (len(key) == 1 and key in "0123456789"):
            return []
        at: Callable[[str], list[Ask]] = getattr(self, "_at_" + self._place.replace("-", "_"))
        return at(key)

    def _at_password(self, key: str) -> list[Ask]:
        if self._typed(key, PASSWORD_DIGITS, "welcome"):
            return [Ask("commission-login", {"password": self._take()})]
        return []

    def _at_main(self, key: str) -> list[Ask]:
        is_picked = self._picked(key, len(_MAIN))
        if is_picked and self._chosen == 0:
            self._go("maintenance")
        elif is_picked or key == LEFT:
            asked = [self._ask("commission-logout")]
            self._session = ""
            self._go("welcome")
            return asked
        return []

    def _at_maintenance(self, key: str) -> list[Ask]:
        if key == LEFT:
            self._go("main")
        elif self._picked(key, len(_MAINTENANCE)):
            self._go(("manager", "time", "new-password")[self._chosen])
        return []

    def _at_manager(self, key: str) -> list[Ask]:
        if self._typed(key, MANAGER_DIGITS, "maintenance"):
            self._manager = self._take()
            self._go("reader")
        return []

    def _at_reader(self, key: str) -> list[Ask]:
        readers = self._readers()
        if key == LEFT:
            self._go("manager")
        elif self._picked(key, len(readers)) and readers:
            reader = readers[self._chosen]["id"]
            asked = {"manager": int(self._manager), "reader": reader, "countdown_s": COUNTDOWN_S}
            return [self._ask("commission-arm", **asked)]
        return []

    def _at_countdown(self, key: str) -> list[Ask]:
        if key in (UP, DOWN):
            return [self._ask("commission-adjust", steps=1 if key == UP else -1)]
        if key == LEFT:
            return [self._ask("commission-cancel")]
        return []

    def _at_result(self, key: str) -> list[Ask]:
        if key in (LEFT, RIGHT):
            self._go("maintenance")
        return []

    def _at_time(self, key: str) -> list[Ask]:
        if not self._typed(key, TIME_DIGITS, "maintenance"):
            return []
        try:
            local = datetime.strptime(self._take(), _TIME).replace(tzinfo=self._zone)
        except ValueError:
            self._said = self._texts(_("That is no date and time."))
            return []
        return [self._ask("commission-time", utc_ms=int(local.timestamp() * 1000))]

    def _at_new_password(self, key: str) -> list[Ask]:
        if self._typed(key, PASSWORD_DIGITS, "maintenance"):
            self._new_password = self._take()
            self._go("repeat-password")
        return []

    def _at_repeat_password(self, key: str) -> list[Ask]:
        if not self._typed(key, PASSWORD_DIGITS, "new-password"):
            return []
        again, first, self._new_password = self._take(), self._new_password, ""
        if again != first:
            self._go("new-password")
            self._said = self._texts(_("The two are not the same; type it again."))
            return []
        return [self._ask("commission-password", password=first)]

    # --- answers ----------------------------------------------------------------------------------------------

    def answered(self, ask: Ask, answer: Mapping[str, Any]) -> None:
        """What the agent said to a question of `key`."""
        self._said = ""
        reason = answer["reason"]
        if reason:
            self._said = f"{self._texts(answer['what'])} {self._texts(answer['way_on'])}"
            if reason == "password" and ask.op != "commission-login":
                self._session = ""
                said = self._said
                self._go("password")
                self._said = said
            elif reason == "old-password":
                said = self._said
                self._go("new-password")
                self._said = said
        elif ask.op == "commission-login":
            self._session = answer["session"]
            self._go("main")
        elif ask.op == "commission-arm":
            self._go("countdown")
        elif ask.op in ("commission-time", "commission-password"):
            self._go("maintenance")
            self._said = self._texts(_("Done."))

    def seen(self, view: Mapping[str, Any]) -> None:
        """How the agent stands now (commission-view); asked for twice a second."""
        self._view = view
        if self._place == "countdown" and view["state"] not in BUSY:
            self._go("result")

    def failed(self, said: str) -> None:
        """The agent cannot be asked; said: one line."""
        self._said = said

    # --- what is shown ----------------------------------------------------------------------------------------

    def screen(self) -> Screen:
        """What to show now."""
        shown: Callable[[], Screen] = getattr(self, "_show_" + self._place.replace("-", "_"))
        return shown()

    def _show_welcome(self) -> Screen:
        name = f"{self._view.get('site', '')} · {self._view.get('controller', '')}".strip(" ·")
        return Screen(name or "vantail", self._with_said(self._texts(_("Press any key"))), -1, "")

    def _show_password(self) -> Screen:
        locked_ms = int(self._view.get("locked_ms", 0))
        if locked_ms:
            line = self._texts(_("Locked for {seconds} s")).format(seconds=-(-locked_ms // 1000))
        else:
            line = "•" * len(self._digits) + "_"
        return self._digits_screen(_("CONTROLLER PASSWORD"), line)

    def _show_main(self) -> Screen:
        return self._list_screen(_("MENU"), [self._texts(text) for text in _MAIN])

    def _show_maintenance(self) -> Screen:
        return self._list_screen(_("CONTROLLER MAINTENANCE"), [self._texts(text) for text in _MAINTENANCE])

    def _show_manager(self) -> Screen:
        return self._digits_screen(_("MANAGER NUMBER"), self._digits + "_")

    def _show_reader(self) -> Screen:
        readers = [self._reader_line(reader) for reader in self._readers()]
        return self._list_screen(_("LEARNING READER"), readers or [self._texts(_("No reader is configured"))])

    def _show_countdown(self) -> Screen:
        view = self._view
        left_s = -(-int(view.get("left_ms", 0)) // 1000)
        lines = [str(view.get("reader", ""))]
        if view.get("state") == "armed":
            lines += [f"{left_s // 60}:{left_s % 60:02d}", self._texts(_("Go to the reader: it blinks red and green"))]
        elif view.get("state") == "presenting":
            lines += [self._texts(_("Hold the key there for 2 seconds, then take it away"))]
        else:
            lines += [self._texts(_("Take the key away"))]
        hint = _HINT_COUNTDOWN if view.get("state") == "armed" else _("◀ cancel")
        light = _LIGHTS.get(str(view.get("state")), "")
        return Screen(self._texts(_("LEARNING READER")), self._with_said(*lines), -1, self._texts(hint), light)

    def _show_result(self) -> Screen:
        view = self._view
        light = _LIGHTS.get(str(view.get("state")), "")
        if view.get("state") == "done":
            lines = [self._texts(_("Done: this controller obeys the new manager."))]
            lines += [self._texts(_("Do the same at the site's other controllers."))]
        else:
            lines = [self._texts(str(view.get("what", ""))), self._texts(str(view.get("way_on", "")))]
        return Screen(self._texts(_("SITE COMMISSIONING")), tuple(lines), -1, self._texts(_("▶ go on")), light)

    def _show_time(self) -> Screen:
        return self._digits_screen(_("DATE AND TIME"), self._digits + _("YYYYMMDDhhmm")[len(self._digits) :])

    def _show_new_password(self) -> Screen:
        return self._digits_screen(_("NEW PASSWORD"), "•" * len(self._digits) + "_")

    def _show_repeat_password(self) -> Screen:
        return self._digits_screen(_("NEW PASSWORD, AGAIN"), "•" * len(self._digits) + "_")

    # --- within -----------------------------------------------------------------------------------------------

    def _go(self, place: str) -> None:
        self._place, self._chosen, self._digits, self._said = place, 0, "", ""

    def _ask(self, op: str, **arguments: Any) -> Ask:
        return Ask(op, {"session": self._session, **arguments})

    def _typed(self, key: str, most: int, back: str) -> bool:
        """Whether a number was typed to its end; LEFT takes a digit back, or goes back where there is none."""
        if key.isdecimal():
            self._digits = (self._digits + key)[:most]
        elif key in (LEFT, ERASE):
            if not self._digits and key == LEFT:
                self._go(back)
            self._digits = self._digits[:-1]
        return key == RIGHT and bool(self._digits)

    def _take(self) -> str:
        digits, self._digits = self._digits, ""
        return digits

    def _picked(self, key: str, count: int) -> bool:
        """Move in a list of so many lines; whether one was picked. A digit picks its line."""
        if key in (UP, DOWN) and count:
            self._chosen = (self._chosen + (1 if key == DOWN else -1)) % count
        if key.isdecimal() and 1 <= int(key) <= count:
            self._chosen = int(key) - 1
            return True
        return key == RIGHT

    def _readers(self) -> list[Mapping[str, Any]]:
        return list(self._view.get("readers", ()))

    def _reader_line(self, reader: Mapping[str, Any]) -> str:
        state = "" if reader["online"] else " · " + self._texts(_("does not answer"))
        return f"{reader['id']} · {reader['door']}{state}"

    def _list_screen(self, title: str, lines: list[str]) -> Screen:
        numbered = [f"{i} {line}" for i, line in enumerate(lines, 1)]
        return Screen(self._texts(title), self._with_said(*numbered), self._chosen, self._texts(_HINT_LIST))

    def _digits_screen(self, title: str, line: str) -> Screen:
        return Screen(self._texts(title), self._with_said(line), -1, self._texts(_HINT_DIGITS))

    def _with_said(self, *lines: str) -> tuple[str, ...]:
        return (*lines, "", self._said) if self._said else lines
