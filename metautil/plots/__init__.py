"""Figures: one function a figure. Still ones are shown with `still`, those with sliders are scenes for `sliders.show`."""

from metautil.plots.alphabets import adaptation_explorer, alphabets
from metautil.plots.base import curves, images, still
from metautil.plots.quadratics import bowl_descent, parabola_descent
from metautil.plots.sweeps import sweep_explorer

__all__ = [
    "adaptation_explorer",
    "alphabets",
    "bowl_descent",
    "curves",
    "images",
    "parabola_descent",
    "still",
    "sweep_explorer",
]
