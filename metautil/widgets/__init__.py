"""What is turned, chosen, dragged or left to run: figures that answer in a running JupyterLab, and are pictures elsewhere."""

from metautil.widgets.controls import Choice, Control, Slider
from metautil.widgets.panels import show
from metautil.widgets.processes import Leg, drive
from metautil.widgets.scenes import Handle, Scene, frame

__all__ = ["Choice", "Control", "Handle", "Leg", "Scene", "Slider", "drive", "frame", "show"]
