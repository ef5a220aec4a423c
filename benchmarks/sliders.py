"""How long a slider takes: from key press to changed pixels, in headless Chromium on a real JupyterLab.

The yardstick is the least that a widget can do: a bare IntSlider that sets the text of a bare Label. Both
stand in one notebook and are pressed in turn, so that whatever else the machine does meets both alike. After
that, a burst of 20 presses must end on the picture of its last value; if it does not, the measurement fails.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from matplotlib.figure import Figure

from lessons.lesson_03 import figures
from lessons.shared.explorer import explorer
from lessons.shared.problems import OPTIMISERS, PROBLEMS, RULES
from metautil.widgets import Choice, Control, Scene, Slider, frame

PRESSES = 20
ETA = Slider("η", "step size", 0.01, 0.5, default=0.05, n=2 * PRESSES + 3)
SCENES = {
    "one panel, Label": lambda: descents(1),
    "lesson 03, two panels, Label": lambda: figures.parabola_descent(),
    "three panels, Label": lambda: descents(3),
} | {f"explorer, {name}, Label": lambda name=name: explorer(name) for name in PROBLEMS}
CASES = dict.fromkeys(SCENES, 3)
TARGETS = dict.fromkeys(SCENES, 3.0) | {"one panel, Label": 1.8}


def controls(case: str) -> dict[str, Control]:
    """The controls of a case. The first, η, is the one that is pressed."""
    if not case.startswith("explorer"):
        return {"eta": ETA}
    return {
        "eta": ETA,
        "lam": Slider("λ", "weight of the new task", 0.01, 100.0, default=1.0, zero=True),
        "rule": Choice("rule", RULES, default="printed"),
        "optimiser": Choice("optimiser", tuple(OPTIMISERS), default="adam"),
    }


# Waits for the change that the next key press makes. Text is ready when it is in the page, a picture when it is
# decoded. The next animation frame paints it; the frame after that begins with changed pixels and ends the time.
WATCH = """([what, selector]) => {
    const element = document.querySelector(selector);
    let start;
    document.addEventListener('keydown', event => { start = event.timeStamp; }, {capture: true, once: true});
    window.pressed = new Promise(resolve => {
        const painted = () => requestAnimationFrame(() => requestAnimationFrame(now => resolve(now - start)));
        if (what === 'picture') {
            element.addEventListener('load', () => element.decode().then(painted), {once: true});
        } else {
            const observer = new MutationObserver(() => { observer.disconnect(); painted(); });
            observer.observe(element, {childList: true, characterData: true, subtree: true});
        }
    });
}"""
SETUP = """
import ipywidgets
from IPython.display import display
label, slider = ipywidgets.Label("0"), ipywidgets.IntSlider(0, 0, 1000, readout=False)
slider.observe(lambda change: setattr(label, "value", str(change["new"])), "value")
slider.add_class("bare-slider"), label.add_class("bare-label")
display(ipywidgets.VBox([slider, label]))
from benchmarks.sliders import SCENES, controls
from metautil.widgets import show
"""


def descents(panels: int) -> Scene:
    """A scene as lessons have them: in each panel filled contours, a legend, a path and a moving text."""
    figure = Figure(figsize=(6.0, 4.0) if panels == 1 else (10.5, 3.6), layout="constrained")
    x, y = np.meshgrid(np.linspace(-3, 3, 121), np.linspace(-2, 2, 121))
    moving = []
    for index, axes in enumerate(np.atleast_1d(figure.subplots(1, panels))):
        axes.contourf(x, y, x**2 + (index + 2) * y**2, levels=12, cmap="Greys")
        axes.plot(0, 0, "*", markersize=10, label="minimum")
        axes.set(xlabel="θ₁", ylabel="θ₂", title=f"curvature {index + 2}")
        moving += axes.plot([], [], "o-", markersize=3, label="path")
        moving.append(axes.text(-2.8, 1.7, ""))
        axes.legend(loc="lower right")

    def move(eta: float) -> str:
        ends = []
        for index in range(panels):
            factors = 1 - 2 * eta * np.array([1.0, index + 2.0])
            path = np.array([-2.5, 1.5]) * factors ** np.arange(40)[:, None]
            moving[2 * index].set_data(*path.clip(-10, 10).T)
            ends.append(f"{np.linalg.norm(path[-1]):.3g}")
            moving[2 * index + 1].set_text(f"distance {ends[-1]}")
        return f"distance after 39 steps: {', '.join(ends)}"

    return Scene(figure, moving, move, "Paths of gradient descent over the contours of quadratics.")


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """Medians over 20 key presses of both sides, and their ratio; ``seed`` only counts repetitions."""
    from tests.browser import errors, pixels, run_notebook, start_chromium, start_lab

    cells = [SETUP, f"show(SCENES[{case!r}](), **controls({case!r}))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    with tempfile.TemporaryDirectory() as home, start_lab(Path(home)) as lab, start_chromium() as chromium:
        nbformat.write(notebook, lab.folder / "sliders.ipynb")
        with run_notebook(chromium, lab, "sliders.ipynb") as page:
            if problems := errors(page):
                raise RuntimeError(f"{case}: the notebook failed: {'; '.join(problems)}")
            panel = page.locator(".metautil-widget")
            picture, readout = panel.locator("img"), panel.locator(".metautil-readout")
            sides = {
                "label": ("text", ".bare-label", page.locator(".bare-slider .noUi-handle")),
                "picture": ("picture", ".metautil-picture", panel.locator(".noUi-handle").first),
            }
            times: dict[str, list[float]] = {side: [] for side in sides}
            for turn in range(-3, PRESSES):  # the first three warm up
                for side, (what, selector, handle) in sides.items():
                    handle.focus()
                    page.wait_for_timeout(100)  # until the kernel is idle again
                    page.evaluate(WATCH, [what, selector])
                    page.keyboard.press("ArrowRight")
                    taken = page.evaluate("window.pressed")
                    if turn >= 0:
                        times[side].append(taken)
            stops = ETA.stops()
            last = stops.index(ETA.default) + 3 + PRESSES - 20
            for _ in range(20):
                page.keyboard.press("ArrowLeft")
            others = {name: control.default for name, control in controls(case).items()}
            expected, words = frame(SCENES[case](), **(others | {"eta": stops[last]}))
            readout.get_by_text(words).wait_for()
            page.wait_for_timeout(500)
            if words not in readout.inner_text() or not np.array_equal(pixels(picture), pixels(expected)):
                raise AssertionError(
                    f"{case}: after a burst of 20 presses the picture is not that of η = {stops[last]}."
                )
    label, drawn = (statistics.median(times[side]) for side in ("label", "picture"))
    return {"label_ms": (label, "ms"), "picture_ms": (drawn, "ms"), "ratio": (drawn / label, "ratio")}


def main() -> None:
    """Measure every case once and print it beside its target."""
    for case in CASES:
        values = {metric: value for metric, (value, _) in measure(case, 0).items()}
        print(
            f"{case}: {values['picture_ms']:.0f} ms against {values['label_ms']:.0f} ms, "
            f"ratio {values['ratio']:.2f}, target at most {TARGETS[case]}"
        )


if __name__ == "__main__":
    main()
