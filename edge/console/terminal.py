"""`vantail terminal`: the controller's menu in a terminal, over SSH or a serial console. The only file that names
Textual. What happens is decided in menu.py; here keys come in and lines go out."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.events import Key
from textual.widgets import Static

from edge.console.api import ApiError
from edge.console.menu import Ask, Menu, Screen, Texts

LOOK_S = 0.5
_BLINKS = {  # seconds of each half, colours
    "learning": (0.5, ("red", "green")),
    "learning-present": (0.1, ("red", "black")),
    "learning-done": (0.1, ("green", "black")),
    "learning-failed": (0.5, ("red", "red")),
}


class Terminal(App[None]):
    """ask(op, **arguments): the agent's answer, or ApiError; blocking, called on a thread."""

    CSS = """
    Screen { align: center middle; background: $surface; }
    #panel { width: 64; height: auto; border: heavy $primary; padding: 1 2; }
    #title { text-style: bold; margin-bottom: 1; }
    #light { margin-top: 1; }
    #hint { margin-top: 1; color: $text-muted; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [("ctrl+c", "quit", "")]

    def __init__(self, ask: Callable[..., dict[str, Any]], texts: Texts, zone: tzinfo) -> None:
        super().__init__()
        self._ask = ask
        self._menu = Menu(texts, zone)
        self._shown: Screen | None = None
        self._half = 0

    def compose(self) -> ComposeResult:
        """The display's lines."""
        with Vertical(id="panel"):
            for name in ("title", "lines", "light", "hint"):
                yield Static(id=name, markup=False)

    def on_mount(self) -> None:
        """Look at the agent from now on."""
        self.set_interval(LOOK_S, self._look)
        self.set_interval(0.1, self._blink)
        self._look()

    def on_key(self, event: Key) -> None:
        """A key goes to the menu; what it asks is asked beside the display."""
        event.stop()
        for ask in self._menu.key(event.key):
            self.run_worker(lambda ask=ask: self._answer(ask), thread=True, exclusive=False)
        self._show()

    def _look(self) -> None:
        self.run_worker(self._view, thread=True, group="look", exclusive=True)

    def _view(self) -> None:
        try:
            view = self._ask("commission-view", session=self._menu.session)
        except ApiError as error:
            self.call_from_thread(self._failed, str(error))
            return
        self.call_from_thread(self._seen, view)

    def _answer(self, ask: Ask) -> None:
        try:
            answer = self._ask(ask.op, **ask.arguments)
        except ApiError as error:
            self.call_from_thread(self._failed, str(error))
            return
        self.call_from_thread(self._answered, ask, answer)

    def _seen(self, view: dict[str, Any]) -> None:
        self._menu.seen(view)
        self._show()

    def _answered(self, ask: Ask, answer: dict[str, Any]) -> None:
        self._menu.answered(ask, answer)
        self._show()
        self._look()

    def _failed(self, said: str) -> None:
        self._menu.failed(said)
        self._show()

    def _show(self) -> None:
        screen = self._menu.screen()
        if screen == self._shown:
            return
        self._shown = screen
        marked = [("▶ " if i == screen.chosen else "  ") + line for i, line in enumerate(screen.lines)]
        for name, text in (("title", screen.title), ("lines", "\n".join(marked)), ("hint", screen.hint)):
            self.query_one(f"#{name}", Static).update(text)
        self._blink()

    def _blink(self) -> None:
        """The reader's light, as it is at the reader."""
        light = self.query_one("#light", Static)
        half_s, colours = _BLINKS.get(self._shown.light if self._shown else "", (0.0, ()))
        light.display = bool(colours)
        if colours:
            self._half += 1
            light.update("●")
            light.styles.color = colours[int(self._half * 0.1 / half_s) % 2]
