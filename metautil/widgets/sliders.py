"""Interactive figures: first a frame, then a widget around it.

A :class:`Scene` is a figure with moving parts, a :class:`Slider` the range of one number, a :class:`Choice` a few
named options. :func:`frame` is a pure function from the sliders' values to a picture and one line of text;
:func:`show` displays the default frame as one output with several faces, of which every reader gets the best that
it can draw:

========================================  ================================================================
face                                      who reads it
========================================  ================================================================
``application/vnd.jupyter.widget-view``   JupyterLab with a running kernel: sliders, live
``image/png``                             code-hosting pages, nbconvert, paper
``text/plain``                            the tests, which compare its numbers; screen readers; terminals
========================================  ================================================================

Only the moving parts are drawn again when a slider moves. Everything else is drawn once, kept as pixels, and
put back under them, which makes a frame several times cheaper than ``savefig`` without leaving anything out.
"""

from __future__ import annotations

import inspect
import io
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from html import escape

import ipywidgets
from IPython.display import display
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from traitlets import CInt, Unicode

from metautil.widgets.map import Handle, Map

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SCALES = ("log", "linear", "integer")
LIVE, STILL = 1, 9  # PNG compression: quick to write while a slider moves, small in a saved notebook


def write(value: float) -> str:
    """Write a number so that reading it back gives the same number: 0.1, 3, 1e-05."""
    whole = float(value).is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(float(value))


@dataclass(frozen=True)
class Slider:
    """The range of one number that a reader may set.

    Parameters
    ----------
    symbol, name : str
        As in the text, e.g. ``"η"`` and ``"step size"``.
    low, high : float
        Ends of the range, both included.
    default : float
        Where the slider starts and where the reset button leads; always one of the stops.
    scale : {"log", "linear", "integer"}
        How the stops are spread. A logarithmic scale has positive ends; its stops are rounded to 2 digits.
    n : int
        About how many stops (rounding may merge neighbours; the default may add one).
    zero : bool
        Put 0 before the first stop of a logarithmic scale.
    unit : str
        Shown in brackets after the name.
    choices : tuple of float
        If given, only these values can be set (what was measured, say); ``scale``, ``n`` and ``zero`` do not
        matter.

    Raises
    ------
    ValueError
        If the range is empty or not finite, or the default lies outside it.
    """

    symbol: str
    name: str
    low: float
    high: float
    _: KW_ONLY
    default: float
    scale: str = "log"
    n: int = 41
    zero: bool = False
    unit: str = ""
    choices: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        who = f"Slider {self.symbol}"
        if self.choices:
            object.__setattr__(self, "choices", tuple(sorted(self.choices)))
            if self.choices[0] < self.low or self.choices[-1] > self.high or self.default not in self.choices:
                raise ValueError(
                    f"{who}: choices={self.choices}; expected them from low to high, the default among them."
                )
            return
        if self.scale not in SCALES:
            raise ValueError(f"{who}: scale is {self.scale!r}; expected one of {', '.join(SCALES)}.")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{who}: low={self.low}, high={self.high}; expected finite ends with low < high.")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"{who}: a log scale needs low > 0, not {self.low}; zero=True adds a stop at 0.")
        if self.zero and self.scale != "log":
            raise ValueError(f"{who}: zero=True belongs to a log scale; let a {self.scale} one start at low=0.")
        if self.scale == "integer" and not all(float(v).is_integer() for v in (self.low, self.high, self.default)):
            raise ValueError(f"{who}: an integer scale needs whole low, high and default.")
        if self.n < 2:
            raise ValueError(f"{who}: n={self.n} stops; expected at least 2.")
        if not self._holds(self.default):
            raise ValueError(f"{who}: default={self.default}; expected {self._range()}.")

    def _holds(self, value: float) -> bool:
        if self.choices:
            return value in self.choices
        return self.low <= value <= self.high or (self.zero and value == 0)

    def _range(self) -> str:
        if self.choices:
            return f"one of {', '.join(write(value) for value in self.choices)}"
        kind = "a whole number" if self.scale == "integer" else "a number"
        return f"{kind} from {write(self.low)} to {write(self.high)}{', or 0' if self.zero else ''}"

    @property
    def label(self) -> str:
        """Symbol, name and unit in one line."""
        return f"{self.symbol}  {self.name}" + (f" ({self.unit})" if self.unit else "")

    def stops(self) -> tuple[float, ...]:
        """The values that dragging reaches, ascending: the ends, the default, and evenly spread values, rounded."""
        if self.choices:
            return self.choices
        shares = [i / (self.n - 1) for i in range(1, self.n - 1)]
        if self.scale == "log":
            inner = [float(f"{self.low * (self.high / self.low) ** share:.1e}") for share in shares]
        else:
            step = (self.high - self.low) / (self.n - 1)
            digits = 0 if self.scale == "integer" else 2 - math.floor(math.log10(step))
            inner = [round(self.low + share * (self.high - self.low), digits) for share in shares]
        stops = {self.low, self.high, self.default, *(v for v in inner if self.low < v < self.high)}
        stops |= {0.0} if self.zero else set()
        number = int if self.scale == "integer" else float
        return tuple(sorted(number(value) for value in stops))

    def parse(self, typed: str) -> float:
        """Read a typed value, which may lie between the stops.

        Raises
        ------
        ValueError
            In words for the learner: what was typed, what is expected.
        """
        text = " ".join(typed.split()).replace("−", "-")  # on one line, as the refusals are
        seen = f"“{text if len(text) <= 30 else text[:30] + '…'}”"
        wanted = f"{self.symbol} takes {self._range()}"
        if not text:
            raise ValueError(f"Nothing was typed: {wanted}.")
        if "," in text:
            raise ValueError(f"{seen} has a comma: write decimals with a point, as in 0.5; {wanted}.")
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{seen} is not a number: {wanted}.") from None
        if not math.isfinite(value):
            raise ValueError(f"{seen} is not a finite number: {wanted}.")
        if not self._holds(value):
            raise ValueError(f"{seen} is {'not among the choices' if self.choices else 'outside the range'}: {wanted}.")
        if self.scale == "integer" and not self.choices:
            if not value.is_integer():
                raise ValueError(f"{seen} is not whole: {wanted}.")
            return int(value)
        return value + 0.0  # -0 becomes 0


@dataclass(frozen=True)
class Choice:
    """A few named options, of which a reader sets one: a row of buttons, reached and pressed by keyboard too.

    Parameters
    ----------
    label : str
        What is chosen, e.g. ``"rule"``; the setting line reads ``rule = derived``.
    options : tuple of str
        Two or more different names, in the order of the buttons.
    default : str
        Which is set at the start and by the reset button.

    Raises
    ------
    ValueError
        If the label or an option is empty, there are fewer than two options or two of one name, or the default is not
        among them.
    """

    label: str
    options: tuple[str, ...]
    default: str

    def __post_init__(self) -> None:
        who = f"Choice {self.label!r}"
        object.__setattr__(self, "options", tuple(self.options))
        if not self.label.strip():
            raise ValueError(f"{who}: the label is empty; say what is chosen.")
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            raise ValueError(f"{who}: options={self.options}; expected two or more different names.")
        if not all(isinstance(option, str) and option.strip() for option in self.options):
            raise ValueError(f"{who}: options={self.options}; expected names that are not empty.")
        if self.default not in self.options:
            raise ValueError(f"{who}: default={self.default!r}; expected {self._range()}.")

    def _range(self) -> str:
        return f"one of {', '.join(self.options)}"

    @property
    def name(self) -> str:
        """The label: a choice has no symbol."""
        return self.label

    def stops(self) -> tuple[str, ...]:
        """The options: what a sweep over all settings goes through."""
        return self.options

    def parse(self, typed: str) -> str:
        """Return the option of this name.

        Raises
        ------
        ValueError
            In words: what was given, what is expected.
        """
        if typed not in self.options:
            raise ValueError(f"“{typed}” is not among the options: {self.label} takes {self._range()}.")
        return typed


Control = Slider | Choice


@dataclass
class Scene:
    """A figure with moving parts.

    Parameters
    ----------
    figure : Figure
        Complete at construction. Its layout is settled then, once, so that nothing shifts when a slider
        moves.
    moving : sequence of Artist
        The artists that ``move`` changes. They are drawn above everything else in the figure, in their own
        zorder (list a legend here too if they must pass beneath it). If ``move`` changes anything beside them
        (axis limits, a title), the whole figure is drawn again: right, only slower.
    move : callable
        ``move(**values) -> str`` sets the moving artists and returns the read-out: one line with the numbers
        that the frame computed. It sets everything that it changes anew each time, so that a frame depends on
        nothing but its values.
    alt : str
        What the picture shows, for those who do not see it.
    handle : Handle, optional
        Two sliders that can also be set by dragging on the picture, inside axes with fixed limits.

    Raises
    ------
    ValueError
        If a moving artist or the handle's axes are not in the figure, the figure is transparent, or ``alt`` is empty.
    """

    figure: Figure
    moving: Sequence[Artist]
    move: Callable[..., str]
    alt: str
    handle: Handle | None = None
    _background: object = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("Scene: alt is empty; describe in a sentence what the picture shows.")
        for artist in self.moving:
            if artist.get_figure(root=True) is not self.figure:
                raise ValueError(f"Scene: the moving artist {artist} is not part of the scene's figure.")
            artist.set_animated(True)  # left out of the background; its changes do not make the figure stale
        if self.handle and self.handle.axes not in self.figure.axes:
            raise ValueError("Scene: the axes of the handle are not part of the scene's figure.")
        if self.figure.patch.get_facecolor()[3] != 1:
            raise ValueError("Scene: the figure is transparent; give it an opaque facecolor.")
        pyplot.close(self.figure)  # the notebook must not show it a second time by itself
        FigureCanvasAgg(self.figure)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def draw(self, compress_level: int, **values: float | str) -> tuple[bytes, str]:
        """Move the artists, draw the frame, and return it as PNG together with the read-out."""
        readout = self.move(**values)
        if not isinstance(readout, str) or not readout.strip() or "\n" in readout:
            raise TypeError(f"Scene: move returned {readout!r}; expected one line of text with the frame's numbers.")
        canvas = self.figure.canvas
        for axes in self.figure.axes:
            axes.get_xlim()  # runs a pending autoscale, which makes the figure stale if it changes anything
        if self._background is None or self.figure.stale:
            canvas.draw()
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        else:
            canvas.restore_region(self._background)
        renderer = canvas.get_renderer()
        for artist in sorted(self.moving, key=_depth):
            artist.draw(renderer)
        self.figure.stale = False
        file = io.BytesIO()
        size = canvas.get_width_height(physical=True)
        picture = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        picture.save(file, format="PNG", compress_level=compress_level)
        return file.getvalue(), readout

    def area(self) -> list[float]:
        """Left, top, width and height of the handle's axes, as shares of the picture's width and height."""
        box = self.handle.axes.get_position()
        return [float(share) for share in (box.x0, 1 - box.y1, box.width, box.height)]

    def locate(self, right: float, down: float) -> tuple[float, float]:
        """Coordinates, in the handle's axes, of a place on the picture.

        Parameters
        ----------
        right, down : float
            Shares of the picture's width, from the left, and of its height, from the top.

        Returns
        -------
        tuple of float
            x and y, rounded to the digit that is about a pixel; beyond the limits where the place is.
        """
        width, height = self.figure.bbox.size
        pixel = [right * width, (1 - down) * height]
        here, next_ = self.handle.axes.transData.inverted().transform([pixel, [pixel[0] + 1, pixel[1] + 1]])
        x, y = (round(float(at), -round(math.log10(abs(to - at)))) for at, to in zip(here, next_, strict=True))
        return x + 0.0, y + 0.0  # -0 becomes 0


def _depth(artist: Artist) -> tuple[float, float]:
    return (math.inf if artist.axes is None else artist.axes.get_zorder(), artist.get_zorder())


def frame(scene: Scene, **values: float | str) -> tuple[bytes, str]:
    """The still picture of a scene: ``(PNG, read-out)``, which depend on the values alone."""
    return scene.draw(STILL, **values)


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
    """A scene with its controls: a bar and a box to type in for each slider, a row of buttons for each choice, a reset
    button, the read-out.

    ``values`` is the one state. Bars, boxes and buttons are set from it, and an event that agrees with it is an echo
    of our own doing, which changes nothing.
    """

    def __init__(self, scene: Scene, sliders: dict[str, Control]) -> None:
        self.scene, self.sliders = scene, sliders
        self.stops = {name: slider.stops() for name, slider in sliders.items()}
        self.values = self.defaults = {name: slider.default for name, slider in sliders.items()}
        column = round(0.9 * max((len(slider.label) for slider in sliders.values()), default=0)) + 1
        self.bars, self.boxes, self.buttons = {}, {}, {}
        for name, slider in sliders.items():
            if isinstance(slider, Choice):
                self.buttons[name] = ipywidgets.ToggleButtons(
                    options=slider.options, value=slider.default,
                    tooltips=[f"{slider.label}: {option}" for option in slider.options],
                    style={"button_width": "8em"}, layout={"width": "max-content", "max_width": "100%"},
                )  # fmt: skip
                self.buttons[name].observe(lambda change, name=name: self._chosen(name, change["new"]), "value")
                continue
            self.bars[name] = _Bar(
                value=self._nearest(name), min=0, max=len(self.stops[name]) - 1, readout=False,
                description=slider.label, tooltip=slider.label, style={"description_width": f"{column}ch"},
                layout={"width": f"calc({column}ch + 22em)", "max_width": "100%"},
            )  # fmt: skip
            self.boxes[name] = ipywidgets.Text(
                value=write(slider.default), continuous_update=False, description=f"{slider.symbol} =",
                tooltip=f"{slider.label}: {slider._range()}", style={"description_width": "initial"},
                layout={"width": "11em"},
            )  # fmt: skip
            self.bars[name].observe(lambda change, name=name: self._dragged(name, change["new"]), "value")
            self.boxes[name].observe(lambda change, name=name: self._typed(name, change["new"]), "value")
        self.reset = ipywidgets.Button(description="Reset", tooltip="Back to the values at the start")
        self.reset.on_click(lambda _: self.restart())
        self.message, self.readout = ipywidgets.HTML(), ipywidgets.HTML()
        png, self.line = self._draw()
        self.picture = self._picture(_address(png))
        self.readout.value = _status(self.line)
        rows = [self._row(name, f"{column}ch") for name in sliders]
        buttons = ipywidgets.HBox([*self._tools(), self.message], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([*rows, buttons, self.picture, self.readout])
        for name in ("widget", "picture", "readout", "message"):
            getattr(self, name).add_class(f"metautil-{name}")

    def _picture(self, address: bytes) -> _Picture | Map:
        """An image, which can be dragged on where the scene has a handle."""
        width = self.scene.figure.canvas.get_width_height()[0]
        layout = {"max_width": "100%", "height": "auto"}
        if self.scene.handle is None:
            return _Picture(value=address, format="url", width=str(width), tooltip=self.scene.alt, layout=layout)
        for name in self.scene.handle[1:]:
            slider = self.sliders.get(name)
            if not isinstance(slider, Slider) or slider.choices or slider.scale == "integer":
                raise ValueError(
                    f"Panel: the scene's handle moves {name!r}, which is {slider}; expected a slider without gaps."
                )
        picture = Map(
            value=address, alt=self.scene.alt, area=self.scene.area(), layout={"width": f"{width}px", **layout}
        )
        picture.observe(lambda change: self._pulled(*change["new"][:2]), "pointer")
        return picture

    def _pulled(self, right: float, down: float) -> None:
        """Set the handle's sliders to a place on the picture, or to the end of the range nearest to it."""
        _, *names = self.scene.handle
        values = {}
        for name, value in zip(names, self.scene.locate(right, down), strict=True):
            values[name] = min(max(value, self.sliders[name].low), self.sliders[name].high)
        if values != {name: self.values[name] for name in names}:
            self.set(**values)

    def _tools(self) -> list[ipywidgets.Widget]:
        """The buttons beneath the controls."""
        return [self.reset]

    def restart(self) -> None:
        """What the reset button does."""
        self.set(**self.defaults)

    def _row(self, name: str, column: str) -> ipywidgets.HBox:
        if name in self.buttons:  # a label of their own: with a description the buttons would go beneath it
            label = ipywidgets.Label(self.sliders[name].label, layout={"width": column, "justify_content": "flex-end"})
            parts = [label, self.buttons[name]]
        else:
            parts = [self.bars[name], self.boxes[name]]
        return ipywidgets.HBox(parts, layout={"flex_flow": "row wrap"})

    def _nearest(self, name: str) -> int:
        stops = self.stops[name]
        return min(range(len(stops)), key=lambda i: abs(stops[i] - self.values[name]))

    def _setting(self) -> str:
        parts = []
        for name, control in self.sliders.items():
            if isinstance(control, Choice):
                parts.append(f"{control.label} = {self.values[name]}")
            else:
                parts.append(f"{control.symbol} = {write(self.values[name])}{' ' * bool(control.unit)}{control.unit}")
        return ", ".join(parts)

    def _draw(self, compress_level: int = LIVE) -> tuple[bytes, str]:
        png, readout = self.scene.draw(compress_level, **self.values)
        return png, f"{self._setting()} · {readout}"

    def _dragged(self, name: str, index: int) -> None:
        if index != self._nearest(name):
            self.set(**{name: self.stops[name][index]})

    def _chosen(self, name: str, option: str) -> None:
        if option != self.values[name]:
            self.set(**{name: option})

    def _typed(self, name: str, text: str) -> None:
        kept = write(self.values[name])
        if text == kept:
            return
        try:
            value = self.sliders[name].parse(text)
        except ValueError as refusal:
            self._say(f"{refusal} {self.sliders[name].symbol} = {kept} is kept.")
            self.boxes[name].value = kept
        else:
            self.set(**{name: value})

    def _say(self, words: str) -> None:
        colour = "color: var(--jp-error-color1, #b00020)"
        self.message.value = f'<span role="alert" style="{colour}">{escape(words)}</span>' if words else ""

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
            self.picture.value = _address(png)
            self.readout.value = _status(self.line)
            self._say("")
        except Exception as error:
            self._say(f"No picture for {self._setting()}: {type(error).__name__}: {error}. The last good one stays.")
            raise
        finally:
            for name, value in self.values.items():
                if name in self.buttons:
                    self.buttons[name].value = value
                else:
                    self.boxes[name].value = write(value)
                    self.bars[name].value = self._nearest(name)

    def publish(self, text: str) -> None:
        """Display the panel as one output with three faces: the live widget, its present picture, and ``text``."""
        faces = {
            WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id},
            "image/png": b64encode(self._draw(STILL)[0]).decode("ascii"),
            "text/plain": text,
        }
        width, height = self.scene.figure.canvas.get_width_height()
        display(faces, raw=True, metadata={"image/png": {"alt": self.scene.alt, "width": width, "height": height}})


def _address(png: bytes) -> bytes:
    """The picture as a data address, which the browser reads sooner than the blob that it would make of bytes."""
    return b"data:image/png;base64," + b64encode(png)


def _status(line: str) -> str:
    return f'<span role="status" aria-live="polite">{escape(line)}</span>'


def show(scene: Scene, **sliders: Control) -> None:
    """Display a scene as one output with three faces: live widget, picture, text.

    Parameters
    ----------
    scene : Scene
        What to draw.
    **sliders : Slider or Choice
        One for each argument of ``scene.move``, under the argument's name.

    Raises
    ------
    TypeError
        If the sliders and the arguments of ``scene.move`` differ.
    """
    try:
        inspect.signature(scene.move).bind(**sliders)
    except TypeError as error:
        takes = ", ".join(inspect.signature(scene.move).parameters) or "none"
        given = ", ".join(sliders) or "none"
        raise TypeError(f"show: sliders {given}; the scene's move takes {takes} ({error}).") from None
    panel = Panel(scene, sliders)
    panel.publish(panel.line)
