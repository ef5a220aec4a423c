"""Figures: one function a figure. Still ones are shown with `still`, those with sliders are scenes for `sliders.show`."""

from metautil.plots.base import curves, images, still
from metautil.plots.quadratics import bowl_descent, parabola_descent
from metautil.plots.risks import constant_risks, gap, risk_draws, risk_surface
from metautil.plots.sweeps import sweep_explorer

__all__ = [
    "bowl_descent",
    "constant_risks",
    "curves",
    "gap",
    "images",
    "parabola_descent",
    "risk_draws",
    "risk_surface",
    "still",
    "sweep_explorer",
]
