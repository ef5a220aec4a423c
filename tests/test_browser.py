"""The notebooks as a learner meets them: in JupyterLab, sliders moved by keyboard and by mouse.

Screenshots land in ``build/screenshots/``. Without a browser the tests are skipped, with the reason, unless
``METAUTIL_REQUIRE_BROWSER=1`` asks for a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tests.browser import (
    ROOT,
    Chromium,
    Lab,
    errors,
    missing_browser,
    pixels,
    run_notebook,
    start_chromium,
    start_lab,
)

SCREENSHOTS = ROOT / "build" / "screenshots"


def has_sliders(notebook: Path) -> bool:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = ["".join(cell["source"]) for cell in cells if "figure" in cell["metadata"].get("tags", [])]
    return any(re.search(r"\b(?:show|drive|draw_your_own)\(", source) for source in tagged)


NOTEBOOKS = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if has_sliders(path)]

FIXTURE = [
    """
from matplotlib.figure import Figure
from metautil.widgets.sliders import Scene, Slider, show

def scene():
    figure = Figure(figsize=(4, 2))
    line, = figure.add_subplot(ylim=(0, 1)).plot([0, 1], [0, 0])
    def move(eta):
        if eta > 0.5:
            raise ZeroDivisionError("no such step")
        line.set_ydata([eta, 0])
        return f"start {eta:.4f}"
    return Scene(figure, [line], move, "A line that falls.")
""",
    'show(scene(), eta=Slider("η", "step size", 0.01, 1, default=0.1))',
    """
import socket
def connect():
    socket.socket().connect(("192.0.2.1", 80))
def look_up():
    socket.getaddrinfo("example.org", 80)
for call in connect, look_up:
    try:
        call()
        print("went through")
    except OSError as error:
        print(error)
""",
    'show(scene(), eta=Slider("η", "step size", 0.01, 1, default=0.6))',
]


CHOICE = [
    """
from matplotlib.figure import Figure
from metautil.widgets.sliders import Choice, Scene, Slider, show

figure = Figure(figsize=(4, 2))
line, = figure.add_subplot(ylim=(0, 1)).plot([0, 1], [0, 0])
def move(eta, side):
    line.set_ydata([eta, 0] if side == "left" else [0, eta])
    return f"{eta:.4f} at the {side}"
scene = Scene(figure, [line], move, "A line with a high and a low end.")
""",
    """
show(scene, eta=Slider("η", "step size", 0.01, 1, default=0.1), side=Choice("side", ("left", "right"), default="left"))
""",
]

# Axes that fill the middle of the picture, and a move that takes a while, as a large figure does.
DRAG = [
    """
import time
from matplotlib.figure import Figure
from metautil.widgets.map import Handle
from metautil.widgets.sliders import Scene, Slider, show

figure = Figure(figsize=(4, 2))
plane = figure.add_axes((0.25, 0.2, 0.5, 0.6), xlim=(-2, 2), ylim=(0, 3))
point, = plane.plot([0], [0], "P")
drawn = []
def move(u, v):
    time.sleep(0.03)
    drawn.append((u, v))
    point.set_data([u], [v])
    return f"at ({u:.2f}, {v:.2f})"
scene = Scene(figure, [point], move, "A plane with a point.", Handle(plane, "u", "v"))
""",
    """
show(scene, u=Slider("θ₁", "first", -1.5, 2, default=0, scale="linear", n=36),
     v=Slider("θ₂", "second", 0, 3, default=1, scale="linear", n=31))
""",
]

# A process whose tick keeps the kernel busy for about as long as a tick of lesson 07 does, and refuses a step of 1.
DRIVE = [
    """
import time
from matplotlib.figure import Figure
from metautil.widgets.processes import Leg, drive
from metautil.widgets.sliders import Scene, Slider

figure = Figure(figsize=(4, 2))
line, = figure.add_subplot(xlim=(0, 40), ylim=(0, 6)).plot([0], [0])
done = []
def move(state, eta):
    line.set_data(range(len(state)), state)
    return f"tick {len(state) - 1} at {state[-1]:.4f}"
def advance(state, eta):
    if eta == 1:
        raise FloatingPointError("the step is too long")
    end = time.perf_counter() + 0.03
    while time.perf_counter() < end:
        pass
    done.append(eta)
    return (*state, state[-1] + eta)
scene = Scene(figure, [line], move, "A line that grows.")
""",
    """
drive(scene, lambda: (0.0,), advance, [Leg(5, {"eta": 0.5})], limit=400,
      eta=Slider("η", "step size", 0.01, 1, default=0.1))
""",
]

# A learner that compares pixels.
DRAW = [
    """
import torch
from lessons.lesson_14.drawing import DrawingPanel, drawings

def adapt(support):
    return lambda x: -torch.cdist(x.flatten(1), support.x.flatten(1))
board = DrawingPanel(adapt, [*drawings().examples, drawings().queries[2]])
""",
    "board.publish(board.summary())",
]


@pytest.fixture(scope="module")
def browser() -> None:
    reason = missing_browser()
    if reason and os.environ.get("METAUTIL_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def lab(browser: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with start_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def chromium(browser: None) -> Iterator[Chromium]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with start_chromium() as chromium:
        yield chromium


class Seen:
    """One panel in the page: its controls, and what a reader sees of it."""

    def __init__(self, page: object, position: int = 0) -> None:
        self.page = page
        self.panel = page.locator(".metautil-widget").nth(position)
        self.handles, self.boxes = self.panel.locator(".noUi-handle"), self.panel.locator("input[type=text]")
        self.picture, self.message = self.panel.locator("img"), self.panel.locator(".metautil-message")
        self.choices = self.panel.locator(".widget-toggle-buttons")
        self.area = self.panel.locator(".metautil-area")
        self.reset = self.panel.get_by_role("button", name="Reset")
        self.picture.scroll_into_view_if_needed()

    def line(self) -> str:
        return self.panel.locator(".metautil-readout").inner_text()

    def look(self) -> tuple[str, np.ndarray]:
        """Read-out and pixels."""
        return self.line(), pixels(self.picture)

    def wait(self, before: str) -> tuple[str, np.ndarray]:
        """Wait until the read-out is another one, and the kernel has nothing more to say; look then."""
        readout = self.panel.locator(".metautil-readout").element_handle()
        self.page.wait_for_function("([element, before]) => element.innerText !== before", arg=[readout, before])
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )
        self.page.wait_for_timeout(150)
        return self.look()

    def share(self, slider: int) -> float:
        """Where the handle stands, from 0 at the left end to 1."""
        now, most = (float(self.handles.nth(slider).get_attribute(f"aria-value{end}")) for end in ("now", "max"))
        return now / most

    def type(self, slider: int, text: str) -> None:
        self.boxes.nth(slider).fill(text)
        self.boxes.nth(slider).press("Enter")

    def drag(self, slider: int, distance: float) -> None:
        self.handles.nth(slider).scroll_into_view_if_needed()
        box = self.handles.nth(slider).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + distance, y, steps=4)
        self.page.mouse.up()

    def pull(self, *places: tuple[float, float]) -> None:
        """Press at the first place, move through the others, let go; shares of the area, from the left and from the top."""
        self.picture.scroll_into_view_if_needed()
        box = self.area.bounding_box()
        for position, (right, down) in enumerate(places):
            self.page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=8)
            if position == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def stroke(self, cell: int, *places: tuple[float, float]) -> None:
        """Draw a stroke in one of the cells for drawings; shares of the cell, from the left and from the top."""
        paper = self.panel.locator("canvas").nth(cell)
        paper.scroll_into_view_if_needed()
        box = paper.bounding_box()
        for position, (right, down) in enumerate(places):
            self.page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=3)
            if position == 0:
                self.page.mouse.down()
        self.page.mouse.up()


def inside_changed(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether pixels changed in the inner part of the picture, away from labels and titles."""
    height, width = before.shape[:2]
    inner = (slice(height // 6, height * 5 // 6), slice(width // 10, width * 9 // 10))
    return before.shape == after.shape and bool((before[inner] != after[inner]).any())


def drive(seen: Seen, slider: int) -> None:
    """Keyboard, reset, typed, refused, mouse, reset."""
    start = seen.look()
    default = seen.boxes.nth(slider).input_value()

    seen.handles.nth(slider).focus()
    rising = seen.share(slider) < 0.5
    seen.page.keyboard.press("ArrowRight" if rising else "ArrowLeft")
    keyed = seen.wait(start[0])
    value = seen.boxes.nth(slider).input_value()
    assert value != default
    assert inside_changed(start[1], keyed[1])

    seen.reset.click()
    back = seen.wait(keyed[0])
    assert back[0] == start[0] and np.array_equal(back[1], start[1])

    seen.type(slider, value)
    typed = seen.wait(start[0])
    assert typed[0] == keyed[0] and np.array_equal(typed[1], keyed[1])

    seen.type(slider, "a lot")
    seen.message.get_by_text("“a lot” is not a number").wait_for()
    assert f"= {value} is kept" in seen.message.inner_text()
    assert seen.line() == typed[0]
    from playwright.sync_api import expect

    expect(seen.boxes.nth(slider)).to_have_value(value)  # waits: the words arrive before the box is put back

    seen.drag(slider, 60 if rising else -60)
    dragged = seen.wait(typed[0])
    moved = float(seen.boxes.nth(slider).input_value()) - float(value)
    assert moved > 0 if rising else moved < 0
    assert inside_changed(typed[1], dragged[1])
    assert seen.message.inner_text() == ""

    seen.reset.click()
    back = seen.wait(dragged[0])
    assert back[0] == start[0] and np.array_equal(back[1], start[1])


def drag(seen: Seen) -> None:
    """On the picture: a press, a drag from there, two boxes that follow, reset."""
    start, values = seen.look(), lambda: [box.input_value() for box in seen.boxes.all()]
    default = values()
    seen.pull((0.4, 0.6))
    pressed, there = seen.wait(start[0]), values()
    assert inside_changed(start[1], pressed[1])
    seen.pull((0.4, 0.6), (0.7, 0.3))
    dragged, final = seen.wait(pressed[0]), values()
    assert inside_changed(pressed[1], dragged[1])
    moved = [position for position, value in enumerate(final) if value != default[position]]
    assert len(moved) == 2 and all(f"= {final[position]}" in dragged[0] for position in moved)
    assert all(float(final[position]) > float(there[position]) for position in moved)
    seen.reset.click()
    back = seen.wait(dragged[0])
    assert back[0] == start[0] and np.array_equal(back[1], start[1]) and values() == default


def choose(seen: Seen, choice: int) -> None:
    """Mouse, reset, keyboard, reset: every option but the one of the start, which is the pressed one."""
    buttons = seen.choices.nth(choice).get_by_role("button")
    label = buttons.first.get_attribute("title").split(":")[0]
    start = seen.look()
    pressed = seen.choices.nth(choice).locator("button.mod-active")
    default = pressed.inner_text()
    assert buttons.count() >= 2 and pressed.count() == 1 and f"{label} = {default}" in start[0]
    for position in range(buttons.count()):
        option = buttons.nth(position).inner_text()
        if option == default:
            continue
        buttons.nth(position).click()
        clicked = seen.wait(start[0])
        assert f"{label} = {option}" in clicked[0] and pressed.inner_text() == option
        assert inside_changed(start[1], clicked[1])
        seen.reset.click()
        back = seen.wait(clicked[0])
        assert back[0] == start[0] and np.array_equal(back[1], start[1]) and pressed.inner_text() == default
        buttons.nth(position).focus()
        seen.page.keyboard.press("Enter")
        keyed = seen.wait(start[0])
        assert keyed[0] == clicked[0] and np.array_equal(keyed[1], clicked[1])
        seen.reset.click()
        seen.wait(keyed[0])
    assert seen.message.inner_text() == ""


CHARACTERS = (
    [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]],  # a cross
    [[(0.1, 0.5), (0.9, 0.5)]],  # a level line
    [[(0.5, 0.1), (0.5, 0.9)]],  # an upright one
    [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2)]],  # a box
    [[(0.2, 0.2), (0.2, 0.8), (0.8, 0.8)]],  # a corner
)


def draw(seen: Seen, read: Sequence[int] = ()) -> None:
    """Clear all cells, draw five characters with the mouse and some again as the sixth, clear one cell, and go back.

    ``read`` are the characters that are drawn again, numbers from 1, of which the learner is to name each.
    """
    start, panel = seen.look(), seen.panel
    assert "the sixth drawing is character" in start[0]
    panel.get_by_role("button", name="Clear all").click()
    assert seen.wait(start[0])[0].startswith("still to draw (6 of 6): character 1, character 2,")
    for cell, strokes in enumerate(CHARACTERS):
        for stroke in strokes:
            seen.stroke(cell, *stroke)
    for again, character in enumerate(read or (5,)):
        if again:
            panel.get_by_role("button", name="Clear the sixth drawing").click()
        panel.get_by_text("still to draw (1 of 6): the sixth drawing").wait_for()
        for stroke in CHARACTERS[character - 1]:  # smaller, and elsewhere
            seen.stroke(5, *((0.3 + 0.6 * x, 0.1 + 0.6 * y) for x, y in stroke))
        panel.get_by_text(f"the sixth drawing is character {character if read else ''}").wait_for()
    drawn = seen.look()
    assert inside_changed(start[1], drawn[1])
    panel.screenshot(path=SCREENSHOTS / "draw.png")
    panel.get_by_role("button", name="Clear character 2").click()
    cleared = seen.wait(drawn[0])[0]
    assert cleared == "still to draw (1 of 6): character 2"
    panel.get_by_role("button", name="Saved drawings").click()
    back = seen.wait(cleared)
    assert back[0] == start[0] and np.array_equal(back[1], start[1]) and seen.message.inner_text() == ""


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_in_lab(notebook: Path, lab: Lab, chromium: Chromium) -> None:
    shutil.copy(notebook, lab.folder / notebook.name)
    with run_notebook(chromium, lab, notebook.name) as page:
        page.screenshot(path=SCREENSHOTS / f"{notebook.stem}.png")
        assert errors(page) == []
        page.locator(".metautil-widget").first.wait_for()
        for position in range(page.locator(".metautil-widget").count()):
            seen = Seen(page, position)
            if seen.panel.locator("xpath=self::*[contains(@class, 'metautil-drawing')]").count():
                draw(seen)
                seen.panel.screenshot(path=SCREENSHOTS / f"{notebook.stem}_panel_{position + 1}.png")
                continue
            if seen.panel.locator("xpath=self::*[contains(@class, 'metautil-drive')]").count():
                run_for_a_while(seen)
                seen.panel.screenshot(path=SCREENSHOTS / f"{notebook.stem}_panel_{position + 1}.png")
                continue
            assert seen.handles.count() == seen.boxes.count()
            assert seen.handles.count() + seen.choices.count() >= 1
            for slider in range(seen.handles.count()):
                drive(seen, slider)
            for choice in range(seen.choices.count()):
                choose(seen, choice)
            if seen.area.count():
                drag(seen)
            if seen.handles.count():
                seen.handles.first.focus()
                page.keyboard.press("ArrowRight")
            page.wait_for_timeout(300)
            seen.panel.screenshot(path=SCREENSHOTS / f"{notebook.stem}_panel_{position + 1}.png")
    assert chromium.outside() == []
    assert lab.refused() == []


def test_the_first_lessons_have_sliders() -> None:
    assert {"00_start_here", "03_the_gradient_update"} <= {path.stem for path in NOTEBOOKS}


def test_a_choice_in_lab(lab: Lab, chromium: Chromium) -> None:
    """Buttons by mouse and by keyboard; from the slider's box the Tab key alone leads to them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CHOICE])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "choice.ipynb")
    with run_notebook(chromium, lab, "choice.ipynb") as page:
        page.locator(".metautil-widget").first.wait_for()
        assert errors(page) == []
        seen = Seen(page)
        drive(seen, 0)
        choose(seen, 0)
        start = seen.look()
        seen.boxes.first.focus()
        for key in ("Tab", "Tab", "Space"):
            page.keyboard.press(key)
        assert "side = right" in seen.wait(start[0])[0]
        seen.panel.screenshot(path=SCREENSHOTS / "choice.png")


def test_a_point_is_dragged_in_lab(lab: Lab, chromium: Chromium) -> None:
    """Where the pointer is, there the point goes, to the end of the range at most; sliders and point agree."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in DRAG])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "drag.ipynb")
    with run_notebook(chromium, lab, "drag.ipynb") as page:
        page.locator(".metautil-area").wait_for()
        assert errors(page) == []
        seen = Seen(page)
        assert seen.panel.get_by_role("img", name="A plane with a point.").count() == 1
        size = seen.picture.bounding_box()
        assert (size["width"], size["height"]) == (400, 200)  # of the figure, at 100 pixels an inch
        drag(seen)
        start = seen.look()

        def at(u: float, v: float, before: str) -> str:
            """The point is there, within a pixel; so say read-out, boxes and bars. Returns the read-out."""
            line = seen.wait(before)[0]
            found = [float(box.input_value()) for box in seen.boxes.all()]
            assert found == pytest.approx([u, v], abs=0.03)
            assert f"at ({found[0]:.2f}, {found[1]:.2f})" in line
            assert [seen.share(0), seen.share(1)] == pytest.approx([(u + 1.5) / 3.5, v / 3], abs=0.03)
            return line

        seen.pull((0.75, 0.25))
        line = at(1.0, 2.25, start[0])
        before = int(ask(page, "print(len(drawn))")[0])
        path = [(0.75 - 0.005 * i, 0.25 + 0.005 * i) for i in range(51)]  # 401 moves, far faster than pictures
        seen.pull(*path)
        line = at(0.0, 1.5, line)
        assert 1 < int(ask(page, "print(len(drawn))")[0]) - before < 200, "the latest place is to be drawn, not each"

        seen.pull((0.5, 0.5), (1.3, -0.2))  # beyond the corner
        line = at(2.0, 3.0, line)
        seen.pull((0.5, 0.5), (-0.2, 0.5))  # the axes reach to -2, the slider to -1.5
        line = at(-1.5, 1.5, line)

        seen.type(0, "1")  # the sliders move the point,
        line = at(1.0, 1.5, line)
        seen.pull((-0.1, 0.5), (0.5, 0.2))  # a press beside the axes does not,
        page.mouse.move(0, 0)
        seen.page.wait_for_timeout(300)
        assert seen.line() == line
        seen.pull((0.25, 0.5))
        line = at(-1.0, 1.5, line)
        seen.type(0, "1")
        line = at(1.0, 1.5, line)
        seen.pull((0.25, 0.5))  # and a second one at the very same place does
        line = at(-1.0, 1.5, line)
        seen.panel.screenshot(path=SCREENSHOTS / "drag.png")
        assert seen.message.inner_text() == ""
        seen.reset.click()
        back = seen.wait(line)
        assert back[0] == start[0] and np.array_equal(back[1], start[1])
    assert chromium.outside() == []


def test_drawings_are_named_in_lab(lab: Lab, chromium: Chromium) -> None:
    """Where the mouse goes there is ink, to the edge at most; each character is named as meant; the keyboard clears."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in DRAW])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "draw.ipynb")
    with run_notebook(chromium, lab, "draw.ipynb") as page:
        page.locator("canvas").nth(5).wait_for()
        assert errors(page) == []
        seen = Seen(page)
        start = seen.look()
        draw(seen, read=(1, 2, 3, 4, 5))

        def inked() -> list[bool]:
            """Whether there is ink in the middle of the first cell, beside it, and in its corner."""
            return page.locator("canvas").first.evaluate(
                """canvas => [[0.5, 0.5], [0.7, 0.5], [0.02, 0.02]].map(([x, y]) => canvas.getContext('2d')
                    .getImageData(Math.round(x * canvas.width), Math.round(y * canvas.height), 1, 1).data[3] > 0)"""
            )

        seen.panel.get_by_role("button", name="Clear all").click()
        line = seen.wait(start[0])[0]
        assert inked() == [False, False, False]
        seen.stroke(0, (0.5, 0.5), (-0.4, -0.4))  # past the corner
        line = seen.wait(line)[0]
        assert inked() == [True, False, True] and line.startswith("still to draw (5 of 6): character 2,")
        stroke = json.loads(ask(page, "import json; print(json.dumps(board.pad.drawings[0]))")[0])
        assert len(stroke) == 1 and stroke[0][0] == pytest.approx([0.5, 0.5], abs=0.01) and stroke[0][-1] == [0, 0]
        seen.panel.get_by_role("button", name="Clear character 1").focus()
        page.keyboard.press("Enter")
        assert seen.wait(line)[0].startswith("still to draw (6 of 6): character 1,") and inked() == [False] * 3
        tops = [page.locator("canvas").nth(cell).bounding_box()["y"] for cell in range(6)]
        assert max(tops) - min(tops) < 1, "the cells stand side by side"
        assert seen.message.inner_text() == "" and errors(page) == []
    assert chromium.outside() == []
    assert lab.refused() == []


def ask(page: object, code: str) -> tuple[str, float]:
    """What a cell with ``code`` prints, and the seconds until it is done."""
    return page.evaluate(
        """async code => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code});
            let text = '';
            future.onIOPub = message => { text += message.content.text ?? ''; };
            const begin = performance.now();
            await future.done;
            return [text.trim(), (performance.now() - begin) / 1000];
        }""",
        code,
    )


def ticks(page: object) -> int:
    return int(ask(page, "print(len(done))")[0])


def goes_on(page: object) -> bool:
    before = ticks(page)
    page.wait_for_timeout(400)
    return ticks(page) > before


def run_for_a_while(seen: Seen) -> None:
    """Start, see the figure grow while the kernel answers, pause, and go back to the start and its settings."""
    start, (page, panel) = seen.look(), (seen.page, seen.panel)
    panel.get_by_role("button", name="Start", exact=True).click()
    waits = sorted(ask(page, "sum(range(10))")[1] for _ in range(5))
    assert waits[2] < 1, f"another cell has to run within a second while a process is driven; it took {waits}"
    page.wait_for_timeout(500)
    panel.get_by_role("button", name="Pause", exact=True).click()
    grown = seen.wait(start[0])
    assert inside_changed(start[1], grown[1])
    for slider in range(seen.handles.count()):
        seen.handles.nth(slider).focus()
        page.keyboard.press("ArrowRight")
        turned = seen.wait(grown[0])
        assert (grown[1] != turned[1]).any()  # the mark of the present setting, which may stand near the right edge
        grown = turned
    panel.get_by_role("button", name="Step", exact=True).click()
    seen.wait(grown[0])
    assert seen.message.inner_text() == ""


def test_a_process_is_driven_in_lab(lab: Lab, chromium: Chromium) -> None:
    """Start, pause, step, reset, a slider meanwhile; the kernel answers; closing or running the cell again stops it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in DRIVE])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "drive.ipynb")
    again = "async () => await jupyterapp.commands.execute('notebook:run-cell')"
    with run_notebook(chromium, lab, "drive.ipynb") as page:
        page.locator(".metautil-drive").wait_for()
        assert errors(page) == []
        seen = Seen(page)
        button = lambda name: seen.panel.get_by_role("button", name=name, exact=True)  # noqa: E731
        scripted = seen.look()
        assert "η = 0.5 · tick 5 at 2.5000" in scripted[0] and not goes_on(page)

        button("Step").click()
        assert "tick 6 at 3.0000" in seen.wait(scripted[0])[0]
        button("Reset").click()
        fresh = seen.wait("η = 0.5 · tick 6 at 3.0000")
        assert "η = 0.1 · tick 0 at 0.0000" in fresh[0]

        button("Start").click()
        button("Pause").wait_for()
        assert goes_on(page)
        answers = [ask(page, "print(sum(range(10)))") for _ in range(5)]
        assert [text for text, _ in answers] == ["45"] * 5 and max(seconds for _, seconds in answers) < 1
        seen.type(0, "0.2")  # while it runs
        seen.panel.get_by_text("η = 0.2 · tick").wait_for()
        page.wait_for_timeout(200)
        button("Pause").click()
        button("Start").wait_for()
        assert not goes_on(page)
        etas = ask(page, "print(*done[6:])")[0].split()  # after five ticks of the script and one step
        assert etas == sorted(etas) and set(etas) == {"0.1", "0.2"}
        stopped = seen.look()
        tick = int(re.search(r"tick (\d+)", stopped[0])[1])
        assert tick == len(etas) and inside_changed(fresh[1], stopped[1])
        seen.panel.screenshot(path=SCREENSHOTS / "drive.png")

        button("Step").click()
        assert f"tick {tick + 1} at" in seen.wait(stopped[0])[0]
        seen.type(0, "1")
        button("Start").click()
        seen.message.get_by_text("Stopped: the step is too long").wait_for()
        button("Start").wait_for()
        assert f"tick {tick + 1} at" in seen.line() and not goes_on(page)

        button("Reset").click()
        button("Start").click()
        button("Pause").wait_for()
        assert goes_on(page)
        page.evaluate(again)  # the last cell is the active one
        page.wait_for_function("() => document.querySelectorAll('.metautil-drive').length === 1")
        page.wait_for_timeout(300)
        assert not goes_on(page), "running the cell again has to stop the training"

        button("Start").click()
        button("Pause").wait_for()
        assert goes_on(page)
        page.evaluate("async () => await jupyterapp.commands.execute('notebook:clear-cell-output')")
        page.locator(".metautil-drive").wait_for(state="detached")
        page.wait_for_timeout(300)
        assert not goes_on(page), "closing the output has to stop the training"


def test_what_goes_wrong_is_seen(lab: Lab, chromium: Chromium) -> None:
    """Values between the stops, a move that fails, an error in a cell, attempts to leave the machine."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in FIXTURE])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / "fixture.ipynb")
    try:
        with run_notebook(chromium, lab, "fixture.ipynb") as page:
            assert [line for line in errors(page) if "ZeroDivisionError: no such step" in line]
            assert page.get_by_text("went through").count() == 1, "only the cell's own source may say so"
            assert lab.refused() == ["socket.connect 192.0.2.1", "socket.getaddrinfo example.org"]

            page.evaluate("fetch('http://192.0.2.1/').catch(() => null)")
            assert chromium.outside() == ["http://192.0.2.1/"]

            seen = Seen(page)
            start = seen.look()
            assert seen.panel.get_by_role("img", name="A line that falls.").count() == 1
            assert seen.panel.get_by_label("η =").count() == 1

            seen.handles.first.focus()  # from there the keyboard alone: box, reset button, and back
            page.keyboard.press("Tab")
            page.keyboard.press("Control+A")
            page.keyboard.type("0.1234")
            page.keyboard.press("Tab")
            typed = seen.wait(start[0])
            assert "η = 0.1234 · start 0.1234" in typed[0]
            page.keyboard.press("Enter")
            assert seen.wait(typed[0])[0] == start[0]

            for text, words in {"0,2": "comma", "7": "outside the range", "": "Nothing was typed"}.items():
                seen.type(0, text)
                seen.message.get_by_text(words).wait_for()
                assert "η = 0.1 is kept" in seen.message.inner_text()
                assert seen.boxes.first.input_value() == "0.1"

            seen.type(0, "0.7")
            seen.message.get_by_text("No picture for η = 0.7: ZeroDivisionError: no such step").wait_for()
            after = seen.look()
            assert after[0] == start[0] and np.array_equal(after[1], start[1])
            seen.panel.screenshot(path=SCREENSHOTS / "broken_move.png")

            seen.type(0, "0.3")
            final = seen.wait(start[0])
            assert "start 0.3000" in final[0] and seen.message.inner_text() == ""
            assert inside_changed(start[1], final[1])
    finally:
        lab.attempts.unlink(missing_ok=True)
        chromium.requests.clear()
