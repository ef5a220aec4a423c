"""Every lesson keeps the lesson contract and agrees with its notebooks; and each rule bites."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tools import build
from tools import lint_lessons as lint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
LESSONS = build.sources(ROOT / "lessons")
NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks/solutions").glob("*.ipynb")])
TIMES = [
    {"heading": "Time", "source": "to run: measured by make course; to read: words at 200 a minute, and the exercises"}
]
SOFTENED = tomllib.loads((ROOT / "tests/nbval_allowlist.toml").read_text("utf-8")).get("entry", [])
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")


@cache
def lesson(path: Path) -> lint.Lesson:
    return lint.read(path.read_text("utf-8"), path.name)


@cache
def notebook(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@cache
def all_tags() -> dict[int, list[str]]:
    return {lesson(path).number: lint.tags(lesson(path)) for path in LESSONS}


# The real lessons


def test_there_are_lessons():
    assert LESSONS


@each_lesson
@pytest.mark.parametrize("rule", [*lint.RULES, lint.links], ids=lambda rule: rule.__name__)
def test_lesson_obeys(path, rule):
    known = [all_tags()] if rule is lint.formulas else []
    assert list(rule(lesson(path), *known)) == []


@each_lesson
def test_lessons_that_are_not_there_are_called_planned(path):
    assert list(lint.unwritten(lesson(path), {lesson(other).number for other in LESSONS})) == []


@each_lesson
@pytest.mark.parametrize("version", [0, 1], ids=["student", "solved"])
def test_notebook_agrees_with_its_source(path, version):
    assert build.disagreements(path, build.notebooks_of(path, ROOT / "notebooks")[version]) == []


def apart(student: nbformat.NotebookNode, solved: nbformat.NotebookNode) -> list[str]:
    """Ids of cells in which a lesson's two notebooks differ in another way than an exercise may.

    An exercise without an answer says so in one line, which no arithmetic goes into; every other code cell has the same source
    and the same outputs in both. So whoever has run the solved notebook has computed all that the student's shows.
    """
    if [cell.id for cell in student.cells] != [cell.id for cell in solved.cells]:
        return ["the cells"]
    found = []
    for asked, answered in zip(student.cells, solved.cells, strict=True):
        if asked.cell_type != "code":
            continue
        said = "".join(output.get("text", "?") for output in asked.outputs)
        unanswered = re.fullmatch(r"(Exercise|Challenge) [\d.]+: not attempted yet\. [^\n]+\n", said)
        if not (unanswered if asked.source != answered.source else asked.outputs == answered.outputs):
            found.append(asked.id)
    return found


@each_lesson
def test_versions_differ_in_exercises_alone(path):
    """Therefore `make test` may run the solved notebooks alone with another machine's arithmetic."""
    assert apart(*map(notebook, build.notebooks_of(path, ROOT / "notebooks"))) == []


def test_every_notebook_has_a_source():
    assert [path.stem for path in NOTEBOOKS if path.stem not in {lesson.stem for lesson in LESSONS}] == []


@each_notebook
def test_saved_notebook_ran_clean(path):
    assert list(lint.saved(notebook(path), path.stem, path.stat().st_size)) == []


@each_notebook
def test_pictures_have_numbers_and_alternatives(path):
    assert list(lint.pictures(notebook(path), path.stem)) == []


def test_nbval_is_softened_only_with_a_reason():
    assert lint.softened([(path.stem, notebook(path)) for path in NOTEBOOKS], SOFTENED) == []


def test_numbers_in_prose_have_a_source():
    for path in (*LESSONS, ROOT / "README.md"):
        text = lesson(path).markdown() if path in LESSONS else path.read_text("utf-8")
        listed = path.parent / "numbers.toml" if path in LESSONS else ROOT / "tests/readme_numbers.toml"
        entries = tomllib.loads(listed.read_text("utf-8"))["entry"] if listed.exists() else []
        allowed = {
            "entry": [entry | {"file": path.name} for entry in entries],
            "section": TIMES if path in LESSONS else [],
        }
        assert "\n\n".join(lint.unsourced({path.name: text}, allowed)) == ""


# Each rule bites: a good small lesson, and what each rule says when one thing in it is wrong

EXERCISE = """
### Exercise 07.{k} · Halve {k} ({grade})

Write half of what you are given.

```{{code-cell}} ipython3
half_{k} = None
### BEGIN SOLUTION
def half_{k}(x):
    return x / 2
### END SOLUTION
check_half(half_{k})
```
"""
GOOD = (
    r"""---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# 07 · Halves

A mapping that halves, $x \mapsto x/2$, with `code!` and a [link](#Time).

```mermaid
graph LR
    A[data] --> B["half (you are here)"]
    class B here
    classDef here fill:#fff
```

## What you will be able to do

- Halve.
- Explain why.

## Before you start

You need [the start](https://example.org/start).

## Time

About 20 minutes to read.

## 1 · Half

Half of $x$ is defined by

$$
h(x) = \tfrac{1}{2} x
\tag{7.1}
$$

and used as in (7.1).

```{code-cell} ipython3
a = 1
```

**Predict.** Where does the line end?

**Target.** Find the slider position with a slope of 0.5.

```{code-cell} ipython3
:tags: [figure]

show(scene(a))
```

## 2 · Again

![A line](https://example.org/line.png) and once more, in other words.

$$ h(h(x)) = \tfrac{1}{4} x \tag{7.2} $$

## Exercises
"""
    + "".join(EXERCISE.format(k=k, grade=grade) for k, grade in enumerate(("easy", "medium", "hard"), start=1))
    + """
## What to take away

- Halving halves.
- It is a mapping.

## What comes next

More halves, of more things. <!-- Just! $$ (7.9) [a](b) -->

<!-- <img src="a.png"> \\tag{7.9} -->

## References

- [A page](https://example.org).
"""
)
NAME = "07_halves.md"
LONG = "\n".join(f"a{k} = {k}" for k in range(12))


def of(rule, text: str) -> list[str]:
    return list(rule(lint.read(text, NAME)))


@pytest.mark.parametrize("rule", [*lint.RULES, lint.links, lint.tone], ids=lambda rule: rule.__name__)
def test_good_lesson_has_no_problems(rule):
    assert of(rule, GOOD) == []


BITES = {
    lint.headings: [
        ("# 07 · Halves", "# Halves", "first-level heading"),
        ("## 2 · Again", "## Again", "at least two sections"),
        ("## 2 · Again", "### 2 · Again", "at least two sections"),
        ("## What comes next", "## What next", "second-level headings"),
        ("## Time", "## References", "second-level headings"),
    ],
    lint.opening: [
        ("- Explain why.\n", "", "1 objectives and 2 take-aways"),
        ("About 20 minutes", "A while", "no minutes"),
        ("You need [the start](https://example.org/start).", "", "nothing under Before you start"),
        ("- [A page](https://example.org).", "- A page.", "no link under References"),
        ("    class B here\n", "", "no mermaid map"),
        ("    classDef here fill:#fff\n", "", "no mermaid map"),
    ],
    lint.figures: [
        (":tags: [figure]\n", "", "is tagged figure"),
        ("show(scene(a))", "scene(a)", "no cell tagged figure"),
        ("**Predict.**", "Predict.", "no paragraph '**Predict.**"),
        ("**Target.**", "Target.", "0 paragraphs '**Target.**"),
        ("slope of 0.5", "slope of a half", "names no number"),
        ("## 2 · Again", "```{code-cell}\n:tags: [figure]\nshow(b)\n```\n", "'**Predict.** ...' before"),
    ],
    lint.exercises: [
        (EXERCISE.format(k=3, grade="hard"), "", "at least three"),
        ("Halve 2 (medium)", "Halve 2", "is expected; has"),
        ("Exercise 07.2", "Exercise 07.4", "is expected; has"),
        ("1 (easy)", "1 (hard)", "from easy to hard"),
        ("half_2 = None\n", "", "no 'answer = None'"),
        ("check_half(half_2)", "print(half_2)", "no check_...(half_2)"),
        ("check_half(half_2)", "check_half(half_1)", "no check_...(half_2)"),
        ("### END SOLUTION\ncheck_half(half_2)", "check_half(half_2)", "one ### END SOLUTION"),
        ("a = 1\n", "a = None\n### BEGIN SOLUTION\n### END SOLUTION\ncheck_a(a)\n", "outside an exercise"),
    ],
    lint.independence: [
        ("check_half(half_2)", "check_half(half_2, half_1)", "uses half_1"),
        ("a = 1\n", "a = = 1\n", "not Python"),
    ],
    lint.small_steps: [
        ("a = 1\n", f"a = 1\n{LONG}\n", "13 lines of code"),
        ("and used as in (7.1).\n\n", "```{code-cell}\nb = 1\n```\n", "no prose right before"),
        ("Write half of what you are given.\n", "", "no prose right before"),
    ],
    lint.tone: [
        ("Halving halves.", "Halving halves!", "'!'"),
        ("Halving halves.", "Simply halve.", "'Simply'"),
        ("Halving halves.", "Of\ncourse it halves.", "Of course"),
        ("Halving halves.", "It just halves, clearly, trivially, obviously.", "'just'"),
    ],
    lint.markdown: [
        ("and used as", "```{note}\nwords\n```\n\nand used as", "MyST directive"),
        ("and used as", ":::{note}\nwords\n:::\n\nand used as", "MyST directive"),
        ("and used as", "{eq}`half` and used as", "MyST role"),
        ("## 2 · Again", "(again)=\n## 2 · Again", "MyST label"),
        ("and used as", "% words\n\nand used as", "MyST comment"),
        ("and used as", "> [!NOTE]\n> words\n\nand used as", "an alert"),
        ("and used as", "and[^1] used as", "a footnote"),
        ("and used as", r"and \(x\) used as", "mathematics between"),
        ("and used as", "```math\nx\n```\n\nand used as", "a math fence"),
        ("and used as", r"\eqref{a} and used as", "LaTeX label"),
        ("and used as", "$`x`$ and used as", "Lab does not draw"),
    ],
    lint.formulas: [
        (r"\tag{7.1}", "", "without \\tag"),
        (r"\tag{7.2}", r"\tag{7.3}", "is expected"),
        (r"\tag{7.1}", r"\tag{07.1}", "is expected"),
        ("as in (7.1)", "as in (7.3)", "(7.3) refers to no formula"),
        ("as in (7.1)", "as in (3.1)", "(3.1) refers to no formula"),
        (r" \tag{7.2} $$", r" \tag{7.2}", "does not pair"),
        ("and used as", "\\begin{align}\nx\n\\end{align}\n\nand used as", "outside $$"),
        ("and used as", r"and \tag{7.3} used as", "a \\tag outside $$"),
    ],
    lint.alternatives: [
        ("![A line]", "![]", "no alternative text"),
        ("![A line]", '<img src="a.png"> ![A line]', "no alternative text"),
        ("![A line]", '<img alt=" " src="a.png"> ![A line]', "no alternative text"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "old", "new", "says"), [(rule, *bite) for rule in BITES for bite in BITES[rule]])
def test_rule_bites(rule, old, new, says):
    assert old in GOOD
    found = of(rule, GOOD.replace(old, new, 1))
    assert any(says in problem for problem in found), found


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere.png", "leads nowhere"),
        ("07_other.ipynb", "leads to a lesson that does not exist"),
        ("../../outside.md", "leaves the repository"),
        ("07_other.md", "leads to a lesson's source"),
        ("../lessons/07_halves.md", "leads to a lesson's source"),
        ("#Nothing", "names no heading of this lesson"),
        ("file:///etc", "is of an unknown kind"),
        ("07_halves.ipynb#Nothing", "names no heading of that lesson"),
        ("../README.md#nothing", "names no heading there"),
        ("07_halves.ipynb#What-you-will-be-able-to-do", None),
        ("07_halves.ipynb", None),
        ("../README.md#the-start", None),
        ("https://example.org", None),
        ("#1-·-Half", None),
    ],
)
def test_links_are_followed(tmp_path, target, reason):
    (tmp_path / "lessons/lesson_07").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "lessons/lesson_07" / NAME).write_text(GOOD, "utf-8")
    (tmp_path / "README.md").write_text("# The start\n", "utf-8")
    for link in (f"[a]({target})", f'<a href="{target}">a</a>'):
        problems = lint.links(lint.read(f"# 1 · Half\n\n{link}\n", NAME), tmp_path)
        found = [problem.rpartition(f"{target!r} ")[2] for problem in problems]
        assert found == [] if reason is None else found[0].startswith(reason)


def test_link_to_a_planned_lesson_is_the_builds_business_but_in_html():
    assert of(lint.links, "[a](99_none.ipynb#1-·-A)\n") == []
    assert "does not exist" in of(lint.links, '<a href="99_none.ipynb">a</a>\n')[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Lesson 12 asks it.", "[12] not there"),
        ("That is for lessons 03, 07 and 12.", "[7, 12] not there"),
        ("See lessons 1 to 4.", "[2] not there"),
        ("See lessons 01–04.", "[2] not there"),
        ("Lesson 12 (planned) asks it.", None),
        ("Lessons 03, 07 and\n12 (planned) ask it.", None),
        ("[Lesson 12](12_rules.ipynb) asks it, lesson 03 did.", None),
        ("In `lesson 12` a lesson takes 12 minutes; lesson 12.1 is none.", None),
        ("Lesson 03 (planned) asks it.", "no longer planned"),
    ],
)
def test_lesson_that_is_not_there_is_called_planned(text, problem):
    found = list(lint.unwritten(lint.read(f"{text}\n", NAME), {1, 3, 4}))
    assert [problem in line for line in found] == [True] * bool(problem)


def test_reference_style_link_is_a_problem():
    assert "reference-style" in of(lint.links, "[a][b]\n\n[b]: nowhere.png\n")[0]


@pytest.mark.parametrize(
    "text",
    [
        "It reaches 87% of it.", "It reaches 87 % of it.", r"It reaches $87\,\%$ of it.", "It is 3 ± 1 there.",
        "It is ±0.4 there.", "It is 2.5× that.", "It is 2.5 × the reference.", "It takes 40 ms.",
        "It takes 1.5 s there.", "It takes 30 seconds.", "A 20-minute read.", "An accuracy of 0.87.",
        "With 0.87 accuracy.", "Its accuracy is about 87 there.", "It is 3 times that.", "It is faster by 12.",
        "A 10-fold gain.", "| a | 12 % |", "- [x](https://example.org) gives 12%", "- item\n- 5 minutes",
        "### About 5 hours",
    ],
)  # fmt: skip
def test_number_without_source_is_found(text):
    assert len(lint.measures(text)) == 1
    (problem,) = lint.unsourced({"lessons/a.md": text}, {})
    assert "without a source" in problem


@pytest.mark.parametrize(
    "text",
    [
        "An accuracy of {{sweep.λ=3.accuracy}} on scans.", "It is {{speed.a.ratio}} faster.",
        "Images of 8 × 8 pixels.", r"Images of $28 \times 28$ pixels.", "Lesson 3 shows it. Accuracy rises.",
        "Take 20 points.", "`87%` in code.", "```\n87%\n```", r"$$ 2 \times x = 50\% \tag{7.1} $$",
        "Several times 3 is enough",
    ],
)  # fmt: skip
def test_other_numbers_are_left_alone(text):
    assert lint.measures(text) == []


ENTRY = {"file": "a.md", "text": "Reads in\n5 minutes.", "source": "counted"}
SECTION = {"heading": "Time", "source": "measured"}


@pytest.mark.parametrize(
    ("allowed", "says"),
    [
        ({}, ["Reads in 5 minutes.", "Runs in 6 minutes."]),
        ({"entry": [ENTRY]}, ["Runs in 6 minutes."]),
        (
            {"entry": [ENTRY | {"file": "b.md"}]},
            ["Reads in 5", "Runs in 6", "nothing needs the entry ('b.md', 'Reads in 5"],
        ),
        ({"entry": [ENTRY | {"source": " "}]}, ["Runs in 6 minutes.", "has no source"]),
        ({"section": [SECTION]}, ["Reads in 5 minutes."]),
        ({"section": [SECTION | {"source": ""}]}, ["Reads in 5 minutes.", "has no source"]),
        ({"section": [SECTION | {"heading": "Next"}]}, ["Reads in 5", "Runs in 6", "nothing needs the entry Next"]),
    ],
)
def test_allow_list_excuses_what_it_names_and_nothing_else(allowed, says):
    problems = lint.unsourced({"a.md": "Reads in 5\nminutes.\n\n## Time\n\nRuns in 6 minutes.\n\n## Next\n"}, allowed)
    assert len(problems) == len(says)
    assert all(part in problem for part, problem in zip(says, problems, strict=True))


PICTURE = {"image/png": "aGk=", "text/plain": "η = 0.1 · f = 0.23"}


def executed(*outputs, source="draw()", tags=("figure",), count=1, **data) -> nbformat.NotebookNode:
    picture = new_output("display_data", data={**PICTURE, **data}, metadata={"image/png": {"alt": "A line."}})
    cell = new_code_cell(source, metadata={"tags": list(tags)}, outputs=[picture, *outputs], execution_count=count)
    cell.id = "l07-c000"
    kept = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
    return new_notebook(cells=[cell], metadata={**kept, "metautil": {"digest": "0"}})


def stream(text: str, name: str = "stdout"):
    return new_output("stream", name=name, text=text)


def test_good_notebook_has_no_problems():
    assert [*lint.saved(executed(), "n", 100), *lint.pictures(executed(), "n")] == []
    assert lint.softened([("n", executed())], []) == []


def test_versions_that_differ_elsewhere_are_told_apart():
    unanswered = "Exercise 7.1: not attempted yet. Define half where the dots are.\n"
    asked, answered = executed(stream(unanswered), source="..."), executed(stream("Exercise 7.1: correct.\n"))
    asked.cells[0].outputs.pop(0)
    assert apart(asked, answered) == apart(executed(), executed()) == []
    asked.cells[0].outputs.append(stream("0.23\n"))
    assert apart(asked, answered) == apart(executed(stream("0.23")), executed(stream("0.24"))) == ["l07-c000"]
    assert apart(executed(source="other()"), executed()) == ["l07-c000"]
    assert apart(new_notebook(), executed()) == ["the cells"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (executed(new_output("error", ename="ValueError", evalue="no", traceback=[])), "an error: ValueError"),
        (executed(stream("warning", "stderr")), "text on stderr"),
        (executed(stream("<object at 0x7f00aa11bb22>")), "0x7f00aa11bb22"),
        (executed(stream("read /home/someone/x")), "/home/someone/x"),
        (executed(count=2), "execution counts"),
        (executed(count=None), "execution counts"),
        (executed(**{lint.WIDGET_VIEW: {"model_id": "a"}}), "a saved widget view"),
    ],
)
def test_saved_rule_bites(bad, says):
    (problem,) = lint.saved(bad, "n", 100)
    assert says in problem


def test_size_and_metadata_are_checked():
    assert "bytes" in next(lint.saved(executed(), "n", 1_500_000))
    bad = executed()
    bad.metadata["widgets"] = {}
    assert "widgets" in next(lint.saved(bad, "n", 100))


def test_picture_rules_bite():
    unlabelled = executed()
    unlabelled.cells[0].outputs[0].metadata = {"image/png": {"alt": " "}}
    empty = executed()
    empty.cells[0].outputs = []
    for bad, says in [
        (unlabelled, "no alternative text"),
        (empty, "no picture is saved"),
        (executed(tags=()), "not tagged figure"),
        (executed(**{"text/plain": "<Figure size 640x480 with 1 Axes>"}), "no number"),
        (executed(**{"text/plain": "η = 0.1 · it converges"}), "no number"),
        (executed(**{"text/plain": "a line"}), "no number"),
    ]:
        (problem,) = lint.pictures(bad, "n")
        assert says in problem


@pytest.mark.parametrize(
    "soft",
    [
        executed(tags=("figure", "nbval-ignore-output")),
        executed(tags=("figure", "nbval-skip")),
        executed(tags=("figure", "raises-exception")),
        executed(source="# NBVAL_IGNORE_OUTPUT\ndraw()"),
        executed(source="draw()\n  # PYTEST_VALIDATE_IGNORE_OUTPUT"),
    ],
)
def test_softened_nbval_needs_an_entry_with_a_reason(soft):
    entry = {"lesson": "07_halves", "cell": "l07-c000", "reason": "because"}
    found = [("07_halves", executed()), ("07_halves", soft)]
    for allowed, problems in [
        ([], 1),
        ([entry | {"reason": " "}], 1),
        ([entry | {"cell": "l07-c001"}], 2),
        ([entry], 0),
    ]:
        assert len(lint.softened(found, allowed)) == problems


def test_entry_that_softens_nothing_is_a_problem():
    entry = {"lesson": "07_halves", "cell": "l07-c000", "reason": "because"}
    assert "nothing needs" in lint.softened([("07_halves", executed())], [entry])[0]


def test_tone_is_a_warning(tmp_path, monkeypatch, capsys):
    (tmp_path / NAME).write_text(GOOD.replace("Halving halves.", "Simply halve."), "utf-8")
    monkeypatch.setattr(lint, "sources", lambda _: [tmp_path / NAME])
    lint.main()
    assert re.fullmatch(rf"warning: {NAME}, line \d+: 'Simply' in the prose\n", capsys.readouterr().out)
    assert lint.tone not in lint.RULES
