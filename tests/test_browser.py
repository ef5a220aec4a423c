"""The notebooks as a learner meets them: in JupyterLab, figures moved by keyboard and by mouse.

Each lesson is opened once, and each of its figures moved once. What is the same for all figures is tried on a notebook of the
tests' own. Pictures of the panels land in ``build/screenshots/``. Without a browser the tests are skipped, with the reason,
unless ``METAUTIL_REQUIRE_BROWSER=1`` asks for a failure.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tests.browser import (
    ROOT,
    Chromium,
    Lab,
    ask,
    errors,
    missing_browser,
    pixels,
    run_notebook,
    settle,
    start_chromium,
    start_lab,
    write_notebook,
)
from tests.frames import inside_changed

pytestmark = pytest.mark.deep
SCREENSHOTS = ROOT / "build" / "screenshots"

# Scenes for the cells below. Two take a while, as large figures do; the tick keeps the kernel busy for about as long as one
# of lesson 07; the learner compares pixels.
SETUP = """
import socket, time
import torch
from matplotlib.figure import Figure
from metautil.widgets import Choice, Handle, Leg, Scene, Slider, drive, show
from lessons.lesson_14.drawing import DrawingPanel, drawings

ETA = Slider("η", "step size", 0.01, 1, default=0.1)
drawn, done = [], []

def falling():
    figure = Figure(figsize=(4, 2))
    line, = figure.add_subplot(ylim=(0, 1)).plot([0, 1], [0, 0])
    def move(eta, side="left"):
        if eta > 0.5:
            raise ZeroDivisionError("no such step")
        line.set_ydata([eta, 0] if side == "left" else [0, eta])
        return f"{eta:.4f} at the {side}"
    return Scene(figure, [line], move, "A line that falls.")

def plane():  # axes that fill the middle of the picture
    figure = Figure(figsize=(4, 2))
    axes = figure.add_axes((0.25, 0.2, 0.5, 0.6), xlim=(-2, 2), ylim=(0, 3))
    point, = axes.plot([0], [0], "P")
    def move(u, v):
        time.sleep(0.03)
        drawn.append((u, v))
        point.set_data([u], [v])
        return f"at ({u:.2f}, {v:.2f})"
    return Scene(figure, [point], move, "A plane with a point.", Handle(axes, "u", "v"))

def growing():
    figure = Figure(figsize=(4, 2))
    line, = figure.add_subplot(xlim=(0, 40), ylim=(0, 6)).plot([0], [0])
    def move(state, eta):
        line.set_data(range(len(state)), state)
        return f"tick {len(state) - 1} at {state[-1]:.4f}"
    return Scene(figure, [line], move, "A line that grows.")

def advance(state, eta):  # refuses a step of 1
    if eta == 1:
        raise FloatingPointError("the step is too long")
    time.sleep(0.03)
    done.append(eta)
    return (*state, state[-1] + eta)

def adapt(support):
    return lambda x: -torch.cdist(x.flatten(1), support.x.flatten(1))

def attempt(call):
    try:
        call()
        print("went through")
    except OSError as error:
        print(error)
"""
CELLS = {
    "setup": SETUP,
    "choice": 'show(falling(), eta=ETA, side=Choice("side", ("left", "right"), default="left"))',
    "drag": """show(plane(), u=Slider("θ₁", "first", -1.5, 2, default=0, scale="linear", n=36),
     v=Slider("θ₂", "second", 0, 3, default=1, scale="linear", n=31))""",
    "drive": 'drive(growing(), lambda: (0.0,), advance, [Leg(5, {"eta": 0.5})], limit=400, eta=ETA)',
    "draw": """board = DrawingPanel(adapt, [*drawings().examples, drawings().queries[2]])
board.publish(board.summary())""",
    "fail": "show(falling(), eta=ETA)",
    "leave": """attempt(lambda: socket.socket().connect(("192.0.2.1", 80)))
attempt(lambda: socket.getaddrinfo("example.org", 80))""",
    "error": 'show(falling(), eta=Slider("η", "step size", 0.01, 1, default=0.6))',
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := missing_browser():
        (pytest.fail if os.environ.get("METAUTIL_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    with start_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def chromium(lab: Lab) -> Iterator[Chromium]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with start_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def own(lab: Lab, chromium: Chromium) -> Iterator[object]:
    """The page with the tests' own notebook."""
    write_notebook(lab, "own.ipynb", list(CELLS.values()))
    with run_notebook(chromium, lab, "own.ipynb") as page:
        assert errors(page) == [f"cell {list(CELLS).index('error')}: ZeroDivisionError: no such step"]
        yield page


class Seen:
    """One panel in the page: its controls, and what a reader sees of it."""

    def __init__(self, panel: object) -> None:
        self.page, self.panel = panel.page, panel
        self.handles, self.boxes = panel.locator(".noUi-handle"), panel.locator("input[type=text]")
        self.picture, self.message = panel.locator("img"), panel.locator(".metautil-message")
        self.choices, self.area = panel.locator(".widget-toggle-buttons"), panel.locator(".metautil-area")
        panel.wait_for()
        self.picture.scroll_into_view_if_needed()

    def button(self, name: str) -> object:
        return self.panel.get_by_role("button", name=name, exact=True)

    def values(self) -> list[str]:
        return [box.input_value() for box in self.boxes.all()]

    def line(self) -> str:
        return self.panel.locator(".metautil-readout").inner_text()

    def look(self) -> tuple[str, np.ndarray]:
        """Read-out and pixels, once nothing is under way any more."""
        settle(self.page)
        return self.line(), pixels(self.picture)

    def wait(self, before: str) -> tuple[str, np.ndarray]:
        """Wait until the read-out is another one; look then."""
        readout = self.panel.locator(".metautil-readout").element_handle()
        self.page.wait_for_function("([element, before]) => element.innerText !== before", arg=[readout, before])
        return self.look()

    def press(self, element: object, key: str, before: str) -> tuple[str, np.ndarray]:
        """Press a key on an element; look when the read-out is another one."""
        element.focus()
        self.page.keyboard.press(key)
        return self.wait(before)

    def back(self, start: tuple[str, np.ndarray], before: str, name: str = "Reset") -> None:
        """Press a button, which brings read-out and picture of the start back, and no message."""
        self.button(name).click()
        line, picture = self.wait(before)
        assert line == start[0] and np.array_equal(picture, start[1]) and self.message.inner_text() == ""

    def share(self, slider: int) -> float:
        """Where the handle stands, from 0 at the left end to 1."""
        now, most = (float(self.handles.nth(slider).get_attribute(f"aria-value{end}")) for end in ("now", "max"))
        return now / most

    def type(self, slider: int, text: str) -> None:
        self.boxes.nth(slider).fill(text)
        self.boxes.nth(slider).press("Enter")

    def pull(self, area: object, *places: tuple[float, float]) -> None:
        """Press at the first place, move through the others, let go; shares of an element, from the left and from the top."""
        area.scroll_into_view_if_needed()
        box, mouse = area.bounding_box(), self.page.mouse
        for position, (right, down) in enumerate(places):
            mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=4)
            if position == 0:
                mouse.down()
        mouse.up()

    def save(self, name: str) -> None:
        self.panel.screenshot(path=SCREENSHOTS / f"{name}.png")


def panel(own: object, name: str) -> Seen:
    """A panel of the tests' own notebook."""
    return Seen(own.locator(".jp-Notebook-cell").nth(list(CELLS).index(name)).locator(".metautil-widget"))


# --- The lessons ---


def with_figures(path: Path) -> nbformat.NotebookNode:
    """A notebook up to its last cell whose figure answers; ``live`` in its metadata counts these cells."""
    notebook = nbformat.read(path, as_version=4)
    live = [position for position, cell in enumerate(notebook.cells) if "figure" in cell.metadata.get("tags", [])
            and re.search(r"\b(?:show|drive|draw_your_own)\(", cell.source)]  # fmt: skip
    notebook.cells = notebook.cells[: max(live, default=-1) + 1]
    notebook.metadata["live"] = len(live)
    return notebook


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_in_lab(path: Path, lab: Lab, chromium: Chromium) -> None:
    """It runs to its last live figure without an error, and each of its figures answers the keyboard."""
    notebook = with_figures(path)
    nbformat.write(notebook, lab.folder / path.name)
    with run_notebook(chromium, lab, path.name) as page:
        assert errors(page) == []
        panels = page.locator(".metautil-widget")
        panels.nth(notebook.metadata["live"] - 1).wait_for()
        assert panels.count() == notebook.metadata["live"] > 0
        for position in range(panels.count()):
            seen = Seen(panels.nth(position))
            start, kind = seen.look(), seen.panel.get_attribute("class")
            if "metautil-drawing" in kind:
                moved = seen.press(seen.button("Clear character 2"), "Enter", start[0])
                assert moved[0] == "still to draw (1 of 6): character 2"
            elif "metautil-drive" in kind:
                moved = drive_a_while(seen, start[0])
            elif seen.handles.count():
                rising = seen.share(0) < 0.5
                before = seen.boxes.first.input_value()
                moved = seen.press(seen.handles.first, "ArrowRight" if rising else "ArrowLeft", start[0])
                assert (float(seen.boxes.first.input_value()) > float(before)) == rising
            else:
                moved = seen.press(seen.choices.locator("button:not(.mod-active)").first, "Enter", start[0])
            assert inside_changed(start[1], moved[1])
            assert seen.handles.count() == seen.boxes.count() and seen.message.inner_text() == ""
            seen.save(f"{path.stem}_panel_{position + 1}")
        assert errors(page) == []
    assert chromium.outside() == [] and lab.refused() == []


def drive_a_while(seen: Seen, before: str) -> tuple[str, np.ndarray]:
    """Start, ask the kernel meanwhile, pause, and go on by one tick."""
    seen.press(seen.button("Start"), "Enter", before)
    waits = sorted(ask(seen.page, "sum(range(10))")[1] for _ in range(5))
    assert waits[2] < 1, f"another cell has to run within a second while a process is driven; it took {waits}"
    seen.button("Pause").click()
    seen.button("Start").wait_for()
    paused = seen.look()[0]
    return seen.press(seen.button("Step"), "Enter", paused)


# --- What is the same for all figures ---


def test_a_slider_in_lab(own: object) -> None:
    """Keyboard, reset, typed, refused, mouse, reset; keys alone lead from a slider to its box, to the buttons, and back."""
    from playwright.sync_api import expect

    seen = panel(own, "choice")
    start = seen.look()
    keyed = seen.press(seen.handles.first, "ArrowRight", start[0])
    value = seen.boxes.first.input_value()
    assert value != "0.1" and inside_changed(start[1], keyed[1])
    seen.back(start, keyed[0])

    seen.type(0, value)
    typed = seen.wait(start[0])
    assert typed[0] == keyed[0] and np.array_equal(typed[1], keyed[1])
    seen.type(0, "a lot")
    seen.message.get_by_text("“a lot” is not a number").wait_for()
    assert f"= {value} is kept" in seen.message.inner_text() and seen.line() == typed[0]
    expect(seen.boxes.first).to_have_value(value)  # waits: the words arrive before the box is put back

    seen.handles.first.scroll_into_view_if_needed()
    box = seen.handles.first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    own.mouse.move(x, y)
    own.mouse.down()
    own.mouse.move(x + 60, y, steps=4)
    own.mouse.up()
    dragged = seen.wait(typed[0])
    assert float(seen.boxes.first.input_value()) > float(value) and inside_changed(typed[1], dragged[1])
    seen.back(start, dragged[0])

    assert seen.panel.get_by_role("img", name="A line that falls.").count() == 1
    assert seen.panel.get_by_label("η =").count() == 1
    seen.handles.first.focus()
    for key in ("Tab", "Control+A", *"0.1234", "Tab"):
        own.keyboard.press(key)
    typed = seen.wait(start[0])
    assert typed[0] == "η = 0.1234, side = left · 0.1234 at the left"
    for key in ("Tab", "Space"):
        own.keyboard.press(key)
    chosen = seen.wait(typed[0])
    assert "side = right" in chosen[0]
    for key in ("Tab", "Enter"):  # the reset button
        own.keyboard.press(key)
    assert seen.wait(chosen[0])[0] == start[0]


def test_a_choice_in_lab(own: object) -> None:
    """The button of the start is the pressed one; another, by mouse or by keyboard, takes its place."""
    seen = panel(own, "choice")
    start, pressed = seen.look(), seen.choices.locator("button.mod-active")
    right = seen.choices.get_by_role("button", name="right")
    assert pressed.all_inner_texts() == ["left"] and right.get_attribute("title") == "side: right"
    right.click()
    clicked = seen.wait(start[0])
    assert "side = right" in clicked[0] and pressed.all_inner_texts() == ["right"]
    assert inside_changed(start[1], clicked[1])
    seen.back(start, clicked[0])
    assert pressed.all_inner_texts() == ["left"]
    keyed = seen.press(right, "Enter", start[0])
    assert keyed[0] == clicked[0] and np.array_equal(keyed[1], clicked[1])
    seen.save("choice")
    seen.back(start, keyed[0])


def test_a_point_is_dragged_in_lab(own: object) -> None:
    """Where the pointer is, there the point goes, to the end of the range at most; sliders and point agree."""
    seen = panel(own, "drag")
    assert seen.panel.get_by_role("img", name="A plane with a point.").count() == 1
    size = seen.picture.bounding_box()
    assert (size["width"], size["height"]) == (400, 200)  # of the figure, at 100 pixels an inch
    start = seen.look()

    def at(u: float, v: float, before: tuple[str, np.ndarray]) -> tuple[str, np.ndarray]:
        """The point is there, within a pixel; so say read-out, boxes and bars."""
        line, picture = seen.wait(before[0])
        found = [float(value) for value in seen.values()]
        assert found == pytest.approx([u, v], abs=0.03)
        assert f"at ({found[0]:.2f}, {found[1]:.2f})" in line and inside_changed(before[1], picture)
        assert [seen.share(0), seen.share(1)] == pytest.approx([(u + 1.5) / 3.5, v / 3], abs=0.03)
        return line, picture

    seen.pull(seen.area, (0.75, 0.25))
    there = at(1.0, 2.25, start)
    before = int(ask(own, "print(len(drawn))")[0])
    path = [(0.75 - 0.005 * i, 0.25 + 0.005 * i) for i in range(51)]  # 201 moves, far faster than pictures
    seen.pull(seen.area, *path)
    there = at(0.0, 1.5, there)
    assert 1 < int(ask(own, "print(len(drawn))")[0]) - before < 100, "the latest place is to be drawn, not each"

    seen.pull(seen.area, (0.5, 0.5), (1.3, -0.2))  # beyond the corner
    there = at(2.0, 3.0, there)
    seen.pull(seen.area, (0.5, 0.5), (-0.2, 0.5))  # the axes reach to -2, the slider to -1.5
    there = at(-1.5, 1.5, there)
    for _ in range(2):  # a second press at the very same place moves the point too
        seen.type(0, "1")  # as the sliders do,
        there = at(1.0, 1.5, there)
        seen.pull(seen.area, (-0.1, 0.5), (0.5, 0.2))  # and a press beside the axes does not
        assert seen.look()[0] == there[0]
        seen.pull(seen.area, (0.25, 0.5))
        there = at(-1.0, 1.5, there)
    seen.save("drag")
    assert seen.message.inner_text() == ""
    seen.back(start, there[0])


CHARACTERS = (
    [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]],  # a cross
    [[(0.1, 0.5), (0.9, 0.5)]],  # a level line
    [[(0.5, 0.1), (0.5, 0.9)]],  # an upright one
    [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2)]],  # a box
    [[(0.2, 0.2), (0.2, 0.8), (0.8, 0.8)]],  # a corner
)


def test_drawings_are_named_in_lab(own: object) -> None:
    """Where the mouse goes there is ink, to the edge at most; each character is named as meant; the keyboard clears."""
    seen = panel(own, "draw")
    cells, start = seen.panel.locator("canvas"), seen.look()

    def inked() -> list[bool]:
        """Whether there is ink in the middle of the first cell, beside it, and in its corner."""
        return cells.first.evaluate(
            """canvas => [[0.5, 0.5], [0.7, 0.5], [0.02, 0.02]].map(([x, y]) => canvas.getContext('2d')
                .getImageData(Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data[3] > 0)"""
        )

    tops = [cells.nth(cell).bounding_box()["y"] for cell in range(6)]
    assert cells.count() == 6 and max(tops) - min(tops) < 1, "the cells stand side by side"
    seen.button("Clear all").click()
    line = seen.wait(start[0])[0]
    assert line.startswith("still to draw (6 of 6): character 1, character 2,") and inked() == [False] * 3
    seen.pull(cells.first, (0.5, 0.5), (-0.4, -0.4))  # past the corner
    line = seen.wait(line)[0]
    assert inked() == [True, False, True] and line.startswith("still to draw (5 of 6): character 2,")
    stroke = json.loads(ask(own, "import json; print(json.dumps(board.pad.drawings[0]))")[0])
    assert len(stroke) == 1 and stroke[0][0] == pytest.approx([0.5, 0.5], abs=0.01) and stroke[0][-1] == [0, 0]
    line = seen.press(seen.button("Clear character 1"), "Enter", line)[0]
    assert line.startswith("still to draw (6 of 6): character 1,") and inked() == [False] * 3

    for cell, strokes in enumerate(CHARACTERS):
        for stroke in strokes:
            seen.pull(cells.nth(cell), *stroke)
    for number, strokes in enumerate(CHARACTERS, start=1):
        seen.panel.get_by_text("still to draw (1 of 6): the sixth drawing").wait_for()
        for stroke in strokes:  # smaller, and elsewhere
            seen.pull(cells.nth(5), *((0.3 + 0.6 * x, 0.1 + 0.6 * y) for x, y in stroke))
        seen.panel.get_by_text(f"the sixth drawing is character {number}").wait_for()
        line, picture = seen.look()
        assert f"character {number}" in line and inside_changed(start[1], picture)
        seen.button("Clear the sixth drawing").click()
    seen.save("draw")
    seen.back(start, seen.wait(line)[0], "Saved drawings")


def goes_on(page: object) -> bool:
    count = lambda: int(ask(page, "print(len(done))")[0])  # noqa: E731
    before = count()
    page.wait_for_timeout(200)  # four ticks
    return count() > before


def test_a_process_is_driven_in_lab(own: object) -> None:
    """Start, pause, step, reset, a slider meanwhile; the kernel answers; closing or running the cell again stops it."""
    seen = panel(own, "drive")

    def start() -> None:
        seen.button("Start").click()
        seen.button("Pause").wait_for()
        assert goes_on(own)

    def run(command: str) -> None:
        own.evaluate(
            """async ([cell, command]) => {
                jupyterapp.shell.currentWidget.content.activeCellIndex = cell;
                await jupyterapp.commands.execute(command);
            }""",
            [list(CELLS).index("drive"), command],
        )

    scripted = seen.look()
    assert "η = 0.5 · tick 5 at 2.5000" in scripted[0] and not goes_on(own)
    seen.button("Step").click()
    stepped = seen.wait(scripted[0])[0]
    assert "tick 6 at 3.0000" in stepped
    seen.button("Reset").click()
    fresh = seen.wait(stepped)
    assert "η = 0.1 · tick 0 at 0.0000" in fresh[0]

    start()
    answers = [ask(own, "print(sum(range(10)))") for _ in range(5)]
    assert [text for text, _ in answers] == ["45"] * 5 and max(seconds for _, seconds in answers) < 1
    seen.type(0, "0.2")  # while it runs
    seen.panel.get_by_text("η = 0.2 · tick").wait_for()
    assert goes_on(own)
    seen.button("Pause").click()
    seen.button("Start").wait_for()
    assert not goes_on(own)
    etas = ask(own, "print(*done[6:])")[0].split()  # after five ticks of the script and one step
    assert etas == sorted(etas) and set(etas) == {"0.1", "0.2"}
    stopped = seen.look()
    tick = int(re.search(r"tick (\d+)", stopped[0])[1])
    assert tick == len(etas) and inside_changed(fresh[1], stopped[1])
    seen.save("drive")

    seen.button("Step").click()
    assert f"tick {tick + 1} at" in seen.wait(stopped[0])[0]
    seen.type(0, "1")
    seen.button("Start").click()
    seen.message.get_by_text("Stopped: the step is too long").wait_for()
    seen.button("Start").wait_for()
    assert f"tick {tick + 1} at" in seen.line() and not goes_on(own)

    seen.button("Reset").click()
    start()
    run("notebook:run-cell")
    own.wait_for_function("() => document.querySelectorAll('.metautil-drive').length === 1")
    seen.panel.get_by_text("tick 5 at 2.5000").wait_for()
    assert not goes_on(own), "running the cell again has to stop the training"
    start()
    run("notebook:clear-cell-output")
    seen.panel.wait_for(state="detached")
    settle(own)
    assert not goes_on(own), "closing the output has to stop the training"


def test_what_goes_wrong_is_seen(own: object, lab: Lab, chromium: Chromium) -> None:
    """Values that are refused, a move that fails, attempts to leave the machine."""
    assert own.locator(".jp-OutputArea").get_by_text("went through").count() == 0
    assert lab.refused() == ["socket.connect 192.0.2.1", "socket.getaddrinfo example.org"]
    own.evaluate("fetch('http://192.0.2.1/').catch(() => null)")
    assert chromium.outside() == ["http://192.0.2.1/"]

    seen = panel(own, "fail")
    start = seen.look()
    for text, words in {"0,2": "comma", "7": "outside the range", "": "Nothing was typed"}.items():
        seen.type(0, text)
        seen.message.get_by_text(words).wait_for()
        settle(own)
        assert "η = 0.1 is kept" in seen.message.inner_text() and seen.values() == ["0.1"]
    seen.type(0, "0.7")
    seen.message.get_by_text("No picture for η = 0.7: ZeroDivisionError: no such step").wait_for()
    after = seen.look()
    assert after[0] == start[0] and np.array_equal(after[1], start[1])
    seen.save("broken_move")
    seen.type(0, "0.3")
    final = seen.wait(start[0])
    assert "0.3000 at the left" in final[0] and seen.message.inner_text() == "" and inside_changed(start[1], final[1])
