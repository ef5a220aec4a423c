"""What is turned, chosen, dragged or left to run: figures that answer in a running JupyterLab, and are pictures elsewhere."""

from metautil.widgets.map import Handle
from metautil.widgets.processes import Leg, drive
from metautil.widgets.sliders import Choice, Scene, Slider, show

__all__ = ["Choice", "Handle", "Leg", "Scene", "Slider", "drive", "show"]
