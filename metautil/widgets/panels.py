"""A scene with its controls: live in a running JupyterLab, a picture and text everywhere else.

:func:`show` displays the default frame as one output with several faces, of which every reader gets the best that it can draw:

========================================  ================================================================
face                                      who reads it
========================================  ================================================================
``application/vnd.jupyter.widget-view``   JupyterLab with a running kernel: sliders, live
``image/png``                             code-hosting pages, nbconvert, paper
``text/plain``                            the tests, which compare its numbers; screen readers; terminals
========================================  ================================================================
"""

from __future__ import annotations

import inspect
from base64 import b64encode
from html import escape

import ipywidgets
from IPython.display import display
from traitlets import CInt, Unicode

from metautil.widgets.controls import Choice, Control, Slider, plain
from metautil.widgets.map import Map, area, locate
from metautil.widgets.scenes import LIVE, STILL, Scene

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WRAP = {"flex_flow": "row wrap"}


class _Bar(ipywidgets.IntSlider):
    """A bar whose moves are not echoed to the browser that reports them: one message less before the picture."""

    value = CInt(0).tag(sync=True, echo_update=False)


class _Picture(ipywidgets.Image):
    """An image with alternative text: its tooltip becomes the element's title, which screen readers read out.

    The front end looks at the length of a description before it sets the title, and an Image has none, so
    that it fails (ipywidgets 8.1). An empty description lets it pass.
    """

    description = Unicode("").tag(sync=True)


class Panel:
    """A scene with its controls: bar and box for each slider, buttons for each choice, a reset button, the read-out.

    ``values`` is the one state. Bars, boxes and buttons are set from it, and an event that agrees with it is an echo
    of our own doing, which changes nothing.
    """

    def __init__(self, scene: Scene, controls: dict[str, Control]) -> None:
        self.scene, self.controls = scene, controls
        self.values = self.defaults = {name: control.default for name, control in controls.items()}
        self.bars, self.boxes, self.buttons = {}, {}, {}
        self.reset = ipywidgets.Button(description="Reset", tooltip="Back to the values at the start")
        self.reset.on_click(lambda _: self.restart())
        self.message, self.readout, self.picture = ipywidgets.HTML(), ipywidgets.HTML(), self._picture()
        column = round(0.9 * max((len(control.label) for control in controls.values()), default=0)) + 1
        rows = [self._row(name, control, f"{column}ch") for name, control in controls.items()]
        tools = ipywidgets.HBox([*self._tools(), self.message], layout=WRAP)
        self.widget = ipywidgets.VBox([*rows, tools, self.picture, self.readout])
        for name in ("widget", "picture", "readout", "message"):
            getattr(self, name).add_class(f"metautil-{name}")
        self.set()

    def _row(self, name: str, control: Control, column: str) -> ipywidgets.HBox:
        """The widgets of one control, side by side."""
        if isinstance(control, Choice):
            buttons = self.buttons[name] = ipywidgets.ToggleButtons(
                options=control.options, value=control.default,
                tooltips=[f"{control.label}: {option}" for option in control.options],
                style={"button_width": "8em"}, layout={"width": "max-content", "max_width": "100%"},
            )  # fmt: skip
            buttons.observe(lambda change: self._turned(**{name: change["new"]}), "value")
            # A label of its own: with a description the buttons would go beneath it.
            label = ipywidgets.Label(control.label, layout={"width": column, "justify_content": "flex-end"})
            return ipywidgets.HBox([label, buttons], layout=WRAP)
        bar = self.bars[name] = _Bar(
            value=control.nearest(control.default), min=0, max=len(control.stops()) - 1, readout=False,
            description=control.label, tooltip=control.label, style={"description_width": column},
            layout={"width": f"calc({column} + 22em)", "max_width": "100%"},
        )  # fmt: skip
        box = self.boxes[name] = ipywidgets.Text(
            value=plain(control.default), continuous_update=False, description=f"{control.symbol} =",
            tooltip=f"{control.label}: {control.takes}", style={"description_width": "initial"},
            layout={"width": "11em"},
        )  # fmt: skip
        bar.observe(lambda change: self._dragged(name, change["new"]), "value")
        box.observe(lambda change: self._typed(name, change["new"]), "value")
        return ipywidgets.HBox([bar, box], layout=WRAP)

    def _picture(self) -> _Picture | Map:
        """An image, which can be dragged on where the scene has a handle."""
        scene, width = self.scene, self.scene.figure.canvas.get_width_height()[0]
        layout = {"max_width": "100%", "height": "auto"}
        if scene.handle is None:
            return _Picture(format="url", width=str(width), tooltip=scene.alt, layout=layout)
        for name in scene.handle[1:]:
            control = self.controls.get(name)
            if not isinstance(control, Slider) or control.choices or control.scale == "integer":
                raise ValueError(
                    f"Panel: the scene's handle moves {name!r}, which is {control}; expected a slider without gaps."
                )
        picture = Map(alt=scene.alt, area=area(scene.handle.axes), layout={"width": f"{width}px", **layout})
        picture.observe(lambda change: self._pulled(*change["new"][:2]), "pointer")
        return picture

    def _tools(self) -> list[ipywidgets.Widget]:
        """The buttons beneath the controls."""
        return [self.reset]

    def restart(self) -> None:
        """What the reset button does."""
        self.set(**self.defaults)

    def _turned(self, **values: float | str) -> None:
        if values != {name: self.values[name] for name in values}:
            self.set(**values)

    def _pulled(self, right: float, down: float) -> None:
        """Set the handle's sliders to a place on the picture, or to the end of the range nearest to it."""
        axes, *names = self.scene.handle
        ranges = [(self.controls[name].low, self.controls[name].high) for name in names]
        place = [min(max(at, low), high) for at, (low, high) in zip(locate(axes, right, down), ranges, strict=True)]
        self._turned(**dict(zip(names, place, strict=True)))

    def _dragged(self, name: str, index: int) -> None:
        control = self.controls[name]
        if index != control.nearest(self.values[name]):
            self.set(**{name: control.stops()[index]})

    def _typed(self, name: str, text: str) -> None:
        control, kept = self.controls[name], self.values[name]
        if text == plain(kept):
            return
        try:
            value = control.parse(text)
        except ValueError as refusal:
            self._say(f"{refusal} {control.setting(kept)} is kept.")
            self.boxes[name].value = plain(kept)
        else:
            self.set(**{name: value})

    def _say(self, words: str) -> None:
        colour = "color: var(--jp-error-color1, #b00020)"
        self.message.value = f'<span role="alert" style="{colour}">{escape(words)}</span>' if words else ""

    def _setting(self) -> str:
        return ", ".join(control.setting(self.values[name]) for name, control in self.controls.items())

    def _draw(self, compress_level: int = LIVE, **more: object) -> tuple[bytes, str]:
        """The present frame: its picture, and its line of setting and read-out."""
        png, readout = self.scene.draw(compress_level, **more, **self.values)
        return png, f"{self._setting()} · {readout}"

    def set(self, **values: float | str) -> None:
        """Set some of the values and draw.

        Raises
        ------
        Exception
            What ``move`` raised. The message line says so too, and the picture stays the last good one.
        """
        self.values = {**self.values, **values}
        try:
            png, self.line = self._draw()
            # A data address, which the browser reads sooner than the blob that it would make of bytes.
            self.picture.value = b"data:image/png;base64," + b64encode(png)
            self.readout.value = f'<span role="status" aria-live="polite">{escape(self.line)}</span>'
            self._say("")
        except Exception as error:
            self._say(f"No picture for {self._setting()}: {type(error).__name__}: {error}. The last good one stays.")
            raise
        finally:
            for name, value in self.values.items():
                if name in self.buttons:
                    self.buttons[name].value = value
                else:
                    self.boxes[name].value = plain(value)
                    self.bars[name].value = self.controls[name].nearest(value)

    def publish(self, text: str) -> None:
        """Display the panel as one output with three faces: the live widget, its present picture, and ``text``."""
        faces = {
            WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id},
            "image/png": b64encode(self._draw(STILL)[0]).decode("ascii"),
            "text/plain": text,
        }
        width, height = self.scene.figure.canvas.get_width_height()
        display(faces, raw=True, metadata={"image/png": {"alt": self.scene.alt, "width": width, "height": height}})


def show(scene: Scene, **controls: Control) -> None:
    """Display a scene as one output with three faces: live widget, picture, text.

    Parameters
    ----------
    scene : Scene
        What to draw.
    **controls : Slider or Choice
        One for each argument of ``scene.move``, under the argument's name.

    Raises
    ------
    TypeError
        If the controls and the arguments of ``scene.move`` differ.
    """
    arguments = inspect.signature(scene.move)
    try:
        arguments.bind(**controls)
    except TypeError as error:
        takes, given = (", ".join(names) or "none" for names in (arguments.parameters, controls))
        raise TypeError(f"show: controls {given}; the scene's move takes {takes} ({error}).") from None
    panel = Panel(scene, controls)
    panel.publish(panel.line)
