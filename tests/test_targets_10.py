"""The numeric targets of lesson 10's figures can be reached, and are not met at the start; its prose is true of its numbers."""

from __future__ import annotations

import math
import re
from functools import cache

import jupytext
import matplotlib
import nbformat
import pytest
import torch

import metautil
from benchmarks.store import Store
from metautil import plots
from metautil.results import stored
from metautil.sliders import Scene, frame
from tests.test_targets import ROOT

SOURCE = ROOT / "lessons/10_few_shot_images.md"
WITH_STEPS = ("MAML", "FOMAML", "ANIL", "Reptile", "Meta-SGD")


@pytest.fixture(autouse=True)
def settled():
    """The lesson's number type; the figure style does not leak into other tests."""
    with matplotlib.rc_context():
        metautil.begin(10)
        yield
    torch.set_default_dtype(torch.float32)


@cache
def lesson_cells() -> list[str]:
    return [cell.source for cell in jupytext.read(SOURCE, fmt="md:myst").cells if cell.cell_type == "code"]


@cache
def printed() -> str:
    """What the cells of the built notebook printed."""
    notebook = nbformat.read(ROOT / "notebooks/10_few_shot_images.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def shares(readout: str) -> dict[str, float]:
    """Learner → per cent, of a read-out "name 12.3% · name 45.6%"."""
    return {name: float(value) for name, value in re.findall(r"([A-Za-z][A-Za-z -]*?) (\d+\.\d)%", readout)}


def mean(name: str, case: str, metric: str) -> float:
    return Store(name).row(case, metric)["mean"]


# Section 4


def test_ways_and_shots():
    """At 20 ways prototypes reach 85% with five shots, about as much as at 5 ways with one; all are above chance."""
    scene = plots.ways_and_shots(stored("ways_shots"))
    seen = {(ways, shots): shares(scene.move(ways, shots)) for ways in (2, 5, 10, 20) for shots in (1, 2, 5, 10)}
    assert min(shots for shots in (1, 2, 5, 10) if seen[20, shots]["prototypes"] >= 85) == 5
    assert abs(seen[20, 5]["prototypes"] - seen[5, 1]["prototypes"]) < 4
    assert seen[5, 1]["prototypes"] - seen[5, 1]["pretrained and nearest centroid"] > 3
    assert "MAML" in seen[5, 1] and "MAML" not in seen[2, 1]
    for (ways, shots), found in seen.items():
        assert all(share > 100 / ways for share in found.values())
        assert found["prototypes"] == round(
            100 * mean("ways_shots", f"prototypes, {ways}-way {shots}-shot", "accuracy"), 1
        )
        assert frame(scene, ways=ways, shots=shots)[0].startswith(b"\x89PNG")


def test_what_the_text_says_of_ways_and_shots():
    """The pretrained network loses more on the way to 20; both stay above (10.3); the second shot is worth most."""
    for name in ("prototypes", "pretrained and nearest centroid"):
        at = {
            (n, k): mean("ways_shots", f"{name}, {n}-way {k}-shot", "accuracy")
            for n in (2, 5, 10, 20)
            for k in (1, 2, 5)
        }
        for few, many in ((2, 5), (5, 10), (5, 20), (10, 20)):
            assert at[many, 1] > at[few, 1] ** ((many - 1) / (few - 1))
        assert at[5, 2] - at[5, 1] > at[5, 5] - at[5, 2] > 0
        if name == "prototypes":
            lost, bound = at[5, 1] - at[20, 1], at[5, 1] ** (19 / 4)
    assert at[5, 1] - at[20, 1] > lost and 0.42 < bound < 0.55


def test_inner_steps():
    """With one shot MAML, ANIL and Meta-SGD all read more than half from step 2 on; the fine-tuned network from step 1."""
    scene = plots.inner_steps(stored("ways_shots"))
    seen = {(shots, k): shares(scene.move(shots, k)) for shots in ("1", "5") for k in range(11)}
    three = ("MAML", "ANIL", "Meta-SGD")
    assert min(k for k in range(11) if all(seen["1", k][name] > 50 for name in three)) == 2
    assert min(k for k in range(11) if seen["1", k]["pretrained and fine-tuned"] > 50) == 1
    for shots in ("1", "5"):
        assert all(abs(share - 20) < 3 for share in seen[shots, 0].values())
        assert seen[shots, 3]["pretrained and fine-tuned"] > max(seen[shots, 10][name] for name in WITH_STEPS)
        assert all(seen[shots, 3][name] - seen[shots, 0][name] > 30 for name in three)
        assert seen[shots, 10]["FOMAML"] < 35 and seen[shots, 10]["Reptile"] < seen[shots, 10]["ANIL"] - 5
    later = {shots: [seen[shots, 10][name] - seen[shots, 3][name] for name in three] for shots in ("1", "5")}
    assert all(0 < gain < 5 for gain in later["1"])
    assert 1.4 < sum(later["5"]) / sum(later["1"]) < 3 and all(gain > 2 for gain in later["5"])
    for shots in ("1", "5"):
        assert all(abs(seen[shots, k]["ANIL"] - seen[shots, k]["MAML"]) < 8 for k in range(2, 11))
    for shots in ("1", "5"):
        for k in range(11):
            assert frame(scene, shots=shots, steps=k)[0].startswith(b"\x89PNG")


def test_what_the_text_says_of_the_learners():
    """After 1,500 tasks the gradient learners are behind the baselines, prototypes ahead; Meta-SGD overtakes at one shot."""
    for shots in (1, 5):
        baselines = (
            mean("few_shot", f"pretrained and fine-tuned, {shots} shot", "accuracy"),
            mean("ways_shots", f"pretrained and nearest centroid, 5-way {shots}-shot", "accuracy"),
        )
        assert all(
            mean("ways_shots", f"{name}, 5-way {shots}-shot", "accuracy") < min(baselines) for name in WITH_STEPS
        )
        assert mean("ways_shots", f"prototypes, 5-way {shots}-shot", "accuracy") > max(baselines)
        longer = mean("few_shot", f"Meta-SGD, {shots} shot", "accuracy")
        assert (longer > max(baselines)) == (shots == 1)


def test_what_the_live_cells_printed():
    """Section 1: most variance between tasks, predictions come true; section 4: the table is right and the power is not."""
    text = printed()
    between, within = map(float, re.search(r"between tasks (\S+), within (\S+)", text).groups())
    assert between**2 > 2 * within**2
    predicted, measured = map(float, re.search(r"predicted (\S+), measured (\S+)", text).groups())
    independent = float(re.search(r"answers were independent: (\S+)", text)[1])
    assert abs(predicted - measured) < 0.003 < independent - measured
    rows = re.findall(r"(\d+) ways: table (\d+)%, power (\d+)%, measured (\d+)% ± (\d+)%", text)
    assert len(rows) == 4
    for ways, table, power, seen, half in (map(int, row) for row in rows):
        assert abs(table - seen) <= half + 1
        assert ways == 2 or power < seen - half
    live = {name: int(share) for name, share in re.findall(r"(prototypes|Meta-SGD) +held-out alphabets: (\d+)%", text)}
    scratch = int(re.search(r"from scratch: (\d+)%", text)[1])
    assert live["prototypes"] > live["Meta-SGD"] + 10 and live["Meta-SGD"] > scratch
    known = {name: int(share) for name, share in re.findall(r"(prototypes|Meta-SGD) +training alphabets: (\d+)%", text)}
    assert all(known[name] > live[name] + 3 for name in live)
    wrong = [int(share) for share in re.findall(r"of 5 wrong: margin factor \S+ read right (\d+)%", text)]
    assert wrong == sorted(wrong, reverse=True) and wrong[0] - wrong[1] < 10 < wrong[1] - wrong[2] and wrong[3] < 30


# Section 5


@cache
def companions() -> Scene:
    """The figure of section 5, from the lesson's own cells."""
    needed = ("import math\n", "alphabets = font_alphabets()", "def read_right", "transductive =", "counts = (")
    imports = "from metautil.learners import meta_fit, prototypes\nfrom metautil.models import embedding\n"
    scope: dict = {}
    exec(imports + "from metautil.updates import adam", scope)
    for cell in lesson_cells():
        if cell.startswith(needed[0]) or any(part in cell for part in needed[1:]):
            exec(cell, scope)
    one = 3
    assert f"one = {one}\n" in SOURCE.read_text("utf-8")
    answers = [tuple(hits[one].bool() for hits in pair) for pair in scope["verdicts"]]
    images = [part[one] for part in scope["queries"]]
    return plots.companions(scope["judged"].support.x[one], images, answers, scope["accuracies"], scope["counts"])


def test_companions():
    """Ten points are lost from 12 of 15 images of one class on; balanced, nothing is; the other reader does not notice."""
    scene, counts = companions(), (3, 6, 9, 12, 15)
    pattern = r"transductive (\d+)%, query-independent (\d+)% · in this one (\d+) and (\d+) of 15"
    seen = {count: [int(word) for word in re.search(pattern, scene.move(count)).groups()] for count in counts}
    lost = {count: alone - together for count, (together, alone, *_) in seen.items()}
    assert min(count for count in counts if lost[count] >= 10) == 12
    assert -4 <= lost[3] <= -1 and lost[9] > 0
    assert seen[15][0] <= 0.55 * seen[15][1] and seen[15][2] == 0
    assert max(found[1] for found in seen.values()) - min(found[1] for found in seen.values()) <= 3
    for count in counts:
        assert frame(scene, count=count)[0].startswith(b"\x89PNG")


# Sections 6 and 7


def test_task_supply():
    """Without turned classes the gap is below 10 points from 100 classes on; at the start it is not."""
    scene, counts = plots.task_supply(stored("task_supply"), "prototypes"), (10, 30, 100, 300, 868)
    gaps = {}
    for count in counts:
        png, line = frame(scene, training=count)
        gaps[count] = float(re.search(r"as they are: .*? gap (\S+)", line)[1])
        assert png.startswith(b"\x89PNG")
    assert min(count for count in counts if gaps[count] < 10) == 100 and gaps[30] > 10


def test_what_the_text_says_of_the_supply():
    """Held-out accuracy is level beyond a hundred classes; turned classes help ten; alphabets make no difference."""

    def of(part, metric="held out"):
        return mean("task_supply", f"prototypes, {part}", metric)

    counts = (10, 30, 100, 300, 868)
    known = [of(f"{count} classes", "training") for count in counts]
    assert known == sorted(known, reverse=True) and known[0] > 0.95
    level = [of(f"{count} classes") for count in counts[2:]]
    assert max(level) - min(level) < 0.05 and of("10 classes") < of("30 classes") < min(level) + 0.01
    assert of("10 classes, augmented") > of("10 classes") + 0.03
    assert all(of(f"{count} classes, augmented") < of(f"{count} classes") + 0.02 for count in (300, 868))
    assert all(of(f"{count} classes, augmented", "training") < of(f"{count} classes", "training") for count in counts)
    intervals = [
        Store("task_supply").row(f"prototypes, {part}", "held out")["interval"]
        for part in ("1 alphabet", "7 alphabets")
    ]
    assert intervals[0][0] < intervals[1][1] and intervals[1][0] < intervals[0][1]


def test_what_the_text_says_of_disturbed_support_sets():
    """Prototypes are ahead everywhere; one wrong label costs them less than half as much; the writer halves everyone."""
    others = ("MAML", "pretrained and fine-tuned", "nearest neighbour on pixels")
    parts = [f"{count} of 5 labels wrong" for count in (0, 1, 2)] + [f"writer shifted by {k}" for k in (1, 2, 3)]
    at = {
        (name, part): mean("support_noise", f"{name}, {part}", "accuracy")
        for name in ("prototypes", *others)
        for part in parts
    }
    assert all(at["prototypes", part] > at[name, part] for name in others for part in parts)
    lost = {name: at[name, parts[0]] - at[name, parts[1]] for name in ("prototypes", *others)}
    assert all(2 * lost["prototypes"] < lost[name] for name in others)
    assert abs(lost["MAML"] - lost["pretrained and fine-tuned"]) < 0.03
    fallen = [at[name, parts[0]] - at[name, parts[-1]] for name in ("prototypes", *others[:2])]
    assert max(fallen) - min(fallen) < 0.1
    for name in ("prototypes", *others[:2]):
        assert 0.35 < at[name, parts[-1]] / at[name, parts[0]] < 0.65


# Section 8


def test_published_numbers_against_the_bound():
    """Exercise 10.6: of the published rows, those of prototypes alone keep (10.3) for one shot and for five."""
    scope: dict = {"print": lambda *_: None, "settings": ()}
    exec(next(cell for cell in lesson_cells() if cell.startswith("published = {")), scope)
    kept = {}
    for name, (few, few_5, many, many_5) in scope["published"].items():
        kept[name] = [high / 100 > (low / 100) ** (19 / 4) for low, high in ((few, many), (few_5, many_5))]
    assert kept == {
        "MAML, transductive": [True, False],
        "Reptile, transductive": [False, False],
        "Reptile": [True, True],
        "prototypes": [True, True],
    }
    worth = [
        a - b for a, b in zip(scope["published"]["Reptile, transductive"], scope["published"]["Reptile"], strict=True)
    ]
    assert [round(value, 1) for value in (worth[0], worth[2])] == [2.3, 1.3] and math.isclose(
        worth[1], 0.5, abs_tol=0.1
    )


def test_what_the_text_says_of_omniglot():
    """Fonts to handwriting: at most three points; a minute's prototypes: near the published ones, and no use for queries."""
    lost = {}
    for setting in ("5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot"):
        fonts, ours = (f"{learner}, {setting}, 60 s" for learner in ("fonts to handwriting", "prototypes"))
        lost[setting] = mean("omniglot", fonts, "held-out fonts") - mean("omniglot", fonts, "query-independent")
        assert mean("omniglot", ours, "query-independent") > mean("omniglot", fonts, "query-independent")
        assert abs(mean("omniglot", ours, "transduction")) < 0.005
    assert max(lost, key=lost.get) == "20-way 1-shot" and 0.02 < lost["20-way 1-shot"] < 0.03 and min(lost.values()) > 0
    published = {"5-way 1-shot": (0.988, 0.01), "5-way 5-shot": (0.997, 0.01), "20-way 1-shot": (0.96, 0.02)}
    for setting, (theirs, near) in published.items():
        assert abs(mean("omniglot", f"prototypes, {setting}, 60 s", "query-independent") - theirs) < near
