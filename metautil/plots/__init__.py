"""Figures: one function a figure. Still ones are shown with `still`, those with sliders are scenes for `sliders.show`."""

from metautil.plots.base import curves, images, still
from metautil.plots.explorer import explorer
from metautil.plots.quadratics import bowl_descent, parabola_descent
from metautil.plots.sweeps import sweep_explorer

__all__ = ["bowl_descent", "curves", "explorer", "images", "parabola_descent", "still", "sweep_explorer"]
