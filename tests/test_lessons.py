"""Every lesson keeps the lesson contract and agrees with its notebooks; and each rule bites."""

from __future__ import annotations

import re
import sys
from functools import cache
from itertools import takewhile
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
TIMES = {
    "heading": "Time",
    "source": "to run: measured by make course; to read: words at 200 a minute, and the exercises",
}
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
    assert lint.problems(rule, lesson(path), *known) == []


@each_lesson
def test_lessons_that_are_not_there_are_called_planned(path):
    assert lint.problems(lint.unwritten, lesson(path), all_tags().keys()) == []


@each_lesson
@pytest.mark.parametrize("version", [0, 1], ids=["student", "solved"])
def test_notebook_agrees_with_its_source(path, version):
    found = build.disagreements(path, build.notebooks_of(path, ROOT / "notebooks")[version])
    assert found == [], "Run `make notebooks`. " + "\n".join(found)


def test_every_notebook_has_a_source():
    assert [path.stem for path in NOTEBOOKS if path.stem not in {lesson.stem for lesson in LESSONS}] == []


@each_notebook
def test_saved_notebook_ran_clean_and_its_pictures_have_numbers_and_alternatives(path):
    assert lint.problems(lint.saved, notebook(path), path.stem, path.stat().st_size) == []
    assert lint.problems(lint.pictures, notebook(path), path.stem) == []


def test_nbval_is_softened_only_with_a_reason():
    assert lint.problems(lint.softened, [(path.stem, notebook(path)) for path in NOTEBOOKS], SOFTENED) == []


@pytest.mark.parametrize("path", [*LESSONS, ROOT / "README.md"], ids=lambda path: path.stem)
def test_numbers_in_prose_have_a_source(path):
    text, listed, whole = path.read_text("utf-8"), ROOT / "tests/readme_numbers.toml", []
    if path in LESSONS:
        text, listed, whole = lesson(path).markdown(), path.parent / "numbers.toml", [TIMES]
    entries = tomllib.loads(listed.read_text("utf-8"))["entry"] if listed.exists() else []
    assert "\n\n".join(lint.problems(lint.unsourced, path.name, text, entries, whole)) == ""


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
    return lint.problems(rule, lint.read(text, NAME))


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
    lint.links: [
        ("and used as", "[a][b]\n\n[b]: nowhere.png\n\nand used as", "reference-style"),
        # A link to a planned lesson is the build's business, but not in HTML.
        ("and used as", '[a](99_none.ipynb#1-·-A) <a href="99_none.ipynb">a</a> and used as', "does not exist"),
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
        found = lint.problems(lint.links, lint.read(f"# 1 · Half\n\n{link}\n", NAME), tmp_path)
        assert [f"link {target!r} {reason}" in problem for problem in found] == [True] * bool(reason)


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
    found = lint.problems(lint.unwritten, lint.read(f"{text}\n", NAME), {1, 3, 4})
    assert [problem in line for line in found] == [True] * bool(problem)


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
    (problem,) = lint.problems(lint.unsourced, "a.md", text, [])
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


ENTRY = {"text": "Reads in\n5 minutes.", "source": "counted"}
SECTION = {"heading": "Time", "source": "measured"}


@pytest.mark.parametrize(
    ("entries", "whole", "says"),
    [
        ([], [], ["Reads in 5 minutes.", "Runs in 6 minutes."]),
        ([ENTRY], [], ["Runs in 6 minutes."]),
        ([ENTRY | {"text": "Reads 5"}], [], ["Reads in 5", "Runs in 6", "nothing needs the entry 'Reads 5'"]),
        ([ENTRY | {"source": " "}], [], ["Runs in 6 minutes.", "has no source"]),
        ([], [SECTION], ["Reads in 5 minutes."]),
        ([], [SECTION | {"source": ""}], ["Reads in 5 minutes.", "has no source"]),
        ([], [SECTION | {"heading": "Next"}], ["Reads in 5", "Runs in 6", "nothing needs the entry 'Next'"]),
    ],
)
def test_allow_list_excuses_what_it_names_and_nothing_else(entries, whole, says):
    text = "Reads in 5\nminutes.\n\n## Time\n\nRuns in 6 minutes.\n\n## Next\n"
    problems = lint.problems(lint.unsourced, "a.md", text, entries, whole)
    assert len(problems) == len(says)
    assert all(part in problem for part, problem in zip(says, problems, strict=True))


PICTURE = {"image/png": "aGk=", "text/plain": "η = 0.1 · f = 0.23"}
ABOUT = {"kernelspec": build.KERNEL, "language_info": {"name": "python"}, "metautil": {"digest": "0"}}


def executed(*outputs, source="draw()", tags=("figure",), count=1, alt="A line.", drawn=True, about=ABOUT, **data):
    picture = new_output("display_data", data={**PICTURE, **data}, metadata={"image/png": {"alt": alt}})
    outputs = [picture, *outputs] if drawn else [*outputs]
    cell = new_code_cell(source, metadata={"tags": list(tags)}, outputs=outputs, execution_count=count)
    cell.id = "l07-c000"
    return new_notebook(cells=[cell], metadata=about)


def stream(text: str, name: str = "stdout"):
    return new_output("stream", name=name, text=text)


def test_good_notebook_has_no_problems():
    assert lint.problems(lint.saved, executed(), "n", 1_499_999) == []
    assert lint.problems(lint.pictures, executed(), "n") == []
    assert lint.problems(lint.softened, [("n", executed())], []) == []


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
        (executed(about={"widgets": {}}), "metadata ['widgets']"),
        (executed(alt=" "), "no alternative text"),
        (executed(drawn=False), "no picture is saved"),
        (executed(tags=()), "not tagged figure"),
        (executed(**{"text/plain": "<Figure size 640x480 with 1 Axes>"}), "no number"),
        (executed(**{"text/plain": "η = 0.1 · it converges"}), "no number"),
        (executed(**{"text/plain": "a line"}), "no number"),
    ],
)
def test_rule_for_saved_notebooks_bites(bad, says):
    (problem,) = [*lint.problems(lint.saved, bad, "n", 100), *lint.problems(lint.pictures, bad, "n")]
    assert says in problem


def test_size_is_checked():
    assert "1500000 bytes" in lint.problems(lint.saved, executed(), "n", 1_500_000)[0]


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
    for allowed, problems in [
        ([], ["without an entry"]),
        ([entry | {"reason": " "}], ["without an entry"]),
        ([entry | {"cell": "l07-c001"}], ["without an entry", "nothing needs"]),
        ([entry], []),
    ]:
        found = lint.problems(lint.softened, [("07_halves", executed()), ("07_halves", soft)], allowed)
        assert all(problem in line for problem, line in zip(problems, found, strict=True))


def test_tone_is_a_warning(tmp_path, monkeypatch, capsys):
    (tmp_path / NAME).write_text(GOOD.replace("Halving halves.", "Simply halve."), "utf-8")
    monkeypatch.setattr(lint, "sources", lambda _: [tmp_path / NAME])
    lint.main()
    assert re.fullmatch(rf"warning: {NAME}, line \d+: 'Simply' in the prose\n", capsys.readouterr().out)
    assert lint.tone not in lint.RULES


# Terms

GLOSSARY = tomllib.loads((ROOT / "lessons/shared/glossary.toml").read_text("utf-8"))


@cache
def core(path: Path) -> str:
    """Prose before the exercises, in one line, without stored numbers."""
    texts = takewhile(
        lambda text: text.strip() != "Exercises", (lint.words(block) for _, block in lesson(path).blocks())
    )
    return " ".join(build.PLACEHOLDER.sub("", " ".join(texts)).split())


def speaks_of(text: str, term: str) -> bool:
    """The term or its plural stands there as words of their own."""
    forms = f"{re.escape(term[:-1])}(y|ies)" if term.endswith("y") else f"{re.escape(term)}(e?s)?"
    return bool(re.search(rf"(?<![\w-]){forms}(?![\w-])", text, re.IGNORECASE))


@pytest.mark.parametrize("term", GLOSSARY)
def test_term_is_used_from_the_lesson_that_defines_it(term):
    entry = {"used_earlier": []} | GLOSSARY[term]
    assert entry.keys() == {"lesson", "means", "used_earlier"}
    assert re.fullmatch(r"[A-Z][^.!?]+\.", entry["means"]), "not one sentence"
    using = [f"{lesson(path).number:02}" for path in LESSONS if speaks_of(core(path), term)]
    assert entry["lesson"] in using, f"the lesson that defines it does not use it; these do: {using}"
    early = [number for number in using if number < entry["lesson"]]
    assert early == entry["used_earlier"], f"used before lesson {entry['lesson']}, which defines it, in {early}"


@pytest.mark.parametrize(
    ("text", "term", "found"),
    [
        ("Two learners meet.", "learner", True),
        ("Learner, or not", "learner", True),
        ("a meta-learner", "learner", False),
        ("learners-to-be and unlearner", "learner", False),
        ("few entropies", "entropy", True),
        ("FOMAML", "MAML", False),
        ("two losses", "loss", True),
    ],
)
def test_a_term_is_found_as_a_word_of_its_own(text, term, found):
    assert speaks_of(text, term) == found
