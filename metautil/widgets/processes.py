"""Drive it yourself: a process that goes on by itself while a reader turns its settings.

A process is a state and a mapping `advance`: (state, settings) → the state a little later. :func:`drive` shows it with
its controls and three buttons, Start (then Pause), Step and Reset. Between two ticks the kernel answers whatever else it
is asked, so that other cells run while the process does. Sliders set what the *next* tick is given: nothing that has
happened changes.

Where there is no reader (on paper, in the tests) a fixed script of settings has been driven, and its last frame is shown.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ipywidgets

from metautil.widgets.controls import Control
from metautil.widgets.panels import Panel
from metautil.widgets.scenes import LIVE, Scene

PAUSE = 0.01  # seconds between two ticks in which the kernel is free for other work
Begin, Advance = Callable[[], Any], Callable[..., Any]


class Leg(NamedTuple):
    """A part of a script: so many ticks with these settings."""

    ticks: int
    settings: dict[str, Any]


class Drive(Panel):
    """A panel whose scene shows a process, with buttons that let it run.

    ``state`` is where the process stands, ``ticks`` how many ticks it has made since the start.
    """

    _last: weakref.ref[Drive] | None = None  # two at once would share one kernel, each at half its pace

    def __init__(self, scene: Scene, begin: Begin, advance: Advance, limit: int, controls: dict[str, Control]) -> None:
        self.begin, self.advance, self.limit = begin, advance, limit
        self.state, self.ticks = begin(), 0
        self._task: asyncio.Task | None = None
        super().__init__(scene, controls)
        # 0 asks the front end to count; when the last view is closed, nobody is watching any more.
        self.widget._view_count = 0
        self.widget.observe(lambda change: change["new"] or self.pause(), "_view_count")

    def _tools(self) -> list[ipywidgets.Widget]:
        self.start_button = ipywidgets.Button(description="Start", tooltip="Let it run; again: pause")
        self.start_button.on_click(lambda _: self.pause() if self.running else self.start())
        self.step_button = ipywidgets.Button(description="Step", tooltip="Go on by one tick")
        self.step_button.on_click(lambda _: self.step())
        self.reset.tooltip = "Back to the start, with the settings of the start"
        return [self.start_button, self.step_button, self.reset]

    def _draw(self, compress_level: int = LIVE) -> tuple[bytes, str]:
        return super()._draw(compress_level, state=self.state)

    @property
    def running(self) -> bool:
        """Whether it goes on by itself."""
        return self._task is not None

    def tick(self) -> bool:
        """Go on by one tick with the present settings; False where that is not possible, which the message line says.

        A process may refuse to go on (training that diverges, say): its state then stays as it was.
        """
        if self.ticks >= self.limit:
            self._say("This is the end of the axis. Reset starts afresh.")
            return False
        try:
            self.state = self.advance(self.state, **self.values)
        except Exception as error:  # whatever it is, the reader is told; a task would keep it to itself
            self._say(f"Stopped: {error or type(error).__name__}")
            return False
        self.ticks += 1
        return True

    def step(self) -> None:
        """Pause, and go on by one tick."""
        self.pause()
        if self.tick():
            self.set()

    def start(self) -> None:
        """Let it run until it is paused, refuses to go on, or nobody looks any more. Another one that runs is paused."""
        other = Drive._last and Drive._last()
        if other is not None and other is not self:
            other.pause()
        Drive._last = weakref.ref(self)
        if not self.running:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self.start_button.description = "Pause"

    def pause(self) -> None:
        """Stop after the present tick; Start goes on from there."""
        if self.running:
            self._task.cancel()
        self._stopped()

    def _stopped(self) -> None:
        self._task, self.start_button.description = None, "Start"

    def restart(self) -> None:
        """Pause, and go back to the start with the settings of the start."""
        self.pause()
        self.state, self.ticks = self.begin(), 0
        self.set(**self.defaults)

    def follow(self, script: Sequence[Leg]) -> list[str]:
        """Drive a script at once, and return the read-out after each leg.

        Raises
        ------
        RuntimeError
            If the process refuses to go on; the message says at which leg, and why.
        """
        lines = []
        for number, leg in enumerate(script, start=1):
            self.values = {**self.values, **leg.settings}
            for _ in range(leg.ticks):
                if not self.tick():
                    raise RuntimeError(f"leg {number} of the script, tick {self.ticks + 1}: {self.message.value}")
            lines.append(self._draw()[1])
        self.set()
        return lines

    async def _run(self) -> None:
        try:
            while self.tick():
                self.set()
                await asyncio.sleep(PAUSE)
        finally:
            if self._task is asyncio.current_task():  # not where it was paused, and started again meanwhile
                self._stopped()


def drive(scene: Scene, start: Begin, advance: Advance, script: Sequence[Leg], limit: int, **controls: Control) -> None:
    """Display a process with its controls and buttons, as one output with the faces of `metautil.widgets.show`.

    The script is driven first: its last frame is what is shown, saved and printed, with one line of text a leg. In a
    running JupyterLab, Start goes on from there, and Reset begins anew.

    Parameters
    ----------
    scene : Scene
        Its ``move`` takes ``state`` and the settings.
    start : callable
        () → the state at the start, the same each time.
    advance : callable
        (state, **settings) → the state one tick later; takes well below a tenth of a second, changes nothing in place.
        What it raises stops the process and is shown.
    script : sequence of Leg
        Together at most ``limit`` ticks.
    limit : int
        Ticks until the end of the axes.
    **controls : Slider or Choice
        One for each setting, under its argument's name.

    Raises
    ------
    TypeError
        If the controls do not fit ``scene.move`` and ``advance``.
    ValueError
        If the script names a setting without a control or is longer than ``limit``.
    RuntimeError
        If the process refuses to go on in the script.
    """
    names = ", ".join(controls) or "(none)"
    for name, function in (("scene.move", scene.move), ("advance", advance)):
        try:
            inspect.signature(function).bind(**{"state": None} | controls)
        except TypeError as error:
            raise TypeError(f"drive: {name} must take state and the settings {names} ({error}).") from None
    ticks = sum(leg.ticks for leg in script)
    unknown = sorted({name for leg in script for name in leg.settings} - set(controls))
    if unknown or not 1 <= ticks <= limit:
        raise ValueError(
            f"drive: the script has {ticks} ticks and sets {unknown or 'known settings'}; "
            f"expected 1 to {limit} ticks and settings among {names}."
        )
    panel = Drive(scene, start, advance, limit, controls)
    lines = panel.follow(script)
    panel.widget.add_class("metautil-drive")
    panel.publish("\n".join(lines))
