"""The house in order: who may import whom, how long a part may be, and what is carried out of it.

The order of the imports, the size of the parts, what nobody uses; a new lesson as it is laid; the two wheels; the workflow file.
"""

from __future__ import annotations

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jupytext
import pytest
import yaml

from tools import dependencies, lines, new, wheels
from tools.dependencies import Module, names_used, normal_form

ROOT = Path(__file__).parent.parent
PARTS = ("metautil", "lessons", "benchmarks", "tools", "tests")
LIMITS = {"core": 2000, "metautil": 5000, "tests": 8000, "tools": 2050}
"""Lines that a part may have. A change that needs more raises the number and says why in its message; lessons grow freely."""
OFFERED = "lesson 06 offers it in a table; no cell can run without its files"
UNUSED = {
    "metautil.datasets.images.fashion_mnist": OFFERED,
    "metautil.datasets.images.mnist": OFFERED,
    "metautil.learners.LEARNERS": "the tests that hold for every learner read it; what is in it has to be used by itself",
}
"""Public names of the package that no code needs, and why they are there all the same."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def sources() -> dict[str, str]:
    """Module → its code; a lesson's text counts as ``lessons.lesson_NN.text``."""
    files = [path for part in PARTS for path in sorted((ROOT / part).rglob("*.py"))]
    texts = {module_name(path): path.read_text("utf-8") for path in files}
    for path in sorted((ROOT / "lessons").glob("lesson_*/[0-9]*.md")):
        cells = (cell.source for cell in jupytext.read(path, fmt="md:myst").cells if cell.cell_type == "code")
        texts[f"lessons.{path.parent.name}.text"] = "\n".join(cells)
    return texts


def imports(module: str, late: bool = True) -> set[str]:
    """Modules that a module imports; with ``late`` also those that it imports inside functions."""
    is_package = any(name.startswith(f"{module}.") for name in sources())
    found, nodes = set(), [ast.parse(sources()[module])]
    while nodes:
        node = nodes.pop()
        for _, base, taken in Module(module, [], is_package).imports(node):
            whole = ".".join([base, *taken])
            found.add(whole if whole in sources() else base)
        if late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    return found


def part(module: str) -> str:
    """Where a module stands: one lesson, ``lessons.shared``, or a folder of `PARTS`."""
    return ".".join(module.split(".")[: 2 if module.startswith("lessons.") else 1])


def allowed(importer: str, imported: str) -> bool:
    """The order of the house: the package knows nobody, what lessons share knows no lesson, lessons do not know one another."""
    if importer == "metautil":
        return imported not in PARTS and not imported.startswith("lessons")
    if importer.startswith("lessons"):
        return not imported.startswith("lessons.lesson_") or imported == importer
    return True


def test_imports_keep_the_order_of_the_house():
    seen = {(part(module), part(other)) for module in sources() for other in imports(module)}
    assert {("lessons.lesson_03", "metautil"), ("lessons.lesson_03", "lessons.shared")} <= seen  # the reader reads
    assert [pair for pair in sorted(seen) if pair[0] != pair[1] and not allowed(*pair)] == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("metautil", "lessons.shared"),
        ("metautil", "tools"),
        ("lessons.shared", "lessons.lesson_03"),
        ("lessons.lesson_04", "lessons.lesson_03"),
    ],
)
def test_order_of_the_house_bites(importer, imported):
    assert not allowed(importer, imported) and allowed(imported, "metautil")


def test_no_circle_among_the_modules():
    graph = {module: imports(module, late=False) - {module} for module in sources()}
    assert tuple(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the circle


def test_no_module_of_the_package_is_long():
    longest = {path.name: lines.count(path)[0] for path in (ROOT / "metautil").rglob("*.py")}
    assert {name: count for name, count in longest.items() if count > 600} == {}


def test_parts_are_as_small_as_they_are_said_to_be():
    print(lines.report())
    found = lines.table()
    over = {name: count for name, (count, _) in found.items() if count > LIMITS.get(name, count)}
    assert over == {}, f"lines: {over}; allowed: {LIMITS}. Shorten, or raise LIMITS and say why"
    assert all(code < count for count, code in found.values())


def public(name: str) -> set[str]:
    """Public names that a module of the package gives values, ``module.name``."""
    bound = Module(name, normal_form(sources()[name], name).body).bound
    return {f"{name}.{one}" for one in bound if not one.startswith("_")}


@pytest.mark.slow
def test_everything_in_the_package_is_used(monkeypatch):
    """By a lesson's text, figures or checks, by what lessons share, by a benchmark, or by a part of the package that is."""
    monkeypatch.setattr(dependencies, "LIVE", ())  # what no saved output needs is to be used all the same
    held = re.compile(r"metautil|tools|tests|.*\.(test_\w+|formulas|answers)$")
    users = {module: text for module, text in sources().items() if not held.match(module)}
    used = names_used(users, ROOT, ("metautil",))
    there = set().union(*(public(module) for module in sources() if part(module) == "metautil"))
    new, gone = sorted(there - used.keys() - UNUSED.keys()), sorted(UNUSED.keys() - (there - used.keys()))
    assert new == [], (
        f"{new}: used by no lesson, figure, check or benchmark. Use them, or name them in UNUSED with a reason"
    )
    assert gone == [], f"{gone}: used by now; take them out of UNUSED"


# A new lesson


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The course with one lesson."""
    others = shutil.ignore_patterns(
        "lesson_0[!3]", "lesson_[!0]*", "notebooks", "docs", "build", "dist", ".*", "__pycache__"
    )
    shutil.copytree(ROOT, tmp_path / "course", ignore=others)
    return tmp_path / "course"


@pytest.mark.slow
def test_new_lesson_keeps_every_rule(course):
    folder = new.lay("8", "first_try", course / "lessons")
    assert folder == course / "lessons/lesson_08" and (folder / "08_first_try.md").exists()
    assert not [path for path in folder.iterdir() if "@" in path.read_text("utf-8")]
    runners = [f"tests/test_{name}.py" for name in ("lessons", "exercises", "formulas", "sweeps")]
    chosen = "first_try or 8. or test_targets or registered or covered or agree_with_the"
    for command in (
        ["ruff", "check", "lessons/lesson_08"],
        ["ruff", "format", "--check", "lessons/lesson_08"],
        ["tools.build", "--only", "08"],
        ["pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", chosen, "lessons/lesson_08", *runners],
    ):
        here = os.environ | {"PYTHONPATH": str(course)}  # the notebooks' kernels, too, import from the copy
        run = subprocess.run([sys.executable, "-m", *command], cwd=course, env=here, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) >= 50


@pytest.mark.parametrize(
    ("number", "name", "says"),
    [
        ("", "", "N is ''.*make new N=08 NAME=heuristics"),
        ("eight", "heuristics", "N is 'eight'"),
        ("100", "heuristics", "one or two digits"),
        ("08", "", "NAME is ''.*make new N=08 NAME=heuristics"),
        ("08", "Two words", "small letters, digits and underscores"),
        ("08", "2_rules", "a letter first"),
        ("08", "../rules", "small letters"),
        ("3", "heuristics", "03 is taken by 03_the_gradient_update.md"),
    ],
)
def test_new_lesson_is_refused_in_words(number, name, says):
    before = sorted((ROOT / "lessons").iterdir())
    with pytest.raises(ValueError, match=says):
        new.lay(number, name)
    assert sorted((ROOT / "lessons").iterdir()) == before


def test_command_without_a_number_says_what_is_missing():
    run = subprocess.run([sys.executable, "-m", "tools.new"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.startswith("make new: N is ''")


def test_new_lesson_appears_whole_or_not_at_all(course):
    (course / "lessons/template/damaged.py.tmpl").write_bytes(b"\xff")
    before = sorted((course / "lessons").iterdir())
    with pytest.raises(UnicodeDecodeError):
        new.lay("08", "heuristics", course / "lessons")
    assert sorted((course / "lessons").iterdir()) == before


# What is carried out


@pytest.fixture(scope="module")
def carried(tmp_path_factory) -> dict[str, Path]:
    """Name of each distribution → a folder with what its wheel holds."""
    out = tmp_path_factory.mktemp("wheels")
    folders = {}
    for wheel in wheels.build(out / "dist"):
        folders[wheel.name.split("-")[0]] = folder = out / wheel.name.split("-")[0]
        zipfile.ZipFile(wheel).extractall(folder)
    assert sorted(path.suffix for path in (out / "dist").iterdir()) == [".whl", ".whl"]
    return folders


def held_by(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".dist-info" not in str(path)
    }


def run_away(code: str, folder: Path, *carried: Path) -> str:
    """Run a program in an empty folder: no checkout is on its path, but the given folders are."""
    folder.mkdir()
    others = "(one for one in sys.path if not os.path.isdir(os.path.join(one, 'lessons')))"
    start = f"import os, sys; sys.path[:] = [*{list(map(str, carried))!r}, *{others}]"
    program = [sys.executable, "-I", "-c", f"{start}\n{code}"]
    run = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


MAML = """
import torch, metautil
from metautil.datasets import sinusoids
from metautil.learners import adapted_risks, maml, meta_fit
from metautil.models import mlp
from metautil.risks import half_squared_error
from metautil.updates import adam

own, waves, model = metautil.begin(seed=0), sinusoids(shots=10), mlp((1, 40, 40, 1))
learner, start = maml(model, half_squared_error, alpha=0.01, steps=1), model.init(own)
end, _ = meta_fit(learner, adam(0.005), waves, start, steps=60, tasks=10, generator=own)
new = waves(100, own)
print(*(float(adapted_risks(learner, phi, new, half_squared_error).mean()) for phi in (start, end)))
print(metautil.__file__)
"""


@pytest.mark.slow
def test_package_alone_runs_maml_in_an_empty_folder(carried, tmp_path):
    package = carried["metautil"]
    assert held_by(package) == {str(path.relative_to(ROOT)) for path in package_files()}
    risks, file = run_away(MAML, tmp_path / "empty", package).splitlines()
    before, after = map(float, risks.split())
    assert after < 0.8 * before and Path(file).is_relative_to(package)


def package_files() -> Iterator[Path]:
    return (path for path in (ROOT / "metautil").rglob("*") if path.is_file() and "__pycache__" not in path.parts)


STORED = """
import lessons
from lessons.lesson_13 import figures
from lessons.shared.results import stored
print(figures.ways_and_shots(stored("ways_shots")).move(ways=5, shots=1))
print(lessons.__file__)
"""


@pytest.mark.slow
def test_course_alone_serves_every_notebook(carried, tmp_path):
    """The imports of all student notebooks resolve, and a figure of stored results is drawn, without this folder."""
    course = carried["metautil_course"]
    held = held_by(course)
    assert "lessons/lesson_03/figures.py" in held and "lessons/lesson_14/drawing.py" in held
    assert {f"lessons/stored/{path.name}" for path in (ROOT / "benchmarks/results").glob("*.json")} <= held
    assert not [
        name for name in held if re.search(r"(answers|formulas)\.py$|test_|template|\.md$|\.toml$|^(?!lessons/)", name)
    ]
    told = next(course.glob("*.dist-info/METADATA")).read_text("utf-8")
    assert re.search(r"^Version: (.+)$", told, re.M)[1] == re.search(r"^Requires-Dist: metautil==(.+)$", told, re.M)[1]
    texts = [ast.parse(text) for module, text in sources().items() if module.endswith(".text")]
    wanted = {
        ast.unparse(node) for text in texts for node in ast.walk(text) if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert any("lessons.lesson_03" in line for line in wanted)
    readout, file = run_away("\n".join([*sorted(wanted), STORED]), tmp_path / "empty", *carried.values()).splitlines()
    assert "%" in readout and Path(file).is_relative_to(course)


# What is told of it


def test_contributing_names_every_file_of_a_lesson_and_no_other():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"^\| `(\S+)` \|", text.partition("\n## A lesson")[2].partition("\n## ")[0], re.MULTILINE)
    laid = [path.stem.replace("lesson.md", "08_heuristics.md") for path in (ROOT / "lessons/template").iterdir()]
    assert sorted(named) == sorted([*laid, "numbers.toml"])
    changes = text.partition("\n## Ten usual changes")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| (?!change|---)", changes, re.MULTILINE)) == 10


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_paths_that_are_named_exist(file):
    named = re.findall(r"`((?:[\w.]+/)+(?:\w+\.\w+)?)`", (ROOT / file).read_text("utf-8"))
    assert len(named) > 5
    folders = [ROOT / folder for folder in ("", "notebooks", "metautil", "benchmarks")]  # "`solutions/` beneath it"
    assert [one for one in named if "_NN" not in one and not any((folder / one).exists() for folder in folders)] == []


# The workflow of a code-hosting page


def test_workflow_runs_what_ci_runs():
    (path,) = (ROOT / ".github/workflows").glob("*.yml")
    workflow = yaml.safe_load(path.read_text("utf-8"))
    jobs = workflow["jobs"]
    on = workflow[True]  # YAML reads "on" as a truth value
    assert {"push", "pull_request", "schedule"} <= on.keys()
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert any(step.get("run") == ".ci/run" for step in steps)
    assert all(re.fullmatch(r"[\w./-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    weekly = [job for job in jobs.values() if "schedule" in job.get("if", "") and "!=" not in job["if"]]
    assert len(weekly) == 1
