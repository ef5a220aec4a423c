"""Figures: one function a figure. Still ones are shown with `still`, those with sliders are scenes for `sliders.show`."""

from metautil.plots.adaptation import adaptation_map, first_order_error
from metautil.plots.alphabets import adaptation_explorer, alphabets
from metautil.plots.augmentations import augmentations
from metautil.plots.base import curves, images, still
from metautil.plots.convolution import convolution_window
from metautil.plots.episodes import episodes
from metautil.plots.explorer import explorer
from metautil.plots.few_shot import companions, disturbed_support, inner_steps, task_supply, ways_and_shots
from metautil.plots.meta_features import centres, embedding_map, layer_changes
from metautil.plots.quadratics import bowl_descent, parabola_descent
from metautil.plots.risks import constant_risks, gap, risk_draws, risk_surface
from metautil.plots.sinusoids import adapting, few_tasks, kernels, pooled_waves
from metautil.plots.sweeps import sweep_explorer
from metautil.plots.training import confusion, driven_training, filters, stored_sweep
from metautil.plots.two_risks import dented_front, stability_map, two_risks

__all__ = [
    "adaptation_explorer",
    "adaptation_map",
    "adapting",
    "alphabets",
    "augmentations",
    "bowl_descent",
    "centres",
    "companions",
    "confusion",
    "constant_risks",
    "convolution_window",
    "curves",
    "dented_front",
    "disturbed_support",
    "driven_training",
    "embedding_map",
    "episodes",
    "explorer",
    "few_tasks",
    "filters",
    "first_order_error",
    "gap",
    "images",
    "inner_steps",
    "kernels",
    "layer_changes",
    "parabola_descent",
    "pooled_waves",
    "risk_draws",
    "risk_surface",
    "stability_map",
    "still",
    "stored_sweep",
    "sweep_explorer",
    "task_supply",
    "two_risks",
    "ways_and_shots",
]
