"""Pictures without sliders: how one is shown, and two that several lessons draw."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence

from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, VERMILION


def still(figure: Figure, text: str, alt: str) -> None:
    """Show a figure that has no sliders: a picture, and ``text`` with the numbers behind it.

    Parameters
    ----------
    figure : Figure
    text : str
        One line with the numbers that the figure draws; tests compare it, screen readers read it.
    alt : str
        What the picture shows, for those who do not see it.

    Raises
    ------
    ValueError
        If ``text`` or ``alt`` is empty.
    """
    if not text.strip() or not alt.strip():
        raise ValueError("still: both the line of numbers and the alternative text are needed; one is empty.")
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    faces = {"image/png": b64encode(file.getvalue()).decode("ascii"), "text/plain": text}
    display(faces, raw=True, metadata={"image/png": {"alt": alt}})


def images(pictures: Tensor, labels: Sequence[str], columns: int = 10) -> Figure:
    """Draw grey images (N, 1, height, width) with values in [0, 1] in a grid, each under its label; call `still` on it."""
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(0.75 * columns, 0.95 * rows))
    for index, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(picture[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(labels[index], fontsize=9)
        axes.set_axis_off()
    return figure


def curves(named: dict[str, Tensor], x_label: str, y_label: str) -> Figure:
    """Draw curves on a logarithmic axis over the step, one line style each; call `still` on it.

    Parameters
    ----------
    named : dict of str to Tensor
        Legend entry to values, shape (steps + 1,), positive.
    x_label, y_label : str
        With units where there are any.
    """
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, yscale="log")
    for (name, values), colour, style in zip(
        named.items(), (BLUE, VERMILION, GREEN, BLACK), ("-", "--", ":", "-."), strict=False
    ):
        axes.plot(values.numpy(), style, color=colour, label=name)
    axes.legend()
    return figure
